"""The loss of 3DGS, (1 - λ)·L1 + λ·(1 - SSIM), and its gradient by the chain rule.

SSIM of Wang et al. 2004 as 3DGS uses it (arXiv 2308.04079, eq. 7): Gaussian window of 11 pixels,
σ = 1.5, zero padding, colours in [0, 1]. With B the blur, x the render and y the target:

    m = Bx  n = By  E = B(x²)  G = B(y²)  F = B(xy)
    A1 = 2mn + C1   A2 = 2(F - mn) + C2   B1 = m² + n² + C1   B2 = E - m² + G - n² + C2
    S = A1 A2 / (B1 B2)
    dS/dE = -S/B2   dS/dF = 2 A1/(B1 B2)
    dS/dm = 2n (A2 - A1)/(B1 B2) - 2m S (1/B1 - 1/B2)
    dL/dx = B(g dS/dm) + 2x B(g dS/dE) + y B(g dS/dF),  g = dL/dS = -λ/(3HW); B is symmetric
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .jit import kernel, next_item, run_on_threads

WINDOW, SIGMA = 11, 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)


def gaussian_window() -> np.ndarray:
    """(11,) float32, sums to 1."""
    t = np.arange(WINDOW) - WINDOW // 2
    k = np.exp(-t**2 / (2 * SIGMA**2))
    return (k / k.sum()).astype(np.float32)


class LossValue(NamedTuple):
    """loss and mse: floats (mse over all pixels and channels); gradient: (3, H, W) float32,
    dloss/drender, a buffer that the next call overwrites."""

    loss: float
    mse: float
    gradient: np.ndarray


class PhotometricLoss:
    """Callable for pictures of one size; owns the buffers, so one instance serves one thread."""

    def __init__(self, height: int, width: int, lambda_dssim: float = 0.2):
        self.shape = (3, height, width)
        self.lambda_dssim = float(lambda_dssim)
        self._window = gaussian_window()
        self._moments = np.empty((15, height, width), np.float32)  # x, x², xy, y, y²
        self._blurred = np.empty_like(self._moments)
        self._partials = np.empty((9, height, width), np.float32)  # g dS/dm, dS/dE, dS/dF
        self._back = np.empty_like(self._partials)
        self._sums = np.zeros((3, height))  # of S, |x - y|, (x - y)², by row
        self._gradient = np.empty(self.shape, np.float32)

    def __call__(self, render: np.ndarray, target: np.ndarray) -> LossValue:
        """render, target: (3, H, W) float32 in [0, 1], contiguous."""
        if render.shape != self.shape or target.shape != self.shape:
            raise ValueError(f"got {render.shape} and {target.shape}, expected {self.shape}")
        size = render.size
        lam = self.lambda_dssim
        run_on_threads(_fill_moments, render, target, self._moments)
        run_on_threads(_blur_planes, self._moments, self._blurred, self._window)
        run_on_threads(_ssim_partials, self._blurred, np.float32(-lam / size), self._partials,
                       self._sums)
        run_on_threads(_blur_planes, self._partials, self._back, self._window)
        run_on_threads(_gradient, render, target, self._back, np.float32((1 - lam) / size),
                       self._gradient, self._sums)
        similarity, absolute, squared = self._sums.sum(axis=1) / size
        return LossValue((1 - lam) * absolute + lam * (1 - similarity), squared, self._gradient)


def _blur_planes(source, out, window, counter):
    """Each plane by a call of its own: OpenCV keeps to one thread, the planes share ours."""
    plane = _take(counter)
    while plane < len(source):
        cv2.sepFilter2D(source[plane], cv2.CV_32F, window, window, dst=out[plane],
                        borderType=cv2.BORDER_CONSTANT)
        plane = _take(counter)


@kernel
def _take(counter):
    return next_item(counter)


@kernel
def _fill_moments(x, y, out, counter):
    _, height, width = x.shape
    row = next_item(counter)
    while row < height:
        for c in range(3):
            for j in range(width):
                a, b = x[c, row, j], y[c, row, j]
                out[c, row, j] = a
                out[3 + c, row, j] = a * a
                out[6 + c, row, j] = a * b
                out[9 + c, row, j] = b
                out[12 + c, row, j] = b * b
        row = next_item(counter)


@kernel
def _ssim_partials(blurred, g, out, sums, counter):
    _, height, width = blurred.shape
    one, two = np.float32(1), np.float32(2)
    row = next_item(counter)
    while row < height:
        total = 0.0
        for c in range(3):
            for j in range(width):
                m, n = blurred[c, row, j], blurred[9 + c, row, j]
                a1 = two * m * n + C1
                a2 = two * (blurred[6 + c, row, j] - m * n) + C2
                b1 = m * m + n * n + C1
                b2 = blurred[3 + c, row, j] - m * m + blurred[12 + c, row, j] - n * n + C2
                r1, r2 = one / b1, one / b2
                s = a1 * a2 * r1 * r2
                total += s
                out[c, row, j] = g * two * (n * (a2 - a1) * r1 * r2 - m * s * (r1 - r2))
                out[3 + c, row, j] = -g * s * r2
                out[6 + c, row, j] = g * two * a1 * r1 * r2
        sums[0, row] = total
        row = next_item(counter)


@kernel
def _gradient(x, y, back, weight, out, sums, counter):
    _, height, width = x.shape
    two = np.float32(2)
    row = next_item(counter)
    while row < height:
        absolute = 0.0
        squared = 0.0
        for c in range(3):
            for j in range(width):
                a, b = x[c, row, j], y[c, row, j]
                d = a - b
                absolute += abs(d)
                squared += d * d
                out[c, row, j] = (weight * np.sign(d) + back[c, row, j]
                                  + two * a * back[3 + c, row, j] + b * back[6 + c, row, j])
        sums[1, row] = absolute
        sums[2, row] = squared
        row = next_item(counter)
