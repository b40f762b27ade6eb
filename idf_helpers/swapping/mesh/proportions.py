"""The source's proportions: a target's face, bent toward the shape of the source's.

A texture alone leaves the target's nose, jaw and the distance of its eyes. Here the face moves
toward the source's shape, and the picture is bent along with it before the source is drawn, so that
what stays the target's own (the mouth's inside, ears, hair) lies where the new face has it.

Only shape is taken over: what the mouth, jaw, cheeks and nose do in the photo and in the target is
fitted and taken off both first, or a smile would be carried over as if it were a wide mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ...face import topology
from ...face.head_model import FaceModel
from ...face.landmarks import FaceLandmarks
from ...face.shape_fit import FittedFace
from .mesh_tracking import neighbor_mean
from .uv_atlas import head_axes

# Expressions that are taken off. Brows and lids are left: landmarks read the height of a brow,
# which is a part of the person, as a lowered one.
EXPRESSIVE = ("mouth", "jaw", "cheek", "nose")
GAIN = 1.15  # smoothing and limits take some of the motion; this gives it back
LIMIT = 0.15  # most that a point moves, share of the face's width
SYMMETRIC = 0.25  # share of the other side's motion: what one side does alone is half believed
OPENING = (0.8, 1.25)  # bounds of an eye's opening over what it was
DEPTH = 0.5  # share of the depth that is believed: one photo shows it badly
RIDGE = 0.1  # of the fit of expressions to what is taken for shape


def at_rest(points, fitted: FittedFace) -> np.ndarray:
    """Return landmarks (468, 3), pixels, without the expression that was fitted to them."""
    weights = fitted.weight_of(*EXPRESSIVE)
    return np.asarray(points, np.float64) - fitted.seen_moved(weights)


def proportions(target, sources: Sequence, amount: float = 1.0, trust=None) -> np.ndarray:
    """Return (468, 3) motion of the target's points toward the source's shape.

    target: (468, 3) points at rest, in any right-handed frame; the motion is in its units. sources:
    one or more of (468, 3), of one person at rest. trust: weight of each of them, None = alike.
    amount: share of the way, in [0, 1].

    Each source, turned and scaled onto the target (Umeyama 1991), differs from it by shape and by
    the error of the landmarks, of which the part that both sides share is believed most.
    """
    target = np.asarray(target, np.float64)
    front, up, left = head_axes(target)
    axes = np.stack([left, up, front])
    total = np.average([_onto(np.asarray(s, np.float64), target) - target for s in sources],
                       axis=0, weights=trust)
    D = total @ axes.T
    D = (1 - SYMMETRIC) * D + SYMMETRIC * D[topology.MIRROR] * (-1, 1, 1)
    D[:, 2] *= DEPTH
    D = 0.5 * D + 0.5 * neighbor_mean(D)
    D -= (_expressive() @ D.reshape(-1)).reshape(-1, 3)
    # Lips go up or down as one: they must not open, or the target's own would show between them.
    D[topology.INNER_MOUTH, 1] = D[topology.INNER_MOUTH, 1].mean()
    D *= amount * GAIN
    length = np.linalg.norm(D, axis=1, keepdims=True)
    most = LIMIT * _width(target)
    D *= most * np.tanh(length / most) / np.maximum(length, 1e-12)
    return D @ axes


@cache
def _expressive() -> np.ndarray:
    """(1404, 1404): the part of a motion, in the axes of the head, that is an expression of mouth
    and jaw. One photo leaves some of it in a shape, and a target would be seen to smile by it."""
    model = FaceModel.load()
    shapes = np.stack([e for n, e in zip(model.expression_names, model.expression, strict=True)
                       if n in model.seen and n.startswith(("mouth", "jaw"))]).astype(np.float64)
    E = shapes.reshape(len(shapes), -1).T
    ridge = RIDGE * np.trace(E.T @ E) / len(shapes)
    return E @ np.linalg.solve(E.T @ E + ridge * np.eye(len(shapes)), E.T)


def in_head(motion, points) -> np.ndarray:
    """Return a motion (468, 3) of `points` (468, 3) in the axes of the head and widths of the face,
    which is the same in all frames of one person."""
    front, up, left = head_axes(np.asarray(points, np.float64))
    return motion @ np.stack([left, up, front]).T / _width(points)


def of_head(motion, points) -> np.ndarray:
    """Return (468, 3) motion of `points` (468, 3) in their own units; the inverse of `in_head`."""
    front, up, left = head_axes(np.asarray(points, np.float64))
    return motion @ np.stack([left, up, front]) * _width(points)


def _width(points) -> float:
    return float(np.linalg.norm(points[topology.FACE_LEFT] - points[topology.FACE_RIGHT]))


def moved_by(face: FaceLandmarks, motion) -> FaceLandmarks:
    """Return the landmarks moved by (468, 3) pixels, each iris along with the rim of its eye."""
    motion = with_lids(face.points, motion).astype(np.float32)
    iris = face.iris
    if iris is not None:
        rims = [motion[ring].mean(0) for ring in (topology.RIGHT_EYE, topology.LEFT_EYE)]
        iris = iris + np.repeat(rims, 5, axis=0).astype(np.float32)
    return replace(face, points=face.points + motion, iris=iris)


def with_lids(points, motion) -> np.ndarray:
    """Return a motion (468, 3) of points (468, 3) by which eyes open or close by no more than
    `OPENING`: how far they are open is no shape, and a closed eye stays closed."""
    points, out = np.asarray(points), np.array(motion)
    up = head_axes(points)[1]
    for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
        half = len(ring) // 2  # the rim runs from corner to corner below, and back above
        below, above = ring[1:half], ring[:half:-1]
        gap, more = (np.maximum((x[above] - x[below]) @ up, least)
                     for x, least in ((points, 0), (out, -np.inf)))
        bounds = [(k - 1) * gap for k in OPENING]
        half_change = 0.5 * (np.clip(more, *bounds) - more)[:, None] * up
        out[above] += half_change
        out[below] -= half_change
    return out


def _onto(p: np.ndarray, V: np.ndarray) -> np.ndarray:
    """`p` (468, 3) under the similarity that lays it onto `V` (468, 3) best."""
    a, b = p - p.mean(0), V - V.mean(0)
    U, S, Wt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(U @ Wt))])
    R = U @ sign @ Wt
    scale = np.trace(np.diag(S) @ sign) / (a**2).sum()
    return scale * a @ R.T + V.mean(0)
