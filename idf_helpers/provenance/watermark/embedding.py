"""Write the mark into a picture."""

from __future__ import annotations

import numpy as np

from ...errors import IdfError
from .pattern import SHORT_SIDE, TILE, Pattern, pattern
from .payload import CODED, encode
from .reading import FLOOR, carriers, evened, flattened, luma

PSNR = 42.6  # dB that a marked picture keeps at least
SSIM_LOSS = 0.0085  # that the whole picture may lose
STRENGTH = 0.24  # of sqrt(local variance + C2 / 2), at most
SSIM_C2 = 58.5  # SSIM's constant for 0..255
FLAT, SMOOTH = 0.25, 0.9  # gray levels: flatter places stay as they are, rougher ones carry all
MOST = 6.0  # gray levels rms at one place
PILOT_POWER = 1.0
LEAST, MORE = 0.35, 3.0  # of the mean amplitude: for bits that the picture helps, or disturbs
SMALLEST = 32


def embed(rgb: np.ndarray, payload: int) -> np.ndarray:
    """Return a copy of a picture that carries a payload, imperceptibly.

    rgb: (H, W, 3) uint8. payload: 0 <= payload < 2**32, see `payload_of`. The copy is uint8; its
    PSNR is at least 42 dB, and areas of one single color stay exactly as they are. A picture with
    a side below 32 pixels is returned unchanged: there is no room. IdfError where rgb or payload
    is something else.
    """
    import cv2

    if not (isinstance(rgb, np.ndarray) and rgb.dtype == np.uint8 and rgb.ndim == 3
            and rgb.shape[2] == 3):
        raise IdfError("The watermark is for RGB pictures of 8 bits",
                       f"{getattr(rgb, 'dtype', type(rgb).__name__)} {getattr(rgb, 'shape', '')}",
                       "pass a uint8 array (height, width, 3)")
    word = encode(payload)
    h, w = rgb.shape[:2]
    if min(h, w) < SMALLEST:
        return rgb.copy()
    factor = max(1.0, min(h, w) / SHORT_SIDE)
    gray = luma(rgb)
    if factor > 1:
        size = (max(1, round(w / factor)), max(1, round(h / factor)))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    mark = _mark(gray, word, pattern())
    if factor > 1:
        mark = cv2.resize(mark, (w, h), interpolation=cv2.INTER_CUBIC)
    rms = float(np.sqrt((mark * mark).mean()))
    # rounding adds 1/12 where there is a mark
    most = np.sqrt(max(255**2 * 10 ** (-PSNR / 10) - 1 / 12, 0))
    if rms > most:
        mark *= most / rms
    return cv2.add(rgb, cv2.merge([mark] * 3), dtype=cv2.CV_8U)


def visibility(gray: np.ndarray) -> np.ndarray:
    """Return how strong a mark may be at each place, (H, W) float32 gray levels rms.

    The smallest variance in a neighborhood counts: no halo around an outline. What is flat gets 0.
    """
    import cv2

    mean = cv2.blur(gray, (7, 7), borderType=cv2.BORDER_REFLECT)
    variance = cv2.blur(gray * gray, (7, 7), borderType=cv2.BORDER_REFLECT) - mean * mean
    variance = np.maximum(variance, 0)
    least = cv2.blur(cv2.erode(variance, np.ones((7, 7), np.uint8)), (5, 5),
                     borderType=cv2.BORDER_REFLECT)
    least = np.maximum(least, 0)  # running sums may leave a little below zero
    ramp = np.clip((np.sqrt(least) - FLAT) / (SMOOTH - FLAT), 0, 1)
    allowed = np.minimum(STRENGTH * np.sqrt(least + SSIM_C2 / 2), MOST) * ramp
    # A mark of power n² where the picture has variance v: SSIM = (2v + C2) / (2v + n² + C2)
    lost = float((allowed * allowed / (2 * variance + SSIM_C2)).mean())
    return allowed * min(1.0, (SSIM_LOSS / max(lost, 1e-9)) ** 0.5)


def _mark(gray: np.ndarray, word: np.ndarray, p: Pattern) -> np.ndarray:
    allowed = visibility(gray)
    details, spread = flattened(gray)
    h, w = gray.shape
    # What the picture itself says on each carrier, and what one unit of the mark will add.
    own = _folded(details)[p.ky % TILE, p.kx]
    even, rms = evened(own, p)
    own = carriers(even, p)
    gain = float((allowed / (spread + FLOOR)).sum())
    # A tile of 2K equal carriers and unit rms has 128² / sqrt(4K) in each.
    each = gain / np.tile(rms, 2) / np.sqrt(2 * len(p.owner))
    wanted = np.empty(len(p.owner), np.float32)
    data = p.owner >= 0
    count = np.bincount(p.owner[data], minlength=CODED)
    said = np.bincount(p.owner[data], own[data], CODED) * word
    lift = np.bincount(p.owner[data], each[data], CODED)
    amplitude = _powers(said, lift, count)
    wanted[data] = (amplitude * word)[p.owner[data]]
    wanted[~data] = np.sqrt(PILOT_POWER)
    tile = p.tile(wanted * p.signs)
    tiled = np.tile(tile, (-(-h // TILE), -(-w // TILE)))[:h, :w]
    return allowed * tiled


def _powers(said: np.ndarray, lift: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return (144,) amplitudes, of unit rms over the carriers, that bring the bits near one level.

    said: what the picture says for each bit already; lift: what amplitude 1 adds to it.
    """
    low, high = float(said.min()), float(said.max() + MORE * lift.max())
    for _ in range(30):
        level = (low + high) / 2
        amplitude = np.clip((level - said) / np.maximum(lift, 1e-9), LEAST, MORE)
        if (amplitude**2 * count).sum() > count.sum():
            high = level
        else:
            low = level
    return amplitude.astype(np.float32)


def _folded(details: np.ndarray) -> np.ndarray:
    """Return the transform (128, 65) of all tiles of a picture laid over one another."""
    h, w = details.shape
    tall, wide = -(-h // TILE) * TILE, -(-w // TILE) * TILE
    padded = np.zeros((tall, wide), np.float32)
    padded[:h, :w] = details
    tile = padded.reshape(tall // TILE, TILE, wide // TILE, TILE).sum((0, 2))
    return np.fft.rfft2(tile)
