"""Which frames are kept: sharp ones, evenly spaced in what they show of the head."""

from __future__ import annotations

import numpy as np

from ..face.topology import CHIN, FACE_LEFT, FACE_RIGHT, FOREHEAD
from .scan import Scan

LOOKED_AT = 2.5  # candidates for each frame that is kept
BLURRED = 0.5  # of what frames around are as sharp as
AROUND_S = 0.7  # seconds
LEAST_STEP = 0.6  # degrees between two frames; what turns less repeats a view
TURN = 90.0  # degrees that a head turns while what is seen of it moves across the whole picture
NOISE = 0.8  # degrees by which landmarks of one view differ


def candidates(found: Scan, take: tuple[int, int], frames: int, fps: float) -> np.ndarray:
    """Return numbers of the frames worth a closer look, (C,) int64 rising: of stretches in which
    equally much moves, the sharpest.

    take: first and one past the last.
    """
    first, last = take
    wanted = min(last - first, round(LOOKED_AT * frames))
    moved = found.moved[first:last].copy()
    known = np.isfinite(moved)
    usual = np.median(moved[known]) if known.any() else 1.0
    moved[~known] = usual
    # a fifth of the usual for time itself, so that what does not move is looked at too
    path = np.cumsum(np.minimum(moved, 10 * usual + 1e-6) + 0.2 * usual + 1e-6)
    part = np.minimum((path - path[0]) / (path[-1] - path[0] + 1e-9) * wanted, wanted - 1e-6)
    part = part.astype(int)
    sharp = found.sharpness[first:last] / around(found.sharpness, take, fps)
    out = []
    for k in np.unique(part):
        inside = np.flatnonzero(part == k)
        out.append(first + int(inside[np.argmax(sharp[inside])]))
    return np.array(out, np.int64)


def around(sharpness: np.ndarray, take: tuple[int, int], fps: float) -> np.ndarray:
    """Return how sharp the frames around each frame of a take are: the upper tenth."""
    part = sharpness[take[0]:take[1]]
    reach = max(2, round(AROUND_S * fps))
    return np.array([max(np.quantile(part[max(0, i - reach):i + reach + 1], 0.9), 1e-6)
                     for i in range(len(part))])


def facing(points: np.ndarray) -> np.ndarray:
    """Return (N, 3) unit vectors that faces look along, camera axes of the picture (x right, y
    down, z away); NaN where there is no face. points: (N, 468, 3) landmarks."""
    across = points[:, FACE_LEFT] - points[:, FACE_RIGHT]
    down = points[:, CHIN] - points[:, FOREHEAD]
    out = np.cross(down, across)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def yaws(points: np.ndarray) -> np.ndarray:
    """Return (N,) degrees that faces are turned, see `FaceLandmarks.yaw`; NaN without a face."""
    across = points[:, FACE_LEFT] - points[:, FACE_RIGHT]
    return np.degrees(np.arctan2(across[:, 2], np.hypot(across[:, 0], across[:, 1])))


def spread(points: np.ndarray, path: np.ndarray, usable: np.ndarray, frames: int) -> np.ndarray:
    """Return which of C candidates are kept, (C,) bool: at most `frames`, each as far from the last
    as can be, in degrees that the head is seen to turn.

    points: (C, 468, 3) landmarks, NaN without a face. path: (C,) how far what is seen has moved
    since the first, shares of the picture. usable: (C,) bool, those that may be kept.
    """
    look = facing(points)
    both = np.isfinite(look[1:, 0]) & np.isfinite(look[:-1, 0])
    angle = np.degrees(np.arccos(np.clip((look[1:] * look[:-1]).sum(1), -1, 1)))
    gain, step = TURN, np.diff(path)
    clear = both & (angle > NOISE)
    if clear.sum() >= 5:  # what this head turns while the picture moves so far
        gain = float(np.clip(angle[clear].sum() / max(step[clear].sum(), 1e-6), 20, 400))

    def kept(least: float) -> list[int]:
        out: list[int] = []
        for i in np.flatnonzero(usable):
            if out:
                j = out[-1]
                turned = np.degrees(np.arccos(np.clip(look[i] @ look[j], -1, 1)))
                if not np.isfinite(turned):
                    turned = gain * (path[i] - path[j])
                if turned < least:
                    continue
            out.append(int(i))
        return out

    low, high = LEAST_STEP, 45.0
    best = kept(low)
    if len(best) > frames:
        for _ in range(24):
            middle = (low * high) ** 0.5
            some = kept(middle)
            if len(some) > frames:
                low = middle
            else:
                high, best = middle, some
    chosen = np.zeros(len(path), bool)
    chosen[best[:frames]] = True
    return chosen
