"""Panoramas cut into perspective views: one toward the head where all look at it, else a cube."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .cameras import GL_TO_CV, Camera, look_at_matrix, scene_frame
from .frame import Frame
from .lens import PANORAMAS
from .remarks import Remarks

FOV = math.radians(90)
# name -> view axes in those of the panorama (OpenGL): right, up, back
CUBE = {"front": ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "right": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
        "back": ((-1, 0, 0), (0, 1, 0), (0, 0, -1)), "left": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
        "up": ((1, 0, 0), (0, 0, 1), (0, -1, 0)), "down": ((1, 0, 0), (0, 0, -1), (0, 1, 0))}


def perspective(frames: list[Frame], remarks: Remarks) -> list[Frame]:
    """Return frames without panoramas: each is one view toward what all their middles look at, or
    six views all around where they look at nothing in common."""
    round_ones = [f for f in frames if f.camera is not None and f.model in PANORAMAS]
    if not round_ones:
        return frames
    center = _looked_at([f.camera for f in round_ones])
    out: list[Frame] = []
    for f in frames:
        if f.camera is None or f.model not in PANORAMAS:
            out.append(f)
        elif center is not None:
            out.append(_view(f, look_at_matrix(f.camera.position, center, f.camera.up)))
        else:
            for name, axes in CUBE.items():
                c2w = f.camera.c2w.copy()
                c2w[:3, :3] = c2w[:3, :3] @ np.array(axes, np.float64).T
                out.append(replace(_view(f, c2w), name=f"{f.name}_{name}"))
    models = sorted({f.model for f in round_ones})
    remarks.say(f"{len(round_ones)} panoramas ({', '.join(models)}) are cut into perspective views "
                f"of {math.degrees(FOV):.0f} degrees: " + ("one each, toward the point that the "
                "middles of all look at" if center is not None else "six each, a cube"))
    return out


def _looked_at(cameras: list[Camera]) -> np.ndarray | None:
    if len(cameras) < 3:
        return None
    center = scene_frame(cameras).center
    to = center - np.array([c.position for c in cameras])
    distance = np.linalg.norm(to, axis=1)
    ahead = np.einsum("nj,nj->n", to, np.array([c.forward for c in cameras]))
    good = ahead > 0.97 * np.maximum(distance, 1e-9)  # within 14 degrees of the middle
    around = np.linalg.norm(to - to.mean(0), axis=1).max() > 0.05 * np.median(distance)
    return center if good.mean() > 0.9 and around else None


def _view(frame: Frame, c2w: np.ndarray) -> Frame:
    lens = frame.lens
    focal = lens.width / (2 * math.pi)  # as many pixels an angle as on the panorama's horizon
    side = max(2, round(2 * focal * math.tan(FOV / 2)))
    camera = Camera(c2w, focal, focal, side / 2, side / 2, side, side, frame.camera.front)
    turn = (frame.camera.c2w @ GL_TO_CV)[:3, :3].T @ (c2w @ GL_TO_CV)[:3, :3]
    return replace(frame, camera=camera, lens=replace(lens, turn=tuple(turn.ravel().tolist())))
