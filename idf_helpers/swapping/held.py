"""What stands before a face in a video, held from frame to frame so that it does not flicker.

On the flat face a thing keeps its place while the head moves. So the frames around decide with:
what a few of them are sure of counts in all in which it may be there, and what only one of them
shows, or misses, is a mistake.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..face.flat import SIZE
from .occluders import KINDS, Hidden

REACH = 3  # frames before and after that decide where a thing ends
LONG = 15  # frames before and after that decide whether it is there
ENOUGH = 0.25  # share of those that must be sure of it
AT_ONCE = 3  # or so many in a row, with this frame among them: a hand that passes
MOVED = 3  # flat pixels that a thing may move in a frame and still be the same
_BITS = SIZE * SIZE // 8
BYTES = 1 + 2 * _BITS  # of one frame: kinds, then pixels that are, and that may be, hidden; as bits


def packed(hidden: Hidden | None) -> np.ndarray:
    """Return (BYTES,) uint8; None is packed as nothing."""
    out = np.zeros(BYTES, np.uint8)
    if hidden is not None:
        maybe = hidden.flat if hidden.maybe is None else hidden.maybe
        out[0] = sum(1 << KINDS.index(kind) for kind in hidden.kinds)
        out[1:1 + _BITS], out[1 + _BITS:] = np.packbits(hidden.flat), np.packbits(maybe)
    return out


def unpacked(values: np.ndarray) -> Hidden:
    """Return what `packed` was given, with the kinds in the order of `KINDS`."""
    kinds = tuple(kind for k, kind in enumerate(KINDS) if values[0] >> k & 1)
    flat, maybe = (np.unpackbits(part).reshape(SIZE, SIZE) > 0
                   for part in (values[1:1 + _BITS], values[1 + _BITS:]))
    return Hidden(flat, kinds, maybe)


def held(values: np.ndarray, times: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return what is hidden in each frame, (N, BYTES) uint8, steady in time.

    values: (N, BYTES), each frame by itself. times: (N,) frame numbers that jump at cuts. seen:
    (N,) bool, frames in which there was a face to look at; the others get their neighbors'.

    First the parts of each frame that may be hidden are kept where enough of the frames within
    `LONG`, or the next ones to it, are sure of one of their pixels. Then a pixel is hidden where
    more than half of the frames within `REACH` hide it, and where this frame hides it and one
    beside it does so nearby.
    """
    out = np.zeros_like(values)
    if not values[:, 0].any():
        return out
    frames = range(len(values))
    kept: dict[int, np.ndarray] = {}
    for n in frames:
        kept.pop(n - REACH - 1, None)
        long = _within(n, LONG, times, seen)
        if not values[long, 0].any():
            continue
        for k in _within(n, REACH, times, seen):
            if k not in kept:
                kept[k] = _agreed(k, values, times, seen)
        near = [kept[k] for k in _within(n, REACH, times, seen)]
        if not near:
            continue
        hidden = 2 * np.sum(near, axis=0, dtype=np.int32) > len(near)
        beside = [kept[k] for k in _within(n, 1, times, seen) if k != n]
        if seen[n] and beside:
            around = cv2.dilate(np.maximum.reduce(beside).astype(np.uint8),
                                np.ones((2 * MOVED + 1,) * 2, np.uint8))
            hidden |= kept[n] & (around > 0)
        elif seen[n]:  # a frame between two cuts decides for itself
            hidden |= kept[n]
        if hidden.any():
            counts = [(values[long, 0] >> k & 1).sum() for k in range(len(KINDS))]
            out[n, 0] = sum(1 << k for k, c in enumerate(counts)
                            if c and (c >= ENOUGH * len(long) or c == max(counts)))
            out[n, 1:1 + _BITS] = out[n, 1 + _BITS:] = np.packbits(hidden)
    return out


def _within(n: int, reach: int, times, seen) -> list[int]:
    """Frames around one, without a cut between, in which a face was seen."""
    return [k for k in range(max(0, n - reach), min(len(times), n + reach + 1))
            if seen[k] and abs(times[k] - times[n]) <= reach]


def _agreed(n: int, values, times, seen) -> np.ndarray:
    """(SIZE, SIZE) bool: the parts of what may be hidden in a frame that others are sure of."""
    def sure(frames):
        bits = np.unpackbits(values[frames, 1:1 + _BITS], axis=1)
        return bits.sum(0, dtype=np.int32).reshape(SIZE, SIZE)

    maybe = np.unpackbits(values[n, 1 + _BITS:]).reshape(SIZE, SIZE)
    long = _within(n, LONG, times, seen)
    enough = sure(long) >= max(ENOUGH * len(long), min(2, len(long)))
    own = np.unpackbits(values[n, 1:1 + _BITS]).reshape(SIZE, SIZE) > 0
    if own.any():
        block = np.ones((2 * MOVED + 1,) * 2, np.uint8)
        row = [k for k in _within(n, AT_ONCE - 1, times, seen)]
        moved = [cv2.dilate(np.unpackbits(values[k, 1:1 + _BITS]).reshape(SIZE, SIZE), block)
                 for k in row]
        enough |= own & (np.sum(moved, axis=0) >= min(AT_ONCE, len(row)))
    _, labels = cv2.connectedComponents(maybe, connectivity=8)
    keep = np.zeros(labels.max() + 1, bool)
    keep[labels[enough & (maybe > 0)]] = True
    keep[0] = False
    return keep[labels]
