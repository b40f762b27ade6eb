"""Gaussians in Morton order: neighbors in space become neighbors in the file, which packs them."""

from __future__ import annotations

import numpy as np

BITS = 10  # per axis


def morton_order(means: np.ndarray) -> np.ndarray:
    """Return the indices that sort (N, 3) positions along a Z-order curve.

    The curve is laid over the ranks of the coordinates, not over the coordinates themselves, so
    that a few far outliers do not squeeze all others into one cell.
    """
    code = np.zeros(len(means), np.uint32)
    for axis in range(3):
        edges = np.quantile(means[:: max(1, len(means) // 65536), axis],
                            np.linspace(0, 1, 2**BITS + 1)[1:-1])
        cell = np.searchsorted(edges, means[:, axis]).astype(np.uint32)
        for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
            cell = (cell | cell << np.uint32(shift)) & np.uint32(mask)
        code |= cell << np.uint32(axis)
    return np.argsort(code, kind="stable")
