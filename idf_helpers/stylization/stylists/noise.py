"""Noise in space, for veins, patina and the grain of paper: the same place has the same value in
every view."""

from __future__ import annotations

import math

import numpy as np

from ...kernels.compile import inner, kernel


def noise(places: np.ndarray, frequency: float, octaves: int = 4, seed: int = 0) -> np.ndarray:
    """Return (N,) float32 about in [-1, 1] at (N, 3) places: value noise on a lattice of
    1 / frequency, each further octave twice as fine and half as strong."""
    out = np.empty(len(places), np.float32)
    _octaves(np.ascontiguousarray(places, np.float32), frequency, octaves, seed, out)
    return out


@inner
def _hash(i, j, k, seed):
    n = np.uint32(i * 73856093) ^ np.uint32(j * 19349663) ^ np.uint32(k * 83492791) \
        ^ np.uint32(seed * 374761393)
    n = np.uint32((n ^ (n >> np.uint32(13))) * np.uint32(1274126177))
    n = np.uint32((n ^ (n >> np.uint32(15))) * np.uint32(2246822519))
    return np.float64(n ^ (n >> np.uint32(16))) / 2147483647.5 - 1.0


@inner
def _lattice(x, y, z, seed):
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    a, b, c = x - i, y - j, z - k
    a = a * a * a * (a * (6 * a - 15) + 10)
    b = b * b * b * (b * (6 * b - 15) + 10)
    c = c * c * c * (c * (6 * c - 15) + 10)
    i, j, k = int(i), int(j), int(k)
    total = 0.0
    for di in range(2):
        for dj in range(2):
            for dk in range(2):
                total += (a if di else 1 - a) * (b if dj else 1 - b) * (c if dk else 1 - c) \
                    * _hash(i + di, j + dj, k + dk, seed)
    return total


@kernel
def _octaves(places, frequency, octaves, seed, out):
    for n in range(len(places)):
        f, strength, total = frequency, 1.0, 0.0
        for o in range(octaves):
            total += strength * _lattice(places[n, 0] * f, places[n, 1] * f, places[n, 2] * f,
                                         seed + o)
            f, strength = 2.03 * f, 0.5 * strength
        out[n] = total
