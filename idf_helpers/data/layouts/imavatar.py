"""IMavatar's and PointAvatar's folders: `flame_params.json` beside `image/` and `mask/`.

Read (https://github.com/zhengyuf/IMavatar code/datasets/real_dataset.py, preprocess/DECA/
optimize.py): `intrinsics` [fx, fy, cx, cy] as shares of the picture (in pixels of a 512 picture in
its old files), fx below 0 because its rays count x backward; frames of `file_path` without suffix,
`world_mat` (3x4 or 4x4, world to camera, OpenGL's axes), `expression` (50), `pose` (15: rotation
vectors of head, neck, jaw and both eyes), `bbox` in [-1, 1]. FLAME's head is four times its size.
The camera stands still and the head moves; its motion is put into the cameras. Rays go through
whole pixels, so their pixel i is our i + 0.5.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import IdfError, shorten
from ...runtime.files import read_json
from .. import media
from ..cameras import Camera
from ..frame import Frame, find_picture, picture_name
from ..masks import Mask
from .flame import expression_of, head_pose
from .reading import Reading

FILE = "flame_params.json"
SCALE = 4.0  # of its heads
OLD_SIZE = 512  # pixels, of the pictures that old files give their intrinsics for
POSE = (("rotation", 0, 3), ("neck_pose", 3, 6), ("jaw_pose", 6, 9), ("eyes_pose", 9, 15))
SEQUENCES = {"train": "train", "val": "val", "test": "test"}


def tables(root: Path) -> dict[str, Path]:
    """Return {split: file}: one in the folder itself, or one in each of `train/`, `test/`."""
    if (root / FILE).is_file():
        return {"train": root / FILE}
    return {s: root / f / FILE for s, f in SEQUENCES.items() if (root / f / FILE).is_file()}


def read(root: Path) -> Reading:
    """Return what such a folder holds. IdfError names the frame and the field at fault."""
    splits: dict[str, tuple[Frame, ...]] = {}
    names: tuple[str, ...] = ()
    count = 0  # each video's instants follow those of the one before
    files = tables(root)
    for split, path in files.items():
        data = read_json(path, "camera file")
        if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
            raise IdfError(f"The camera file {path} has no list `frames`",
                           shorten(data, 6) if isinstance(data, dict) else type(data).__name__,
                           "write it again with IMavatar's preprocessing")
        frames = []
        for i, entry in enumerate(data["frames"]):
            frame, names = _frame(root, path.parent, data, entry, split, count + i,
                                  f"frame {i} of {path.relative_to(root).as_posix()}")
            frames.append(frame)
        splits[split], count = tuple(frames), count + len(frames)
    if not splits.get("train"):
        raise IdfError(f"The dataset {root} has no training frames", "0 frames",
                       f"give a folder whose {FILE} lists pictures")
    masks = sum(f.mask is not None for part in splits.values() for f in part)
    notes = ["IMavatar: the head's motion is taken from FLAME's pose, with the joints of the "
             "average head"]
    if masks:
        notes.append(f"IMavatar: {masks} masks of the folder `mask` become alpha")
    return Reading("IMavatar", splits, tuple(files.values()), names, tuple(notes))


def _frame(root: Path, folder: Path, data: dict, entry, split: str, number: int, where: str):
    if not isinstance(entry, dict):
        raise IdfError(f"{where} is not an object", type(entry).__name__,
                       "write it again with IMavatar's preprocessing")
    file_path = entry.get("file_path")
    if not isinstance(file_path, str) or not file_path.strip():
        raise IdfError(f"{where} has no `file_path`", repr(file_path)[:60],
                       "name its picture, relative to the folder")
    prefix = folder.relative_to(root).as_posix()
    inside = picture_name(file_path if prefix == "." else f"{prefix}/{file_path}")
    picture = find_picture(root, inside, where)
    pose = _numbers(entry.get("pose"), "pose", where, 15)
    expression, names = expression_of(
        {"expr": _numbers(entry.get("expression"), "expression", where)}
        | {key: pose[a:b] for key, a, b in POSE})
    frame = Frame(inside, picture or root / inside, None, split, expression, time=float(number))
    if picture is None:
        return frame, names
    w, h = media.image_size(picture, "frame")
    fx, fy, cx, cy = _numbers(data.get("intrinsics"), "intrinsics", where, 4)
    if cy > 1:
        fx, fy, cx, cy = (v / OLD_SIZE for v in (fx, fy, cx, cy))
    if not (1e-3 < abs(fx) < 1e6 and 1e-3 < fy < 1e6 and max(abs(cx), abs(cy)) < 1e3):
        raise IdfError(f"The intrinsics of {where} belong to no camera", f"{[fx, fy, cx, cy]}",
                       "give [fx, fy, cx, cy] as shares of the picture's size")
    head = head_pose(pose[:3], pose[3:6], scale=SCALE)
    c2w = np.linalg.inv(_rigid(entry.get("world_mat"), where) @ head)
    if fx > 0:  # its rays would run against x: the mirrored world gives the same pictures
        mirror = np.diag([-1.0, 1, 1, 1])
        c2w = mirror @ c2w @ mirror
    camera = Camera(c2w, abs(fx) * w, fy * h, cx * w + 0.5, cy * h + 0.5, w, h)
    mask = find_picture(root, inside.replace("image", "mask"), where)
    return replace(frame, camera=camera, mask=None if mask in (None, picture) else Mask(mask),
                   bbox=_box(entry.get("bbox"), where)), names


def _box(value, where: str) -> np.ndarray | None:
    """Return NeRFace's head box of IMavatar's [x0, y0, x1, y1] in [-1, 1]."""
    if value is None:
        return None
    x0, y0, x1, y1 = np.clip((_numbers(value, "bbox", where, 4) + 1) / 2, 0, 1)
    return np.array([y0, y1, x0, x1], np.float32)


def _rigid(value, where: str) -> np.ndarray:
    from ..matrices import rigid_matrix

    return rigid_matrix(value, where)


def _numbers(value, name: str, where: str, length: int | None = None) -> np.ndarray:
    from ..numbers import numbers

    return numbers(value, name, where, length)
