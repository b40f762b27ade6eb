"""Find the mark in a picture of unknown size and place, and say how likely that is by chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import erfc

import numpy as np

from .pattern import HIGHEST, SHORT_SIDE, TILE, Pattern, pattern
from .payload import CHECK_BITS, decode
from .reading import carriers, evened, flattened, luma

SCALES = (0.4, 1.65)  # of the size at which the mark was written
LARGEST = 768  # pixels of the shorter side: a larger picture is reduced first
SMALLEST = 64
PILOT = 5.5  # standard deviations: below it no place is tried
TRIED = 4  # scales at most
BANDS, LEAST_WEIGHT = 6, 0.1
CERTAIN = 1e-6  # probability by chance from which on nothing more is searched

Place = tuple[float, float, tuple[int, int], np.ndarray]


@dataclass(frozen=True)
class Found:
    """A mark that was read.

    payload: its 32 bits. probability: that an unmarked picture gives one, 0..1: the chance that
    noise anywhere in the search reaches this pilot, times the chance that it passes the check.
    scale: size of the picture against the one that was marked.
    """

    payload: int
    probability: float
    scale: float


def detect(rgb: np.ndarray) -> Found | None:
    """Read the watermark of a picture, or return None where there is none.

    rgb: (H, W, 3) uint8, or (H, W) gray; other shapes and types give None. The picture may have
    been compressed, cropped, and resized to 0.4 to 1.65 of its size, not turned.
    """
    return detect_frames([rgb])


def detect_frames(frames: Iterable[np.ndarray]) -> Found | None:
    """Read the watermark that all frames of one video carry, from their sum.

    frames: (H, W, 3) uint8, all of the same size; frames of other sizes are left out.
    """
    details = None
    for frame in frames:
        one = _details(frame)
        if one is not None and (details is None or details.shape == one.shape):
            details = one if details is None else details + one
    return None if details is None else _search(details)


def _details(rgb: object) -> np.ndarray | None:
    import cv2

    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or min(rgb.shape, default=0) == 0:
        return None
    if rgb.ndim == 2:
        rgb = rgb[..., None].repeat(3, 2)
    if rgb.ndim != 3 or rgb.shape[2] < 3 or min(rgb.shape[:2]) < SMALLEST:
        return None
    gray = luma(rgb)
    h, w = gray.shape
    factor = LARGEST / min(h, w)
    if factor < 1:
        gray = cv2.resize(gray, (max(1, round(w * factor)), max(1, round(h * factor))),
                          interpolation=cv2.INTER_AREA)
    return flattened(gray)[0]


def _search(details: np.ndarray) -> Found | None:
    p = pattern()
    grid = scales(max(details.shape))
    first = [1.0, 0.5, LARGEST / SHORT_SIDE]
    best: Found | None = None
    places: list[Place] = []
    for scale in [*first, *grid]:
        values, rms = evened(_coefficients(details, scale, p), p)
        z, place = _pilot(values, p)
        if z < PILOT:
            continue
        places.append((z, scale, place, values))
        if len(places) <= len(first) and scale in first:
            best = _read(places[-1:], p, len(grid))
            if best is not None and best.probability < CERTAIN:
                return best
    places.sort(key=lambda x: -x[0])
    return _read(places[:TRIED], p, len(grid)) or best


def _read(places: list[Place], p: Pattern, tried: int) -> Found | None:
    """Return what the first of some places says whose check passes.

    places: (z, scale, (row, column), values) each. tried: how many scales were searched.
    """
    for z, scale, (y, x), values in places:
        turned = values * np.exp(2j * np.pi / TILE * (p.ky * y + p.kx * x))
        read = carriers(turned, p)
        payload = decode(soft_bits(read, p))
        if payload is not None:
            chance = min(1.0, tried * TILE * TILE * 0.5 * erfc(z / np.sqrt(2)))
            return Found(payload, chance * len(places) * 2.0**-CHECK_BITS, float(scale))
    return None


def soft_bits(read: np.ndarray, p: Pattern) -> np.ndarray:
    """Return (144,) readings of the coded bits from those (2K,) of all carriers in place.

    How much of each band of frequencies is left is told by the pilot, whose bits are known.
    """
    pilot = p.owner < 0
    band = np.tile(np.minimum(BANDS * p.ring // (p.ring.max() + 1), BANDS - 1), 2)
    count = np.bincount(band[pilot], minlength=BANDS)
    left = np.bincount(band[pilot], read[pilot], BANDS) / np.maximum(count, 1)
    weight = np.maximum(left, LEAST_WEIGHT * max(left.max(), 1e-6))[band]
    return np.bincount(p.owner[~pilot], (read * weight)[~pilot])


def scales(side: int) -> np.ndarray:
    """Return the scales to try on a picture whose longer side has `side` pixels: so close that the
    finest wave of the pattern slips by less than a third of its length from center to border."""
    step = 0.7 * TILE / HIGHEST / side
    count = int(np.ceil((1 / SCALES[0] - 1 / SCALES[1]) / step)) + 1
    return 1 / np.linspace(1 / SCALES[0], 1 / SCALES[1], count)


@lru_cache(maxsize=2048)
def _waves(size: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(-2 pi i k x) for the pattern's frequencies: (2 HIGHEST + 1, size) complex64 for
    rows; (size, 2 (HIGHEST + 1)) float32, real and imaginary parts side by side, for columns."""
    # pixel centers stay in place when a picture is resized
    at = (np.arange(size) + 0.5) / scale - 0.5
    turns = np.exp(-2j * np.pi / TILE * np.outer(at, np.arange(HIGHEST + 1))).astype(np.complex64)
    rows = np.concatenate([turns[:, :0:-1].conj(), turns], 1).T
    return np.ascontiguousarray(rows), np.concatenate([turns.real, turns.imag], 1)


def _coefficients(details: np.ndarray, scale: float, p: Pattern) -> np.ndarray:
    """Return (K,) what the picture has of each of the pattern's waves, at one scale."""
    h, w = details.shape
    columns = details @ _waves(w, scale)[1]
    half = columns.shape[1] // 2
    both = _waves(h, scale)[0] @ (columns[:, :half] + 1j * columns[:, half:])
    return both[p.ky + HIGHEST, p.kx]


def _pilot(values: np.ndarray, p: Pattern) -> tuple[float, tuple[int, int]]:
    """Return by how many standard deviations the pilot stands out at its best place, and where the
    tile then begins, (row, column)."""
    k = len(p.kx)
    pilot = np.where(p.owner < 0, p.signs, 0)
    spectrum = np.zeros((TILE, TILE // 2 + 1), np.complex64)
    spectrum[p.ky % TILE, p.kx] = values * (pilot[:k] - 1j * pilot[k:])
    column = p.kx == 0
    spectrum[-p.ky[column] % TILE, 0] = spectrum[p.ky[column] % TILE, 0].conj()
    surface = np.fft.irfft2(spectrum, (TILE, TILE))
    at = int(surface.argmax())
    y, x = divmod(at, TILE)
    return float(surface[y, x] / (surface.std() + 1e-12)), (y, x)
