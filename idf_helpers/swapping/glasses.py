"""Glasses taken off a source photo: their rims are filled with the skin around them.

Leaving out of a photo all that glasses touch would leave out the eyes, which say most about who it
is. Lenses are clear: only rims are thin and darker or lighter than what lies around them, and skin
on both sides says what is under them.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..face import topology
from ..face.color import fill_rings
from ..face.landmarks import FaceLandmarks

# Shares of the face's size: how thick a rim can be, how far around what was found it goes on, and
# from how far away it is filled.
THICK, AROUND, FROM = 0.05, 0.02, 0.02
# Around both lenses: brows, temples, upper cheeks, the nose down to its middle.
_ABOUT = np.concatenate([topology.LEFT_BROW, topology.RIGHT_BROW,
                         np.array([127, 356, 234, 454, 123, 352, 50, 280, 205, 425, 195])])
UNLIKE = 9.0  # levels of lightness by which a rim differs from what is around it


def without_glasses(image: np.ndarray, face: FaceLandmarks, found: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo without the rims of glasses, and what of `found` is still hidden.

    image: (H, W, 3) uint8; face: landmarks in its pixels; found: (H, W) float32 in [0, 1], glasses
    (`in_front`). Eyes and lids are never filled: a rim before them stays hidden, as do thick parts
    and glare. Returns (H, W, 3) uint8 and (H, W) float32.
    """
    size = face.size
    grown = cv2.dilate((found > 0.3).astype(np.uint8), _disc(AROUND * size)) > 0
    L = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)[..., 0]
    kernel = _disc(0.5 * THICK * size)
    dark = cv2.morphologyEx(L, cv2.MORPH_BLACKHAT, kernel)
    light = cv2.morphologyEx(L, cv2.MORPH_TOPHAT, kernel)
    eyes = fill_rings([face.xy[r] for r in (topology.LEFT_EYE, topology.RIGHT_EYE)],
                      *found.shape) > 0.05
    eyes = cv2.dilate(eyes.astype(np.uint8), _disc(0.012 * size)) > 0
    brows = fill_rings([face.xy[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW)],
                       *found.shape) > 0.2
    # Where there are glasses, more of their rims may be about than was found.
    about = np.zeros(found.shape, np.uint8)
    cv2.fillConvexPoly(about, cv2.convexHull(np.round(face.xy[_ABOUT]).astype(np.int32)), 1)
    about = (about > 0) & ~cv2.dilate(brows.astype(np.uint8), _disc(0.01 * size)).astype(bool)
    unlike = np.maximum(dark, light)
    rim = ((grown & (unlike > UNLIKE * 2.55)) | (about & (dark > 1.5 * UNLIKE * 2.55))) & ~eyes
    rim = cv2.morphologyEx(rim.astype(np.uint8), cv2.MORPH_CLOSE, _disc(0.01 * size))
    rim = (cv2.dilate(rim, _disc(0.008 * size)) > 0) & ~eyes
    filled = cv2.inpaint(image, rim.astype(np.uint8), max(2.0, FROM * size), cv2.INPAINT_TELEA)
    # What is neither filled nor like the skin by now (a thick side piece, glare) is hidden still.
    lab = cv2.cvtColor(filled, cv2.COLOR_RGB2Lab).astype(np.float32)
    cheeks = fill_rings([face.xy[r] for r in topology.SKIN_PATCHES], *found.shape) > 0.5
    if not cheeks.any():
        return image, found
    away = np.abs(lab - np.median(lab[cheeks & ~grown] if (cheeks & ~grown).any()
                                  else lab[cheeks], axis=0))
    unlike = ((away[..., 0] > 90) | (away[..., 1:].max(-1) > 25)) & ~eyes & ~brows
    left = found * cv2.dilate((unlike & (found > 0.3)).astype(np.float32), _disc(0.008 * size))
    return filled, left.astype(np.float32)


def _disc(radius: float) -> np.ndarray:
    k = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
