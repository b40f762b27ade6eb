"""Pictures of an avatar: held-out frames beside renders, a strip of expressions, a tour."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...data.cameras import Camera, scene_frame
from ...data.contact_sheet import HELD_OUT_ROWS, before_after, contact_sheet
from ...data.dataset import Frame
from ...metrics import Target
from .basis import ExpressionBasis
from .scene import AvatarScene

# Named edits, the telling ones first; those that an avatar lacks or never saw are passed over.
EDITS: tuple[tuple[str, dict[str, float]], ...] = (
    ("jaw open", {"jawOpen": 0.65}),
    ("smile", {"mouthSmile": 0.9, "cheekSquint": 0.6}),
    ("eyes closed", {"eyeBlink": 1.0}),
    ("pucker", {"mouthPucker": 0.8}),
    ("surprise", {"browInnerUp": 0.7, "browOuterUp": 0.6, "eyeWide": 0.6, "jawOpen": 0.35}),
    ("frown", {"browDown": 0.8, "noseSneer": 0.4}),
)
STRIP = 5


def held_out_sheet(scene: AvatarScene, frames: list[Frame], captions: list[str],
                   resolution: int | None, count: int = 6) -> np.ndarray:
    """Return a uint8 sheet: pictures above, renders below, `count` frames evenly over the split."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    targets = [Target.of(frames[i], resolution, scene.background) for i in chosen]
    renders = [scene.render(t.camera, frames[i].expression, t.background)
               for i, t in zip(chosen, targets, strict=True)]
    return before_after([t.rgb for t in targets], renders, 160, [captions[i] for i in chosen],
                        HELD_OUT_ROWS)


def known_edits(basis: ExpressionBasis, count: int = STRIP) -> list[tuple[str, np.ndarray]]:
    """Return up to `count` named expressions (label, (E,)), by name where the names are known, else
    the basis values that changed most in training, each at the end of its range."""
    out = []
    for label, values in EDITS:
        if all(known(basis, name) for name in values):
            out.append((label, basis.edit(values)))
    if not out:
        span = np.where(basis.moving, basis.high - basis.low, 0)
        for i in np.argsort(-span, kind="stable")[:count]:
            if span[i] > 0:
                far = max((basis.low[i], basis.high[i]), key=lambda v: abs(v - basis.neutral[i]))
                out.append((basis.names[i], basis.edit({basis.names[i]: float(far)})))
    return out[:count]


def known(basis: ExpressionBasis, name: str) -> bool:
    """Return whether the avatar has the name and saw it move."""
    names = [name, *(name + side for side in ("_L", "_R", "Left", "Right"))]
    return any(n in basis.names and basis.moving[basis.names.index(n)] for n in names)


def edit_strip(scene: AvatarScene, camera: Camera | None = None, resolution: int | None = 256,
               cell: int = 170) -> np.ndarray:
    """Return a uint8 strip: neutral, then named expressions, from the front."""
    camera = (camera or scene.front).fitted(resolution)
    edits = [("neutral", None), *known_edits(scene.basis)]
    return contact_sheet([scene.render(camera, e) for _, e in edits], columns=len(edits), cell=cell,
                         captions=[label for label, _ in edits])


def tour(scene: AvatarScene, frames: int, resolution: int | None
         ) -> Iterator[tuple[Camera, np.ndarray]]:
    """Return a camera and an expression for each frame of a video: the head sways within the poses
    it was trained at while it goes through the named expressions and back."""
    basis = scene.basis
    stops = [basis.neutral]
    for _, e in known_edits(basis):
        stops += [e, basis.neutral]
    cameras = scene.cameras
    place = scene_frame(cameras) if len(cameras) > 1 else None
    span = scene.avatar.extra["pose_range"]
    reach = 0.7 * math.radians(20) * float(min(-span[0, 1], span[1, 1]))
    base = scene.front.fitted(resolution)
    for k in range(frames):
        t = k / max(frames - 1, 1) * (len(stops) - 1)
        i = min(int(t), len(stops) - 2) if len(stops) > 1 else 0
        x = t - i
        x = np.float32(x * x * (3 - 2 * x))  # smoothstep
        e = stops[i] + x * (stops[min(i + 1, len(stops) - 1)] - stops[i])
        yield swayed(base, place, reach * math.sin(2 * math.pi * k / max(frames, 1))), e


def swayed(camera: Camera, place, angle: float) -> Camera:
    """Return the camera turned about the vertical through the head by `angle` radians."""
    from scipy.spatial.transform import Rotation

    if place is None or not angle:
        return camera
    R = Rotation.from_rotvec(angle * place.up).as_matrix()
    c2w = np.array(camera.c2w)
    c2w[:3, :3] = R @ c2w[:3, :3]
    c2w[:3, 3] = place.center + R @ (c2w[:3, 3] - place.center)
    return replace(camera, c2w=c2w)
