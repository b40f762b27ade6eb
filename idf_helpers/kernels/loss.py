"""The loss of 3DGS, (1 - λ)·L1 + λ·(1 - SSIM), and its gradient by the chain rule.

SSIM of Wang et al. 2004 as 3DGS uses it (arXiv 2308.04079, eq. 7): Gaussian window of 11 pixels,
σ = 1.5, zero padding, colors in [0, 1]. With B the blur, x the render and y the target:

    m = Bx  n = By  E = B(x²)  G = B(y²)  F = B(xy)
    A1 = 2mn + C1   A2 = 2(F - mn) + C2   B1 = m² + n² + C1   B2 = E - m² + G - n² + C2
    S = A1 A2 / (B1 B2)
    dS/dE = -S/B2   dS/dF = 2 A1/(B1 B2)
    dS/dm = 2n (A2 - A1)/(B1 B2) - 2m S (1/B1 - 1/B2)
    dL/dx = B(g dS/dm) + 2x B(g dS/dE) + y B(g dS/dF),  g = dL/dS = -λ/(3HW); B is symmetric
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compile import host_lanes
from .simd import lanes_tuple
from .ssim import (
    STRIP,
    columns_to_do,
    differences,
    gaussian_window,
    gradient_pass,
    lanes_for,
    similarity_pass,
)
from .threads import run_on_threads


class LossValue(NamedTuple):
    """loss and mse: floats (mse over all pixels and channels); gradient: (3, H, W) float32,
    dloss/drender, a buffer that the next call overwrites."""

    loss: float
    mse: float
    gradient: np.ndarray


class PhotometricLoss:
    """Callable for pictures of one size; owns the buffers, so one instance serves one thread."""

    def __init__(self, height: int, width: int, lambda_dssim: float = 0.2,
                 lanes: int | None = None):
        self.shape = (3, height, width)
        self.lambda_dssim = float(lambda_dssim)
        self._lanes = lanes_tuple(lanes_for(width, host_lanes() if lanes is None else lanes))
        self._window = gaussian_window()
        self._partials = np.empty((3, 3, height, width), np.float32)  # g dS/dm, dS/dE, dS/dF
        self._spans = np.empty((3, -(-height // STRIP), 2), np.int64)
        self._sums = np.zeros((3, 3, height))  # of S, |x - y|, (x - y)², by color and row
        self._gradient = np.empty(self.shape, np.float32)

    def __call__(self, render: np.ndarray, target: np.ndarray) -> LossValue:
        """render, target: (3, H, W) float32 in [0, 1]."""
        if render.shape != self.shape or target.shape != self.shape:
            raise ValueError(f"got {render.shape} and {target.shape}, expected {self.shape}")
        x = np.ascontiguousarray(render, np.float32)  # the compiled code counts on both
        y = np.ascontiguousarray(target, np.float32)
        size, lam = x.size, self.lambda_dssim
        run_on_threads(differences, x, y, self._spans)
        similar, changing = columns_to_do(self._spans, x.shape[2], len(self._lanes))
        run_on_threads(similarity_pass, self._lanes, x, y, self._window, np.float32(-lam / size),
                       similar, self._partials, self._sums)
        run_on_threads(gradient_pass, self._lanes, x, y, self._window, self._partials,
                       np.float32((1 - lam) / size), changing, self._gradient, self._sums)
        similarity, absolute, squared = self._sums.sum(axis=(1, 2)) / size
        return LossValue((1 - lam) * absolute + lam * (1 - similarity), squared, self._gradient)
