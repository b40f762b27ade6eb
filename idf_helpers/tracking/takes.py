"""Where a video is cut, or jumps closer, and the longest take between.

A cut changes the whole picture at once, far more than a head that talks does; a jump of the zoom,
or a cut to the same room, shows in the face, whose place or size is another from one frame to the
next and stays so.
"""

from __future__ import annotations

import numpy as np

# Gray levels, times what is usual about it, times that of the next to it: a cut. Who leaves the
# picture changes it in several frames.
CHANGE = (14.0, 4.0, 2.0)
NEARBY = 8  # frames on either side that tell what is usual
SIZE, PLACE = 0.13, 0.45  # logarithm of the face's size, and its place over its size: a jump
STAYS = 3  # frames before and after that agree among themselves


def cuts(change, points, numbers) -> list[int]:
    """Return the rows at which another take begins, in order.

    change: (N,) difference of each picture from the one before, gray levels (`MoreSeen.change`).
    points: (N, 468, 3) landmarks, pixels, NaN where there is no face. numbers: (N,) of the frames.
    """
    change, n = np.asarray(change, np.float64), len(change)
    found = set()
    for i in range(1, n):
        near = np.r_[change[max(1, i - NEARBY):i], change[i + 1:i + 1 + NEARBY]]
        near = near[np.isfinite(near)]
        usual = float(np.median(near)) if len(near) else 0.0
        beside = np.nan_to_num(change[[max(i - 1, 0), min(i + 1, n - 1)]] * (i - 1 > 0, i + 1 < n))
        if change[i] > max(CHANGE[0], CHANGE[1] * usual, CHANGE[2] * beside.max()):
            found.add(i)
    size, middle = _size(points)
    step = float(np.median(np.diff(numbers))) if n > 1 else 1.0
    if step <= 3:  # frames that lie apart may show quick motion
        known = np.flatnonzero(np.isfinite(size))
        for k in range(STAYS, len(known) - STAYS + 1):
            a, b = known[k - STAYS:k], known[k:k + STAYS]
            if b[0] - a[-1] > 2:
                continue
            grown = np.log(np.median(size[b]) / np.median(size[a]))
            moved = np.linalg.norm(np.median(middle[b], 0) - np.median(middle[a], 0)) \
                / np.median(size[a])
            own = max(np.ptp(np.log(size[a])), np.ptp(np.log(size[b])))
            far = max(np.ptp(middle[a], axis=0).max(), np.ptp(middle[b], axis=0).max()) \
                / np.median(size[a])
            if abs(grown) > SIZE and own < abs(grown) / 3 \
                    or moved > PLACE and far < moved / 3:
                found.add(int(b[0]))
    return sorted(found)


def longest(starts, there) -> slice:
    """Return the rows of the take with the most faces. starts: see `cuts`; there: (N,) bool, a face
    was found."""
    there = np.asarray(there)
    edges = [0, *starts, len(there)]
    takes = [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
    return max(takes, key=lambda t: int(there[t].sum()))


def _size(points):
    """(N,) of the faces in three dimensions, so that a turn does not count, and their middles
    (N, 2)."""
    p = np.asarray(points, np.float64)
    middle = p.mean(1, keepdims=True)
    return np.sqrt(((p - middle) ** 2).sum(2).mean(1)) * 3, middle[:, 0, :2]
