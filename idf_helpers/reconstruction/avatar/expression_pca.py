"""Statistics of the training expressions: their main directions, what of them shows, the face at
rest.

Trackers report much that a picture hardly shows, and noise. So once the still head is there, the
directions are those that best predict what it gets wrong: reduced-rank ridge regression of the
color errors on the expressions, its ridge by cross-validation over stretches of time, since
neighboring frames are too alike to test each other.
"""

from __future__ import annotations

import math

import numpy as np

STRETCHES = 5  # of time, held out in turn
MISSED = 0.5  # of the errors in held-out time, above which a prediction orders nothing
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the mean sum of squares of a frame


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


def visible_weights(expressions: np.ndarray, chosen: np.ndarray, poses: np.ndarray,
                    errors: np.ndarray, rank: int, allowed: float = MISSED) -> np.ndarray:
    """Return (E, rank) float32: directions of (N, E) expressions by how much of the errors they
    explain, the first again with unit variance.

    chosen: (F,) frames that were asked, in time. poses: (F, P), whose share is taken off first.
    errors: (F, M). allowed: part of the errors in stretches of time that are held out; where
    expressions miss more of them, these are the principal directions.
    """
    fallback = principal_weights(expressions, rank)
    tried = _tried(expressions, chosen, poses, errors) if rank else None
    if tried is None:
        return fallback
    x, gram, size, missed = tried
    best = int(np.argmin(missed))
    if missed[best] >= allowed:
        return fallback
    frames = len(chosen)
    centered = (expressions - expressions.mean(axis=0)).astype(np.float64)
    kernel = x @ x.T
    # Coefficients B = xᵀ C y; the singular vectors of x B are the directions, in order.
    c = np.linalg.inv(kernel + RIDGES[best] * size * np.eye(frames))
    outer = x.T @ (c @ gram @ c) @ x  # B Bᵀ
    values, vectors = np.linalg.eigh(x @ outer @ x.T)
    order = np.argsort(-values, kind="stable")[:rank]
    s = np.sqrt(np.maximum(values[order], 0))
    k = int((s > 1e-4 * s[0]).sum())
    found = outer @ x.T @ vectors[:, order[:k]] / s[:k]
    found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(k)])
    found /= max(float((centered @ found[:, 0]).std()), 1e-9)
    out = np.zeros_like(fallback)
    out[:, :k] = found
    out[np.ptp(expressions, axis=0) <= 1e-6] = 0
    return out


def explained(expressions: np.ndarray, chosen: np.ndarray, poses: np.ndarray,
              errors: np.ndarray) -> float:
    """Return the part of the errors, of 1, that expressions explain in stretches of time held out;
    arguments as for `visible_weights`. 0 where there is nothing to explain."""
    tried = _tried(expressions, chosen, poses, errors)
    return 0.0 if tried is None else max(0.0, 1 - float(tried[3].min()))


def _tried(expressions, chosen, poses, errors):
    """Return regressors (F, E) and products (F, F) of the errors, both beyond the pose; mean sum of
    squares of the former; part of the errors that each of RIDGES misses. None: nothing varies."""
    frames = len(chosen)
    if frames < 2 * STRETCHES:
        return None
    q, _ = np.linalg.qr(np.concatenate([np.ones((frames, 1)), poses], axis=1))
    beyond = np.eye(frames) - q @ q.T
    x = beyond @ (expressions - expressions.mean(axis=0)).astype(np.float64)[chosen]
    kernel, gram = x @ x.T, beyond @ (errors @ errors.T).astype(np.float64) @ beyond
    size = np.trace(kernel) / frames
    if size < 1e-9 or np.trace(gram) < 1e-9:
        return None
    stretch = np.arange(frames) * STRETCHES // frames
    missed = np.array([sum(_missed(kernel, gram, stretch == s, r * size)
                           for s in range(STRETCHES)) for r in RIDGES])
    return x, gram, size, missed / np.trace(gram)


def _missed(kernel: np.ndarray, gram: np.ndarray, held: np.ndarray, ridge: float) -> float:
    """Sum of squares of the errors in the frames `held` (F,) bool that ridge regression on the
    other frames leaves; (F, F) products of the regressors and of the errors."""
    rest = ~held
    a = kernel[np.ix_(held, rest)] @ np.linalg.inv(
        kernel[np.ix_(rest, rest)] + ridge * np.eye(rest.sum()))
    return float(np.trace(gram[np.ix_(held, held)]) - 2 * (a * gram[np.ix_(held, rest)]).sum()
                 + ((a @ gram[np.ix_(rest, rest)]) * a).sum())


def neutral_expression(expressions: np.ndarray) -> np.ndarray:
    """Return (E,) the face at rest: the expression of the smallest norm among those seen; both face
    models with weights and principal components have zero as their resting face."""
    return expressions[int(np.argmin((expressions.astype(np.float64)**2).sum(axis=1)))].copy()
