"""NeRFace's `load_flame_data` with frames read from a cache on disk when they are asked for.

This is imported by the upstream scripts in their own process. The folder they are given holds
source.json, see `run.prepare`; poses, intrinsics and expressions are those of the data set's own
JSON, signs included, so that checkpoints made without this program fit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ....data.dataset import SPLITS, Dataset
from ....runtime.files import read_json
from ...avatar.frame_source import FrameSource

__all__ = ("SamplingMaps", "load_flame_data", "torchvision")  # what the mended scripts import
INSIDE = 0.9  # weight of a pixel in the head's box; outside 1 - INSIDE


class LazyFrames:
    """Frames as `images` of the upstream scripts uses them: [i] -> (H, W, 3) float32 tensor,
    [indices][j] without reading more than one."""

    def __init__(self, pictures: np.ndarray, indices: np.ndarray | None = None):
        self.pictures = pictures
        self.indices = np.arange(len(pictures)) if indices is None else np.asarray(indices)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.pictures.shape[1:])

    def __getitem__(self, index):
        if np.ndim(index):
            return LazyFrames(self.pictures, self.indices[np.asarray(index)])
        frame = np.asarray(self.pictures[self.indices[int(index)]], np.float32)
        return torch.from_numpy(frame / np.float32(255))


class torchvision:
    """The one function of torchvision that the scripts use."""

    class transforms:
        class ToPILImage:
            def __call__(self, tensor):
                """(3, H, W) float in [0, 1] -> a Pillow picture."""
                from PIL import Image

                array = tensor.detach().cpu().mul(255).byte().numpy()
                return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))


class SamplingMaps:
    """[i] -> (H·W,) probabilities of the pixels of frame i, made when asked for."""

    def __init__(self, boxes, height: int, width: int):
        self.boxes, self.height, self.width = boxes, int(height), int(width)

    def append(self, probabilities) -> None:
        """Keep nothing: upstream's own maps would fill the memory."""

    def __getitem__(self, index) -> np.ndarray:
        r0, r1, c0, c1 = (int(v) for v in self.boxes[int(index)])
        p = np.full((self.height, self.width), 1 - INSIDE)
        p[r0:r1, c0:c1] = INSIDE
        return (p / p.sum()).ravel()


def load_flame_data(basedir, half_res=False, testskip=1, debug=False, expressions=True,
                    load_frontal_faces=False, load_bbox=True, test=False):
    """Return what the upstream function returns: images, poses (N, 4, 4), render_poses, [H, W,
    intrinsics], i_split, expressions (N, E), None, bboxs (N, 4) int in pixels; images are
    `LazyFrames`."""
    basedir = Path(basedir)
    asked = read_json(basedir / "source.json")
    dataset = Dataset.open(asked["dataset"])
    splits = ["test"] if test else list(SPLITS)
    frames, counts = [], [0]
    for split in splits:
        skip = max(1, testskip) if split != "train" else 1
        some = dataset.splits[split][::skip]
        if split == "val" and not some:  # the scripts cannot do without one
            some = dataset.train[:1]
        frames += some
        counts.append(len(frames))
    cache = Path(asked["cache"]) / ("test" if test else "all")
    source = FrameSource(dataset, frames, cache, asked["resolution"],
                         background=asked["background"])
    raw = _raw_entries(dataset)
    entries = [raw[f.name] for f in frames]
    poses = torch.from_numpy(np.array([e["transform_matrix"] for e in entries], np.float32))
    height, width = source.background.shape[:2]
    scale = width / frames[0].camera.width
    fx, fy, cx, cy = entries[0]["intrinsics"]
    intrinsics = np.array([fx * scale, fy * scale, cx, cy])
    boxes = source.boxes * np.array([height, height, width, width])
    i_split = [np.arange(counts[i], counts[i + 1]) for i in range(len(splits))]
    return (LazyFrames(source.pictures), poses, poses[:1], [height, width, intrinsics], i_split,
            torch.from_numpy(source.expressions.astype(np.float32)), None,
            torch.from_numpy(np.floor(boxes)).int())


def _raw_entries(dataset: Dataset) -> dict[str, dict]:
    """Frame name -> its JSON entry, with `intrinsics` filled in as NeRFace counts them."""
    from ....data.frame import picture_name

    cameras = {f.name: f.camera for f in dataset.frames}
    out = {}
    for path in dataset.json_files:
        data = read_json(path, "camera file")
        for entry in data["frames"]:
            name = picture_name(entry["file_path"])
            if name not in cameras:  # of no split, or without a picture
                continue
            c = cameras[name]
            given = entry.get("intrinsics", data.get("intrinsics"))
            if np.shape(given) != (4,) or given[2] > 2:  # not as NeRFace writes them
                given = None
            out[name] = {"transform_matrix": np.array(entry["transform_matrix"], np.float64)
                         if given else c.c2w,
                         "intrinsics": given or [c.fx, c.fy, (c.cx - 0.5) / c.width,
                                                 (c.cy - 0.5) / c.height]}
            if out[name]["transform_matrix"].shape == (3, 4):
                out[name]["transform_matrix"] = np.vstack(
                    [out[name]["transform_matrix"], [0, 0, 0, 1]])
    return out
