"""Gaussians in Morton order: neighbors in space become neighbors in the file, which packs them."""

from __future__ import annotations

import numpy as np

BITS = 10  # per axis
BULK = 0.9  # part of the Gaussians that lie within the first shell; the next ones are twice as wide


def morton_order(means: np.ndarray) -> np.ndarray:
    """Return the indices that sort (N, 3) positions along a Z-order curve.

    The curve is laid over the ranks of the coordinates, not over the coordinates themselves, so
    that a few far outliers do not squeeze all others into one cell. What lies far outside the bulk
    comes last, the farther the later: packers that store 256 neighbors by their bounds lose the
    places of all of them where one is far away.
    """
    code = np.zeros(len(means), np.uint64)
    some = means[:: max(1, len(means) // 65536)]
    for axis in range(3):
        edges = np.quantile(some[:, axis], np.linspace(0, 1, 2**BITS + 1)[1:-1])
        cell = np.searchsorted(edges, means[:, axis]).astype(np.uint32)
        for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
            cell = (cell | cell << np.uint32(shift)) & np.uint32(mask)
        code |= cell.astype(np.uint64) << np.uint64(axis)
    middle = np.median(some, axis=0)
    bulk = max(float(np.quantile(np.abs(some - middle).max(axis=1), BULK)), 1e-30)
    off = np.maximum(np.abs(means - middle).max(axis=1), bulk)
    code |= np.ceil(np.log2(off / bulk)).astype(np.uint64) << np.uint64(3 * BITS)
    return np.argsort(code, kind="stable")
