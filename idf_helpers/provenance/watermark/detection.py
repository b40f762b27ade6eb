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
PILOT = 5.5  # standard deviations: below it no place of the whole search is tried,
LIKELY = 4.8  # and none at the few likely scales
JOINS = 4.2  # standard deviations from which on a frame is heard beside a clearer one
TRIED = 4  # scales at most
BANDS, LEAST_WEIGHT = 6, 0.1
CERTAIN = 1e-6  # probability by chance from which on nothing more is searched


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


@dataclass(frozen=True)
class Place:
    """Where the pattern may lie: z, by how many standard deviations its pilot stands out there, at
    a scale; read: (2K,) what all carriers say there."""

    z: float
    scale: float
    read: np.ndarray


def detect(rgb: np.ndarray) -> Found | None:
    """Read the watermark of a picture, or return None where there is none.

    rgb: (H, W, 3) uint8, or (H, W) gray; other shapes and types give None. The picture may have
    been compressed, cropped, and resized to 0.4 to 1.65 of its size, not turned.
    """
    return detect_frames([rgb])


def detect_frames(frames: Iterable[np.ndarray]) -> Found | None:
    """Read the watermark that frames of one video carry, from what all of them say together.

    frames: (H, W, 3) uint8, all of one size; frames of other sizes are left out. Twelve of a video
    are plenty. Each frame is synchronized for itself: a codec carries the mark along with what
    moves.
    """
    p = pattern()
    seen: list[np.ndarray] = []
    for frame in frames:
        one = _details(frame)
        if one is not None and (not seen or seen[0].shape == one.shape):
            seen.append(one)
    if not seen:
        return None
    grid = scales(max(seen[0].shape))
    likely = [1.0, 0.5, LARGEST / SHORT_SIDE]
    best = _read([_place(d, s, p) for d in seen for s in likely], p,
                 len(likely) * len(seen), LIKELY)
    if best is not None and best.probability < CERTAIN:
        return best
    # The scale is one for all: it is searched in one frame, and tried in the others.
    searched = sorted((_place(seen[0], s, p) for s in grid), key=lambda x: -x.z)[:TRIED]
    more = [_place(d, place.scale, p) for place in searched for d in seen[1:]]
    return _read(searched + more, p, len(grid) * len(seen)) or best


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


def _place(details: np.ndarray, scale: float, p: Pattern) -> Place:
    values = evened(_coefficients(details, scale, p), p)[0]
    z, (y, x) = _pilot(values, p)
    turned = values * np.exp(2j * np.pi / TILE * (p.ky * y + p.kx * x))
    return Place(z, float(scale), carriers(turned, p))


def _read(places: list[Place], p: Pattern, tried: int, least: float = PILOT) -> Found | None:
    """Return what the places of one scale say together, or None where no check passes.

    tried: how many places were looked at. Scales are tried in the order of their clearest pilot.
    """
    by_scale: dict[float, list[Place]] = {}
    for place in sorted(places, key=lambda x: -x.z):
        by_scale.setdefault(place.scale, []).append(place)
    attempts = 0
    for scale, group in list(by_scale.items())[:TRIED]:
        z = group[0].z
        if z < least:
            break
        heard = [place.z * soft_bits(place.read, p) for place in group if place.z > JOINS]
        for count in sorted({1, sum(place.z >= least for place in group), len(heard)}):
            attempts += 1
            payload = decode(np.sum(heard[:count], 0))
            if payload is not None:
                chance = min(1.0, tried * TILE * TILE * 0.5 * erfc(z / np.sqrt(2)))
                return Found(payload, chance * attempts * 2.0**-CHECK_BITS, scale)
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
