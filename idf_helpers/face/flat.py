"""The face laid flat: every face in one place, size and direction, half a face mirrors the other.

A picture of `SIZE` pixels a side in which each landmark always lies at the same pixel (where the
mean face has it from the front). Eyes and mouth are closed over with a fan of triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from .head_model import FaceModel
from .landmarks import FaceLandmarks
from .mesh import vertex_normals
from .raster import rasterize
from .topology import INNER_MOUTH, LEFT_EYE, POINTS, RIGHT_EYE, TRIANGLES

SIZE = 128  # px, side of the flat picture
MARGIN = 3.0  # px around the face
_RINGS = (LEFT_EYE, RIGHT_EYE, INNER_MOUTH)
POINT_COUNT = POINTS + len(_RINGS)


@dataclass(frozen=True, eq=False)
class FlatFace:
    """What is the same for every face.

    xy: (POINT_COUNT, 2) float32, where each point lies in the flat picture; after the landmarks
        come the middles of eyes and mouth. triangles: (T, 3) int32, without openings. inside:
        (SIZE, SIZE) bool. corners, shares: (SIZE, SIZE, 3), the three points around each pixel
        and how much each counts.
    """

    xy: np.ndarray
    triangles: np.ndarray
    inside: np.ndarray
    corners: np.ndarray
    shares: np.ndarray


@cache
def flat_face() -> FlatFace:
    """Return the layout, made once a process."""
    rest = with_middles(FaceModel.load().rest.astype(np.float64))
    low, high = rest[:, :2].min(0), rest[:, :2].max(0)
    scale = (SIZE - 2 * MARGIN) / (high - low)[1]
    xy = np.stack([rest[:, 0] * scale + SIZE / 2, (high[1] - rest[:, 1]) * scale + MARGIN], 1)
    triangles = np.concatenate([TRIANGLES, *(_fan(xy, ring, POINTS + k)
                                             for k, ring in enumerate(_RINGS))])
    share = np.eye(POINT_COUNT, dtype=np.float32)
    _, ids, _ = rasterize(triangles, xy, -rest[:, 2], share[:, :1], SIZE, SIZE)
    corners = triangles[np.maximum(ids, 0)]
    shares = _barycentric(xy[corners])
    return FlatFace(xy.astype(np.float32), triangles, ids >= 0, corners, shares)


def _fan(xy, ring, middle: int) -> np.ndarray:
    """(N, 3) int32 triangles that close a ring, wound as `TRIANGLES` are."""
    around = np.stack([ring, np.roll(ring, -1), np.full(len(ring), middle)], 1)
    p = xy[around]
    turn = _cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]).sum()
    return (around if turn < 0 else around[:, [1, 0, 2]]).astype(np.int32)  # y points down


def with_middles(points: np.ndarray) -> np.ndarray:
    """Return (POINT_COUNT, D): landmarks (>= 468, D) and the middles of eyes and mouth."""
    points = points[:POINTS]
    return np.concatenate([points, [points[ring].mean(0) for ring in _RINGS]])


def _barycentric(p: np.ndarray) -> np.ndarray:
    """(H, W, 3, 2) triangles around each pixel center -> (H, W, 3) float32 shares."""
    h, w = p.shape[:2]
    y, x = np.mgrid[:h, :w] + 0.5
    at = np.stack([x, y], -1)
    a, b, c = p[..., 0, :], p[..., 1, :], p[..., 2, :]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    u = _cross(at - a, c - a) / area
    v = _cross(b - a, at - a) / area
    return np.stack([1 - u - v, u, v], -1).astype(np.float32)


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def flatten(image: np.ndarray, face: FaceLandmarks) -> tuple[np.ndarray, np.ndarray]:
    """Return the face laid flat, and how well each pixel of it is seen.

    image: (H, W) or (H, W, C) uint8 or float32; face: landmarks in its pixels. Returns
    (SIZE, SIZE[, C]) of the same type, and (SIZE, SIZE) float32: the cosine between the surface
    and the direction to the camera, 0 outside the face, outside the picture and on the far side.
    """
    flat = flat_face()
    points = with_middles(face.points.astype(np.float32))
    facing = -vertex_normals(points.astype(np.float64), flat.triangles)[:, 2].astype(np.float32)
    values = np.column_stack([points[:, :2], facing])
    at = np.einsum("hwkc,hwk->hwc", values[flat.corners], flat.shares)
    h, w = image.shape[:2]
    xy = at[..., :2]
    seen = flat.inside & (xy > 0).all(-1) & (xy[..., 0] < w) & (xy[..., 1] < h)
    # A picture much larger than the flat one is averaged down first against aliasing.
    scale = min(1.0, 1.25 * SIZE / max(face.size, 1.0))
    if scale < 1:
        low = np.maximum(np.floor(points[:, :2].min(0) - 2).astype(int), 0)
        high = np.minimum(np.ceil(points[:, :2].max(0) + 2).astype(int), (w, h))
        size = np.maximum(np.round((high - low) * scale).astype(int), 1)
        if (high - low).min() < 1:
            return (np.zeros((SIZE, SIZE, *image.shape[2:]), image.dtype),
                    np.zeros((SIZE, SIZE), np.float32))
        image = cv2.resize(image[low[1]:high[1], low[0]:high[0]],
                           (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
        xy = (xy - low) * (size / (high - low)).astype(np.float32)
    out = cv2.remap(image, np.ascontiguousarray(xy - 0.5, np.float32), None, cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)
    return out, np.where(seen, np.maximum(at[..., 2], 0), 0).astype(np.float32)


def unflatten(values: np.ndarray, face: FaceLandmarks, height: int, width: int,
              origin=(0, 0)) -> np.ndarray:
    """Return (SIZE, SIZE) float32 of a flat face where the face lies in a (height, width) window,
    0 elsewhere. origin: (x, y) of the window's first pixel."""
    flat = flat_face()
    points = with_middles(face.points.astype(np.float32))
    at, ids, _ = rasterize(flat.triangles, points[:, :2], points[:, 2], flat.xy, height, width,
                           origin)
    out = cv2.remap(values, at - np.float32(0.5), None, cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)
    return out * (ids >= 0)
