"""The source's face drawn over the target's landmarks, in the picture plane.

The mesh carries it, eyes included: each eye opening is closed by a strip of triangles, so that the
target's lids open and close on the source's eyes. Where the iris of both is known, the source's is
moved to where the target looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, fill_rings, masked_blur, smoothstep
from ...face.landmarks import FaceLandmarks, lid_gaps, vertex_facing
from ...face.mesh import ring_strip
from ...face.raster import rasterize
from ...face.shape_fit import FittedFace
from .beard import from_rim
from .chart_eyes import RINGS, openness
from .mesh_tracking import neighbor_mean
from .proportions import EXPRESSIVE

# Lengths are shares of the face's size (root of its area).
FACING_BLUR = 0.04
GAZE = 0.7  # share of the way that the source's iris goes to the target's place
# Distance from the iris, in its radii, up to which the eye moves as one, and over which that ends.
IRIS, AROUND_IRIS = 1.1, 1.3
# Stretch of the warp, as logarithms of its ratios, from which the source is trusted less, and at
# which not at all.
TAME = (0.8, 1.6)
# The same for how far the expressions of both differ, cm that a point of the skin moved: folds of
# a smile come along with the texture. At most so much of the trust goes.
FOLDS, FOLDS_MOST = (0.35, 0.9), 0.45
PARTED = (0.03, 0.05)  # gap between closed lips over the mouth's width; more, at which it is open
LASHES = 0.015  # how far around a closed eye it is the target's own
CLOSED = 0.13  # height of an eye over its width below which it is shut
# Lips of an open mouth are drawn from further within the lip, so that no teeth come along: share of
# the lip's width, and the opening (over the mouth's width) at which it applies fully.
LIP_SHIFT, LIP_OPEN = 0.35, 0.12


@dataclass(frozen=True, eq=False)
class Warp:
    """Where in the source each pixel of a window of the target comes from.

    at: (h, w, 2) float32, OpenCV pixels of the source's picture. covered: (h, w) bool, drawn at
    all. eyes: (h, w) float32 in [0, 1], inside the eye openings. holes: the same of what is not
    drawn: the inner mouth, and an eye that either has closed. facing: (h, w) float32, cosine
    to the target's camera, smooth. trust: (h, w) float32 in [0, 1], how far the warp leaves the
    source's detail believable. enlarged: target pixels per source pixel, median. size: of the
    drawn face, pixels.
    twin: (h, w, 2) float32, OpenCV pixels of the window, where the other side of the target's face
    shows the same place; paired: (h, w) float32 in [0, 1], how well both sides show it. rim: (h, w)
    float32, `beard.from_rim`.
    """

    at: np.ndarray
    covered: np.ndarray
    eyes: np.ndarray
    holes: np.ndarray
    facing: np.ndarray
    trust: np.ndarray
    enlarged: float
    size: float
    twin: np.ndarray
    paired: np.ndarray
    rim: np.ndarray


# Eyes and mouth closed by strips, from corner to corner.
_CLOSED = np.concatenate([topology.TRIANGLES, *(ring_strip(r) for r in (
    topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH))])


def warp(target: FaceLandmarks, source_points, source_iris, shape: tuple[int, int], origin,
         differ: np.ndarray | None = None) -> Warp:
    """Draw the source's points over the target's.

    target: landmarks, and iris where it is known. source_points: (468, 2) pixels of the picture
    that is to be drawn; source_iris: (10, 3) there, or None. shape: (h, w) of the window, origin:
    (x, y) of its first pixel. differ: (468,) cm, how far the expressions of both differ
    (`expressions_apart`), None = not at all.
    """
    h, w = shape
    points = lips_without_teeth(np.asarray(source_points, np.float64))
    differ = np.zeros(topology.POINTS) if differ is None else differ
    facing = vertex_facing(target.points)
    both = np.minimum(facing, facing[topology.MIRROR])
    twin = target.xy[topology.MIRROR] - np.asarray(origin, np.float32)
    drawn, ids, _ = rasterize(_CLOSED, target.xy, target.points[:, 2],
                              np.column_stack([points, facing, differ, twin, both,
                                                 from_rim(target.points)]), h, w, origin)
    covered = ids >= 0
    size = float(np.sqrt(max(covered.sum(), 1)))
    eyes = fill_rings([target.xy[r] for r in (topology.LEFT_EYE, topology.RIGHT_EYE)], h, w, origin)
    gaps, widths = lid_gaps(points[:, :2])
    closed = [ring for ring, shut in zip(RINGS, gaps.max(1) < CLOSED * widths, strict=True) if shut]
    mouth = fill_rings([target.xy[topology.INNER_MOUTH]], h, w, origin)
    holes = np.maximum(fill_rings([target.xy[r] for r in closed], h, w, origin),
                       mouth * max(mouth_open(target.xy), mouth_open(source_points)))
    holes = np.maximum(holes, _shut(target, size, h, w, origin))
    at = np.ascontiguousarray(drawn[..., :2] - np.float32(0.5))  # OpenCV counts from centers
    trust, enlarged = tameness(at, covered, size)
    lips = blur(fill_rings([target.xy[topology.OUTER_LIPS]], h, w, origin), 0.015 * size)
    folds = smoothstep((drawn[..., 3] - FOLDS[0]) / (FOLDS[1] - FOLDS[0]))
    trust = np.minimum(trust, 1 - FOLDS_MOST * folds * (1 - np.clip(1.5 * lips, 0, 1)))
    if target.iris is not None and source_iris is not None:
        _look(at, target, np.asarray(source_iris), size, origin)
    # Blurred, so that the small steep sides of the nose do not punch holes.
    facing = masked_blur(drawn[..., 2], covered, FACING_BLUR * size)
    return Warp(at, covered, eyes, holes, facing, masked_blur(trust, covered, 0.03 * size),
                enlarged, size, drawn[..., 4:6] - np.float32(0.5),
                smoothstep((drawn[..., 6] - 0.15) / 0.25) * covered, drawn[..., 7])


def _shut(target: FaceLandmarks, size: float, h: int, w: int, origin) -> np.ndarray:
    """(h, w) in [0, 1]: eyes that the target closes, lashes included. An open eye of the source,
    squeezed into them, would be a gray smear."""
    k = max(1, round(LASHES * size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    out = np.zeros((h, w), np.float32)
    for ring, opened in zip(RINGS, openness(target.points), strict=True):
        if opened < 1:
            rim = (fill_rings([target.xy[ring]], h, w, origin) > 0).astype(np.float32)
            out = np.maximum(out, np.float32(1 - opened) * cv2.dilate(rim, disc))
    return out


def mouth_open(points) -> float:
    """Return in [0, 1] whether lips (468, 2) are open enough to show what is between them."""
    p = np.asarray(points, np.float64)
    gap = np.linalg.norm(p[topology.LIP_UPPER] - p[topology.LIP_LOWER])
    width = np.linalg.norm(p[topology.MOUTH_RIGHT] - p[topology.MOUTH_LEFT])
    return float(smoothstep((gap / max(width, 1e-6) - PARTED[0]) / PARTED[1]))


def expressions_apart(source: FittedFace, target: FittedFace) -> np.ndarray:
    """Return (468,) cm: how far mouth, jaw, cheeks and nose of the two are from each other, each
    point or one near it."""
    difference = source.weight_of(*EXPRESSIVE) - target.weight_of(*EXPRESSIVE)
    out = np.linalg.norm(np.tensordot(difference, target.fitter.shapes, 1), axis=1)
    for _ in range(3):
        out = np.maximum(out, 0.5 * out + 0.5 * neighbor_mean(out))
    return out


def lips_without_teeth(points: np.ndarray) -> np.ndarray:
    """Return points (468, 2 or 3) of a photo with the rim of an open mouth further within the lips.
    """
    gap = np.linalg.norm(points[topology.LIP_UPPER] - points[topology.LIP_LOWER])
    width = np.linalg.norm(points[topology.MOUTH_RIGHT] - points[topology.MOUTH_LEFT])
    share = LIP_SHIFT * np.clip(gap / max(width, 1e-6) / LIP_OPEN, 0, 1)
    out = points.copy()
    out[topology.INNER_MOUTH] += share * (points[topology.OUTER_LIPS] - out[topology.INNER_MOUTH])
    return out


def tameness(at, covered, size: float) -> tuple[np.ndarray, float]:
    """Return how far a warp neither squeezes nor stretches, (h, w) in [0, 1], and its enlargement.

    at: (h, w, 2) where each pixel comes from. covered: (h, w) bool. size: of the face, pixels. From
    the singular values s1 >= s2 of the warp's Jacobian, log(s1 / s2) and |log(s1 s2 / median)|.
    """
    x, y = (masked_blur(at[..., k], covered, 0.02 * size) for k in (0, 1))
    (xy, xx), (yy, yx) = np.gradient(x), np.gradient(y)  # derivatives along rows, then columns
    q = np.hypot((xx + yy) / 2, (yx - xy) / 2)
    r = np.hypot((xx - yy) / 2, (yx + xy) / 2)
    large, small = np.maximum(q + r, 1e-4), np.maximum(np.abs(q - r), 1e-4)
    area = large * small
    median = max(float(np.median(area[covered])), 1e-8) if covered.any() else 1.0
    wild = np.maximum(np.log(large / small), np.abs(np.log(area / median)))
    trust = np.clip((TAME[1] - wild) / (TAME[1] - TAME[0]), 0, 1) * covered
    return trust.astype(np.float32), float(1 / np.sqrt(median))


def _look(at, target: FaceLandmarks, source_iris, size: float, origin) -> None:
    """Move `at` inside each eye, so that the source's iris lies where the target's does."""
    h, w = at.shape[:2]
    for ring, first in ((topology.RIGHT_EYE, 0), (topology.LEFT_EYE, 5)):
        iris = target.iris[first:first + 5, :2] - origin
        center = iris[0] - 0.5
        radius = max(float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()), 0.5)
        column, row = (int(v) for v in np.clip(np.rint(center), 0, (w - 1, h - 1)))
        move = GAZE * (source_iris[first, :2] - 0.5 - at[row, column])
        # An iris outside the opening (a closed eye) says nothing.
        opening = fill_rings([target.xy[ring]], h, w, origin)
        if opening[row, column] < 0.5:
            continue
        y, x = np.ogrid[:h, :w]
        away = np.hypot(x - center[0], y - center[1]) / radius
        weight = (1 - smoothstep((away - IRIS) / AROUND_IRIS)) * blur(opening,
                                                                      max(0.5, 0.01 * size))
        at += (weight[..., None] * move).astype(np.float32)
