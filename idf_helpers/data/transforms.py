"""`transforms_{train,val,test}.json`: read in three dialects, and written.

Read: Blender / NeRF-synthetic (`camera_angle_x`), nerfstudio and instant-ngp (`fl_x` ... at the top
or per frame), NeRFace (`intrinsics`, `expression`, `bbox`). Written: Blender's schema, and
NeRFace's where frames carry expressions. A key of our own is `front`: three numbers, the direction
in the world that the face looks in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import read_json, write_json
from . import media
from .cameras import Camera
from .frame import SPLITS, Frame, find_picture, picture_name
from .layouts import tracked


@dataclass(frozen=True)
class Transforms:
    """What one JSON file holds. expression_names: of its expression values. fps: frames a second
    (ours), None where it does not say. layout: the tracker that wrote it, "" where none did."""

    frames: tuple[Frame, ...]
    expression_names: tuple[str, ...]
    fps: float | None
    layout: str


def read_transforms(root: Path, path: Path, split: str, within: Path | None = None) -> Transforms:
    """Return what one JSON file holds.

    within: the named root, above `root`, that paths may reach into; frames then have their names
    from there. A frame whose picture is missing has no camera. IdfError names the frame and field
    at fault.
    """
    data = read_json(path, "camera file")
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise IdfError(f"The camera file {path} has no list `frames`",
                       type(data).__name__ if not isinstance(data, dict) else
                       shorten(data.keys(), 6), "write it again with the program that made it")
    if within is not None and tracked.leaves(data):
        data, root = tracked.under_root(data, root, within), within
    frames = []
    for i, entry in enumerate(data["frames"]):
        where = f"frame {i} of {path.name}"
        if not isinstance(entry, dict):
            raise IdfError(f"{where} is not an object", type(entry).__name__,
                           "write it again with the program that made it")
        frames.append(_read_frame(root, data, tracked.renamed(entry), split, where))
    frames, tracked_names = tracked.complete(root, data, frames, path.name)
    names = data.get("expression_names", ())
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise IdfError(f"`expression_names` of {path.name} is not a list of names",
                       repr(names)[:60], "list one text for each value")
    fps = data.get("fps")
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, (int, float))
                            or not 0 < fps < math.inf):
        raise IdfError(f"`fps` of {path.name} is not a number of frames a second", repr(fps)[:40],
                       "give a number above 0, or leave it out")
    return Transforms(tuple(frames), tuple(names) or tracked_names,
                      None if fps is None else float(fps), tracked.layout_of(data))


def _read_frame(root: Path, data: dict, entry: dict, split: str, where: str) -> Frame:
    file_path = entry.get("file_path")
    if not isinstance(file_path, str) or not file_path.strip():
        raise IdfError(f"{where} has no `file_path`", repr(file_path)[:60],
                       "name its picture, relative to the folder")
    image = find_picture(root, file_path, where)
    matrix = rigid_matrix(entry.get("transform_matrix"), f"{where} ({file_path})")
    camera, distortion = _intrinsics(data, entry, matrix, image, where) if image else (None, None)
    expression = entry.get("expression")
    if expression is not None:
        expression = numbers(expression, "expression", where).astype(np.float32)
    bbox = entry.get("bbox")
    if bbox is not None:
        bbox = numbers(bbox, "bbox", where, 4).astype(np.float32)
    mask = entry.get("mask_path") and find_picture(root, entry["mask_path"], f"the mask of {where}")
    return Frame(picture_name(file_path), image or root / file_path, camera, split, expression,
                 bbox, distortion, mask=mask or None)


def numbers(value, name: str, where: str, length: int | None = None) -> np.ndarray:
    """Return a list of numbers, (N,) float64, checked to be finite and of that length. name, where:
    for messages."""
    try:
        a = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise IdfError(f"`{name}` of {where} is not a list of numbers", repr(value)[:80],
                       "correct that entry") from None
    if a.ndim != 1 or (length is not None and len(a) != length) \
            or not (np.abs(a) < 1e30).all():  # NaN fails; float32 ends at 3e38
        raise IdfError(f"`{name}` of {where} is not a list of "
                       f"{'' if length is None else f'{length} '}finite numbers", repr(value)[:80],
                       "correct that entry")
    return a


def rigid_matrix(value, where: str) -> np.ndarray:
    """Return (4, 4) float64, checked to be a rotation and a translation. where: for messages."""
    try:
        m = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        m = np.zeros(0)
    if m.shape == (3, 4):
        m = np.vstack([m, [0, 0, 0, 1]])
    if m.shape != (4, 4):
        raise IdfError(f"`transform_matrix` of {where} is not a 4x4 matrix",
                       f"shape {m.shape}" if m.size else repr(value)[:60],
                       "give four rows of four numbers")
    if not (np.abs(m) < 1e9).all():  # NaN fails too
        raise IdfError(f"`transform_matrix` of {where} holds NaN, infinity or a huge number",
                       f"{np.abs(m).max():.3g}", "export the cameras again")
    R = m[:3, :3]
    if (np.abs(R.T @ R - np.eye(3)).max() > 5e-3 or np.linalg.det(R) < 0
            or np.abs(m[3] - [0, 0, 0, 1]).max() > 1e-6):
        raise IdfError(f"`transform_matrix` of {where} is not a rigid camera-to-world matrix",
                       f"determinant {np.linalg.det(R):.4g}, |RᵀR − I| "
                       f"{np.abs(R.T @ R - np.eye(3)).max():.2g}, last row {m[3].tolist()}",
                       "export cameras without scale or shear")
    return m


def _intrinsics(data: dict, entry: dict, matrix: np.ndarray, image: Path, where: str):
    """Return the camera at the picture's real size, and lens distortion."""
    w, h = media.image_size(image, "frame")

    def get(key):
        value = entry.get(key, data.get(key))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise IdfError(f"`{key}` of {where} is not a number", repr(value)[:60],
                           "correct that entry")
        if not abs(value) < 1e30:  # NaN, infinity, and whole numbers beyond every float
            raise IdfError(f"`{key}` of {where} is not a finite number", f"{value!r:.40}",
                           "correct that entry")
        return float(value)

    front = data.get("front")
    if front is not None:
        front = numbers(front, "front", where, 3)
        if not 1e-6 < np.linalg.norm(front):
            raise IdfError(f"`front` of {where} is no direction", f"{front.tolist()}",
                           "give the direction that the face looks in, or leave it out")
        front = front / np.linalg.norm(front)
    intrinsics = entry.get("intrinsics", data.get("intrinsics"))
    if get("fl_x") is not None:
        fx = get("fl_x")
        fy = get("fl_y") or fx
        jw, jh = get("w") or w, get("h") or h  # the size that fl_x … were given for
        cx = get("cx") if get("cx") is not None else jw / 2
        cy = get("cy") if get("cy") is not None else jh / 2
        if fx <= 0 or fy <= 0 or jw <= 0 or jh <= 0:
            raise IdfError(f"The intrinsics of {where} are not positive",
                           f"fl_x {fx}, fl_y {fy}, w {jw}, h {jh}", "give pixels above 0")
        if abs(jw / jh - w / h) > 0.02 * w / h:
            raise IdfError(f"The picture of {where} has another shape than its camera",
                           f"{w}x{h} pixels, camera for {jw:g}x{jh:g}",
                           "give the pictures that the cameras were found for")
        sx, sy = w / jw, h / jh
        camera = Camera(matrix, fx * sx, fy * sy, cx * sx, cy * sy, w, h)
    elif intrinsics is not None:
        fx, fy, cx, cy = numbers(intrinsics, "intrinsics", where, 4)
        if fx == 0 or fy <= 0:
            raise IdfError(f"The intrinsics of {where} have no focal length", f"{intrinsics}",
                           "give [fx, fy, cx, cy], focal lengths in pixels")
        if fx < 0:
            # NeRFace's tracker counts x to the left. Mirroring world and camera x gives the same
            # pictures with fx > 0, and every frame lives in the same mirrored world.
            mirror = np.diag([-1.0, 1, 1, 1])
            matrix = mirror @ matrix @ mirror
            front = front if front is None else mirror[:3, :3] @ front
        # NeRFace shoots rays through whole pixels: its pixel i is our i + 0.5.
        camera = Camera(matrix, abs(fx), fy, cx * w + 0.5, cy * h + 0.5, w, h)
    elif get("camera_angle_x") is not None:
        angle = get("camera_angle_x")
        if not 0 < angle < math.pi:
            raise IdfError(f"`camera_angle_x` of {where} is not an angle between 0 and π",
                           f"{angle} (radians)", "give the horizontal angle in radians")
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
    return replace(camera, front=front), distortion if any(distortion) else None


def write_transforms(root, frames: Iterable[Frame], *,
                     expression_names: Iterable[str] = (), fps: float | None = None) -> None:
    """Write `transforms_{train,val,test}.json` for frames whose pictures lie (or will lie) at
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
        if cameras and cameras[0].front is not None:
            out["front"] = np.asarray(cameras[0].front).tolist()
        if expression_names:
            out["expression_names"] = list(expression_names)
        if fps is not None:
            out["fps"] = round(float(fps), 4)
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
