"""Where the eyes of a tracked face look, and when they blink.

The landmark model marks the iris. Under the head's pose its center is a ray, and the ray meets the
sphere on which an iris moves: the direction from the eyeball's middle is the gaze. Eyes look at one
thing, so both count as one measurement, each as far as it faces the camera. Where the lids are
closed there is nothing to see, and the gaze goes on from the frames about them.

A person's eyeball lies a millimeter higher or lower between the corners of the lids, which nobody
sees from outside and which makes 5 degrees up or down. That is the same in all frames. Who talks to
a camera mostly looks at it, so most of how far the clip's usual gaze lies above or below the camera
is taken for that constant.

Lids come down in a blink and where the eyes look down. Knowing the gaze, the fit tells them apart;
MediaPipe's blendshape model has an opinion of its own, and a blink is what both see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..face.blendshapes import NAMES, scores
from ..face.head_model import FaceModel
from ..face.smooth import noise_level, steady
from ..face.topology import LEFT_IRIS, RIGHT_IRIS

CORNERS = ((33, 133), (263, 362))  # outer and inner, of the head's right eye, of its left
LIDS = (((160, 159, 158), (144, 145, 153)), ((387, 386, 385), (373, 374, 380)))  # upper, lower
IRISES = (RIGHT_IRIS[0], LEFT_IRIS[0])
# cm: middle of the eyeball from the middle of the corners (away from the nose, up, forward); and
# from there to the plane of the iris: 1.5 in rendered heads, and in three clips of people by how
# much narrower the iris gets the farther it is off; less in drawn heads, seen worse by the model.
MIDDLE, RADIUS = (0.05, 0.2, -1.28), 1.45
UPRIGHT_GAIN = 1.5  # of angles up and down: lids hide the iris where it goes, and the model follows
OUTWARD = 25.0  # degrees that an eye's opening faces outward: how well it is seen from the side
FACING = (0.35, 0.75)  # cosine of that with the view from which an eye counts, and in full
# Opening over the clip's usual one from which an iris counts, and in full: of both eyes, since who
# looks down has 0.58 and more and who blinks less; and of each, for a wink.
OPEN, OPEN_ONE = (0.48, 0.58), (0.3, 0.45)
CONSTANT = (0.7, 9.0)  # part of the usual gaze's height that is taken for it; degrees, at most
FEW = 2  # so many frames tell half of that
LIMIT = (35.0, 25.0)  # degrees to the sides, up and down: further no eye turns in its socket
SHUT = (0.15, 0.55)  # opening over the usual: all shut, and not
SURELY = (0.1, 0.3)  # the same, whatever the network says
SCORED = 0.5  # blink score of the network that counts as a closed eye
NOISE = 1.5  # degrees, most that irises shake by
REACH = 1.5  # of the noise: what is smoothed away while the eyes rest (`steady`)


@dataclass(frozen=True, eq=False)
class Gaze:
    """angles: (N, 2) degrees to the head's left and up, of both eyes alike, everywhere finite.
    trust: (N,) in [0, 1], 0 = not seen in this frame, but taken from others. opening: (N, 2) of the
    right and the left eye, over what is usual in the clip; NaN where there is no face."""

    angles: np.ndarray
    trust: np.ndarray
    opening: np.ndarray


def measure(points, iris, poses, neutral, lens, model: FaceModel, numbers=None) -> Gaze:
    """Return the gaze over a clip.

    points: (N, 468, 2 or 3) and iris: (N, 10, 2 or 3) pixels, NaN where not known. poses: (N, 4, 4)
    head to camera. neutral: (468, 3) cm, the face at rest. lens: with fx, fy, cx, cy in pixels.
    numbers: (N,) of the frames in time, None = in a row.
    """
    xy, iris = np.asarray(points, np.float64)[..., :2], np.asarray(iris, np.float64)[..., :2]
    neutral, n = np.asarray(neutral, np.float64), len(xy)
    there = np.isfinite(xy).all((1, 2)) & np.isfinite(iris).all((1, 2)) \
        & np.isfinite(poses).all((1, 2))
    opening = openings(xy)
    angles, weight = np.zeros((n, 2, 2)), np.zeros((n, 2))
    for i in np.flatnonzero(there):
        pose = poses[i]
        shown = model.displacement(pose)  # the lids that the landmark model draws on a turned face
        for side in (0, 1):
            corners = list(CORNERS[side])
            middle = neutral[corners].mean(0) + np.multiply(MIDDLE, (2 * side - 1, 1, 1))
            moved = shown[corners].mean(0)
            far = pose[:3, :3] @ (middle + moved) + pose[:3, 3]
            u, v = iris[i, IRISES[side]]
            at = np.array([(u - lens.cx) / lens.fx, (lens.cy - v) / lens.fy, -1.0]) * -far[2]
            to = pose[:3, :3].T @ -(far / np.linalg.norm(far))  # to the camera, in the head's frame
            off = pose[:3, :3].T @ (at - far)
            across = off - (off @ to) * to
            looks = across + np.sqrt(max(RADIUS**2 - across @ across, 0.0)) * to
            looks /= np.linalg.norm(looks)
            angles[i, side] = (np.degrees(np.arctan2(looks[0], looks[2])),
                               UPRIGHT_GAIN * np.degrees(np.arcsin(looks[1])))
            out = np.radians(OUTWARD) * (2 * side - 1)
            weight[i, side] = _ramp(to @ (np.sin(out), 0, np.cos(out)), FACING) \
                * _ramp(opening[i, side], OPEN_ONE) * _ramp(opening[i].mean(), OPEN)
    trust = weight.max(1)
    total = np.maximum(weight.sum(1), 1e-9)
    both = np.clip((angles * weight[..., None]).sum(1) / total[:, None],
                   np.negative(LIMIT), LIMIT)
    numbers = np.arange(n) if numbers is None else np.asarray(numbers)
    seen = trust > 0.3
    if not seen.any():
        return Gaze(np.zeros((n, 2)), np.zeros(n), opening)
    out = np.stack([np.interp(numbers, numbers[seen], both[seen, k]) for k in (0, 1)], 1)
    resting = np.where(seen[:, None, None], out[:, None], np.nan)
    noise = np.minimum(noise_level(resting, numbers), NOISE)  # who looks about has no more of it
    calm = steady(resting, numbers, reach=REACH, noise=noise)[:, 0]
    out[seen] = calm[seen]
    return Gaze(out, np.where(seen, trust, 0.0), opening)


def without_constant(gaze: Gaze, poses, neutral) -> Gaze:
    """Return the gaze less what is taken for the constant of these eyes, up and down.

    poses: (N, 4, 4) head to camera. neutral: (468, 3) cm, the face at rest.
    """
    seen = gaze.trust > 0
    if not seen.any():
        return gaze
    middle = np.asarray(neutral, np.float64)[[k for pair in CORNERS for k in pair]].mean(0)
    to = -(poses[seen, :3, :3] @ middle + poses[seen, :3, 3])
    up = (to[:, None] @ poses[seen, :3, :3])[:, 0, 1] / np.linalg.norm(to, axis=1)
    usual = float(np.median(gaze.angles[seen, 1] - np.degrees(np.arcsin(up))))
    constant = np.clip(CONSTANT[0] * usual, -CONSTANT[1], CONSTANT[1]) \
        * seen.sum() / (seen.sum() + FEW)
    angles = np.clip(gaze.angles - (0, constant), np.negative(LIMIT), LIMIT)
    return replace(gaze, angles=angles)


def openings(xy) -> np.ndarray:
    """Return (N, 2): distance of the lids over that of the corners, 1 = what is usual in the clip
    (the median of its upper half). xy: (N, 468, 2) pixels."""
    out = np.empty((len(xy), 2))
    for side in (0, 1):
        a, b = (xy[:, list(lid)].mean(1) for lid in LIDS[side])
        c, d = (xy[:, k] for k in CORNERS[side])
        out[:, side] = np.linalg.norm(a - b, axis=1) / np.maximum(
            np.linalg.norm(c - d, axis=1), 1e-9)
        known = out[np.isfinite(out[:, side]), side]
        if len(known):
            out[:, side] /= max(float(np.quantile(known, 0.75)), 1e-6)
    return out


def blinks(points, iris, fitted, opening) -> np.ndarray:
    """Return (N, 2) blink weights in [0, 1] of the right and the left eye: as far as the blendshape
    model agrees with the fit or with how far the lids are open; 1 where those are shut.

    points, iris: see `measure`. fitted: (N, 2) weights of the fit, kept where the irises, and so
    the scores, are not known. opening: (N, 2), see `Gaze`.
    """
    told = scores(points, iris)[:, [NAMES.index("eyeBlinkRight"), NAMES.index("eyeBlinkLeft")]]
    shut, surely = (1 - _ramp(np.nan_to_num(opening, nan=1.0), k) for k in (SHUT, SURELY))
    agreed = np.clip(told / SCORED, 0, 1) * np.maximum(fitted, shut)
    return np.where(np.isfinite(told), np.maximum(agreed, surely), fitted)


def _ramp(value, limits):
    return np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1)
