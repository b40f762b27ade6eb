"""The fitted face: 468 points in the world, and how it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..runtime.npz import ArrayRecord
from .topology import FACE_LEFT, FACE_RIGHT, LEFT_EYE, POINTS, RIGHT_EYE, TRIANGLES


@dataclass(frozen=True, eq=False)
class FaceMesh(ArrayRecord):
    """The fitted face, in the world frame of the cameras.

    vertices: (468, 3) float64. normals: (468, 3) float64 unit, pointing out of the head.
    inliers: (N,) bool, the views that the mesh was made from; N = views given to `fit_face`.
    residuals: (N,) float64, median reprojection error in pixels, NaN where nothing was detected.
    """

    vertices: np.ndarray
    normals: np.ndarray
    inliers: np.ndarray
    residuals: np.ndarray
    triangles: np.ndarray = field(default_factory=lambda: TRIANGLES)

    schema: ClassVar = {"vertices": f"f! {POINTS} 3", "normals": f"f! {POINTS} 3",
                        "inliers": "b N", "residuals": "f N", "triangles": "iu T 3"}

    def __post_init__(self):
        if len(self.triangles) and not (0 <= self.triangles.min()
                                        and self.triangles.max() < len(self.vertices)):
            raise ValueError("`triangles` name points that are not there")

    @property
    def width(self) -> float:
        """Face width, world units: between the landmarks in front of the ears."""
        return float(np.linalg.norm(self.vertices[FACE_RIGHT] - self.vertices[FACE_LEFT]))


def vertex_normals(vertices, triangles=TRIANGLES) -> np.ndarray:
    """Return (V, 3) unit normals: sum of the triangles' cross products, which weighs them by area.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], cross)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def ring_strip(ring) -> np.ndarray:
    """Return (N - 2, 3) triangles that close a ring of N vertices, as a strip from its first point
    to the one opposite: of an eye or a mouth, corner to corner."""
    low, high = 1, len(ring) - 1
    out = [(ring[0], ring[low], ring[high])]
    while high - low > 1:
        out.append((ring[low], ring[low + 1], ring[high]))
        low += 1
        if high - low > 1:
            out.append((ring[low], ring[high - 1], ring[high]))
            high -= 1
    return np.array(out, np.int32)


# How far what one sees of an eye lies before the plane of its lids' rim, shares of the face's
# width: half way to the middle, and there. The cornea stands out by some 4 mm, but is clear: the
# iris lies 2 mm before that plane. On the bundled head its colors then agree best between views.
BULGE = (0.010, 0.014)


def with_eyes(values) -> np.ndarray:
    """Return values of the 468 vertices, (468, ...), continued to those that `eye_caps` adds:
    linearly, from each eye's rim to its middle."""
    parts = [np.asarray(values, np.float64)]
    for ring in (LEFT_EYE, RIGHT_EYE):
        rim = parts[0][ring]
        middle = rim.mean(0)
        parts += [0.5 * (rim + middle), middle[None]]
    return np.concatenate(parts)


def eye_caps(vertices, normals, triangles=TRIANGLES) -> tuple[np.ndarray, np.ndarray]:
    """Return the mesh with its eyes closed by balls that hide what lies behind them.

    vertices, normals: (468, 3). Returns more vertices (468 + E, 3) and only the new triangles
    (C, 3), the left eye's first. Without them the side of the nose is seen through the eye from 60
    degrees on. triangles: the mesh's own; one whose openings are covered by them already gets none.
    """
    if len(triangles) > len(TRIANGLES):
        return np.asarray(vertices, np.float64), np.zeros((0, 3), np.int32)
    width = np.linalg.norm(vertices[FACE_RIGHT] - vertices[FACE_LEFT])
    points, triangles = with_eyes(vertices), []
    first = len(vertices)
    for ring in (LEFT_EYE, RIGHT_EYE):
        n = len(ring)
        out = normals[ring].mean(0)
        out = width * out / max(np.linalg.norm(out), 1e-12)
        points[first:first + n] += BULGE[0] * out
        points[first + n] += BULGE[1] * out
        a, b = np.arange(n), (np.arange(n) + 1) % n
        inner, top = first + np.arange(n), np.full(n, first + n)
        triangles += [np.stack(t, 1) for t in ((ring[a], ring[b], inner[b]),
                                               (ring[a], inner[b], inner[a]),
                                               (inner[a], inner[b], top))]
        first += n + 1
    return points, np.concatenate(triangles).astype(np.int32)
