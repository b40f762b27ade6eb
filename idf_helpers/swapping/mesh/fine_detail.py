"""Detail of a swapped face as fine, as strong and as grainy as the target's.

A source is sharper than a target that is out of focus, or coarser than a target that it is enlarged
onto. Either would look pasted in.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face.color import blur, masked_blur
from .aligned import Aligned

# Widths of blurs are shares of the face's size.
GRAINS = ((0.0, 0.006), (0.006, 0.012), (0.012, 0.024))  # bands of grain
GRAIN_GAIN, GRAIN_SHARE = (0.3, 1.6), 0.8
NOISE, NOISE_SHARE, NOISE_LIMIT = 0.02, 0.9, 2.5  # chroma noise of the target, in its deviations
DETAIL = 0.03  # detail whose strength is compared as a whole
CONTRAST_FINE, DETAIL_GAIN = (0.85, 1.15), (0.5, 1.8)  # ratios to the target's left; bounds
FINE, FINE_SHARE = 0.5, 0.8  # in source pixels: detail that the source can't have
ENLARGED = 1.2  # from here on it has too little
SHARP, SOFTEST = (0.008, 0.03), 0.02  # bands that sharpness is the ratio of; widest blur for it


def fine(pair: Aligned, skin) -> np.ndarray | float:
    """(h, w) lightness that the source is too coarse for, the target's own."""
    if pair.enlarged <= ENLARGED:
        return 0.0
    L = pair.target[..., 0]
    return FINE_SHARE * (L - masked_blur(L, pair.weight, FINE * pair.enlarged)) * pair.trust


def eyes(pair: Aligned, face) -> np.ndarray:
    """Return the face with what is finer than an enlarged source in its eyes from the target's."""
    share = 0.7 * min(1.0, (pair.enlarged - 1.6) / 1.2)
    if share <= 0:
        return face
    at = share * blur(pair.eyes, 0.008 * pair.size)[..., None]
    sigma = max(1.0, 0.68 * pair.enlarged)
    fine = pair.target[..., 0] - cv2.GaussianBlur(pair.target[..., 0], (0, 0), sigma)
    smooth = cv2.GaussianBlur(face, (0, 0), sigma)
    smooth[..., 0] += fine
    return face + at * (smooth - face)


def as_soft(pair: Aligned, face) -> np.ndarray:
    """Return the face no sharper than the target, which may be out of focus, enlarged, compressed.

    Brows, eyes and lips tell, since every face has them: sharpness is the strength of their finest
    detail over that of the next band, which contrast does not change."""
    k = max(1, round(0.02 * pair.size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    at = np.maximum(np.maximum(pair.brows, pair.lips), pair.eyes)
    at = cv2.dilate((at > 0.3).astype(np.uint8), disc) * (pair.weight > 0.3)
    sure = at > 0
    if sure.sum() < 64:
        return face
    rows, columns = (np.flatnonzero(sure.any(axis)) for axis in (1, 0))
    rim = round(2 * SHARP[1] * pair.size)  # as far as blurs reach
    part = tuple(slice(max(0, x[0] - rim), x[-1] + rim) for x in (rows, columns))
    own, sure = face[..., 0][part], sure[part]
    wanted = _sharpness(pair.target[..., 0][part], pair.size, sure)
    if _sharpness(own, pair.size, sure) <= wanted:
        return face
    least, most = 0.0, SOFTEST * pair.size
    for _ in range(5):
        sigma = 0.5 * (least + most)
        softer = _sharpness(cv2.GaussianBlur(own, (0, 0), sigma), pair.size, sure) < wanted
        least, most = (least, sigma) if softer else (sigma, most)
    return cv2.GaussianBlur(face, (0, 0), 0.5 * (least + most))


def _sharpness(L, size: float, where) -> float:
    fine, wide = (cv2.GaussianBlur(L, (0, 0), s * size) for s in SHARP)
    return _strength((L - fine)[where]) / _strength((fine - wide)[where])


def grain(pair: Aligned, L, skin) -> np.ndarray:
    """(h, w) lightness that brings each band of the skin's grain to the target's strength."""
    sure = skin > 0.6
    out = np.zeros_like(L)
    if sure.sum() < 64:
        return out
    fields = []
    for values in (L, pair.target[..., 0]):
        levels = [values] + [masked_blur(values, pair.weight, s * pair.size) for _, s in GRAINS]
        fields.append([levels[k] - levels[k + 1] for k in range(len(GRAINS))])
    for mine, own in zip(*fields, strict=True):
        ratio = _deviation(own[sure]) / _deviation(mine[sure])
        out += (np.clip(ratio, *GRAIN_GAIN) - 1) * mine
    return GRAIN_SHARE * out * blur(skin, 0.01 * pair.size)


def chroma_noise(pair: Aligned, skin) -> np.ndarray:
    """(h, w, 2) the target's own chroma noise, within NOISE_LIMIT deviations."""
    ab = pair.target[..., 1:]
    fine = ab - masked_blur(ab, pair.weight, max(NOISE * pair.size, 1.0))
    sure = skin > 0.5
    if sure.sum() < 64:
        return np.zeros_like(ab)
    most = NOISE_LIMIT * np.array([_deviation(fine[..., k][sure]) for k in (0, 1)], np.float32)
    return NOISE_SHARE * np.clip(fine, -most, most) * blur(skin, 0.01 * pair.size)[..., None]


def of_equal_contrast(pair: Aligned, face, beardless) -> np.ndarray:
    """Return the face with its detail (without eyes, brows, mouth and beard) about as strong as
    the target's: lightness within CONTRAST_FINE of it, chroma at most as strong."""
    bare = (1 - pair.brows) * (1 - pair.eyes) * (1 - pair.lips) * beardless
    sure = (pair.weight > 0.3) & (bare > 0.5)
    if sure.sum() < 64:
        return face
    own, mine = (x - masked_blur(x, pair.weight > 0.02, DETAIL * pair.size)
                 for x in (pair.target, face))
    soft = blur(bare.astype(np.float32), 0.01 * pair.size)
    least, most = CONTRAST_FINE
    wanted, change = _strength(own[..., 0][sure]), 1.0
    for _ in range(3):  # near eyes and brows less of the change arrives
        now = _strength((mine[..., 0] * (1 + soft * (change - 1)))[sure]) / wanted
        change = float(np.clip(change * np.clip(now, least, most) / now, *DETAIL_GAIN))
    face = face.copy()
    face[..., 0] += soft * mine[..., 0] * np.float32(change - 1)
    # Chroma of brows and lips counts: one that the target's lacks would be a stain.
    colored = (pair.weight > 0.3) & (pair.eyes < 0.5)
    own, mine = own[..., 1:], mine[..., 1:]
    color = min(1.0, 1.05 * _strength(own[colored]) / _strength(mine[colored]))
    face[..., 1:] += (1 - pair.eyes)[..., None] * mine * np.float32(color - 1)
    return face


def _strength(values) -> float:
    return float(np.sqrt((values**2).sum(-1).mean() if values.ndim > 1 else (values**2).mean())
                 ) + 1e-3


def _deviation(values) -> float:
    return 1.48 * float(np.median(np.abs(values))) + 1e-3
