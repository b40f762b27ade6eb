"""What a view shows of the surface: normals out of depth, trust at each pixel, colors carried
beyond the silhouette so that nothing of the background is ever sampled."""

from __future__ import annotations

import cv2
import numpy as np

from ..data.cameras import Camera

SOLID = 0.95  # alpha from which on a pixel counts as nothing but head
RIM = 3.0  # pixels from an edge over which trust rises to 1
LEAST = 0.02  # trust at the edge itself: used where no other key sees the place


def points(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Return (H, W, 3) float32 points in OpenCV camera axes of depth along the optical axis."""
    h, w = depth.shape
    x = ((np.arange(w) + 0.5 - camera.cx) / camera.fx).astype(np.float32)
    y = ((np.arange(h) + 0.5 - camera.cy) / camera.fy).astype(np.float32)
    return np.stack([depth * x[None, :], depth * y[:, None], depth], -1)


def normals(depth: np.ndarray, camera: Camera, smooth: float = 1.0) -> np.ndarray:
    """Return (H, W, 3) float32 unit normals in OpenGL camera axes (z toward the camera), 0 where
    the depth is NaN. smooth: Gaussian in pixels over the depth first, not across its edges."""
    there = np.isfinite(depth)
    if not there.any():
        return np.zeros((*depth.shape, 3), np.float32)
    filled = nearest_fill(depth, there)
    if smooth > 0:
        step = np.float32(np.median(filled[there]) * 0.02)
        filled = cv2.bilateralFilter(filled, 0, float(step), smooth)
    p = points(filled, camera)
    dx, dy = cv2.Scharr(p, cv2.CV_32F, 1, 0), cv2.Scharr(p, cv2.CV_32F, 0, 1)
    n = np.cross(dx, dy) * (1.0, -1.0, -1.0)  # OpenCV's axes to OpenGL's
    n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)
    n[n[..., 2] < 0] *= -1  # toward the camera
    return np.where(there[..., None], n, 0).astype(np.float32)


def facing(normal: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the (H, W) float32 cosine between normals (OpenGL camera axes) and the rays back, 0
    where the surface looks away or is not there."""
    h, w = normal.shape[:2]
    x = (np.arange(w) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(h) + 0.5 - camera.cy) / camera.fy
    back = np.stack(np.broadcast_arrays(-x[None, :], y[:, None], 1.0), -1)
    back = back / np.linalg.norm(back, axis=-1, keepdims=True)
    return np.clip((normal * back).sum(-1), 0, 1).astype(np.float32)


def edge_trust(depth: np.ndarray, mask: np.ndarray, jump: float) -> np.ndarray:
    """Return (H, W) float32 in {0} ∪ [LEAST, 1]: 0 off the head, rising from silhouettes and from
    depth edges (neighbors more than `jump` apart beyond what slope explains) to 1."""
    inside = np.isfinite(depth) & (mask >= SOLID)
    d = nearest_fill(depth, inside) if inside.any() else np.zeros(depth.shape, np.float32)
    bend = np.abs(cv2.Laplacian(d, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE))
    whole = np.pad(inside & (bend < jump), 1, mode="edge")  # the picture's border is no edge
    distance = cv2.distanceTransform(whole.astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    trust = LEAST + (1 - LEAST) * np.clip(distance / RIM, 0, 1)
    return np.where(inside, trust, 0).astype(np.float32)


def nearest_fill(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return values (H, W) or (H, W, C) with each place off `valid` (H, W) bool given the value of
    the nearest valid pixel. All zero where nothing is valid."""
    if not valid.any():
        return np.zeros_like(values)
    _, label = cv2.distanceTransformWithLabels((~valid).astype(np.uint8), cv2.DIST_L2, 5,
                                               labelType=cv2.DIST_LABEL_PIXEL)
    index = np.zeros(label.max() + 1, np.int64)
    index[label[valid]] = np.flatnonzero(valid)
    flat = values.reshape(valid.size, -1)[index[label].ravel()]
    return np.ascontiguousarray(flat.reshape(values.shape))


def extended(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return depth with every pixel of the mask given the nearest there is; NaN off the mask."""
    there = np.isfinite(depth)
    if not there.any():
        return np.full(depth.shape, np.nan, np.float32)
    return np.where(mask > 0, nearest_fill(np.asarray(depth, np.float32), there), np.nan)
