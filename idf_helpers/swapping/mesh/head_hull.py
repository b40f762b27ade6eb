"""The rough shape of a whole head, for what a face mesh does not cover: ears, hair, neck.

Where pictures have alpha, it is what all their outlines leave room for (visual hull, Laurentini
1994); else an ellipsoid on a neck. Kept as distances from its surface on a grid in the head's own
axes (left, up, front) and widths of the face, from the middle between the ears.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from .uv_atlas import spread_views

# The grid's first and last point, and its spacing.
LOW, HIGH, CELL = np.array([-1.2, -1.4, -1.4]), np.array([1.2, 1.4, 1.1]), 0.045
UNITS = 200.0  # of the stored distance in a width: one byte holds 0.63 of it
CENTER, RADII = np.array([0.0, 0.1, 0.0]), np.array([0.56, 0.85, 0.68])
NECK, NECK_AT = 0.36, -0.15  # its radius, and how far in front it stands
VIEWS = 32  # most pictures that carve
LEAST = 0.3  # share of the ellipsoid that carving must leave; else the outlines are no head's


def head_hull(frames, vertices, axes, origin, width: float) -> np.ndarray:
    """Return (X, Y, Z) int8: distance from the head's surface in 1 / UNITS widths, inside negative.

    frames: views of the head with `.camera` and `.image()`, or () where none can carve. vertices:
    (468, 3) of the face; axes (3, 3), origin (3,) and width: the head's frame in the world.
    """
    places = np.stack(np.meshgrid(*(np.arange(a, b + CELL / 2, CELL)
                                    for a, b in zip(LOW, HIGH, strict=True)), indexing="ij"), -1)
    simple = (((places - CENTER) / RADII) ** 2).sum(-1) < 1
    x, y, z = np.moveaxis(places, -1, 0)
    simple |= (np.hypot(x, z - NECK_AT) < NECK) & (y < 0)
    carved = _carve(frames, vertices, origin + width * places.reshape(-1, 3) @ axes)
    inside = simple
    if carved is not None:
        carved = carved.reshape(simple.shape)
        if (carved & simple).sum() > LEAST * simple.sum():
            inside = carved
    distance = np.where(inside, 0.5 - distance_transform_edt(inside),
                        distance_transform_edt(~inside) - 0.5) * CELL
    return np.clip(np.rint(UNITS * distance), -127, 127).astype(np.int8)


def _carve(frames, vertices, points) -> np.ndarray | None:
    """(N,) bool: the points that no picture shows to be empty; None where pictures do not tell."""
    frames = list(frames)
    if not frames:
        return None
    cameras = [f.camera for f in frames]
    left = np.ones(len(points), bool)
    for i in spread_views(vertices, cameras, np.arange(len(frames)), VIEWS):
        image = frames[i].image()
        if image.shape[2] == 3 or image[..., 3].min() == 255:
            return None
        xy, z = cameras[i].project(points[left])
        h, w = image.shape[:2]
        shown = (z > 0) & (xy >= 0).all(1) & (xy[:, 0] < w) & (xy[:, 1] < h)
        column, row = np.clip(xy, 0, (w - 1, h - 1)).astype(int).T
        left[left] = ~shown | (image[row, column, 3] > 127)
    return left
