"""GHOST's blending mask: the hull of 106 landmarks, with brows raised, eroded and blurred.

The geometry is that of ai-forever/ghost (ea23cce), utils/inference/masks.py; upstream's landmark
network (2d106det, mxnet) is replaced by points of our own mesh at the same places.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face import topology
from .ghost_align import CROP

Params = tuple[int, int, int]

# Of the 106 points: lid and brow above it, from the picture's left to the right.
_LIDS = np.array([35, 41, 40, 42, 39, 89, 95, 94, 96, 93])
_BROWS = np.array([43, 48, 49, 51, 50, 102, 103, 104, 105, 101])


def mask_params(landmarks: np.ndarray, target: np.ndarray) -> Params:
    """Return (erosion, sigma x, sigma y), pixels, by how much narrower the new face is than the
    target's.

    landmarks, target: (106, 2) pixels of the crop. Negative erosion dilates.
    """
    left = (landmarks[[1, 2, 13], 0] - target[[1, 2, 13], 0]).sum()
    right = (target[[17, 18, 29], 0] - landmarks[[17, 18, 29], 0]).sum()
    offset = max(left, right)
    if offset > 6:
        return 15, 15, 10
    if offset > 3:
        return 10, 10, 8
    if offset < -3:
        return -5, 5, 10
    return 5, 5, 5


def raise_brows(landmarks: np.ndarray, factor: float) -> np.ndarray:
    """Return (106, 2) int32: brow points moved away from the lids by factor / 2 of their distance.
    """
    points = np.asarray(landmarks).astype(np.int32)  # toward zero, as everything after it
    moved = points[_BROWS] + factor * 0.5 * (points[_BROWS] - points[_LIDS])
    points[_BROWS] = moved.astype(np.int32)
    return points


def face_mask(landmarks: np.ndarray, target: np.ndarray | None, params: Params | None = None,
              size: int = CROP) -> tuple[np.ndarray, Params]:
    """Return (size, size) float64 in [0, 1], and the parameters it was made with.

    landmarks: (106, 2) of the new face, pixels of the crop. target: of the face that was there;
    not needed where `params` are given (a track keeps those of its first frame).
    """
    params = mask_params(landmarks, target) if params is None else tuple(params)
    erosion, sigma_x, sigma_y = params
    points = raise_brows(landmarks, {15: 2.7, -5: 0.5}.get(erosion, 2.0))
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 255)
    kernel = np.ones((abs(erosion), abs(erosion)), np.uint8)
    mask = cv2.erode(mask, kernel) if erosion > 0 else cv2.dilate(mask, kernel)
    rim = 2 * sigma_y
    mask[:rim], mask[-rim:], mask[:, :rim], mask[:, -rim:] = 0, 0, 0, 0
    return cv2.GaussianBlur(mask, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y) / 255, params


# --- the 106 points from our 468 ------------------------------------------------------------------

# The jaw of either side, from before the ear to the chin: numbers among the 106, and the mesh
# points along the same line.
_JAWS = (([1, *range(9, 17), *range(2, 9), 0],
          [127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152]),
         ([17, *range(25, 33), *range(18, 25), 0],
          [356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152]))
# All others by their neighbors in the mesh; only brows and lids decide on the hull.
_INNER = {
    35: 33, 41: 160, 40: 159, 42: 158, 39: 133, 37: 153, 33: 145, 36: 144, 34: 159, 38: 145,
    89: 362, 95: 385, 94: 386, 96: 387, 93: 263, 91: 373, 87: 374, 90: 380, 88: 386, 92: 374,
    43: 70, 48: 63, 49: 105, 51: 66, 50: 107, 44: 46, 45: 53, 47: 52, 46: 65,
    102: 336, 103: 296, 104: 334, 105: 293, 101: 300, 97: 285, 98: 295, 99: 282, 100: 283,
    72: 168, 73: 197, 74: 5, 86: 4, 75: 193, 76: 236, 77: 129, 78: 98, 79: 97, 80: 2, 81: 417,
    82: 456, 83: 358, 84: 327, 85: 326,
    52: 61, 64: 40, 63: 37, 71: 0, 67: 267, 68: 270, 61: 291, 58: 405, 59: 314, 53: 17, 56: 84,
    55: 181, 65: 78, 66: 81, 62: 13, 70: 311, 69: 308, 57: 402, 60: 14, 54: 178,
}


def points_106(points: np.ndarray) -> np.ndarray:
    """Return (106, 2) float64 in the order of 2d106det from (468, >= 2) mesh points, same
    coordinates."""
    p = np.asarray(points, np.float64)[:topology.POINTS, :2]
    out = np.zeros((106, 2))
    for numbers, path in _JAWS:
        line = p[path]
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        at = np.linspace(0, along[-1], len(numbers))
        out[numbers] = np.stack([np.interp(at, along, line[:, k]) for k in (0, 1)], axis=1)
    out[list(_INNER)] = p[list(_INNER.values())]
    return out
