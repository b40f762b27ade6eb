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
from pathlib import Path
from typing import Any

import numpy as np

from ...data.points import read_points
from ...runtime.files import readable
from ..hidden_splats import ROW, hidden_rows
from .detection import Found
from .payload import CHECK_BITS, CODED, decode, encode

SH_C0 = 0.28209479177387814  # real spherical harmonic of degree 0
SHIFT = 1.8 / 255  # of the brightness, in the 0..1 of colors
FINENESS = 0.25  # cells in the median distance from the middle, over the root of how many there are
ENOUGH = 60_000  # Gaussians that are read of a large model
NEIGHBORS = 4  # cells a side of the block whose mean is what a color is held against
PILOT = 192  # of the 1024 values of the hash; the others are dealt out to the coded bits
Z = 5.0  # standard deviations of the pilot, below which nothing is read
FEWEST = 2000  # Gaussians
BLOCK = 1 << 18  # Gaussians that are hashed at a time, for the memory
LUMA = np.array([0.299, 0.587, 0.114])


def bake(gaussians: Any, payload: int) -> Any:
    """Return a copy of a splat model that carries a payload in the colors of its Gaussians.

    gaussians: a dataclass with `means` (N, 3) and `sh` (N, K, 3), as
    `reconstruction.splats.gaussians.Gaussians`. payload: 0 <= payload < 2**32. A model of less than
    2000 Gaussians is returned as it is: there is no room.
    An earlier mark is replaced. IdfError: another payload.
    """
    word = encode(payload)
    if len(gaussians.means) < FEWEST:
        return gaussians
    means, sh = np.asarray(gaussians.means, np.float64), np.array(gaussians.sh, np.float32)
    before = _read(means, _light(sh), _cell(means))
    if before is not None:  # trained on from a marked model, or marked twice: one takes its place
        sh[:, 0] -= _shift(means, encode(before.payload))
    sh[:, 0] += _shift(means, word)
    return replace(gaussians, sh=sh)


def moved_along(before: Any, after: Any) -> Any:
    """Return `after`, the Gaussians of `before` at other places, with the mark that `before` has.

    Both as for `bake`, in the same order. Without a mark `after` is returned as it is; else its
    colors are changed in place, where they are not those of `before`.
    """
    old, new = (np.asarray(g.means, np.float64) for g in (before, after))
    found = _read(old, _light(before.sh), _cell(old)) if len(old) >= FEWEST else None
    if found is None:
        return after
    word, sh = encode(found.payload), np.asarray(after.sh, np.float32)
    sh = sh.copy() if np.shares_memory(sh, before.sh) else sh
    sh[:, 0] += _shift(new, word) - _shift(old, word)
    return replace(after, sh=sh)


def _shift(means: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Return (N, 1) float32, what a code word adds to the constant harmonic of each Gaussian."""
    owner, sign = _carried(means, _cell(means))
    return (SHIFT / SH_C0 * sign * np.where(owner < 0, 1, word[owner]))[:, None].astype(np.float32)


def detect_in_gaussians(gaussians: Any) -> Found | None:
    """Read the payload that `bake` wrote into a model, or return None where there is none.

    `Found.scale` is 1. Gaussians may have been left out, reordered and stored with 8 bits a color.
    """
    return _found(np.asarray(gaussians.means, np.float64), _light(gaussians.sh))


def detect_in_model(path: str | Path) -> Found | None:
    """Read the payload out of a `.ply` or `.splat` file, as `detect_in_gaussians`.

    None for other files. IdfError where the file is damaged.
    """
    path = Path(path)
    if path.suffix.lower() == ".ply":
        points = read_points(path)
        return _found(points[:, :3].astype(np.float64), points[:, 3:] @ LUMA)
    if path.suffix.lower() == ".splat":
        with readable(path, "splat file"):
            rows = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        table = rows[:len(rows) // ROW.itemsize * ROW.itemsize].view(ROW)
        table = table[:len(table) - hidden_rows(table)]
        return _found(table["mean"].astype(np.float64), table["rgba"][:, :3] / 255 @ LUMA)
    return None


def _found(means: np.ndarray, light: np.ndarray) -> Found | None:
    if len(means) < FEWEST // 4 or not (np.isfinite(means).all() and np.isfinite(light).all()):
        return None
    usual = _cell(means)
    tries = []
    for cell in (usual, usual / 2, usual * 2):  # what was left out may have changed the spread
        part = np.ones(len(means), bool)
        if len(means) > ENOUGH:  # whole blocks, so that colors keep their neighbors
            share = np.uint64(len(means) // ENOUGH + 1)
            part = _hash(means, NEIGHBORS * cell) % share == 0
            part[np.flatnonzero(part)[4 * ENOUGH:]] = False  # all may lie at one place
        tries.append((cell, means[part], light[part]))
    for turn in _turns():
        for cell, places, colors in tries:
            found = _read(places @ turn.T, colors, cell)
            if found is not None:
                return found
    return None


def _light(sh: np.ndarray) -> np.ndarray:
    return 0.5 + SH_C0 * (np.asarray(sh[:, 0], np.float64) @ LUMA)


def _read(means: np.ndarray, light: np.ndarray, cell: float) -> Found | None:
    owner, sign = _carried(means, cell)
    blocks = np.unique(_hash(means, NEIGHBORS * cell), return_inverse=True)[1]
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
    return float(2.0 ** np.round(np.log2(max(spread, 1e-12) / (FINENESS * len(means) ** 0.5))))


def _carried(means: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return of each Gaussian the coded bit that it carries, -1 = the pilot, and its sign."""
    mixed = _hash(means, cell)
    value = (mixed >> np.uint64(20) & np.uint64(1023)).astype(np.int64)
    owner = np.where(value < PILOT, -1, value % CODED)
    return owner, 1.0 - 2.0 * (mixed >> np.uint64(40) & np.uint64(1)).astype(np.float64)


def _hash(means: np.ndarray, cell: float) -> np.ndarray:
    """Return a 64-bit number of the cell that each row lies in (the finalizer of splitmix64)."""
    out = np.empty(len(means), np.uint64)
    for i in range(0, len(means), BLOCK):
        cells = np.floor(np.asarray(means[i:i + BLOCK], np.float64) / cell)
        whole = np.clip(cells, -2.0**40, 2.0**40).astype(np.int64).astype(np.uint64)
        x = (whole * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9],
                              np.uint64)).sum(1, dtype=np.uint64)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        out[i:i + BLOCK] = x ^ x >> np.uint64(31)
    return out
