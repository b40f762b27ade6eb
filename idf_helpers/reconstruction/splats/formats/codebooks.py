"""Codebooks: 256 numbers that stand for all, and a few thousand rows that stand for all rows."""

from __future__ import annotations

import numpy as np

SAMPLE = 1 << 17  # values or rows that a codebook is learned from
ROUNDS = 12
BRANCH = 64  # rows of a book are found in two steps: the nearest of so many, then below that one


def numbers(values: np.ndarray, size: int = 256, seed: int = 0) -> np.ndarray:
    """Return (size,) sorted float32 that stand for `values` with a small squared error.

    Lloyd's iteration in one dimension, begun half at quantiles and half evenly: quantiles alone
    starve the tails.
    """
    flat = np.asarray(values, np.float32).reshape(-1)
    if len(flat) > SAMPLE:
        ends = flat.min(), flat.max()
        flat = np.concatenate([np.random.default_rng(seed).choice(flat, SAMPLE), ends])
    flat = np.sort(flat)
    sums = np.concatenate([[0], np.cumsum(flat, dtype=np.float64)])
    half = size // 2
    book = np.sort(np.concatenate([np.quantile(flat, np.linspace(0, 1, half)),
                                   np.linspace(flat[0], flat[-1], size - half)]))
    for _ in range(ROUNDS):
        cuts = np.searchsorted(flat, (book[1:] + book[:-1]) / 2)
        low, high = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(flat)]])
        counts = high - low
        book = np.where(counts > 0, (sums[high] - sums[low]) / np.maximum(counts, 1), book)
    return np.sort(book).astype(np.float32)


def nearest_numbers(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """Return uint8 indices into a sorted book of at most 256 numbers, in the shape of `values`."""
    return np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def rows(data: np.ndarray, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (size', D) rows that stand for all of (N, D), and (N,) uint16 which one for each.

    A tree of two levels of k-means, so that a row is compared with about 2 sqrt(size) others. The
    second level gets more rows where there is more to tell apart.
    """
    rng = np.random.default_rng(seed)
    n = len(data)
    first = min(BRANCH, size, n)
    sample = data[rng.choice(n, min(n, SAMPLE), replace=False)]
    trunk = _means(sample, first, rng)
    branch = _nearest(data, trunk)
    order = np.argsort(branch, kind="stable")
    starts = np.searchsorted(branch[order], np.arange(first + 1))
    spread = np.array([_error(data[order[a:b]]) for a, b in zip(starts, starts[1:], strict=False)])
    shares = _shares(spread, np.diff(starts), size)
    book, labels = [], np.zeros(n, np.uint16)
    done = 0
    for a, b, share in zip(starts, starts[1:], shares, strict=False):
        if not share:
            continue
        mine = order[a:b]
        part = data[mine]
        few = part if len(part) <= 24 * share else part[rng.choice(len(part), 24 * share, False)]
        leaves = _means(few, share, rng)
        labels[mine] = done + _nearest(part, leaves)
        book.append(leaves)
        done += len(leaves)
    return np.concatenate(book), labels


def _shares(spread: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """Return how many of `size` rows each branch gets: at least 1, at most as many as it has."""
    shares = np.where(counts > 0, 1, 0)
    weight = spread / max(spread.sum(), 1e-30)
    extra = np.floor(weight * (size - shares.sum())).astype(np.int64)
    return np.minimum(shares + extra, counts)


def _error(part: np.ndarray) -> float:
    return float(((part - part.mean(axis=0)) ** 2).sum()) if len(part) else 0.0


def _means(data: np.ndarray, count: int, rng) -> np.ndarray:
    """Return at most `count` centers by k-means; those that nothing is near to are left out."""
    if len(data) <= count:
        return data.copy()
    centers = data[rng.choice(len(data), count, replace=False)]
    for _ in range(6):
        labels = _nearest(data, centers)
        order = np.argsort(labels, kind="stable")
        used, starts = np.unique(labels[order], return_index=True)
        totals = np.add.reduceat(data[order], starts, axis=0)
        counts = np.diff(np.append(starts, len(data)))
        centers = totals / counts[:, None].astype(np.float32)
    return centers


def _nearest(data: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return (N,) index of the nearest center, squared distance, in blocks of 16 MB."""
    squares = (centers**2).sum(axis=1) / 2
    step = max(1, (4 << 20) // len(centers))
    out = np.empty(len(data), np.intp)
    for i in range(0, len(data), step):
        out[i:i + step] = (squares - data[i:i + step] @ centers.T).argmin(axis=1)
    return out
