"""How the detector, and the embedder that has to please it, look at a picture."""

from __future__ import annotations

import numpy as np

from .pattern import Pattern

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WINDOW, FLOOR, CLIP = 9, 1.5, 2.5  # pixels; gray levels; local standard deviations
STRONGEST = 3.0  # what one coefficient may say, in rms of its ring: a grid of windows has few


def luma(rgb: np.ndarray) -> np.ndarray:
    """Return the (H, W) float32 brightness of a uint8 picture, 0..255."""
    import cv2

    return cv2.transform(np.ascontiguousarray(rgb[..., :3]).astype(np.float32), LUMA[None])


def flattened(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the details of a picture brought to one local strength, and that strength (H, W).

    Edges and texture then disturb a correlation no more than smooth skin does.
    """
    import cv2

    size = (WINDOW, WINDOW)
    detail = gray - cv2.blur(gray, size, borderType=cv2.BORDER_REFLECT)
    # running sums may leave a little below zero
    power = cv2.blur(detail * detail, size, borderType=cv2.BORDER_REFLECT)
    spread = np.sqrt(np.maximum(power, 0))
    return np.clip(detail / (spread + FLOOR), -CLIP, CLIP), spread


def evened(values: np.ndarray, pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (..., K) with each ring at unit rms, large ones cut, and the rms."""
    rings = pattern.ring.max() + 1
    weight = np.zeros((len(pattern.ring), rings), np.float32)
    weight[np.arange(len(pattern.ring)), pattern.ring] = 1
    count = weight.sum(0)
    power = (values.real**2 + values.imag**2) @ weight
    rms = np.sqrt(power / np.maximum(count, 1) / 2)[..., pattern.ring] + 1e-12
    out = values / rms
    size = np.abs(out)
    return out * (STRONGEST / np.maximum(size, STRONGEST)), rms


def carriers(values: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Return complex coefficients (..., K) as (..., 2K) readings with the key's signs taken off."""
    return np.concatenate([values.real, values.imag], -1) * pattern.signs
