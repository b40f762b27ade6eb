"""Adam and total variation over the rows that a batch of rays has touched, no others."""

from __future__ import annotations

import numpy as np

from ...kernels.adam import BETA1, BETA2
from ...kernels.compile import kernel
from ...kernels.threads import first_item, next_item, run_on_threads
from .vertex_simd import adam, smooth

PART = 1024  # rows that a thread takes at a time


def add_variation(wide, grid, gradients, touched, density: float, color: float,
                  limit: float) -> None:
    """Add the slope of `sum over neighbors of Huber(row - neighbor)` to the touched rows.

    density, color: weights of the raw density and the color. limit: the difference from which
    on the pull toward a neighbor no longer grows (total variation instead of its square).
    """
    run_on_threads(_variation, wide, gradients, grid.params, touched, grid.slots, grid.vertices,
                   np.float32(density), np.float32(color), np.float32(limit))


def adam_step(wide, grid, first, second, gradients, touched, density: float, color: float,
              step: int) -> None:
    """Move the touched rows of `grid.params`; clears their gradients and `touched`.

    density, color: learning rates. step: 1, 2, …, for the bias correction of all rows alike.
    """
    speed = 1 / (1 - BETA1**step)
    run_on_threads(_adam, wide, grid.params, first, second, gradients, touched,
                   np.float32(density * speed), np.float32(color * speed),
                   np.float32(1 / (1 - BETA2**step)))


@kernel
def _variation(wide, gradients, params, touched, slots, vertices, density, color, limit, counter):
    flat = slots.reshape(-1)
    steps = (1, slots.shape[2], slots.shape[1] * slots.shape[2])
    part = first_item(counter)
    while part * PART < len(touched):
        for row in range(part * PART, min((part + 1) * PART, len(touched))):
            if touched[row]:
                for step in steps:
                    for sign in (-1, 1):
                        other = flat[vertices[row] + sign * step]
                        if other >= 0:
                            smooth(wide, gradients, params, row, other, density, color, limit)
        part = next_item(counter)


@kernel
def _adam(wide, params, first, second, gradients, touched, density, color, correction, counter):
    part = first_item(counter)
    while part * PART < len(touched):
        for row in range(part * PART, min((part + 1) * PART, len(touched))):
            if touched[row]:
                adam(wide, params, first, second, gradients, row, density, color, correction)
                touched[row] = 0
        part = next_item(counter)
