"""NeRFace's checkpoints as a scene."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....data import media
from ....data.cameras import Camera
from ....data.dataset import Dataset
from ....data.media import read_image, write_image
from ....errors import IdfError
from ....runtime.files import read_json, write_bytes, write_json, write_text
from ....scene import Rendering
from .clone import NerfaceClone
from .patches import EVAL


class NerfaceScene:
    """A NeRFace checkpoint. Every picture starts its eval script: half a minute and more each.

    folder: of the run. Its expressions are E numbers, without a linear basis. cameras: some of
    those it was trained on. background: (3,) mean color of the room. training: as of any scene.
    """

    def __init__(self, folder, clone: NerfaceClone | None = None, training: dict | None = None):
        self.folder, self.clone = Path(folder).resolve(), clone or NerfaceClone.here()
        self.checkpoint = newest_checkpoint(self.folder)
        self.training = training or {}
        if self.checkpoint is None:
            raise IdfError(f"{folder} holds no NeRFace checkpoint", "no logs/avatar/*.ckpt",
                           "train it: idf avatar DATASET --backend nerface --iterations N")
        source = read_json(self.folder / "data" / "source.json")
        self.resolution = source["resolution"]
        dataset = Dataset.open(source["dataset"])
        self.cameras = [f.camera for f in dataset.train[::max(1, len(dataset.train) // 24)]]
        self.neutral = min((f.expression for f in dataset.train), key=lambda e: float(e @ e))
        self.background = tuple(read_image(self.folder / "data" / "bg" / "00050.png").reshape(
            -1, 3).mean(axis=0) / 255)

    def __repr__(self) -> str:
        return f"NerfaceScene({self.checkpoint.name}, {len(self.cameras)} cameras)"

    def render_split(self, out: Path, config: Path | None = None) -> list[Path]:
        """Write pictures of the test split in order, as PNG files, to `out`; return their paths."""
        config = config or self.folder / "config.yml"
        words = self.clone.run(EVAL, ["--config", str(config), "--checkpoint",
                                      str(self.checkpoint), "--savedir", str(out)],
                               folder=self.folder / "upstream")
        if words is not None:
            raise script_failed("rendering", words)
        return sorted(p for p in out.glob("*.png") if p.stem.isdigit())

    def render(self, camera: Camera, expression=None, background=None) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1]; expression: E numbers, None = that of the training
        frame with the smallest. background: (3,), None = the room."""
        return self.render_each(camera, [expression], background)[0]

    def render_each(self, camera: Camera, expressions: Sequence, background=None
                    ) -> list[np.ndarray]:
        """Return `render` for each expression; the script is started once for all of them."""
        values = [self.neutral if e is None else np.asarray(e, np.float32).reshape(-1)
                  for e in expressions]
        for e in values:
            if len(e) != len(self.neutral):
                raise IdfError("This expression has another length than the avatar's",
                               f"{len(e)} values, the avatar has {len(self.neutral)}",
                               "use expressions of the tracker that made the training data")
        asked = read_json(self.folder / "config.yml")
        with tempfile.TemporaryDirectory(prefix="idf-nerface-") as name:
            work = Path(name)
            # frames of that size; what the pictures hold is not looked at
            empty = np.zeros((camera.height, camera.width, 3), np.uint8)
            for split, some in (("train", values[:1]), ("test", values)):
                for i in range(len(some)):
                    write_image(work / "set" / split / f"f_{i:04d}.png", empty)
                write_json(work / "set" / f"transforms_{split}.json",
                           _frames(camera, some, split))
            behind = read_image(self.folder / "data" / "bg" / "00050.png")
            if background is not None:
                behind = np.broadcast_to(media.to_uint8(np.asarray(background, np.float32)),
                                         empty.shape)
            behind = media.resize_area(np.ascontiguousarray(behind), camera.width, camera.height)
            write_image(work / "data" / "bg" / "00050.png", behind)
            write_image(work / "set" / "bg" / "00050.png", behind)
            write_json(work / "data" / "source.json", {
                "dataset": str(work / "set"), "resolution": None, "cache": str(work / "cache"),
                "background": "file"})
            write_bytes(work / "data" / "index_map.npy",
                        (self.folder / "data" / "index_map.npy").read_bytes())
            asked["dataset"]["basedir"] = str(work / "data")
            write_text(work / "config.yml", json.dumps(asked))
            found = self.render_split(work / "renders", work / "config.yml")
            return [read_image(p).astype(np.float32)[..., :3] / 255 for p in found]

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the picture; alpha is 1 everywhere and depth NaN, the script gives neither."""
        rgb = self.render(camera, expression, background)
        return Rendering(rgb, np.ones(rgb.shape[:2], np.float32),
                         np.full(rgb.shape[:2], math.nan, np.float32))


def _frames(camera: Camera, expressions: Sequence[np.ndarray], split: str) -> dict:
    return {"camera_angle_x": camera.fov_x,
            "intrinsics": [camera.fx, camera.fy, (camera.cx - 0.5) / camera.width,
                           (camera.cy - 0.5) / camera.height],
            "frames": [{"file_path": f"./{split}/f_{i:04d}",
                        "transform_matrix": camera.c2w.tolist(),
                        "expression": [float(v) for v in e]} for i, e in enumerate(expressions)]}


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint of a run folder; None where it has none."""
    found = sorted((folder / "logs" / "avatar").glob("checkpoint*.ckpt"),
                   key=lambda p: int(re.findall(r"\d+", p.stem)[-1]))
    return found[-1] if found else None


def script_failed(what: str, words: str) -> IdfError:
    """Return the error for a script that failed with these last words."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return IdfError(f"NeRFace's {what} failed", " | ".join(lines[-3:])[-400:],
                    "its scripts are in upstream/ of the run folder")
