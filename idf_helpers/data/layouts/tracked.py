"""Transforms files of head trackers: expressions, instants and the motion of the head.

VHAP, and GaussianAvatars, which trains on its exports
(https://github.com/ShenhanQian/VHAP vhap/export_as_nerf_dataset.py, combine_nerf_datasets.py;
https://github.com/ShenhanQian/GaussianAvatars scene/dataset_readers.py): every frame has
`timestep_index`, `camera_index`, intrinsics of its own, `fg_mask_path`, and `flame_param_path`, an
.npz of `rotation`, `translation`, `neck_pose`, `jaw_pose`, `eyes_pose` and `expr`. The cameras
stand still and the head moves; its motion is put into the cameras, so that the head rests.
With `--flame_mode mesh` it has `exp_path` in place of it, and the head's motion only in meshes.

INSTA (https://github.com/Zielon/INSTA scripts/transforms.py, mica_matrix_to_ngp in
nerf_loader.h): `exp_path`, a text file of FLAME's expression; the head rests, and the matrices have
OpenCV's axes, though the file looks like Blender's. Its val frames are test frames again.

D-NeRF (https://github.com/albertpumarola/D-NeRF load_blender.py): Blender's schema with a `time`
from 0 to 1 for every frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import IdfError
from ...runtime.npz import read_arrays
from ..cameras import GL_TO_CV
from ..frame import Frame
from .flame import expression_of, head_pose

MAX_VALUES = 4096  # of one frame's expression
MAX_EXPRESSION_BYTES = 2**20
TEXTS = (("exp_path", "flame"), ("jaw_path", "jaw"), ("eyes_path", "eyes"))  # INSTA's; the latter
# two stand in older exports
LENGTHS = {"rotation": 3, "translation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6}


def leaves(data: dict) -> bool:
    """Whether a transforms file names something above its own folder."""
    return any(isinstance(v, str) and k.endswith("_path") and ".." in re.split(r"[\\/]", v)
               for e in (data, *data["frames"]) if isinstance(e, dict) for k, v in e.items())


def under_root(data: dict, folder: Path, within: Path) -> dict:
    """Return a transforms file's content with all paths relative to the named root `within`."""
    prefix = PurePosixPath(folder.resolve().relative_to(within.resolve()).as_posix())

    def moved(value):
        if not isinstance(value, str) or value[:1] in "/\\":
            return value  # refused by whoever reads it
        parts: list[str] = list(prefix.parts)
        for part in value.replace("\\", "/").split("/"):
            if part == ".." and parts and parts[-1] != "..":
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)

    def paths(entry):
        if not isinstance(entry, dict):
            return entry
        return {k: moved(v) if k.endswith("_path") else
                [moved(x) for x in v] if k.endswith("_filenames") and isinstance(v, list) else v
                for k, v in entry.items()}

    return {**paths(data), "frames": [paths(e) for e in data["frames"]]}


def layout_of(data: dict) -> str:
    """Return whose a transforms file is, by its keys; "" where they do not tell."""
    entry = next((e for e in data["frames"] if isinstance(e, dict)), {})
    if "flame_param_path" in entry or ("timestep_index" in entry and "exp_path" in entry):
        return "VHAP"
    if "exp_path" in entry:
        return "INSTA"
    if "expression" in entry:
        return "NeRFace"
    if "time" in entry or "timestep_index" in entry:
        return "D-NeRF" if "time" in entry else "VHAP without FLAME"
    keys = {*data, *entry}
    if keys & {"fl_x", "K", "camera_model", "aabb_scale", "k1", "applied_transform"}:
        return "nerfstudio or instant-ngp"
    return "Blender" if "camera_angle_x" in keys else ""


def complete(root: Path, data: dict, frames: Sequence[Frame], name: str
             ) -> tuple[list[Frame], tuple[str, ...]]:
    """Return the frames of a transforms file with instants, and what trackers leave beside them:
    expressions (and their names), cameras before a head that rests. Where none of their files is
    there, as in a copy of the pictures alone, frames have no expressions.

    name: of the file, for messages. IdfError: files that are missing or damaged, or that lie
    outside the dataset's folder.
    """
    names: tuple[str, ...] = ()
    kept = any(_there(root, e.get(key)) for e in data["frames"] if isinstance(e, dict)
               for key in ("flame_param_path", "exp_path"))
    known: dict[Path, tuple] = {}
    out = []
    for i, (frame, entry) in enumerate(zip(frames, data["frames"], strict=True)):
        where = f"frame {i} of {name}"
        camera_id = entry.get("camera_id", entry.get("camera_index"))
        frame = replace(frame, time=_instant(entry, where),
                        camera_id=None if camera_id is None else str(camera_id)[:80])
        if kept and frame.camera is not None and frame.expression is None:
            if "flame_param_path" in entry:
                frame, named = _with_flame(root, frame, entry, where, known)
            elif "exp_path" in entry:
                frame, named = _with_texts(root, frame, entry, where)
            else:
                named = names
            if names and named != names:
                raise IdfError(f"The expression of {where} has another length than the others",
                               f"{len(named)} numbers, the others {len(names)}",
                               "export the dataset again with the tracker")
            names = named
        out.append(frame)
    return out, names


def settled(splits: dict[str, tuple[Frame, ...]], layout: str
            ) -> tuple[dict[str, tuple[Frame, ...]], list[str]]:
    """Return the frames of a tracker's whole dataset, each once, with OpenGL axes; and notes.

    Trackers that put FLAME's head at the world's origin differ in the axes of their cameras. Those
    that look at the head are right.
    """
    notes = []
    test = {f.name for f in splits.get("test", ())}
    twice = [f for f in splits.get("val", ()) if f.name in test]
    if twice:
        splits = {**splits, "val": tuple(f for f in splits["val"] if f.name not in test)}
        notes.append(f"{len(twice)} frames of val are frames of test, and are left to test")
    if not any(f.expression is not None for part in splits.values() for f in part):
        notes.append(f"{layout}: the files of FLAME are not there: how the head and its face move "
                     "is not known")
    if layout == "INSTA":  # one video: each frame is an instant of its own
        order = {n: float(i) for i, n in enumerate(sorted(
            {f.name for part in splits.values() for f in part}))}
        splits = {s: tuple(replace(f, time=order[f.name]) if f.time is None else f for f in part)
                  for s, part in splits.items()}
    frames = [f for part in splits.values() for f in part if f.camera is not None]
    toward = [float(f.camera.forward @ -f.camera.position) for f in frames]
    if toward and np.median(toward) < 0:
        splits = {s: tuple(f if f.camera is None else replace(
            f, camera=replace(f.camera, c2w=f.camera.c2w @ GL_TO_CV)) for f in part)
            for s, part in splits.items()}
        notes.append(f"{layout}: the cameras have OpenCV's axes (y down, looking along +z), as the "
                     "head at the origin shows")
    return splits, notes


def _instant(entry: dict, where: str) -> float | None:
    value = entry.get("timestep_index", entry.get("time"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise IdfError(f"The instant of {where} is not a number", f"{value!r:.60}",
                       "correct its `time` or `timestep_index`")
    return float(value)


def _there(root: Path, value) -> bool:
    try:
        return isinstance(value, str) and (root / value.replace("\\", "/")).is_file()
    except (OSError, ValueError):
        return False


def _inside(root: Path, value, where: str, key: str) -> Path:
    try:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("no path")
        path = root / value.replace("\\", "/")
        if not path.resolve().is_relative_to(root.resolve()):
            raise IdfError(f"`{key}` of {where} points outside the dataset folder", value,
                           "name the folder that holds both after the dataset: DATASET#root=..")
        size = path.stat().st_size if path.is_file() else None
    except (OSError, ValueError) as error:
        raise IdfError(f"`{key}` of {where} names no file", ascii(value)[:80],
                       f"export the dataset again ({str(error)[:60]})") from None
    if size is None:
        raise IdfError(f"The expression of {where} is missing", value[:120],
                       "complete the folder, or export the dataset again with the tracker")
    if size > MAX_EXPRESSION_BYTES and path.suffix == ".txt":
        raise IdfError(f"The expression of {where} is too large", f"{size} bytes",
                       "it should be a text file of some hundred numbers")
    return path


def _with_texts(root: Path, frame: Frame, entry: dict, where: str):
    parts = []
    for key, name in TEXTS:
        if key in entry:
            path = _inside(root, entry[key], where, key)
            try:
                values = np.array(path.read_text(encoding="utf-8").split(), np.float64)
            except (OSError, ValueError) as error:
                raise _damaged(path, where, str(error)) from None
            if not 0 < len(values) <= MAX_VALUES or not (np.abs(values) < 1e6).all():
                raise _damaged(path, where, f"{len(values)} values, not all of them small numbers")
            parts.append((name, values))
    names = tuple(f"{n}_{i}" for n, v in parts for i in range(len(v)))
    return replace(frame, expression=np.concatenate([v for _, v in parts]).astype(
        np.float32)), names


def _with_flame(root: Path, frame: Frame, entry: dict, where: str, known: dict[Path, tuple]):
    path = _inside(root, entry["flame_param_path"], where, "flame_param_path")
    if path not in known:  # all cameras of an instant share one file
        known[path] = _flame(path, where)
    back, expression, names = known[path]
    camera = replace(frame.camera, c2w=back @ frame.camera.c2w)
    return replace(frame, expression=expression, camera=camera), names


def _flame(path: Path, where: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the way back from a posed head to the resting one, its expression, and the names."""
    try:
        found = {k: np.asarray(v, np.float64).ravel() for k, v in
                 read_arrays(path, None, "file of FLAME parameters", "export it again").items()
                 if k == "expr" or k in LENGTHS}
    except IdfError as error:
        raise _damaged(path, where, error.found) from None
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, where, str(error)) from None
    lacking = [k for k in ("rotation", "translation", "expr") if k not in found]
    wrong = [k for k, v in found.items() if not 0 < len(v) <= MAX_VALUES
             or len(v) != LENGTHS.get(k, len(v)) or not (np.abs(v) < 1e6).all()]
    if lacking or wrong:
        raise _damaged(path, where, f"no {', '.join(lacking)}" if lacking else
                       f"unusable {', '.join(wrong)}")
    head = head_pose(found["rotation"], found.get("neck_pose"), found["translation"])
    return np.linalg.inv(head), *expression_of(found)


def _damaged(path: Path, where: str, found: str) -> IdfError:
    return IdfError(f"The FLAME parameters of {where} cannot be read: {path.name}", found[:160],
                    "export the dataset again with the tracker")


def same_instant(a: float, b: float) -> bool:
    """Whether two instants are the same, as numbers that were written down."""
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
