"""Color and border work that both mesh swaps share: Lab, masked blurs, matching, feathers.

All pictures here are float32. Lab is CIE L*a*b* of sRGB under D65 as OpenCV computes it: L in
[0, 100], a and b about [-100, 100]. Masks are weights in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8, or float in [0, 1], sRGB -> float32 Lab."""
    scale = 255.0 if rgb.dtype == np.uint8 else 1.0
    return cv2.cvtColor(np.ascontiguousarray(rgb, np.float32) / np.float32(scale),
                        cv2.COLOR_RGB2Lab)


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) float32 Lab -> float32 sRGB in [0, 1] (colors outside sRGB are clipped)."""
    return np.clip(cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return gaussian blur of (H, W) or (H, W, C) float32, sigma in pixels; zeros outside the
    picture.

    Wide blurs run on a smaller copy (cells averaged, enlarged linearly): at sigma >= 4 cells the
    difference is far below a gray level, and the cost falls with the square of the cell.
    """
    values = np.ascontiguousarray(values, np.float32)
    if sigma <= 0.2:
        return values
    h, w = values.shape[:2]
    cell = int(min(sigma // 4, min(h, w) // 8))
    if cell >= 2:
        # One more cell on each side, so that the enlarging has something to run toward.
        rows, columns = -(-h // cell) + 2, -(-w // cell) + 2
        grown = cv2.copyMakeBorder(values, cell, (rows - 1) * cell - h, cell,
                                   (columns - 1) * cell - w, cv2.BORDER_CONSTANT,
                                   value=(0, 0, 0, 0))
        small = cv2.resize(grown, (columns, rows), interpolation=cv2.INTER_AREA)
        small = _gauss(small, sigma / cell)
        out = cv2.resize(small, (columns * cell, rows * cell), interpolation=cv2.INTER_LINEAR)
        return out[cell:cell + h, cell:cell + w]
    return _gauss(values, sigma)


def _gauss(values, sigma):
    size = 2 * int(np.ceil(3 * sigma)) + 1
    return cv2.GaussianBlur(values, (size, size), sigma, borderType=cv2.BORDER_CONSTANT)


def masked_blur(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Return blur of `values` that sees only what `mask` (H, W) shows: G(v m) / (G(m) + 1e-4)."""
    m = mask.astype(np.float32)
    v = values * (m[..., None] if values.ndim == 3 else m)
    weight = blur(m, sigma) + 1e-4
    return blur(v, sigma) / (weight[..., None] if values.ndim == 3 else weight)


@dataclass(frozen=True, eq=False)
class SkinStats:
    """Color of the skin under a mask, from medians, so that beard, brows and lips do not count
    as long as most of the mask is skin. mean, std: (3,) float32 Lab."""

    mean: np.ndarray
    std: np.ndarray

    @property
    def dark(self) -> float:
        """Lightness below which a pixel is hair or shadow rather than skin."""
        return float(max(self.mean[0] - 2.0 * self.std[0], 0.4 * self.mean[0], 1.0))

    def skinness(self, lab: np.ndarray) -> np.ndarray:
        """Return (H, W) float32: 1 at skin, falling to 0 where 3 standard deviations darker."""
        top = self.dark
        return smoothstep((lab[..., 0] - 0.6 * top) / (0.4 * top))


def skin_stats(lab: np.ndarray, mask: np.ndarray, most: int = 5_000) -> SkinStats | None:
    """Return median and robust spread (1.48 MAD, floored at 1.5 L and 0.7 a, b) of Lab where the
    weight `mask` (H, W) is above 1/2; of at most about `most` pixels. None where the mask is empty.
    """
    step = max(1, int(np.sqrt(np.count_nonzero(mask > 0.5) / most)))
    pixels = lab[::step, ::step][mask[::step, ::step] > 0.5]
    if len(pixels) == 0:
        return None
    mean = np.median(pixels, axis=0)
    std = np.maximum(1.48 * np.median(np.abs(pixels - mean), axis=0), (1.5, 0.7, 0.7))
    return SkinStats(mean.astype(np.float32), std.astype(np.float32))


def skin_field(lab, skin, sigma: float) -> np.ndarray:
    """Return (H, W, C) smooth color of the skin, carried on under brows, beard and holes.

    A masked blur of width `sigma` (pixels) that falls back, where it sees little skin, on one four
    times as wide, and that on the mean.
    """
    mean = np.average(lab.reshape(-1, lab.shape[-1]), axis=0, weights=skin.reshape(-1))
    field = np.broadcast_to(mean.astype(np.float32), lab.shape)
    for s in (4 * sigma, sigma):
        m = masked_blur(skin, np.ones_like(skin), s)[..., None]
        trust = m / (m + 0.03)
        field = trust * masked_blur(lab, skin, s) * (1 + 1e-4 / (m + 1e-4)) + (1 - trust) * field
    return field.astype(np.float32)


def disc(radius: float) -> np.ndarray:
    """Return the kernel that widens an area by `radius` pixels, at least one."""
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Return 3x^2 - 2x^3 of x clipped to [0, 1]."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def feather(inside: np.ndarray, width: float) -> np.ndarray:
    """Return (H, W) bool -> float32 weight: 0 outside, rising to 1 at `width` pixels from the
    border.

    The picture's own edge is no border: a face that is cut off there stays solid up to it.
    """
    if width <= 0:
        return inside.astype(np.float32)
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    return smoothstep(distance / np.float32(width)).astype(np.float32)


def fill_rings(rings, height: int, width: int, origin=(0, 0)) -> np.ndarray:
    """Return (height, width) float32 in [0, 1], 1 inside the closed polygons.

    rings: list of (N, 2) pixels (centers at +0.5); origin: (x, y) of the window's first pixel.
    """
    out = np.zeros((height, width), np.float32)
    fine = 4  # fillPoly also paints the pixels that its outline touches: on a grid 4x as fine
    for ring in rings:
        ring = np.asarray(ring, np.float64) - origin
        low = np.clip(np.floor(ring.min(0)).astype(int) - 1, 0, (width, height))
        high = np.clip(np.ceil(ring.max(0)).astype(int) + 1, 0, (width, height))
        w, h = high - low
        if min(w, h) <= 0:
            continue
        part = np.zeros((h * fine, w * fine), np.uint8)
        points = np.round(((ring - low) * fine - 0.5) * 16).astype(np.int32)  # 4 fractional bits
        cv2.fillPoly(part, [points], 255, shift=4)
        part = cv2.resize(part, (int(w), int(h)), interpolation=cv2.INTER_AREA)
        window = out[low[1]:high[1], low[0]:high[0]]
        np.maximum(window, part / np.float32(255), out=window)
    return out
