"""The head's pose as numbers that color and shoulders can follow."""

from __future__ import annotations

import numpy as np

from ...data.cameras import Camera


def mean_rotation(cameras: list[Camera]) -> np.ndarray:
    """Return (3, 3) rotation nearest to the mean of the cameras' (chordal mean)."""
    u, _, vt = np.linalg.svd(np.mean([c.c2w[:3, :3] for c in cameras], axis=0))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def pose_features(camera: Camera, reference: np.ndarray, count: int) -> np.ndarray:
    """Return (count,) float32: rotation vector from the reference rotation in units of 20°, for 9
    also its squares and products; 0 numbers for 0."""
    if count == 0:
        return np.zeros(0, np.float32)
    import cv2

    r = cv2.Rodrigues(reference.T @ camera.c2w[:3, :3])[0].ravel() / np.radians(20)
    if count == 3:
        return r.astype(np.float32)
    i, j = np.triu_indices(3)
    return np.concatenate([r, r[i] * r[j]]).astype(np.float32)
