"""Two faces, pixel by pixel: what the compositor is given."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two faces, pixel by pixel.

    source, target: (h, w, 3) float32 Lab. weight: (h, w) float32 in [0, 1], how far the source
    shows the place and may be drawn. brows, lips, eyes: (h, w) float32 in [0, 1]; the inner mouth
    counts as eyes. trust: (h, w) float32 in [0, 1], of the source's middle band. enlarged: target
    pixels per source pixel. size: of the face, pixels. side: (h, w, 3) float32 Lab, half the
    difference of the target and its mirror image, and paired: (h, w) float32 in [0, 1], where
    that is known; None where it is not. rim: (h, w) float32, how far from the face's lower rim,
    over the distance to which a beard thins (`beard.from_rim`); None = it does not.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    brows: np.ndarray
    lips: np.ndarray
    eyes: np.ndarray
    trust: np.ndarray
    enlarged: float
    size: float
    side: np.ndarray | None = None
    paired: np.ndarray | None = None
    rim: np.ndarray | None = None

    @property
    def skin(self) -> np.ndarray:
        """(h, w) float32 in [0, 1]: skin of both, well away from brows, lips and eyes."""
        k = max(1, round(0.02 * self.size))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
        near = cv2.dilate(np.maximum((self.brows > 0.3).astype(np.float32), self.eyes), disc)
        return (self.weight * (1 - near) * (1 - self.lips)).astype(np.float32)
