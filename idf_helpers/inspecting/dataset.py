"""A dataset looked at: how it was read, where its cameras stand, and whether that can be true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.cameras import scene_frame, seen_yaws, yaw_pitch
from ..data.cameras_picture import cameras_picture
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.frame import Frame
from ..data.understood import understand
from .hull import COVERED, hull_share
from .inspection import Inspection

SHEET = 24  # pictures on the contact sheet
LOOKED_AT = 24  # pictures that are decoded to compare them with the cameras


def inspect_dataset(data: Dataset) -> Inspection:
    """Return what was understood of a dataset. Some pictures are decoded."""
    frames = data.frames
    cameras = [f.camera for f in frames]
    scene = scene_frame(cameras)
    seen = spread(frames, LOOKED_AT)
    pictures = [f.image() for f in seen]
    rows = [*_read_as(data, pictures), *_placed(data)]
    sheet = spread(frames, SHEET)
    return Inspection(
        "dataset", data.address or str(data.root), rows, data.notes,
        _doubts(data, seen, pictures),
        {"contact_sheet.png": lambda: contact_sheet(
            [f.image() for f in sheet], cell=150,
            captions=[caption(f, yaw_pitch(f.camera, scene)) for f in sheet]),
         "cameras.png": lambda: cameras_picture(frames, data.points())})


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Return at most `count` frames of all splits, evenly spaced."""
    if len(frames) <= count:
        return list(frames)
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def caption(frame: Frame, direction: tuple[float, float]) -> str:
    """Return a frame's name and from where it looks."""
    name = frame.name.rpartition("/")[2]
    return f"{name} {frame.split} {direction[0]:+.0f}°\u00a0{direction[1]:+.0f}°"


def _read_as(data: Dataset, pictures: list[np.ndarray]) -> list[tuple[str, str]]:
    frames = data.frames
    alpha = sum(p.shape[2] == 4 for p in pictures)
    fov = sorted(float(np.degrees(f.camera.fov_x)) for f in frames)
    span = f"{fov[0]:.1f}" if fov[-1] - fov[0] < 0.1 else f"{fov[0]:.1f} to {fov[-1]:.1f}"
    rows = [*understand(data).rows(),
            ("field of view", f"{span}° wide"),
            ("alpha", "none: the background is part of the pictures" if not alpha else
             "in every picture" if alpha == len(pictures) else
             f"in {alpha} of {len(pictures)} pictures looked at")]
    if data.times:
        rows.append(("instants", f"{len(data.times)}, {data.times[0]:g} to {data.times[-1]:g}"
                     + ("; a still model needs one of them: #time=NUMBER" if len(data.times) > 1
                        else "")))
    ids = {f.camera_id for f in frames if f.camera_id is not None}
    if ids:
        rows.append(("rig", f"{len(ids)} cameras"))
    values = [f.expression for f in frames if f.expression is not None]
    if values:
        names = ", ".join(data.expression_names[:4]) or "without names"
        rows.append(("expressions", f"{len(values[0])} values a frame ({names}"
                     + (" …)" if len(data.expression_names) > 4 else ")")))
    if data.fps:
        rows.append(("frames a second", f"{data.fps:g}"))
    return rows


def _placed(data: Dataset) -> list[tuple[str, str]]:
    cameras = [f.camera for f in data.frames]
    scene = scene_frame(cameras)
    away = [float(np.linalg.norm(c.position - scene.center)) for c in cameras]
    low, high = seen_yaws(cameras)
    pitch = [yaw_pitch(c, scene)[1] for c in cameras]
    known = any(c.front is not None for c in cameras)

    def show(v):
        return "(" + ", ".join(f"{x:.3g}" for x in np.round(v, 4) + 0.0) + ")"

    around = "all around" if high - low >= 360 else f"{low:.0f}° to {high:.0f}° about its front"
    return [("cameras", f"{around}, {min(pitch):.0f}° to {max(pitch):.0f}° above it"),
            ("distance", f"{min(away):.3g} to {max(away):.3g} units; the pictures show "
                         f"{2 * scene.radius:.3g} units across"),
            ("center", show(scene.center)),
            ("up", show(scene.up)),
            ("front", show(scene.front) + ("" if known else ", guessed from the cameras"))]


def _doubts(data: Dataset, seen: list[Frame], pictures: list[np.ndarray]) -> list[str]:
    cameras = [f.camera for f in data.frames]
    scene = scene_frame(cameras)
    doubts = []
    o = np.array([c.position for c in cameras])
    if len(o) > 1 and np.ptp(o, axis=0).max() <= 1e-6 * max(1.0, float(np.abs(o).max())):
        doubts.append("all cameras stand in one place: without a distance between them there is no "
                      "depth")
    upside = sum(float(c.up @ scene.up) < 0 for c in cameras)
    if upside:
        doubts.append(f"{upside} of {len(cameras)} cameras are upside down")
    distances = np.linalg.norm(o - scene.center, axis=1)
    if len(cameras) > 2 and distances.max() > 10 * max(float(np.median(distances)), 1e-9):
        doubts.append("some cameras stand more than ten times as far away as the others")
    covered = hull_share(seen, pictures)
    if covered is not None and covered < COVERED:
        doubts.append("pictures and cameras do not fit: the solid that all silhouettes allow fills "
                      f"only {100 * covered:.0f} % of them; the matrices may have other axes, or "
                      "turn the world to the camera")
    if len(data.times) > 1 and all(f.expression is None for f in data.frames):
        doubts.append("something moves in these frames, and they have no expressions: a still "
                      "model refuses them, an avatar takes functions of time")
    return doubts
