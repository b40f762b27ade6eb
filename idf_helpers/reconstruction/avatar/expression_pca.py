"""Statistics of the training expressions: their main directions, the face at rest."""

from __future__ import annotations

import math

import numpy as np


def principal_weights(expressions: np.ndarray, rank: int) -> np.ndarray:
    """Return (E, rank) float32: principal directions of (N, E) expressions, scaled so that the
    first weight has unit variance. Values that never change get no weight; a rank above that of the
    expressions leaves zeros."""
    centered = expressions - expressions.mean(axis=0)
    out = np.zeros((expressions.shape[1], rank), np.float64)
    if rank and len(expressions) > 1:
        _, s, vt = np.linalg.svd(centered, full_matrices=False)
        k = min(rank, int((s > 1e-6 * max(s[0], 1e-12)).sum()))
        sign = np.sign(vt[np.arange(k), np.abs(vt[:k]).argmax(axis=1)])  # the same on every machine
        out[:, :k] = (sign[:, None] * vt[:k]).T / max(s[0] / math.sqrt(len(expressions)), 1e-9)
    out[np.ptp(expressions, axis=0) <= 1e-6] = 0
    return out.astype(np.float32)


def neutral_expression(expressions: np.ndarray) -> np.ndarray:
    """Return (E,) the face at rest: the expression of the smallest norm among those seen; both face
    models with weights and principal components have zero as their resting face."""
    return expressions[int(np.argmin((expressions.astype(np.float64)**2).sum(axis=1)))].copy()
