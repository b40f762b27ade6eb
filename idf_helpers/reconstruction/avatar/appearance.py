"""Brightness and tint of each training frame, kept apart from everything else.

A camera that sets its exposure by itself changes the whole picture. Each frame has a gain and an
offset by channel for that, six numbers that act on the whole frame: they can follow the light, and
cannot draw a mouth. In the end they are left out (gain 1, offset 0), so their mean is held there.
"""

from __future__ import annotations

import numpy as np

RATE = 2e-3  # per step and visit of the frame
DECAY = 0.02  # part that goes back to none at each visit
LIMIT = 0.2


class Appearance:
    """table: (N, 6) float32, gain - 1 and offset of each frame."""

    def __init__(self, count: int):
        self.table = np.zeros((count, 6), np.float32)

    def of(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return gain and offset of frame i, (3,) float32 each."""
        return 1 + self.table[i, :3], self.table[i, 3:].copy()

    def step(self, i: int, gradient: np.ndarray, factor: float) -> None:
        """Move frame i against a (6,) gradient dL/d(gain, offset), by at most RATE."""
        size = np.abs(gradient).max()
        if not np.isfinite(size):
            return  # the step itself rolls back
        # the loss is a mean over pixels: its slope by the offset is about 1 where all are off
        move = RATE * np.clip(gradient / 0.3, -1, 1)
        self.table[i] = np.clip((1 - DECAY) * self.table[i] - factor * move, -LIMIT, LIMIT)
