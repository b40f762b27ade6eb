"""Datasets: pictures with cameras, read lazily from `transforms*.json`, validated at the border.

Read: Blender / NeRF-synthetic (`camera_angle_x`), nerfstudio and instant-ngp (`fl_x` … top level or
per frame, lens distortion undone when a picture is read), NeRFace (`intrinsics`, `expression`,
`bbox`, `bg/`), COLMAP (`sparse/`, `images/`; see `colmap.py`). Written: Blender's
schema, and NeRFace's where frames carry expressions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import read_json, sha256_file, stable_hash, write_json
from . import media
from .cameras import Camera

SPLITS = ("train", "val", "test")
HOLD_OUT_EVERY = 8  # of a dataset without a test split, as in the 3DGS and Mip-NeRF 360 protocols


@dataclass(frozen=True, eq=False)
class Frame:
    """One view. Nothing is decoded before `image()`.

    name:       file path inside the dataset without its suffix, e.g. "train/r_0".
    path:       the picture file.
    camera:     see `cameras.Camera`.
    split:      "train", "val" or "test".
    expression: (E,) float32, or None where the dataset has none.
    bbox:       (4,) float32 NeRFace head box as fractions [row0, row1, column0, column1], or None.
    distortion: OpenCV's k1, k2, p1, p2, or None.
    """

    name: str
    path: Path
    camera: Camera
    split: str
    expression: np.ndarray | None = None
    bbox: np.ndarray | None = None
    distortion: tuple[float, ...] | None = None

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB or (H, W, 4) RGBA, alpha not premultiplied."""
        image = media.read_image(self.path, "frame")
        if image.shape[:2] != (self.camera.height, self.camera.width):
            raise IdfError(f"The frame {self.path} changed its size while the dataset was in use",
                           f"{image.shape[1]}x{image.shape[0]}",
                           f"expected {self.camera.width}x{self.camera.height}")
        if self.distortion:
            import cv2
            K = self.camera.K
            K[:2, 2] -= 0.5  # OpenCV puts pixel centers at whole numbers
            image = cv2.undistort(image, K, np.array(self.distortion))
        return image


@dataclass(frozen=True, eq=False)
class Dataset:
    """A folder of frames. Open one with `Dataset.open(folder)`.

    notes: what was found out or decided at reading, to be told to the user.
    json_files: all files that say where the cameras are, COLMAP's too.
    points_file: COLMAP's points, see `points`.
    """

    root: Path
    splits: dict[str, tuple[Frame, ...]]
    notes: tuple[str, ...] = ()
    expression_names: tuple[str, ...] = ()
    background: Path | None = None
    json_files: tuple[Path, ...] = ()
    points_file: Path | None = None

    @classmethod
    def open(cls, folder) -> Dataset:
        """Reads and checks all JSON files and picture headers. IdfError says what is wrong."""
        return _open(Path(folder))

    @property
    def train(self) -> tuple[Frame, ...]:
        return self.splits["train"]

    @property
    def val(self) -> tuple[Frame, ...]:
        return self.splits["val"]

    @property
    def test(self) -> tuple[Frame, ...]:
        return self.splits["test"]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All frames: train, val, test."""
        return self.train + self.val + self.test

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every frame, pixels."""
        c = self.frames[0].camera
        return c.width, c.height

    @property
    def cameras(self) -> list[Camera]:
        """The training cameras."""
        return [f.camera for f in self.train]

    def points(self) -> np.ndarray | None:
        """Surface points to start a training from: (N, 6) float32, positions in world units and
        RGB in [0, 1], read now; None where the dataset has none."""
        if self.points_file is None:
            return None
        from .colmap import read_points

        return read_points(self.points_file)

    def fingerprint(self) -> dict:
        """What identifies these inputs in a manifest: hash of the JSON files, and of every
        picture's path, size and modification time (decoding 6500 frames would take minutes)."""
        stats = [(f.name, s.st_size, s.st_mtime_ns) for f in self.frames
                 for s in [f.path.stat()]]
        return {"folder": str(self.root.resolve()),
                "json": {p.name: sha256_file(p) for p in self.json_files},
                "files": stable_hash(stats), "frames": len(stats)}

    def describe(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{len(self.splits[s])} {s}" for s in SPLITS)
        w, h = self.size
        return f"{self.root}: {counts} frames of {w}x{h}"


# --- reading --------------------------------------------------------------------------------------

def _open(root: Path) -> Dataset:
    from .colmap import find_sparse, read_colmap  # it needs the classes of this file

    try:
        if not root.is_dir():
            raise IdfError(f"The dataset folder {root} does not exist",
                           "a file" if root.exists() else "no such folder",
                           "give the folder that holds transforms_train.json")
        sparse = None if any(root.glob("transforms*.json")) else find_sparse(root)
        if sparse:
            return read_colmap(root, sparse)
        sources = _json_files(root)
    except OSError as error:  # no right to look into it, a name that is too long
        raise IdfError(f"The dataset folder {root} cannot be read", str(error)[:200],
                       "change the rights of that folder, or copy it") from None
    notes: list[str] = []
    splits: dict[str, tuple[Frame, ...]] = {}
    names: tuple[str, ...] = ()
    for split, path in sources.items():
        splits[split], found = _read_split(root, path, split)
        names = names or found
    everything = [f for frames in splits.values() for f in frames]
    if not splits.get("train"):
        raise IdfError(f"The dataset {root} has no training frames", f"0 frames in "
                       f"{shorten(p.name for p in sources.values())}", "list at least one frame")
    check_pictures(root, everything)
    if not splits.get("test"):
        splits["train"], splits["test"] = hold_out(splits["train"])
        notes.append(f"no test split: every {HOLD_OUT_EVERY}th training frame "
                     f"({len(splits['test'])} of {len(everything)}) is held out for testing")
    splits = {s: splits.get(s, ()) for s in SPLITS}
    backgrounds = [p for p in sorted((root / "bg").glob("*.png"))
                   if p.resolve().is_relative_to(root.resolve())]
    return Dataset(root, splits, tuple(notes), names, backgrounds[0] if backgrounds else None,
                   tuple(sources.values()))


def _json_files(root: Path) -> dict[str, Path]:
    """Split -> JSON file. `transforms_train_main.json` is a turntable's single list."""
    found = {s: root / f"transforms_{s}.json" for s in SPLITS}
    found = {s: p for s, p in found.items() if p.is_file()}
    if "train" not in found:
        for name in ("transforms.json", "transforms_train_main.json"):
            if (root / name).is_file():
                return {"train": root / name}
    if "train" not in found:
        there = sorted(p.name for p in root.iterdir())[:6] or ["nothing"]
        raise IdfError(f"The folder {root} is not a dataset: it has no transforms_train.json, "
                       "transforms.json or transforms_train_main.json",
                       shorten(there, 5), "give the folder that holds the transforms file, "
                       "or COLMAP's sparse/ and images/")
    return found


def _read_split(root: Path, path: Path, split: str):
    data = read_json(path, "camera file")
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise IdfError(f"The camera file {path} has no list `frames`",
                       type(data).__name__ if not isinstance(data, dict) else
                       shorten(data.keys(), 6))
    frames = []
    for i, entry in enumerate(data["frames"]):
        where = f"frame {i} of {path.name}"
        if not isinstance(entry, dict):
            raise IdfError(f"{where} is not an object", type(entry).__name__)
        frames.append(_read_frame(root, data, entry, split, where))
    names = data.get("expression_names", ())
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise IdfError(f"`expression_names` of {path.name} is not a list of names")
    return tuple(frames), tuple(names)


def _read_frame(root: Path, data: dict, entry: dict, split: str, where: str) -> Frame:
    file_path = entry.get("file_path")
    if not isinstance(file_path, str) or not file_path.strip():
        raise IdfError(f"{where} has no `file_path`", repr(file_path)[:60])
    image = find_picture(root, file_path, where)
    matrix = _rigid(entry.get("transform_matrix"), f"{where} ({file_path})")
    camera, distortion = _intrinsics(data, entry, matrix, image, where) if image else (None, None)
    expression = entry.get("expression")
    if expression is not None:
        expression = _numbers(expression, "expression", where).astype(np.float32)
    bbox = entry.get("bbox")
    if bbox is not None:
        bbox = _numbers(bbox, "bbox", where, 4).astype(np.float32)
    return Frame(picture_name(file_path), image or root / file_path, camera, split, expression,
                 bbox, distortion)


def picture_name(file_path: str) -> str:
    """A frame's name: its file path with forward slashes, without the picture's suffix."""
    name = PurePosixPath(file_path.replace("\\", "/")).as_posix()
    return re.sub(r"\.(png|jpe?g|webp|bmp|tiff?)$", "", name, flags=re.I)


def find_picture(root: Path, file_path: str, where: str) -> Path | None:
    """The picture's path inside the dataset, or None where the file is missing."""
    parts = re.split(r"[\\/]+", file_path)
    if (file_path[:1] in "/\\" or re.match(r"^[A-Za-z]:", file_path) or ".." in parts
            or "\0" in file_path):
        raise IdfError(f"{where} points outside the dataset folder", file_path,
                       "use paths relative to the folder of the transforms file")
    base = root.joinpath(*parts)
    candidates = [base] if media.is_image(base) else []
    candidates += [base.with_name(base.name + s) for s in media.IMAGE_SUFFIXES]
    for candidate in candidates:
        if _is_file(candidate, where):
            if not candidate.resolve().is_relative_to(root.resolve()):
                raise IdfError(f"{where} points outside the dataset folder",
                               f"{file_path} is a link to {candidate.resolve()}",
                               "copy the pictures into the dataset folder")
            return candidate
    return None


def _is_file(path: Path, where: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:  # too long a name, letters that no file has, no rights
        raise IdfError(f"The picture of {where} cannot be looked for",
                       ascii(str(error))[:120]) from None


def _numbers(value, name: str, where: str, length: int | None = None) -> np.ndarray:
    try:
        a = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise IdfError(f"`{name}` of {where} is not a list of numbers", repr(value)[:80]) from None
    if a.ndim != 1 or (length is not None and len(a) != length) \
            or not (np.abs(a) < 1e30).all():  # NaN fails; float32 ends at 3e38
        raise IdfError(f"`{name}` of {where} is not a list of "
                       f"{'' if length is None else f'{length} '}finite numbers", repr(value)[:80])
    return a


def _rigid(value, where: str) -> np.ndarray:
    """(4, 4) float64 checked to be a rotation and a translation."""
    try:
        m = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        m = np.zeros(0)
    if m.shape == (3, 4):
        m = np.vstack([m, [0, 0, 0, 1]])
    if m.shape != (4, 4):
        raise IdfError(f"`transform_matrix` of {where} is not a 4x4 matrix",
                       f"shape {m.shape}" if m.size else repr(value)[:60])
    if not (np.abs(m) < 1e9).all():  # NaN fails too
        raise IdfError(f"`transform_matrix` of {where} holds NaN, infinity or a huge number",
                       f"{np.abs(m).max():.3g}")
    R = m[:3, :3]
    if (np.abs(R.T @ R - np.eye(3)).max() > 5e-3 or np.linalg.det(R) < 0
            or np.abs(m[3] - [0, 0, 0, 1]).max() > 1e-6):
        raise IdfError(f"`transform_matrix` of {where} is not a rigid camera-to-world matrix",
                       f"determinant {np.linalg.det(R):.4g}, |RᵀR − I| "
                       f"{np.abs(R.T @ R - np.eye(3)).max():.2g}, last row {m[3].tolist()}",
                       "export cameras without scale or shear")
    return m


def _intrinsics(data: dict, entry: dict, matrix: np.ndarray, image: Path, where: str):
    """The camera at the picture's real size, and lens distortion."""
    w, h = media.image_size(image, "frame")

    def get(key):
        value = entry.get(key, data.get(key))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise IdfError(f"`{key}` of {where} is not a number", repr(value)[:60])
        if not abs(value) < 1e30:  # NaN, infinity, and whole numbers beyond every float
            raise IdfError(f"`{key}` of {where} is not a finite number", f"{value!r:.40}")
        return float(value)

    intrinsics = entry.get("intrinsics", data.get("intrinsics"))
    if get("fl_x") is not None:
        fx = get("fl_x")
        fy = get("fl_y") or fx
        jw, jh = get("w") or w, get("h") or h  # the size that fl_x … were given for
        cx = get("cx") if get("cx") is not None else jw / 2
        cy = get("cy") if get("cy") is not None else jh / 2
        if fx <= 0 or fy <= 0 or jw <= 0 or jh <= 0:
            raise IdfError(f"The intrinsics of {where} are not positive",
                           f"fl_x {fx}, fl_y {fy}, w {jw}, h {jh}")
        if abs(jw / jh - w / h) > 0.02 * w / h:
            raise IdfError(f"The picture of {where} has another shape than its camera",
                           f"{w}x{h} pixels, camera for {jw:g}x{jh:g}")
        sx, sy = w / jw, h / jh
        camera = Camera(matrix, fx * sx, fy * sy, cx * sx, cy * sy, w, h)
    elif intrinsics is not None:
        fx, fy, cx, cy = _numbers(intrinsics, "intrinsics", where, 4)
        if fx == 0 or fy <= 0:
            raise IdfError(f"The intrinsics of {where} have no focal length", f"{intrinsics}")
        if fx < 0:
            # NeRFace's tracker counts x to the left. Mirroring world and camera x gives the same
            # pictures with fx > 0, and every frame lives in the same mirrored world.
            mirror = np.diag([-1.0, 1, 1, 1])
            matrix = mirror @ matrix @ mirror
        # NeRFace shoots rays through whole pixels: its pixel i is our i + 0.5.
        camera = Camera(matrix, abs(fx), fy, cx * w + 0.5, cy * h + 0.5, w, h)
    elif get("camera_angle_x") is not None:
        angle = get("camera_angle_x")
        if not 0 < angle < math.pi:
            raise IdfError(f"`camera_angle_x` of {where} is not an angle between 0 and π",
                           f"{angle} (radians)")
        camera = Camera.from_fov(matrix, angle, w, h)
        if get("camera_angle_y") is not None and 0 < get("camera_angle_y") < math.pi:
            fy = 0.5 * h / math.tan(0.5 * get("camera_angle_y"))
            camera = Camera(matrix, camera.fx, fy, camera.cx, camera.cy, w, h)
    else:
        raise IdfError(f"{where} has no intrinsics", "none of camera_angle_x, fl_x, intrinsics",
                       "add `camera_angle_x` (radians) at the top of the file")
    if not (1e-3 * w < camera.fx < 1e6 * w and 1e-3 * h < camera.fy < 1e6 * h
            and abs(camera.cx) < 1e3 * w and abs(camera.cy) < 1e3 * h):
        raise IdfError(f"The intrinsics of {where} belong to no camera",
                       f"focal length {camera.fx:.4g}, {camera.fy:.4g}, center {camera.cx:.4g}, "
                       f"{camera.cy:.4g} pixels in a picture of {w}x{h}",
                       "check their unit: pixels, angles in radians")
    distortion = tuple(get(k) or 0.0 for k in ("k1", "k2", "p1", "p2"))
    return camera, distortion if any(distortion) else None


def check_pictures(root: Path, frames: list[Frame]) -> None:
    missing = [f.name for f in frames if f.camera is None]
    if missing:
        raise IdfError(f"{len(missing)} of {len(frames)} pictures of {root} are missing",
                       shorten(missing),
                       "complete the folder, or take them out of the camera files")
    sizes = {}
    for f in frames:
        sizes.setdefault((f.camera.width, f.camera.height), f.name)
    if len(sizes) > 1:
        raise IdfError(f"The pictures of {root} differ in size",
                       shorten(f"{n} {w}x{h}" for (w, h), n in sizes.items()),
                       "bring them to one size")
    lengths = {len(f.expression): f.name for f in frames if f.expression is not None}
    if len(lengths) > 1:
        raise IdfError(f"The expressions of {root} differ in length",
                       shorten(f"{name} {n}" for n, name in lengths.items()),
                       "give every frame the same number of values")
    seen: set[str] = set()
    for f in frames:
        if f.name in seen:
            raise IdfError(f"The dataset {root} lists a picture twice", f.name)
        seen.add(f.name)


def hold_out(frames: tuple[Frame, ...]):
    if len(frames) < 2:
        raise IdfError("One frame cannot be split into training and test", "1 frame",
                       "give at least two frames, or a transforms_test.json")
    test = [Frame(**{**vars(f), "split": "test"}) for f in frames[::HOLD_OUT_EVERY]]
    train = [f for i, f in enumerate(frames) if i % HOLD_OUT_EVERY]
    return tuple(train), tuple(test)


# --- writing --------------------------------------------------------------------------------------

def write_transforms(root, frames: Iterable[Frame], *,
                     expression_names: Iterable[str] = ()) -> None:
    """Writes `transforms_{train,val,test}.json` for frames whose pictures lie (or will lie) at
    `root/<name>.<suffix>`; a split without frames gets an empty list. Frames with expressions
    give NeRFace's `intrinsics`, whole-pixel convention, fx > 0; others Blender's schema with the
    full intrinsics beside it."""
    root = Path(root)
    frames = list(frames)
    for split in SPLITS:
        part = [f for f in frames if f.split == split]
        cameras = [f.camera for f in (part or frames[:1])]
        keys = [_intrinsic_keys(c, any(f.expression is not None for f in frames)) for c in cameras]
        shared = keys[0] if all(k == keys[0] for k in keys) else {}
        out: dict = dict(shared)
        if expression_names:
            out["expression_names"] = list(expression_names)
        out["frames"] = []
        for f, key in zip(part, keys, strict=False):
            entry = {"file_path": f"./{f.name}", **({} if shared else key),
                     "transform_matrix": f.camera.c2w.tolist()}
            if f.bbox is not None:
                entry["bbox"] = [round(float(b), 6) for b in f.bbox]
            if f.expression is not None:
                entry["expression"] = [round(float(e), 6) for e in f.expression]
            out["frames"].append(entry)
        write_json(root / f"transforms_{split}.json", out)


def _intrinsic_keys(c: Camera, nerface: bool) -> dict:
    keys = {"camera_angle_x": c.fov_x}
    if nerface:
        keys["intrinsics"] = [c.fx, c.fy, (c.cx - 0.5) / c.width, (c.cy - 0.5) / c.height]
    else:
        keys |= {"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height}
    return keys
