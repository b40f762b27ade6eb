"""Cameras of the frames that show a face, from its landmarks: nothing else is needed.

The landmarks place one head in every frame to a few degrees: on turned faces they err alike, by up
to nine. So points of skin and hair that are seen again from frame to frame are triangulated from
there, and poses, points and lens are adjusted until they fit (`bundle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.cameras import GL_TO_CV, Camera
from ..errors import IdfError
from ..face.head_model import CENTER, toward
from ..face.pose import rigid_inverse
from ..runtime.progress import Reporter
from .bundle import Bundle, adjust
from .cameras import Cameras, Frames
from .head_poses import HeadPoses, head_poses
from .tracks import Tracks, find_tracks

FACE_CM = 14.0  # width of a face
HEAD = np.array([7.8, 11.5, 10.0])  # cm, half axes: where points are before they are triangulated
SCALES = (24.0, 8.0, 4.0, 2.0, 1.5)  # px at an 800 px picture, of the loss, one round after another
FAR_OFF = 3.0  # scales: what lies further off is no sight of its point
SIGHTS = 25  # a frame needs, to be told by points rather than by landmarks
SLOWLY = 2.0  # degrees at least between the outermost frames that see a point


class _Steps(Reporter):
    """A reporter of steps alone."""

    def __init__(self, report: Callable[[str, float], None]):
        self._report = report

    def step(self, what: str, fraction: float, details: str = "") -> None:
        self._report(what, fraction)


def solve(frames: Frames, folder: Path, report: Callable[[str, float], None]) -> Cameras:
    """Find cameras for the frames that show a face; see `cameras.Solver`. The world is the
    head's frame, in centimeters.

    folder: not used. IdfError: too few frames show a face.
    """
    reporter = _Steps(report)
    heads = head_poses(frames.points, frames.width, frames.height, reporter=reporter)
    rows = np.flatnonzero(np.isfinite(heads.yaw))
    looks = np.array([toward(heads.poses[i]) for i in rows])
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    tracks = find_tracks([frames.pictures[i] for i in rows], [frames.masks[i] for i in rows],
                         looks, reporter)
    start = _start(heads, rows, tracks, frames)
    reporter.step("adjusting the cameras", 0.0)
    bundle, tracks = _adjusted(start, tracks, max(frames.width, frames.height) / 800, reporter)
    sights = np.bincount(tracks.frame, minlength=len(rows))
    told = sights >= SIGHTS
    if told.sum() < max(3, len(rows) // 2):
        return _by_landmarks(heads, frames, f"too few points of the head could be followed "
                             f"(in {told.sum()} of {len(rows)} frames)")
    cameras: list[Camera | None] = [None] * len(frames)
    for k in np.flatnonzero(told):
        w2c = np.eye(4)
        w2c[:3, :3], w2c[:3, 3] = bundle.R[k], bundle.t[k]
        cameras[rows[k]] = Camera(rigid_inverse(w2c) @ GL_TO_CV, bundle.f, bundle.f,
                                  *bundle.center, frames.width, frames.height)
    error = bundle.errors(tracks)
    return Cameras("landmarks", tuple(cameras), (bundle.k1, 0.0, 0.0, 0.0),
                   float(np.median(error)))


def _start(heads: HeadPoses, rows: np.ndarray, tracks: Tracks, frames: Frames) -> Bundle:
    """Cameras by the landmarks, and every point where its rays meet an ellipsoid about the head."""
    flip = GL_TO_CV[:3, :3]
    R = np.array([flip @ heads.poses[i, :3, :3] for i in rows])
    t = np.array([flip @ heads.poses[i, :3, 3] for i in rows])
    center = np.array([frames.width / 2, frames.height / 2])
    f = heads.lens.fx
    d = np.concatenate([(tracks.xy - center) / f, np.ones((len(tracks.xy), 1))], 1)
    turned = R[tracks.frame].transpose(0, 2, 1)
    d = np.einsum("mij,mj->mi", turned, d) / HEAD
    o = (-np.einsum("mij,mj->mi", turned, t[tracks.frame]) - CENTER) / HEAD
    a, b, c = (d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1
    along = (-b - np.sqrt(np.maximum(b * b - a * c, 0))) / a  # past the ellipsoid: its nearest
    hit = (o + along[:, None] * d) * HEAD + CENTER
    count = np.bincount(tracks.point, minlength=tracks.points)[:, None]
    points = np.zeros((tracks.points, 3))
    np.add.at(points, tracks.point, hit)
    return Bundle(R, t, f, 0.0, center, points / np.maximum(count, 1))


def _adjusted(start: Bundle, tracks: Tracks, unit: float, reporter: Reporter
              ) -> tuple[Bundle, Tracks]:
    """Adjust with an ever stricter loss; sights that stay far off are taken out."""
    tracks = _renumbered(tracks, np.ones(len(tracks.xy), bool), start)
    now, tracks = tracks[1], tracks[0]
    first = start
    for k, scale in enumerate(SCALES):
        scale *= unit
        now = adjust(now, tracks, scale, 10 if k else 15, lens=k > 0, first=first)
        if k:
            good = now.errors(tracks) < FAR_OFF * scale
            tracks, now = _renumbered(tracks, good, now)
        reporter.step("adjusting the cameras", (k + 1) / (len(SCALES) + 1))
    tracks, now = _renumbered(tracks, _wide(now, tracks), now)
    now = adjust(now, tracks, SCALES[-1] * unit, 15, first=first)
    reporter.step("adjusting the cameras", 1.0)
    return now, tracks


def _renumbered(tracks: Tracks, good: np.ndarray, b: Bundle) -> tuple[Tracks, Bundle]:
    """Leave out sights, and points that keep fewer than three."""
    count = np.bincount(tracks.point[good], minlength=tracks.points)
    left = np.flatnonzero(count >= 3)
    return tracks.kept(good, 3), replace(b, points=b.points[left])


def _wide(b: Bundle, tracks: Tracks) -> np.ndarray:
    """(M,) bool: sights of points that are seen from sides that differ enough to tell depth."""
    eye = -np.einsum("nji,nj->ni", b.R, b.t)
    d = eye[tracks.frame] - b.points[tracks.point]
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    total = np.zeros((tracks.points, 3))
    np.add.at(total, tracks.point, d)
    middle = total / np.linalg.norm(total, axis=1, keepdims=True)
    least = np.ones(tracks.points)
    np.minimum.at(least, tracks.point, (d * middle[tracks.point]).sum(1))
    return (least < np.cos(np.radians(SLOWLY / 2)))[tracks.point]


def _by_landmarks(heads: HeadPoses, frames: Frames, why: str) -> Cameras:
    """Cameras by the landmarks alone."""
    cameras = tuple(
        None if not np.isfinite(p).all() else
        Camera(rigid_inverse(p), heads.lens.fx, heads.lens.fy, heads.lens.cx, heads.lens.cy,
               frames.width, frames.height) for p in heads.poses)
    if sum(c is not None for c in cameras) < 3:
        raise IdfError("Too few frames show a face", f"{sum(c is not None for c in cameras)}",
                       "film the face too, from all sides")
    face = heads.lens.fx / -heads.poses[:, 2, 3] * FACE_CM
    return Cameras("landmarks", cameras, None, float(np.nanmedian(heads.errors * face)), notes=(
        f"{why}: the cameras follow the landmarks of the face alone, which err by a few degrees",))
