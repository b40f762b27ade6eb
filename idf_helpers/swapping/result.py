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
    guessed: share of the face in this frame that the photos do not show: taken from its other
        side, or left the target's; None where that is not known.
    in_front: what stands before the face and was left as it is, of `occluders.KINDS`.
    """

    image: np.ndarray
    mask: np.ndarray
    status: str
    reason: str = ""
    sources: tuple[int, ...] = (0,)
    guessed: float | None = None
    in_front: tuple[str, ...] = ()

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is not one of {STATUSES}")

    @property
    def guess(self) -> dict:
        """The entry `guessed` of a report's row, where it is known."""
        return {} if self.guessed is None else {"guessed": round(self.guessed, 3)}

    @classmethod
    def unchanged(cls, image: np.ndarray, status: str, reason: str) -> SwapResult:
        """Return the input itself, with the reason why."""
        return cls(image, np.zeros(image.shape[:2], np.float32), status, reason, ())
