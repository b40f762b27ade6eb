"""What moves: the camera round a still head, or the head before a still camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.media import read_image
from .cameras import Moves

LOOK = 480  # px, longer side
CORNERS = 250
FEWEST = 15  # corners in the room of which anything can be said
ROOM_STILL = 0.35  # of what the person moves: a room that moves less is still
LEAST = 0.6  # px at LOOK that the person must have moved for a pair to count
UNLIKE = 3.0  # px at LOOK: what moves so differently from the rest of a still room moves by itself


@dataclass(frozen=True)
class Motion:
    """What moves between pairs of frames.

    room, person: median px at 480 pixels' width that corners moved; NaN where none were seen.
    busy: share of the room's corners that move by themselves while the room stands still.
    """

    room: float
    person: float
    busy: float

    @property
    def moves(self) -> Moves:
        """"camera" where the room is seen to move with or beyond the person, else "head"."""
        if not np.isfinite(self.room):
            return "head"  # nothing of a room can be seen: it could be of no help either
        return "camera" if self.room > max(ROOM_STILL * np.nan_to_num(self.person), LEAST) \
            else "head"


def motion(pairs, alpha: Callable[[np.ndarray], np.ndarray]) -> Motion:
    """Compare pairs of picture files. alpha: picture (H, W, 3) -> the person's mask (H, W)."""
    rooms, persons, busy = [], [], []
    for first, second in pairs:
        a, b = (_small(read_image(p)[..., :3]) for p in (first, second))
        mask = cv2.dilate((alpha(a) > 0.3).astype(np.uint8), np.ones((15, 15), np.uint8))
        inner = cv2.erode((alpha(a) > 0.7).astype(np.uint8), np.ones((9, 9), np.uint8))
        room = _moved(a, b, 1 - mask)
        person = _moved(a, b, inner)
        if len(person):
            persons.append(float(np.median(np.linalg.norm(person, axis=1))))
        if len(room) >= FEWEST:
            middle = np.median(room, axis=0)
            rooms.append(float(np.median(np.linalg.norm(room, axis=1))))
            busy.append(float((np.linalg.norm(room - middle, axis=1) > UNLIKE).mean()))
    def median(values):
        return float(np.median(values)) if values else np.nan

    found = Motion(median(rooms), median(persons), 0.0)
    return found if found.moves == "camera" else Motion(found.room, found.person,
                                                        median(busy) if busy else 0.0)


def _small(rgb: np.ndarray) -> np.ndarray:
    scale = LOOK / max(rgb.shape[:2])
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _moved(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(K, 2) px that corners within a mask moved; followed there and back."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (a, b))
    corners = cv2.goodFeaturesToTrack(a, CORNERS, 0.01, 5, mask=mask)
    if corners is None:
        return np.zeros((0, 2))
    there, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, None, winSize=(21, 21), maxLevel=4)
    back, ok2, _ = cv2.calcOpticalFlowPyrLK(b, a, there, None, winSize=(21, 21), maxLevel=4)
    good = (ok[:, 0] > 0) & (ok2[:, 0] > 0) & \
        (np.linalg.norm(back - corners, axis=2)[:, 0] < 1.0)
    return (there - corners)[good, 0]
