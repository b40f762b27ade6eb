"""Datasets of other trackers as NeRFace folders: INSTA's and VHAP's.

Read of INSTA (metrical-tracker, `scripts/transforms.py`): `transforms_{train,val,test}.json` or
`transforms.json` with `fl_x fl_y cx cy w h` and frames of `file_path`, `transform_matrix`,
`exp_path` (a text file of FLAME's expression, one number a line); where an older export has them,
`jaw_path` and `eyes_path` too, appended in that order.

Read of VHAP (`export_as_nerf_dataset.py --mode param`): the same JSON with intrinsics in every
frame and `flame_param_path`, an .npz of `rotation` (1, 3) and `translation` (1, 3) of the head,
`expr` (1, E), and where there `jaw_pose`, `eyes_pose`, `neck_pose`. There the head moves before
cameras that stand still; rotation and translation are put into the camera, so that the head rests.
The neck's own bend stays an expression. Files with `exp_path` (mode mesh) are read as INSTA's.

Whether cameras look along -z (OpenGL) or +z (OpenCV) follows from where the head is. Lengths are
scaled so that the camera's median distance from the head is 0.5, as NeRFace wants it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.cameras import GL_TO_CV, Camera
from ..data.dataset import Dataset, Frame
from ..data.frame import find_picture
from ..data.frame import picture_name as plain_name
from ..data.media import encode_image, image_size, read_image
from ..data.transforms import rigid_matrix, write_transforms
from ..errors import IdfError, shorten
from ..face.pose import rotation
from ..runtime.files import read_json, sha256_file, stable_hash, write_bytes
from ..runtime.npz import read_arrays
from ..runtime.runs import RunFolder
from .world import DISTANCE, EXPRESSIONS_LONG, TO_WORLD

KINDS = {"insta": "exp_path", "vhap": "flame_param_path"}
EXTRA = (("jaw_pose", 3, "jaw"), ("eyes_pose", 6, "eyes"), ("neck_pose", 3, "neck"))


def import_tracked(folder, out, kind: str, resume: bool = True) -> Dataset:
    """Write the tracked dataset in `folder` as a NeRFace dataset to `out`.

    kind: "insta" or "vhap". Expressions are named flame_0 …, and jaw_0 … where there are such;
    the same sliders as ours they are not. IdfError: unknown kind, missing files or fields.
    """
    folder = Path(folder)
    if kind not in KINDS:
        raise IdfError(f"There is no import from `{kind}`", kind, "one of: " + ", ".join(KINDS))
    tables = _tables(folder)
    frames, names = [], None
    for split, path in tables.items():
        data = read_json(path, "camera file")
        if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
            raise _damaged(f"The camera file {path} has no list `frames`", type(data).__name__)
        for i, entry in enumerate(data["frames"]):
            frame, named = _frame(folder, data, entry, split, f"frame {i} of {path.name}", kind)
            if names is not None and named != names:
                raise _damaged(f"frame {i} of {path.name} has another kind of expression",
                               f"{len(named)} numbers after {len(names)}")
            names = named
            frames.append(frame)
    if not frames:
        raise _damaged(f"The dataset {folder} has no frames",
                       shorten(p.name for p in tables.values()))
    frames = _normalized(_unique(frames))
    inputs = {"folder": str(folder.resolve()),
              "json": {p.name: sha256_file(p) for p in tables.values()},
              "files": stable_hash([f.name for f in frames])}
    with RunFolder(out, stage="track", backend=kind, config={"from": kind}, inputs=inputs,
                   resume=resume) as run:
        if run.finished:
            return Dataset.open(out)
        for f in frames:
            data = f.path.read_bytes() if f.path.suffix.lower() == ".png" else \
                encode_image(read_image(f.path, "frame"))
            write_bytes(run.path / f"{f.name}.png", data)
        write_transforms(run.path, frames, expression_names=names)
        run.finish({"frames": len(frames)})
    return Dataset.open(out)


def _damaged(what: str, found: str) -> IdfError:
    return IdfError(what, found, "export the dataset again with the tracker")


def _tables(folder: Path) -> dict[str, Path]:
    found = {s: folder / f"transforms_{s}.json" for s in ("train", "val", "test")}
    found = {s: p for s, p in found.items() if p.is_file()}
    if not found and (folder / "transforms.json").is_file():
        found = {"train": folder / "transforms.json"}
    if not found:
        raise IdfError(f"{folder} is not a tracked dataset", "no transforms*.json in it",
                       "give the folder that the tracker exported")
    return found


def _frame(folder: Path, data: dict, entry, split: str, where: str, kind: str):
    """Return a frame with its camera in the head's frame (y up, the face looks to +z), and the
    names of its expression."""
    wanted = ("file_path", "transform_matrix", KINDS[kind])
    lacking = [k for k in wanted if k not in entry] if isinstance(entry, dict) else list(wanted)
    if lacking:
        raise IdfError(f"{where} lacks fields of an export by {kind}", "no " + ", ".join(lacking),
                       "the fields read stand in idf_helpers/tracking/importers.py; "
                       + ("VHAP: export with --mode param" if kind == "vhap" else
                          "INSTA: run its scripts/transforms.py"))
    picture = find_picture(folder, str(entry["file_path"]), where)
    if picture is None:
        raise _damaged(f"The picture of {where} is missing", str(entry["file_path"]))
    w, h = image_size(picture, "frame")

    def number(key, default=None):
        value = entry.get(key, data.get(key, default))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
            raise IdfError(f"`{key}` of {where} is not a number", repr(value)[:60],
                           "the export must hold fl_x, fl_y, cx, cy")
        return float(value)

    jw, jh = number("w", w), number("h", h)
    fx = number("fl_x")
    sx, sy = w / jw, h / jh
    c2w = rigid_matrix(entry["transform_matrix"], where)
    if kind == "insta":
        parts = [("flame", _text(folder, entry["exp_path"], where))]
        parts += [(name, _text(folder, entry[key], where)) for name, key in
                  (("jaw", "jaw_path"), ("eyes", "eyes_path")) if key in entry]
    else:
        flame = _arrays(folder, entry["flame_param_path"], where)
        head = np.eye(4)  # of the head in the world
        head[:3, :3] = rotation(flame["rotation"])
        head[:3, 3] = flame["translation"]
        c2w = np.linalg.inv(head) @ c2w
        parts = [("flame", flame["expr"])]
        parts += [(name, flame[key]) for key, _, name in EXTRA if key in flame]
    expression = np.concatenate([v for _, v in parts]).astype(np.float32)
    names = tuple(f"{n}_{i}" for n, v in parts for i in range(len(v)))
    camera = Camera(c2w, fx * sx, number("fl_y", fx) * sy, number("cx", jw / 2) * sx,
                    number("cy", jh / 2) * sy, w, h)
    return Frame(plain_name(str(entry["file_path"])).removeprefix("./"), picture, camera, split,
                 expression), names


def _inside(folder: Path, name, where: str) -> Path:
    path = folder / str(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _damaged(f"{where} points outside the dataset folder", str(name))
    if not path.is_file():
        raise _damaged(f"The expression file of {where} is missing", str(name))
    return path


def _text(folder: Path, name, where: str) -> np.ndarray:
    path = _inside(folder, name, where)
    try:
        values = np.array(path.read_text(encoding="utf-8").split(), np.float64)
    except (OSError, ValueError) as error:
        raise _damaged(f"{path} is not a list of numbers", str(error)[:120]) from None
    if not len(values) or not np.isfinite(values).all():
        raise _damaged(f"{path} is not a list of finite numbers", f"{len(values)} values")
    return values


def _arrays(folder: Path, name, where: str) -> dict[str, np.ndarray]:
    path = _inside(folder, name, where)
    try:
        found = {k: np.asarray(v, np.float64).reshape(-1) for k, v in read_arrays(path).items()
                 if k in ("rotation", "translation", "expr", *(e[0] for e in EXTRA))}
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(f"{path} is not a file of FLAME parameters", str(error)[:120]) from None
    lacking = [k for k in ("rotation", "translation", "expr") if k not in found]
    if lacking:
        raise _damaged(f"{path} lacks FLAME parameters", "no " + ", ".join(lacking))
    sizes = {"rotation": 3, "translation": 3, **{k: n for k, n, _ in EXTRA if k in found}}
    wrong = [k for k, v in found.items() if len(v) != sizes.get(k, len(v)) or
             not np.isfinite(v).all()]
    if wrong:
        raise _damaged(f"{path} holds wrong FLAME parameters", ", ".join(wrong))
    return found


def _unique(frames: list[Frame]) -> list[Frame]:
    """INSTA repeats frames of the test split as val: each stays in the split named last."""
    last = {f.name: f for f in sorted(frames, key=lambda f: ("val", "train", "test").index(
        f.split))}
    return list(last.values())


def _normalized(frames: list[Frame]) -> list[Frame]:
    """Cameras with OpenGL axes in the bundled sequence's world, median distance 0.5; expressions
    filled up to the width that NeRFace's networks have."""
    position = np.stack([f.camera.position for f in frames])
    axis = np.stack([f.camera.c2w[:3, 2] for f in frames])
    opencv = np.median((axis * -position).sum(1)) > 0  # the head, at 0, lies along +z
    if np.median(np.linalg.norm(position, axis=1)) < 1e-6:
        raise IdfError("The cameras stand inside the head", "distance 0", "check the export")
    unit = DISTANCE / float(np.median(np.linalg.norm(position, axis=1)))
    out = []
    for f in frames:
        c2w = f.camera.c2w @ GL_TO_CV if opencv else f.camera.c2w.copy()
        c2w[:3, :3] = TO_WORLD @ c2w[:3, :3]
        c2w[:3, 3] = unit * TO_WORLD @ c2w[:3, 3]
        padding = np.zeros(max(0, EXPRESSIONS_LONG - len(f.expression)), np.float32)
        out.append(Frame(**{**vars(f), "camera": Camera(**{**vars(f.camera), "c2w": c2w}),
                            "expression": np.concatenate([f.expression, padding])}))
    return out
