"""GHOST's alignment and its smoothing in time.

The crop is upright and 224 pixels a side, by the nearest of five poses: insightface 0.2.1,
utils/face_align.py, `estimate_norm(..., mode='None')`. Smoothing: ai-forever/ghost (ea23cce),
utils/inference/video_processing.py, `smooth_landmarks`. OpenCV's coordinates, as in `align`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .align import similarity

CROP = 224

# Eye, eye, nose tip, mouth corners in a crop of 112: left profile, left, frontal, right, right
# profile.
POSES = np.array([
    [[51.642, 50.115], [57.617, 49.990], [35.740, 69.007], [51.157, 89.050], [57.025, 89.702]],
    [[45.031, 50.118], [65.568, 50.872], [39.677, 68.111], [45.177, 86.190], [64.246, 86.758]],
    [[39.730, 51.138], [72.270, 51.138], [56.000, 68.493], [42.463, 87.010], [69.537, 87.010]],
    [[46.845, 50.872], [67.382, 50.118], [72.737, 68.111], [48.167, 86.758], [67.236, 86.190]],
    [[54.796, 49.990], [60.771, 50.115], [76.673, 69.007], [55.388, 89.702], [61.257, 89.050]],
], np.float32)


def pose_matrix(five: np.ndarray, size: int = CROP) -> tuple[np.ndarray, int]:
    """Return (2, 3) picture -> crop, and which pose: that whose similarity leaves the least sum of
    distances sum_k |M (p_k, 1) - t_k|. five: (5, 2). size: 112 or 224."""
    five = np.asarray(five, np.float64)
    best, chosen, least = None, 0, np.inf
    for i, pose in enumerate(POSES * (size // 112)):
        M = similarity(five, pose)
        error = np.linalg.norm(five @ M[:, :2].T + M[:, 2] - pose, axis=1).sum()
        if error < least:
            best, chosen, least = M, i, error
    if best is None:  # five times the same point
        return np.full((2, 3), np.nan), 0
    return best, chosen


def ghost_crop(rgb: np.ndarray, M: np.ndarray, size: int = CROP) -> np.ndarray:
    """Return (size, size, 3) uint8, black beyond the picture."""
    return cv2.warpAffine(rgb, M, (size, size), borderValue=0.0)


def smooth_points(points: Sequence[np.ndarray | None], n: int = 2, cut: float = 5.0
                  ) -> list[np.ndarray | None]:
    """Return five points of consecutive frames, averaged over up to n frames to each side.

    points: (5, 2) each, None where there is no face. A track ends where the face is lost or where
    the left eye or the nose moves by more than `cut` pixels; toward its ends the window shrinks,
    so that it stays centered.
    """
    out: list[np.ndarray | None] = []
    for track in tracks(points, cut):
        for i, place in enumerate(track):
            if points[place] is None:
                out.append(None)
                continue
            q = min(i, len(track) - i - 1, n)
            out.append(np.mean([points[k] for k in track[i - q:i + q + 1]], axis=0))
    return out


def tracks(points: Sequence[np.ndarray | None], cut: float = 5.0) -> list[list[int]]:
    """Return numbers of the frames, parted where `smooth_points` does; a frame without a face is a
    track by itself."""
    out: list[list[int]] = []
    for i, p in enumerate(points):
        before = points[i - 1] if i else None
        if p is None or before is None or any(
                np.linalg.norm(np.asarray(p[k]) - before[k]) > cut for k in (0, 2)):
            out.append([i])
        else:
            out[-1].append(i)
    return out
