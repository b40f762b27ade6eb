"""The result of a swap for one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STATUSES = ("swapped", "no_face", "low_confidence", "extreme_pose")


@dataclass(frozen=True, eq=False)
class SwapResult:
    """One frame after the swap.

    image: (H, W, 3 or 4) uint8; where `status` is not "swapped" it equals the input, and alpha
        always does.
    mask: (H, W) float32 in [0, 1], how much of each pixel is the source; 0 = the input's pixel.
    status: one of STATUSES. reason: why it was not swapped, "" where it was (or which of several
        faces was not). sources: numbers of the source faces that were put in.
    """

    image: np.ndarray
    mask: np.ndarray
    status: str
    reason: str = ""
    sources: tuple[int, ...] = (0,)

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is not one of {STATUSES}")

    @classmethod
    def unchanged(cls, image: np.ndarray, status: str, reason: str) -> SwapResult:
        """Return the input itself, with the reason why."""
        return cls(image, np.zeros(image.shape[:2], np.float32), status, reason, ())
