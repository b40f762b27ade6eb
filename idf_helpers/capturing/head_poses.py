"""Where the head is in each frame, by its landmarks: one face, one lens, a pose a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from ..face.frame_fitter import FrameFitter, Lens
from ..face.head_model import FaceModel, toward
from ..face.shape_fit import find_fov, fit_shape
from ..runtime.progress import Reporter

KEYS = 24  # frames to which the face's shape is fitted
WELL_SEEN = 45.0  # degrees up to which the landmark model is good
FEWEST = 3  # frames with a face
MISFIT = 0.06  # of the face's width: what lies further from the model is no face of this person


@dataclass(frozen=True, eq=False)
class HeadPoses:
    """Poses of one head in N frames.

    poses: (N, 4, 4) head to camera, cm, OpenGL axes; NaN where there is none. lens: of all frames.
    fitter: of this face's shape. errors: (N,) median distance of landmarks and model, shares of
    the face's width. yaw: (N,) degrees that the head is turned to its own left; NaN likewise.
    """

    poses: np.ndarray
    lens: Lens
    fitter: FrameFitter
    errors: np.ndarray
    yaw: np.ndarray


def head_poses(points: np.ndarray, width: int, height: int, fov: float | None = None,
               reporter: Reporter | None = None) -> HeadPoses:
    """Fit one head to the landmarks of N frames.

    points: (N, 468, 2 or 3) pixels, NaN where there is no face. fov: horizontal, degrees; None =
    found over the frames. IdfError: fewer than three frames show a face that a head explains.
    """
    model, reporter = FaceModel.load(), reporter or Reporter()
    xy = np.asarray(points, np.float64)[..., :2]
    there = np.flatnonzero(np.isfinite(xy).all((1, 2)))
    if len(there) < FEWEST:
        raise _too_few(len(there), len(xy))
    turned = np.abs(_rough_yaw(np.asarray(points)[there]))
    good = there[turned < WELL_SEEN]
    keys = good if len(good) >= FEWEST else there[np.argsort(turned)[:FEWEST]]
    keys = keys[np.linspace(0, len(keys) - 1, min(KEYS, len(keys))).astype(int)]
    fov = fov or find_fov(xy[keys], width, height, model, reporter)
    lens = Lens.of(fov, width, height)
    _, neutral, own, _ = fit_shape(xy[keys], lens, model, 4, reporter)
    fitter = FrameFitter(model, lens, neutral, own)
    poses = np.full((len(xy), 4, 4), np.nan)
    errors, yaw = np.full(len(xy), np.nan), np.full(len(xy), np.nan)
    pose = x = None
    for i in there:
        try:
            pose, x, error = fitter.fit(xy[i], pose, x)
            if not np.isfinite(pose).all():
                raise IdfError("No pose of a head explains these landmarks", "NaN", "")
        except IdfError:
            pose = x = None
            continue
        face = lens.fx / -pose[2, 3] * 14.0  # px of a face's width
        errors[i] = np.median(error) / face
        if errors[i] > MISFIT:
            pose = x = None
            continue
        d = toward(pose)
        poses[i], yaw[i] = pose, -np.degrees(np.arctan2(d[0], d[2]))
    if np.isfinite(yaw).sum() < FEWEST:
        raise _too_few(int(np.isfinite(yaw).sum()), len(xy))
    return HeadPoses(poses, lens, fitter, errors, yaw)


def _rough_yaw(points: np.ndarray) -> np.ndarray:
    from .choose import yaws

    return yaws(points) if points.shape[2] > 2 else np.zeros(len(points))


def _too_few(found: int, frames: int) -> IdfError:
    return IdfError("Too few frames show a face", f"{found} of {frames}",
                    "film the face too, larger than about 64 pixels; with pycolmap (pip install "
                    "pycolmap) heads can be filmed from behind")
