"""What stands before a face in a video, held from frame to frame so that it does not flicker.

On the flat face a thing keeps its place while the head moves. So the frames around decide with:
what only one of them shows, or misses, is a mistake.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..face.flat import SIZE
from .in_front import KINDS, Hidden

REACH = 3  # frames before and after that decide with
MOVED = 3  # flat pixels that a thing may move in a frame and still be the same
BYTES = 1 + SIZE * SIZE // 8  # of one frame: kinds as bits, then pixels as bits


def packed(hidden: Hidden | None) -> np.ndarray:
    """Return (BYTES,) uint8; None is packed as nothing."""
    out = np.zeros(BYTES, np.uint8)
    if hidden is not None and hidden.kinds:
        out[0] = sum(1 << KINDS.index(kind) for kind in hidden.kinds)
        out[1:] = np.packbits(hidden.flat)
    return out


def unpacked(values: np.ndarray) -> Hidden:
    """Return what `packed` was given, with the kinds in the order of `KINDS`."""
    kinds = tuple(kind for k, kind in enumerate(KINDS) if values[0] >> k & 1)
    return Hidden(np.unpackbits(values[1:]).reshape(SIZE, SIZE) > 0, kinds)


def held(values: np.ndarray, times: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return what is hidden in each frame, (N, BYTES) uint8, steady in time.

    values: (N, BYTES), each frame by itself. times: (N,) frame numbers that jump at cuts. seen:
    (N,) bool, frames in which there was a face to look at; the others get their neighbors'.

    A pixel is hidden where more than half of the frames within `REACH` hide it, and where this
    frame hides it and one beside it does so nearby, as a hand that moves.
    """
    out = np.zeros_like(values)
    if not values[:, 0].any():
        return out
    bits: dict[int, np.ndarray] = {}
    block = np.ones((2 * MOVED + 1,) * 2, np.uint8)
    for n in range(len(values)):
        bits.pop(n - REACH - 1, None)
        near = [k for k in range(max(0, n - REACH), min(len(values), n + REACH + 1))
                if seen[k] and abs(times[k] - times[n]) <= REACH]
        if not near or not values[near, 0].any():
            continue
        for k in near:
            if k not in bits:
                bits[k] = np.unpackbits(values[k, 1:]).reshape(SIZE, SIZE)
        votes = np.sum([bits[k] for k in near], axis=0, dtype=np.int32)
        hidden = 2 * votes > len(near)
        if seen[n]:
            beside = [bits[k] for k in near if abs(k - n) == 1]
            if beside:
                around = cv2.dilate(np.maximum.reduce(beside), block)
                hidden |= (bits[n] > 0) & (around > 0)
            else:  # a frame between two cuts decides for itself
                hidden |= bits[n] > 0
        if hidden.any():
            counts = [(values[near, 0] >> k & 1).sum() for k in range(len(KINDS))]
            most = max(counts)
            out[n, 0] = sum(1 << k for k, c in enumerate(counts) if 2 * c > len(near) or c == most)
            out[n, 1:] = np.packbits(hidden)
    return out
