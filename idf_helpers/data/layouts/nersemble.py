"""NeRSemble's folders with extracted pictures: sixteen cameras around a talking head.

Read (https://github.com/tobias-kirschstein/nersemble-data README.md, constants.py;
https://github.com/ShenhanQian/VHAP vhap/data/nersemble_dataset.py, nersemble_v2_dataset.py): a
sequence's folder with `images/cam_SERIAL_TIMESTEP.jpg`, where there `alpha_maps/cam_…png`, and for
the person `camera_params.json`: `world_2_cam` {serial: 4x4, OpenCV's axes}, `intrinsics` 3x3 for
pictures of 2200x3208, or of its `width` and `height`. Version 2 keeps it in `calibration/` beside
`sequences/`, version 1 in `camera_params/SUBJECT/` beside `SUBJECT/`; pictures may be smaller.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import IdfError, shorten
from ...runtime.files import read_json
from .. import media
from ..cameras import GL_TO_CV, Camera
from ..frame import Frame
from ..masks import Mask
from .reading import Reading

FULL = (2200, 3208)  # width, height of the pictures that the cameras were calibrated for
PICTURE = re.compile(r"cam_([0-9A-Za-z]+)_(\w*?)(\d+)\.(jpe?g|png|webp)$", re.I)
MAX_PICTURES = 1_000_000


def pictures(root: Path) -> list[Path]:
    """Return the pictures of a sequence's folder, sorted; empty where it is none."""
    folder = root / "images"
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if PICTURE.match(p.name))[:MAX_PICTURES]


def read(root: Path, within: Path | None) -> Reading:
    """Return what a sequence's folder holds; every picture is a training frame.

    within: the named root, which must reach up to the calibration. IdfError: none there, damaged.
    """
    calibration = _calibration(root, within)
    data = read_json(calibration, "camera file")
    cameras, K, (cw, ch) = _parsed(data, calibration)
    frames, unknown = [], set()
    for path in pictures(root):
        serial, _, step, _ = PICTURE.match(path.name).groups()  # type: ignore[union-attr]
        if serial not in cameras:
            unknown.add(serial)
            continue
        w, h = media.image_size(path, "frame")
        if abs(w / h - cw / ch) > 0.02 * cw / ch:
            raise IdfError(f"The picture {path.name} has another shape than its camera",
                           f"{w}x{h} pixels, calibrated for {cw}x{ch}",
                           "give the pictures uncropped")
        sx, sy = w / cw, h / ch
        mask = next((m for m in (root / "alpha_maps" / f"{path.stem}{s}" for s in (".png", ".jpg"))
                     if m.is_file()), None)
        frames.append(Frame(f"images/{path.stem}", path, Camera(
            cameras[serial], K[0, 0] * sx, K[1, 1] * sy, K[0, 2] * sx, K[1, 2] * sy, w, h),
            "train", time=float(step), camera_id=serial,
            mask=None if mask is None else Mask(mask)))
    if not frames:
        raise IdfError(f"No picture of {root} belongs to a camera of {calibration.name}",
                       shorten(sorted(unknown)), "take the calibration of the same person")
    notes = [f"NeRSemble: cameras of {calibration.relative_to(within or root).as_posix()}"]
    if unknown:
        notes.append(f"NeRSemble: pictures of {len(unknown)} cameras without calibration are left "
                     f"out: {shorten(sorted(unknown))}")
    return Reading("NeRSemble", {"train": tuple(frames)}, (calibration,), (), tuple(notes))


def _calibration(root: Path, within: Path | None) -> Path:
    """Return the calibration beside the pictures, or above them up to the named root."""
    own = root / "camera_params.json"
    if own.is_file():
        return own
    here = root.resolve()
    places = [(here.parent.parent, "calibration/camera_params.json"),
              (here.parent.parent, f"camera_params/{here.parent.name}/camera_params.json"),
              (here, "calibration/camera_params.json")]
    for folder, name in places:
        if (folder / name).is_file():
            if within is None or not (folder / name).resolve().is_relative_to(within.resolve()):
                raise IdfError(f"The cameras of {root} lie outside the dataset folder",
                               f"../../{name}", "name the folder that holds both: "
                               "DATASET#root=../..")
            return folder / name
    raise IdfError(f"The cameras of {root} are missing", "NeRSemble's pictures without "
                   "camera_params.json", "put it into that folder, or keep the person's folder "
                   "`calibration` (version 1: `camera_params`) where it was")


def _parsed(data, path: Path):
    """Return {serial: OpenGL camera-to-world}, K and the size that K is for."""
    from ..matrices import rigid_matrix

    try:
        K = np.array(data["intrinsics"], np.float64)
        size = (float(data.get("width", FULL[0])), float(data.get("height", FULL[1])))
        poses = dict(data["world_2_cam"])
        if K.shape != (3, 3) or not (np.abs(K) < 1e6).all() or min(K[0, 0], K[1, 1]) <= 0 \
                or not (1 <= min(size) and max(size) < 1e6) or not poses:
            raise ValueError(f"intrinsics {np.round(K, 2).tolist()}, size {size}")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise IdfError(f"{path} is not NeRSemble's camera file", f"{type(error).__name__}: "
                       f"{error}"[:160], "fetch it again: world_2_cam, intrinsics") from None
    cameras = {str(k): np.linalg.inv(rigid_matrix(v, f"camera {k} of {path.name}")) @ GL_TO_CV
               for k, v in poses.items()}
    return cameras, K, size
