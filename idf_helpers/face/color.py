"""Color and border work that both mesh swaps share: Lab, masked blurs, matching, feathers.

All pictures here are float32. Lab is CIE L*a*b* of sRGB under D65 as OpenCV computes it: L in
[0, 100], a and b about [-100, 100]. Masks are weights in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GAIN = (0.6, 1.6)  # bounds of the contrast ratio target/source for each Lab channel
LOW_FREQUENCY = 0.85  # share of the smooth difference (light, shading) that is taken over
SIGMA = 0.12  # width of "smooth", share of the face's size
# Share of the skin's change in lightness that black takes part in: 0 keeps dark hair as dark as it
# was, 1 is a plain shift, which makes it gray.
BLACK_LIFT = 0.2


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


def match_color(source: np.ndarray, target: np.ndarray, mask: np.ndarray, size: float,
                low_frequency: float = LOW_FREQUENCY) -> np.ndarray:
    """Return the source's Lab picture in the target's colors and light.

    source, target: (H, W, 3) float32 Lab, aligned pixel by pixel. mask: (H, W) weight of the
    pixels where both show the face. size: the face's size in pixels (how smooth "light" is).
    Returns (H, W, 3) float32 Lab; the source itself where the mask is empty.

        w1 = (w - mean_w) clip(std_t / std_w, GAIN) + mean_t
        w2 = w1 + low_frequency B(t - w1),   B = masked blur, sigma = SIGMA size

    A constant added to black hair would make it gray. So below the skin's range lightness goes
    down in proportion (nearly to 0 at black) and the shift of the colors fades out with it; B
    sees only pixels that are skin on both sides, so that a beard is not taken for shade. Likewise
    lightness more than two deviations above the target's skin is squeezed into the room that is
    left below white.
    """
    stats_s, stats_t = skin_stats(source, mask), skin_stats(target, mask)
    if stats_s is None or stats_t is None:
        return source
    gain = np.clip(stats_t.std / stats_s.std, *GAIN)
    moved = (source - stats_s.mean) * gain + stats_t.mean
    knee = np.float32(stats_s.dark)
    light = np.clip(source[..., 0] / knee, 0, 1)  # 1 in the skin's range, 0 at black
    knee_moved = max(float((knee - stats_s.mean[0]) * gain[0] + stats_t.mean[0]), 0.0)
    w1 = source + light[..., None] * (moved - source)
    black = BLACK_LIFT * max(knee_moved - float(knee), 0.0)
    w1[..., 0] = np.where(light < 1, black + (knee_moved - black) * light, moved[..., 0])
    # Shine of a dark skin would burn out on a light one: squeezed above the target's own range.
    top = float(stats_t.mean[0] + 2 * stats_t.std[0])
    room = max(0.6 * (100 - top), 1.0)
    above = w1[..., 0] > top
    w1[..., 0][above] = top + room * (1 - np.exp((top - w1[..., 0][above]) / room))
    both = mask * stats_s.skinness(source) * stats_t.skinness(target)
    # B is linear, so one blur of the difference does.
    smooth = masked_blur(target - w1, both, SIGMA * size)
    return w1 + (np.float32(low_frequency) * light)[..., None] * smooth


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
