"""What moves: the camera round a still head, or the head before a still camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..data.cameras import fitted_size
from ..data.media import read_image
from .cameras import Moves
from .neck import Neck

LOOK = 480  # px, longer side
CORNERS = 250
FEWEST = 15  # corners in the room of which anything can be said
ROOM_STILL = 0.35  # of what the head moves: a room that moves less is still
LEAST = 0.6  # px at LOOK: a room that moves less only shakes
WITH_HEAD = 0.7  # of what the head moves: shoulders that move so far turn with it
# Least eigenvalue of a corner in the room. Noise, compression and a soft rim before a plain wall
# make 1e-6 to 1e-4, of which nothing holds still; the things in a room make 8e-4 and more.
PLAIN = 2e-4
UNLIKE = 3.0  # px at LOOK: what moves so differently from the rest of a still room moves by itself


@dataclass(frozen=True)
class Motion:
    """What moves between pairs of frames, a short way apart.

    room, head, shoulders: median px at 480 pixels' width that corners moved; NaN where none were
    seen. busy: share of a still room's corners that move by themselves.
    """

    room: float
    head: float
    shoulders: float
    busy: float

    @property
    def moves(self) -> Moves:
        """"camera" where the room is seen to move with or beyond the head, else "head"."""
        if not np.isfinite(self.room):
            return "head"  # nothing of a room can be seen: it could be of no help either
        return "camera" if self.room > max(ROOM_STILL * np.nan_to_num(self.head), LEAST) else "head"

    @property
    def turns_whole(self) -> bool:
        """Whether the shoulders turn with the head, as on a chair that turns, or of a scan."""
        return bool(np.isfinite(self.shoulders) and np.isfinite(self.head)
                    and self.shoulders > WITH_HEAD * self.head)


def motion(pairs, pictures: Sequence[Path], neck: Neck,
           alpha: Callable[[np.ndarray], np.ndarray]) -> Motion:
    """Compare pairs of pictures.

    pairs: numbers of two pictures each, of N files. neck: of these. alpha: picture (H, W, 3) uint8
    -> the person's mask (H, W).
    """
    found: dict[str, list[float]] = {"room": [], "head": [], "shoulders": [], "busy": []}
    for i, j in pairs:
        a, b = (read_image(pictures[k])[..., :3] for k in (i, j))
        above = neck.above(i, a.shape[1], a.shape[0], 1.0)
        below = 1 - neck.above(i, a.shape[1], a.shape[0], -2.0)
        a, b, above, below = (_small(p) for p in (a, b, above, below))
        person = alpha(a)
        room = cv2.dilate((np.maximum(person, alpha(b)) > 0.3).astype(np.uint8),
                          np.ones((15, 15), np.uint8))
        inner = cv2.erode((person > 0.7).astype(np.uint8), np.ones((9, 9), np.uint8))
        for name, mask, least in (("head", inner * (above > 0.5), 8),
                                  ("shoulders", inner * (below > 0.5), 8),
                                  ("room", 1 - room, FEWEST)):
            moved = _moved(a, b, mask.astype(np.uint8), PLAIN if name == "room" else 0.0)
            if len(moved) < least:
                continue
            found[name].append(float(np.median(np.linalg.norm(moved, axis=1))))
            if name == "room":
                apart = np.linalg.norm(moved - np.median(moved, axis=0), axis=1)
                found["busy"].append(float((apart > UNLIKE).mean()))
    return Motion(*(float(np.median(v)) if v else np.nan for v in found.values()))


def _small(rgb: np.ndarray) -> np.ndarray:
    w, h = fitted_size(rgb.shape[1], rgb.shape[0], LOOK)
    return cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)


def _moved(a: np.ndarray, b: np.ndarray, mask: np.ndarray, strength: float) -> np.ndarray:
    """(K, 2) px that corners of some strength within a mask moved; followed there and back."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (a, b))
    corners = cv2.goodFeaturesToTrack(a, CORNERS, 0.01, 5, mask=mask)
    if corners is not None and strength > 0:
        column, row = corners[:, 0].astype(int).T
        corners = corners[cv2.cornerMinEigenVal(a, 3)[row, column] > strength]
    if corners is None or not len(corners):
        return np.zeros((0, 2))
    there, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, None, winSize=(21, 21), maxLevel=4)
    back, ok2, _ = cv2.calcOpticalFlowPyrLK(b, a, there, None, winSize=(21, 21), maxLevel=4)
    good = (ok[:, 0] > 0) & (ok2[:, 0] > 0) & \
        (np.linalg.norm(back - corners, axis=2)[:, 0] < 1.0)
    return (there - corners)[good, 0]
