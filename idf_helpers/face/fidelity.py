"""How far one face's head pose and expression lie from another's, by the linear face model.

The two may be different people, as before and after a swap: each has a shape of its own, and only
the expressions' weights and the poses are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import IdfError
from .frame_fitter import FrameFitter, Lens
from .head_model import FaceModel, toward
from .landmarks import FaceLandmarks
from .shape_fit import FittedFace, fit_shape
from .topology import LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE

# What an expression is compared by: the expressions that count, by the beginning of their names,
# and the points that they move.
REGIONS = {"lips": (("mouth", "jaw"), np.asarray(OUTER_LIPS)),
           "eyes": (("eye",), np.concatenate([LEFT_EYE, RIGHT_EYE])),
           "brows": (("brow",), np.concatenate([LEFT_BROW, RIGHT_BROW]))}
# Rounds of shape and expression in turns: with fewer, more of another person's shape is still taken
# for expression (after 8: 1.3 mm of the lips between people who do the same; mean face: 2.0).
ROUNDS = 8
SHAPE_FRAMES = 12  # of a clip or of views, to fit the shape to
SHAPE_YAW = 35.0  # degrees: farther turned faces say less of the shape


def pose_error(a: FittedFace, b: FittedFace) -> float:
    """Return the angle between two heads' directions before the camera, degrees in [0, 180]."""
    turn = a.pose[:3, :3] @ b.pose[:3, :3].T
    # by both sine and cosine: near 0 the cosine alone has half the digits
    sine = np.linalg.norm([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0],
                           turn[1, 0] - turn[0, 1]]) / 2
    return float(np.degrees(np.arctan2(sine, (np.trace(turn) - 1) / 2)))


def expression_error(a: FittedFace, b: FittedFace, region: str = "lips") -> float:
    """Return mm on the model's head by which the points of a region move from a's expression to
    b's, their mean. region: a key of REGIONS."""
    names, points = REGIONS[region]
    change = b.weight_of(*names) - a.weight_of(*names)
    moved = np.tensordot(change, a.fitter.shapes[:, points], 1)
    return float(10 * np.linalg.norm(moved, axis=1).mean())


def head_yaw(pose) -> float:
    """Return degrees by which a head is turned from the camera, positive = the camera stands to
    the head's left. pose: (4, 4) head to camera."""
    x, _, z = toward(pose)
    return float(np.degrees(np.arctan2(x, z)))


def fit_faces(faces: Sequence[FaceLandmarks | None], lenses: Sequence[Lens],
              starts: Sequence[FittedFace | None] | None = None) -> list[FittedFace | None]:
    """Fit the frames of one person: the shape once, to those that look at the camera best.

    faces: landmarks in each frame, None = none. lenses: of each frame. starts: fits nearby, as of
    the same frames before a swap. Returns a fit for each frame, None where there is no face or
    where no pose explains it.
    """
    model, there = FaceModel.load(), [i for i, f in enumerate(faces) if f is not None]
    if not there:
        return [None] * len(faces)
    neutral, turned = _shape(faces, lenses, there, model)
    fitters: dict[Lens, FrameFitter] = {}
    out: list[FittedFace | None] = [None] * len(faces)
    for i in there:
        fitter = fitters.setdefault(lenses[i], FrameFitter(model, lenses[i], neutral, turned))
        start = starts[i] if starts is not None else None
        try:
            pose, weights, errors = fitter.fit(
                faces[i].xy, *((start.pose, start.weights) if start is not None else ()))
        except IdfError:
            continue
        out[i] = FittedFace(pose, weights, fitter, errors)
    return out


def _shape(faces, lenses, there: list[int], model: FaceModel):
    """Return the neutral face and its turned terms, from frames of one lens."""
    usual = max({lenses[i] for i in there}, key=[lenses[i] for i in there].count)
    order = sorted((i for i in there if lenses[i] == usual), key=lambda i: abs(faces[i].yaw))
    near = [i for i in order if abs(faces[i].yaw) <= SHAPE_YAW] or order[:SHAPE_FRAMES]
    # spread over the clip: neighbors in time say the same twice
    chosen = sorted(near)[::-(-len(near) // SHAPE_FRAMES)]
    xy = np.stack([faces[i].xy for i in chosen]).astype(np.float64)
    _, neutral, turned, _ = fit_shape(xy, usual, model, ROUNDS)
    return neutral, turned
