"""Measures of a swap that need no downloaded weights: consistency, identity proxy, geometry."""

from __future__ import annotations

import cv2
import numpy as np

from ..face import topology
from ..face.landmarks import FaceLandmarks, lid_gaps
from ..face.raster import rasterize


def border_edges(triangles) -> np.ndarray:
    """Return (E, 2) int: edges that belong to one triangle only."""
    t = np.asarray(triangles)
    edges = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return unique[count == 1]


def visible_points(camera, points, normals, vertices=None, triangles=None,
                   min_facing: float = 0.45, tolerance: float = 0.02):
    """Return where surface points are seen by a camera.

    points, normals: (N, 3) world. vertices, triangles: a mesh that may hide them (z-test), or None.
    min_facing: least cosine between normal and direction to the camera. tolerance: how much nearer
    the mesh must be to hide a point, as a share of the points' extent.
    Returns pixels (N, 2) float64 and visible (N,) bool.
    """
    uv, depth = camera.project(points)
    view = camera.position - points
    facing = (view * normals).sum(1) / np.linalg.norm(view, axis=1)
    inside = ((uv >= 1) & (uv < (camera.width - 1, camera.height - 1))).all(1) & (depth > 0)
    visible = inside & (facing > min_facing)
    if vertices is not None:
        xy, z = camera.project(vertices)
        _, _, zbuf = rasterize(triangles, xy, z, np.zeros((len(xy), 0)), camera.height,
                               camera.width, perspective=True)
        at = np.clip(np.nan_to_num(uv), 0, (camera.width - 1, camera.height - 1)).astype(int)
        visible &= depth < zbuf[at[:, 1], at[:, 0]] + tolerance * np.ptp(points, axis=0).max()
    return uv, visible


def color_spread(views, min_views: int = 5) -> float:
    """Return how much the color of a surface point changes from view to view, in levels of 0-255.

    views: an iterable of (image (H, W, 3) uint8, pixels (N, 2), visible (N,) bool), the same N
    points in each. The color is sampled bilinearly. The standard deviation over the views that see
    a point is averaged over the color channels and over the points seen in >= `min_views` views.
    NaN when there is no such point.
    """
    count = total = square = None
    for image, uv, visible in views:
        c = sample(image, uv).astype(np.float64) * visible[:, None]
        if count is None:
            count, total, square = np.zeros(len(uv)), np.zeros_like(c), np.zeros_like(c)
        count, total, square = count + visible, total + c, square + c * c
    if count is None or not (count >= min_views).any():
        return float("nan")
    k = count >= min_views
    mean = total[k] / count[k, None]
    return float(np.sqrt(np.maximum(square[k] / count[k, None] - mean**2, 0)).mean())


def sample(image, uv) -> np.ndarray:
    """Return (N, 3) float32 bilinear colors of an image (H, W, >= 3) at pixels (N, 2), centers
    +0.5."""
    xy = np.nan_to_num(np.asarray(uv)).astype(np.float32) - np.float32(0.5)
    out = cv2.remap(np.ascontiguousarray(image[..., :3]), xy[None, :, 0], xy[None, :, 1],
                    cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out[0].astype(np.float32)


# Eye, eye and mouth center of the aligned inner face, pixels of a 128 x 128 picture.
ALIGNED = np.array([[38.0, 48.0], [90.0, 48.0], [64.0, 100.0]])
_EYE_RIGHT = [33, 133, 159, 145]
_EYE_LEFT = [362, 263, 386, 374]
_MOUTH = [61, 291, 13, 14]


def aligned_face(image, landmarks) -> np.ndarray:
    """Return (128, 128) uint8 gray inner face: eye and mouth centers moved to `ALIGNED` (affine).

    image: (H, W, 3 or 4) uint8 RGB(A), alpha over mid gray. landmarks: (468, >= 2) pixels.
    """
    p = np.asarray(landmarks, np.float64)[:, :2]
    centers = np.stack([p[k].mean(0) for k in (_EYE_RIGHT, _EYE_LEFT, _MOUTH)]) - 0.5
    M = cv2.getAffineTransform(centers.astype(np.float32), ALIGNED.astype(np.float32))
    rgb = image[..., :3].astype(np.float32)
    if image.shape[2] == 4:
        a = image[..., 3:] / np.float32(255)
        rgb = rgb * a + 128 * (1 - a)
    gray = cv2.cvtColor(np.clip(rgb, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(gray, M, (128, 128), flags=cv2.INTER_AREA,
                          borderMode=cv2.BORDER_REPLICATE)


def hog(gray, cell: int = 16, block: int = 2, bins: int = 9) -> np.ndarray:
    """Return histogram of oriented gradients of a gray picture (Dalal and Triggs 2005).

    Unsigned orientations in `bins` bins shared linearly between neighbors, `cell` pixels a cell,
    `block` x `block` cells a block at one cell's stride, L2-hys normalization (clipped at 0.2).
    Returns a flat float64 vector.
    """
    g = gray.astype(np.float64)
    gx, gy = np.zeros_like(g), np.zeros_like(g)
    gx[:, 1:-1] = g[:, 2:] - g[:, :-2]
    gy[1:-1] = g[2:] - g[:-2]
    magnitude = np.hypot(gx, gy)
    angle = (np.arctan2(gy, gx) % np.pi) / np.pi * bins - 0.5
    low = np.floor(angle).astype(int)
    part = angle - low
    rows, cols = g.shape[0] // cell, g.shape[1] // cell
    cells = np.zeros((rows, cols, bins))
    y, x = np.mgrid[:rows * cell, :cols * cell]
    for k, weight in ((low, 1 - part), (low + 1, part)):
        np.add.at(cells, (y // cell, x // cell, k[y, x] % bins), (magnitude * weight)[y, x])
    out = []
    for r in range(rows - block + 1):
        for c in range(cols - block + 1):
            v = cells[r:r + block, c:c + block].ravel()
            v = np.minimum(v / np.sqrt((v * v).sum() + 1e-6), 0.2)
            out.append(v / np.sqrt((v * v).sum() + 1e-12))
    return np.concatenate(out)


def hog_similarity(image_a, landmarks_a, image_b, landmarks_b) -> float:
    """Return cosine of the HOGs of two aligned inner faces, in [0, 1]: a weak stand-in for
    identity."""
    a, b = (hog(aligned_face(i, p)) for i, p in ((image_a, landmarks_a), (image_b, landmarks_b)))
    return cosine(a, b)


def cosine(a, b) -> float:
    """Return the cosine of two descriptions of a face, (N,) each."""
    a, b = (np.asarray(v, np.float64) for v in (a, b))
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


# --- the face's geometry --------------------------------------------------------------------------

def landmark_error(target: FaceLandmarks, swapped: FaceLandmarks) -> float:
    """Return mean distance of the 468 points in the picture, as a share of the target's eye
    distance."""
    away = np.linalg.norm(swapped.xy - target.xy, axis=1).mean()
    return float(away / max(target.eye_distance, 1e-6))


def mouth_opening(face: FaceLandmarks) -> float:
    """Return distance of the inner lips over the eye distance."""
    p = face.points
    gap = np.linalg.norm(p[topology.LIP_UPPER] - p[topology.LIP_LOWER])
    return float(gap / max(face.eye_distance, 1e-6))


def eye_opening(face: FaceLandmarks) -> float:
    """Return distance of the lids over the eye distance, mean of both eyes."""
    middle = lid_gaps(face.points)[0][:, 3]
    return float(middle.mean() / max(face.eye_distance, 1e-6))


def opening_correlation(pairs, least: int = 8, least_motion: float = 0.008) -> float | None:
    """Return Pearson's correlation of (target, swapped) openings; None for fewer than `least`
    frames, or where the target's own moves by less than `least_motion` (standard deviation, eye
    distances: what landmarks of a face that keeps still tremble by)."""
    values = np.asarray(list(pairs), np.float64).reshape(-1, 2)
    if len(values) < least or values[:, 0].std() < least_motion or values[:, 1].std() < 1e-9:
        return None
    return float(np.corrcoef(values.T)[0, 1])
