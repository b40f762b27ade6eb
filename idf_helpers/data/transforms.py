"""`transforms_{train,val,test}.json`: read in many dialects, and written.

Read: Blender / NeRF-synthetic, nerfstudio, instant-ngp and NeRFace; how they spell cameras stands
in `intrinsics.py`, what is done with their matrices in `matrices.py`. Written: Blender's schema,
and NeRFace's where frames carry expressions. A key of our own is `front`: three numbers, the
direction in the world that the face looks in; another, `transparent` of a frame: "unseen" where
its transparent pixels are those that a lens did not see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import read_json, write_json
from . import media
from .cameras import Camera
from .frame import SPLITS, Frame
from .intrinsics import Intrinsics, read_intrinsics, straight_focal
from .layouts import tracked
from .masks import listed_mask
from .matrices import rigid_matrix
from .numbers import numbers
from .pictures import Finder, picture_name
from .remarks import Remarks

__all__ = ["CameraFile", "numbers", "read_transforms", "rigid_matrix", "write_transforms"]
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val",
               "validation": "val", "test": "test", "testing": "test", "eval": "test"}


@dataclass(frozen=True)
class CameraFile:
    """One JSON file. frames: all of it; one whose picture is missing has no camera.

    expression_names: of its values. fps: frames a second (`fps`, ours), None where it is not said.
    lists: split -> file paths, where the file sorts its frames (`test_filenames` …, or `split` in a
    frame). points: the file that `ply_file_path` names, None without. mirrored: whether its world
    was mirrored, as NeRFace needs it. layout: the tracker that wrote it, "" where none did. finder:
    of the folder that its paths start from.
    """

    frames: tuple[Frame, ...]
    expression_names: tuple[str, ...] = ()
    fps: float | None = None
    lists: dict[str, list[str]] = field(default_factory=dict)
    points: Path | None = None
    mirrored: bool = False
    layout: str = ""
    finder: Finder | None = None


def read_transforms(finder: Finder, path: Path, split: str, remarks: Remarks,
                    within: Finder | None = None) -> CameraFile:
    """Return what one JSON file says; IdfError names the frame and field at fault.

    finder: of the dataset's folder. remarks: is told what was mended. within: of the named root,
    above that folder, that paths may reach into; frames then have their names from there."""
    data = read_json(path, "camera file")
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise IdfError(f"The camera file {path} has no list `frames`",
                       type(data).__name__ if not isinstance(data, dict) else
                       shorten(data.keys(), 6), "write it again with the program that made it")
    if within is not None and tracked.leaves(data):
        data, finder = tracked.under_root(data, finder.root, within.root), within
    frames, lists, mirrored = [], _filename_lists(data, path), False
    sizes: dict[str, dict[tuple[int, int], str]] = {}
    for i, entry in enumerate(data["frames"]):
        where = f"frame {i} of {path.name}"
        if not isinstance(entry, dict):
            raise IdfError(f"{where} is not an object", type(entry).__name__,
                           "write it again with the program that made it")
        frame, found = _read_frame(finder, data, entry, split, where, remarks)
        frames.append(frame)
        if found is not None:
            mirrored |= found.mirrored
            if found.for_any:
                sizes.setdefault(found.for_any, {}).setdefault(
                    (found.lens.width, found.lens.height), frame.name)
        said = entry.get("split")
        if isinstance(said, str) and said.lower() in SPLIT_NAMES:
            lists.setdefault(SPLIT_NAMES[said.lower()], []).append(entry["file_path"])
    _check_sizes(path, sizes)
    frames, tracked_names = tracked.complete(finder.root, data, frames, path.name)
    names = data.get("expression_names", ())
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise IdfError(f"`expression_names` of {path.name} is not a list of names",
                       repr(names)[:60], "list one text for each value")
    fps = data.get("fps")
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, (int, float))
                            or not 0 < fps < math.inf):
        raise IdfError(f"`fps` of {path.name} is not a number of frames a second", repr(fps)[:40],
                       "give a number above 0, or leave it out")
    for key in ("white_transparent", "black_transparent"):
        if data.get(key):
            remarks.say(f"`{key}` is not used: give masks, or pictures with alpha")
    points = data.get("ply_file_path")
    if not isinstance(points, str) or not points or "\0" in points:
        points = None
    return CameraFile(tuple(frames), tuple(names) or tracked_names,
                      None if fps is None else float(fps), lists,
                      None if points is None else finder.root / points.replace("\\", "/"),
                      mirrored, tracked.layout_of(data), finder)


def _check_sizes(path: Path, sizes: dict[str, dict[tuple[int, int], str]]) -> None:
    """Raise IdfError where one camera for all, of no stated size, meets pictures of several."""
    for kind, found in sizes.items():
        shapes = {round(w / h, 2): None for w, h in found} if kind == "shape" else found
        if len(shapes) > 1:
            raise IdfError(f"The pictures of {path.parent} differ in size, and {path.name} does "
                           "not say which of them its camera is for",
                           shorten(f"{n} {w}x{h}" for (w, h), n in found.items()),
                           "give every frame w, h, fl_x, fl_y, cx and cy of its own; do not scale "
                           "or crop pictures without their cameras")


def _filename_lists(data: dict, path: Path) -> dict[str, list[str]]:
    lists = {}
    for split in SPLITS:
        value = data.get(f"{split}_filenames")
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
            raise IdfError(f"`{split}_filenames` of {path.name} is not a list of names",
                           repr(value)[:60], "list the file paths of that split")
        lists[split] = list(value)
    return lists


def _read_frame(finder: Finder, data: dict, entry: dict, split: str, where: str, remarks: Remarks
                ) -> tuple[Frame, Intrinsics | None]:
    file_path = entry.get("file_path")
    if not isinstance(file_path, str) or not file_path.strip():
        raise IdfError(f"{where} has no `file_path`", repr(file_path)[:60],
                       "name its picture, relative to the folder")
    image, smaller = finder.find(file_path, where), False
    if image is None:
        image = _smaller(finder, file_path, where)
        smaller = image is not None
    matrix = rigid_matrix(_matrix(entry, remarks), f"{where} ({file_path})", remarks)
    frame, found = Frame(picture_name(file_path), finder.root / file_path, None, split), None
    if image is not None:
        frame, found = _with_camera(replace(frame, path=image), data, entry, matrix, where,
                                    remarks)
        if smaller:
            if found.for_any == "size":
                raise IdfError(f"The picture of {where} is there in another size only, and "
                               "its camera does not say for which size it is",
                               image.relative_to(finder.root).as_posix(),
                               "give `w` and `h` beside fl_x, or the pictures of full size")
            remarks.add("pictures are missing in full size: those of "
                        f"{image.parent.relative_to(finder.root).as_posix()} are taken")
        frame = replace(frame, mask=listed_mask(finder, entry, image, where))
    frame = replace(frame, border=entry.get("transparent") == "unseen")
    expression = entry.get("expression")
    if expression is not None:
        expression = numbers(expression, "expression", where).astype(np.float32)
    bbox = entry.get("bbox")
    if bbox is not None:
        bbox = numbers(bbox, "bbox", where, 4).astype(np.float32)
    return replace(frame, expression=expression, bbox=bbox), found


def _smaller(finder: Finder, file_path: str, where: str) -> Path | None:
    """Return the picture in nerfstudio's folders of smaller ones: images_2, images_4, images_8."""
    parts = re.split(r"[\\/]+", file_path)
    if "images" not in parts[:-1]:
        return None
    at = parts.index("images")
    return next((found for n in (2, 4, 8) if (found := finder.find("/".join(
        [*parts[:at], f"images_{n}", *parts[at + 1:]]), where))), None)


def _matrix(entry: dict, remarks: Remarks):
    value = entry.get("transform_matrix")
    if value is None and entry.get("transform_matrix_start") is not None:
        remarks.add("the camera moved while a picture was taken (`transform_matrix_start`): it is "
                    "taken as it stood at the start")
        return entry["transform_matrix_start"]
    return value


def _with_camera(frame: Frame, data: dict, entry: dict, matrix: np.ndarray, where: str,
                 remarks: Remarks) -> tuple[Frame, Intrinsics]:
    """Return the frame with camera and lens, and what was read of these."""
    w, h = media.image_size(frame.path, "frame")
    front = data.get("front")
    if front is not None:
        front = numbers(front, "front", where, 3)
        if not 1e-6 < np.linalg.norm(front):
            raise IdfError(f"`front` of {where} is no direction", f"{front.tolist()}",
                           "give the direction that the face looks in, or leave it out")
        front = front / np.linalg.norm(front)
    found = read_intrinsics(data, entry, w, h, where)
    for remark in found.remarks:
        remarks.add(remark)
    if found.mirrored:
        # NeRFace's tracker counts x to the left. Mirroring world and camera x gives the same
        # pictures with fx > 0, and every frame lives in the same mirrored world.
        mirror = np.diag([-1.0, 1, 1, 1])
        matrix = mirror @ matrix @ mirror
        front = front if front is None else mirror[:3, :3] @ front
    lens = found.lens
    fx, fy = straight_focal(lens)
    camera = Camera(matrix, fx, fy, lens.cx, lens.cy, w, h, front)
    return replace(frame, camera=camera, lens=None if lens.is_straight else lens,
                   model=found.model), found


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
            if f.leaves_a_border():
                entry["transparent"] = "unseen"
            if f.bbox is not None:
                entry["bbox"] = [round(float(b), 6) for b in f.bbox]
            if f.time is not None:
                entry["time"] = f.time
            if f.camera_id is not None:
                entry["camera_id"] = f.camera_id
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
