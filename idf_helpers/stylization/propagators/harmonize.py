"""Key views brought to one color: a gain and an offset for each key and channel.

A stylist that draws each key anew gets the bronze a little redder here, a little darker there.
Where two keys see the same surface they should agree; gains and offsets are the least-squares
answer to that over all pairs. Gains come from the ratio of the standard deviations (a joint fit of
gain and offset to the colors themselves has an answer with all gains 0), held at 1 on average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..reproject import Key, reproject
from ..stylist import View

TRUSTED = 0.35  # cosine to the surface from which on both keys see it well enough to compare
FEWEST = 200  # pixels of an overlap that counts
HOLD = 0.02  # weight of "leave it as it is", against 1 for all overlaps together
GAINS = (0.5, 2.0)  # limits


def color_corrections(views: Sequence[View], keys: Sequence[Key], pictures: Sequence[np.ndarray],
                       tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return gains and offsets, both (K, 3) float64, so that gain·picture + offset agree where the
    keys meet.

    views, keys, pictures: the key views, ready to sample, and styled (H, W, 3) in [0, 1].
    1 and 0 for a key that meets no other. tolerance: as in `reproject`.
    """
    count = len(keys)
    log_gain, offset = np.zeros((count, 3)), np.zeros((count, 3))
    pairs = []
    for i in range(count):
        for j in range(count):
            if i != j:
                pairs += _overlap(i, j, views[i], keys[i], keys[j], pictures[i], tolerance)
    if not pairs:
        return np.ones((count, 3)), offset
    total = sum(n for _, _, n, _, _ in pairs)
    weights = [np.sqrt(n / total) for _, _, n, _, _ in pairs]
    # log g_i - log g_j = log s_j - log s_i
    for c in range(3):
        log_gain[:, c] = _solve(count, pairs, weights, [
            np.log(max(other[1][c], 1e-3) / max(mine[1][c], 1e-3))
            for _, _, _, mine, other in pairs])
    gain = np.clip(np.exp(log_gain - log_gain.mean(0)), *GAINS)
    # g_i m_i + b_i = g_j m_j + b_j
    for c in range(3):
        offset[:, c] = _solve(count, pairs, weights, [
            gain[j, c] * other[0][c] - gain[i, c] * mine[0][c] for i, j, _, mine, other in pairs])
    return gain, offset - offset.mean(0)


def _overlap(i, j, view, key, other, picture, tolerance):
    """Return [(i, j, pixels, (mean, deviation) of i, the same of j)] where both see the surface."""
    warped = reproject(view, [other], tolerance)
    both = (warped.cosine > TRUSTED) & (key.cosine > TRUSTED) & (key.trust > 0.5)
    n = int(both.sum())
    if n < FEWEST:
        return []
    a, b = picture[both].astype(np.float64), warped.rgb[both].astype(np.float64)
    return [(i, j, n, (a.mean(0), a.std(0)), (b.mean(0), b.std(0)))]


def _solve(count, pairs, weights, differences):
    """Return x (count,) with x_i - x_j near the difference of each pair (i, j), held near 0."""
    A = np.zeros((len(pairs), count))
    for row, (i, j, *_), w in zip(A, pairs, weights, strict=True):
        row[i], row[j] = w, -w
    A = np.concatenate([A, np.sqrt(HOLD / count) * np.eye(count)])
    b = [w * d for w, d in zip(weights, differences, strict=True)]
    return np.linalg.lstsq(A, np.concatenate([b, np.zeros(count)]), rcond=None)[0]
