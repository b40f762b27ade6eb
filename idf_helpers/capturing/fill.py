"""Frames that one solver left out get the cameras of another one, brought into its world.

Where both have a camera they say how the worlds lie to each other: a turn, a scale and an offset. A
frame left out trusts those most that see the head from about its side, since the landmarks' slow
errors are theirs too. Whether it fits is checked in the pictures: the face's points, triangulated
by the first solver, must project onto the landmarks about as well as in its own frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..data.cameras import Camera
from ..errors import counted
from ..face.head_model import CENTER
from .cameras import Cameras, Frames
from .place import Similarity, triangulate, undistorted

FEWEST = 6  # frames that both have
NEAR = 15.0  # degrees between sides of the head at which a frame counts half
SAME = 12.0  # degrees between the cameras of both for one frame
# A filled frame may be off by so many times what the first solver's own frames are in the middle,
# or by so much of the face's height: of frames turned by 60 degrees the landmarks are off by 0.05.
MISFIT, LEAST = 4.0, 0.06


def filled(frames: Frames, cameras: Cameras, others: Cameras,
           doubted: Cameras | None = None) -> Cameras:
    """Return `cameras` with those of the frames that only `others` has, as far as they fit.

    others: of landmark cameras, whose world is the head's frame. doubted: what there was before
    some were taken out; where the others point the same way, they come back.
    """
    own = np.flatnonzero(cameras.registered & frames.seen)
    common = own[others.registered[own]]
    wanted = np.flatnonzero(others.registered & frames.seen & ~cameras.registered)
    if len(common) < FEWEST or not len(wanted):
        return cameras
    fits, lens = Fit.of(frames, cameras, own), cameras.cameras[own[0]]
    moved = {i: _through(others.cameras[i], lens) for i in (*common, *wanted)}
    looks = {i: _unit(c.position - CENTER) for i, c in moved.items()}
    out, new = list(cameras.cameras), 0
    for i in wanted:
        angle = np.degrees([np.arccos(np.clip(looks[i] @ looks[k], -1, 1)) for k in common])
        weights = 1 / (1 + (angle / NEAR) ** 2) ** 2
        near = _between([moved[k] for k in common], [cameras.cameras[k] for k in common], weights)
        camera = near.camera(moved[i])
        if doubted is not None and (old := doubted.cameras[i]) is not None \
                and _apart(old, camera) < SAME:
            out[i] = old
        elif fits.accepts(camera, frames.points[i, :, :2]):
            out[i], new = camera, new + 1
    if not new:
        return replace(cameras, cameras=tuple(out))
    theirs = f"{others.method[:-1]} cameras" if new > 1 else f"a {others.method[:-1]} camera"
    return replace(cameras, cameras=tuple(out), notes=(*cameras.notes, (
        f"{counted(new)} without a camera by {cameras.method} {'have' if new > 1 else 'has'} "
        f"{theirs}, brought into its world: {'they are' if new > 1 else 'it is'} less exact")))


def _through(camera: Camera, lens: Camera) -> Camera:
    """Return a camera of another lens, from where the head looks as large."""
    c2w = camera.c2w.copy()
    c2w[:3, 3] = CENTER + (c2w[:3, 3] - CENTER) * (lens.fx / camera.fx)
    return replace(lens, c2w=c2w)


def _apart(a: Camera, b: Camera) -> float:
    """Return degrees between two cameras."""
    return float(np.degrees(Rotation.from_matrix(a.c2w[:3, :3].T @ b.c2w[:3, :3]).magnitude()))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def _between(theirs: list[Camera], ours: list[Camera], weights: np.ndarray) -> Similarity:
    """Return what brings their cameras onto ours, by directions and places."""
    a, b = (np.array([c.c2w for c in cameras]) for cameras in (theirs, ours))
    turns = Rotation.from_matrix(b[:, :3, :3] @ a[:, :3, :3].transpose(0, 2, 1))
    rotation = turns.mean(weights).as_matrix()
    w = weights / weights.sum()
    p, q = a[:, :3, 3] @ rotation.T, b[:, :3, 3]
    # the scale is one for all; the offset is that of the frames nearby
    dp, dq = p - p.mean(0), q - q.mean(0)
    scale = float((dp * dq).sum() / (dp * dp).sum())
    return Similarity(scale, rotation, w @ (q - scale * p))


class Fit:
    """How far off the face's points are in the pictures."""

    def __init__(self, points: np.ndarray, limit: float, distortion):
        self.points, self.limit, self.distortion = points, limit, distortion

    @classmethod
    def of(cls, frames: Frames, cameras: Cameras, rows: np.ndarray) -> Fit:
        """Triangulate the face; the limit is what its own frames are off."""
        placed = [cameras.cameras[i] for i in rows]
        xy = np.array([undistorted(frames.points[i, :, :2], c, cameras.distortion)
                       for i, c in zip(rows, placed, strict=True)])
        fit = cls(triangulate(placed, xy, np.ones(xy.shape[:2])), 0.0, cameras.distortion)
        off = [fit.off(c, frames.points[i, :, :2]) for i, c in zip(rows, placed, strict=True)]
        fit.limit = max(MISFIT * float(np.median(off)), LEAST)
        return fit

    def off(self, camera: Camera, xy: np.ndarray) -> float:
        """Return the median distance, shares of the face's height."""
        uv, _ = camera.project(self.points)
        xy = undistorted(xy, camera, self.distortion)
        return float(np.median(np.linalg.norm(uv - xy, axis=1)) / np.ptp(xy[:, 1]))

    def accepts(self, camera: Camera, xy: np.ndarray) -> bool:
        """Return whether a frame fits about as well."""
        return self.off(camera, xy) <= self.limit
