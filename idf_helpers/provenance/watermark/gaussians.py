"""The watermark of a splat model: in the colors of its Gaussians, by where they lie.

Space is cut into cells as small as Gaussians lie apart. A hash of its cell says which coded bit a
Gaussian carries, and with which sign its brightness is shifted, by less than two gray levels of
255; blended in a picture most of it averages out. Metadata is lost when another program writes the
model anew; this is not: order and number of the Gaussians, the view-dependent part of their colors,
8 bits a channel, and another axis that points up do not matter. A model that was moved, resized or
turned by other angles cannot be read, and pictures drawn from it do not carry the mark.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations, product
from math import erfc
from typing import Any

import numpy as np

from .detection import Found
from .payload import CHECK_BITS, CODED, decode, encode

SH_C0 = 0.28209479177387814  # real spherical harmonic of degree 0
SHIFT = 1.8 / 255  # of the brightness, in the 0..1 of colors
FINENESS = 40  # cells in the median distance of Gaussians from their middle, about
NEIGHBORS = 4  # cells a side of the block whose mean is what a color is held against
PILOT = 192  # of the 1024 values of the hash; the others are dealt out to the coded bits
Z = 5.0  # standard deviations of the pilot, below which nothing is read
FEWEST = 2000  # Gaussians
LUMA = np.array([0.299, 0.587, 0.114])


def bake(gaussians: Any, payload: int) -> Any:
    """Return a copy of a splat model that carries a payload in the colors of its Gaussians.

    gaussians: a dataclass with `means` (N, 3) and `sh` (N, K, 3), as
    `reconstruction.splats.gaussians.Gaussians`. payload: 0 <= payload < 2**32. A model of less than
    2000 Gaussians is returned as it is: there is no room. IdfError: another payload.
    """
    word = encode(payload)
    if len(gaussians.means) < FEWEST:
        return gaussians
    owner, sign = _carried(np.asarray(gaussians.means), _cell(gaussians.means))
    shift = sign * np.where(owner < 0, 1, word[owner]) * np.float32(SHIFT / SH_C0)
    sh = np.array(gaussians.sh, np.float32)
    sh[:, 0] += shift[:, None].astype(np.float32)
    return replace(gaussians, sh=sh)


def detect_in_gaussians(gaussians: Any) -> Found | None:
    """Read the payload that `bake` wrote into a model, or return None where there is none.

    `Found.scale` is 1. Gaussians may have been left out, reordered and stored with 8 bits a color.
    """
    means, sh = np.asarray(gaussians.means, np.float64), np.asarray(gaussians.sh, np.float64)
    if len(means) < FEWEST // 4 or not (np.isfinite(means).all() and np.isfinite(sh).all()):
        return None
    light = 0.5 + SH_C0 * (sh[:, 0] @ LUMA)
    usual = _cell(means)
    for turn in _turns():
        for cell in (usual, usual / 2, usual * 2):  # what was left out may have changed the spread
            found = _read(means @ turn.T, light, cell)
            if found is not None:
                return found
    return None


def _read(means: np.ndarray, light: np.ndarray, cell: float) -> Found | None:
    owner, sign = _carried(means, cell)
    blocks = np.unique(_hash(np.floor(means / (NEIGHBORS * cell))), return_inverse=True)[1]
    count = np.bincount(blocks)
    rest = light - (np.bincount(blocks, light) / count)[blocks]
    rest *= np.sqrt(count / np.maximum(count - 1, 1))[blocks]
    alone = count[blocks] == 1
    spread = 1.4826 * np.median(np.abs(rest[~alone])) if not alone.all() else 0.0
    if spread <= 0:
        return None
    said, pilot = np.clip(rest / spread, -2, 2) * sign, owner < 0
    z = float(said[pilot].sum() / np.sqrt((said[pilot] ** 2).sum() + 1e-12))
    payload = decode(np.bincount(owner[~pilot], said[~pilot], CODED)) if z >= Z else None
    if payload is None:
        return None
    chance = min(1.0, 3 * len(_turns()) * 0.5 * erfc(z / np.sqrt(2)))
    return Found(payload, chance * 2.0**-CHECK_BITS, 1.0)


@cache
def _turns() -> tuple[np.ndarray, ...]:
    """Return the 24 rotations that take axes to axes, the identity first."""
    out = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0:
                out.append(turn)
    return tuple(out)


def _cell(means) -> float:
    """Return the width of a cell: a power of two, the same for a slightly other spread."""
    means = np.asarray(means, np.float64)
    spread = float(np.median(np.linalg.norm(means - np.median(means, 0), axis=1)))
    return float(2.0 ** np.round(np.log2(max(spread, 1e-12) / FINENESS)))


def _carried(means: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return of each Gaussian the coded bit that it carries, -1 = the pilot, and its sign."""
    mixed = _hash(np.floor(np.asarray(means, np.float64) / cell))
    value = (mixed >> np.uint64(20) & np.uint64(1023)).astype(np.int64)
    owner = np.where(value < PILOT, -1, value % CODED)
    return owner, 1.0 - 2.0 * (mixed >> np.uint64(40) & np.uint64(1)).astype(np.float64)


def _hash(cells: np.ndarray) -> np.ndarray:
    """Return a 64-bit number of each row of three whole numbers (the finalizer of splitmix64)."""
    whole = np.clip(cells, -2.0**40, 2.0**40).astype(np.int64).astype(np.uint64)
    x = (whole * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9],
                          np.uint64)).sum(1, dtype=np.uint64)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)
