"""The pattern: which frequencies of a 128-pixel tile carry the pilot, and which carry each bit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .payload import CODED, encode

TILE = 128  # pixels after which the pattern repeats, at scale 1
SHORT_SIDE = 512  # pixels: in a picture whose shorter side is longer, the pattern grows with it
LOWEST, HIGHEST = 5, 21  # turns a tile: lower ones are seen, higher ones fall to JPEG and resizing
PILOT_SHARE = 0.25  # of the carriers
KEY = 20261130  # public: everybody may read the mark, and nobody is stopped from forging one


@dataclass(frozen=True)
class Pattern:
    """Carriers of one key, in a fixed order of the half plane of frequencies.

    ky, kx: (K,) int turns a tile. ring: (K,) int, which of the rings of similar frequency. A
    carrier is one part, real or imaginary, of one coefficient: 2K of them, real parts first.
    signs: (2K,) +-1. owner: (2K,) int, the coded bit that the carrier belongs to, -1 = pilot.
    """

    ky: np.ndarray
    kx: np.ndarray
    ring: np.ndarray
    signs: np.ndarray
    owner: np.ndarray

    def tile(self, weights: np.ndarray) -> np.ndarray:
        """Return the (128, 128) float32 tile of carriers (2K,), of unit root mean square."""
        k = len(self.kx)
        spectrum = np.zeros((TILE, TILE // 2 + 1), np.complex64)
        values = weights[:k] + 1j * weights[k:]
        spectrum[self.ky % TILE, self.kx] = values
        column = self.kx == 0  # half of this column is the mirror image of the other half
        spectrum[-self.ky[column] % TILE, 0] = values[column].conj()
        tile = np.fft.irfft2(spectrum, (TILE, TILE)).astype(np.float32)
        return tile / max(float(np.sqrt((tile * tile).mean())), 1e-12)


@cache
def pattern() -> Pattern:
    """Return the one pattern of this program."""
    ky, kx = np.mgrid[-HIGHEST:HIGHEST + 1, 0:HIGHEST + 1].reshape(2, -1)
    radius = np.hypot(ky, kx)
    keep = (radius >= LOWEST) & (radius <= HIGHEST) & ((kx > 0) | (ky > 0))
    order = np.argsort(radius[keep], kind="stable")
    ky, kx, radius = ky[keep][order], kx[keep][order], radius[keep][order]
    random = np.random.Generator(np.random.PCG64(KEY))
    # Neighbors in radius are dealt out in turn, so that each bit has high and low frequencies.
    both = np.argsort(np.concatenate([radius, radius]) + random.uniform(-0.5, 0.5, 2 * len(kx)))
    owner = np.empty(2 * len(kx), np.int64)
    pilot = random.random(len(owner)) < PILOT_SHARE
    places = both[~pilot[both]]
    hands = np.concatenate([random.permutation(CODED) for _ in range(len(places) // CODED + 1)])
    owner[places] = hands[:len(places)]
    owner[pilot] = -1
    signs = random.choice(np.array([-1, 1], np.float32), len(owner))
    return Pattern(ky, kx, np.round(radius / 2).astype(np.int64), signs, owner)


def carriers_text(payload: int) -> str:
    """Return the carriers of a payload as digits, for a page that draws the pattern by itself.

    3 (re + 1) + im + 1 of each frequency, in rows of -21 … 21 turns down, columns of 0 … 21 across.
    """
    p = pattern()
    weights = np.where(p.owner < 0, 1, encode(payload)[p.owner]) * p.signs
    grid = np.zeros((2 * HIGHEST + 1, HIGHEST + 1, 2), np.int64)
    grid[p.ky + HIGHEST, p.kx] = weights.reshape(2, -1).T
    return "".join(str(3 * (re + 1) + im + 1) for re, im in grid.reshape(-1, 2).tolist())
