"""What the stages of a capture hand on: frames that were chosen, and the cameras found for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..data.cameras import Camera

Moves = Literal["camera", "head"]


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one unbroken take, in their order, all of one size.

    numbers: (N,) int64, of the frames in the video or folder.
    pictures: N files, RGB, no alpha.
    masks: N gray PNG files of the same size, 0 to 255: the person's alpha; where the head moves
        before a still camera, of what moves with the head.
    points: (N, 468, 3) float32 landmarks in pixels (`FaceLandmarks.points`), NaN where no face
        was found.
    width, height: pixels.
    moves: what moves, the camera round a still head (the room may be looked at) or the head before
        a still camera (it may not).
    """

    numbers: np.ndarray
    pictures: tuple[Path, ...]
    masks: tuple[Path, ...]
    points: np.ndarray
    width: int
    height: int
    moves: Moves

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool, the frames in which a face was found."""
        return np.isfinite(self.points[..., :2]).all((1, 2))


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras of the frames of a `Frames`, in one world.

    method: "colmap" or "landmarks".
    cameras: N cameras, None for a frame that got none. One lens for all of them.
    distortion: OpenCV's k1, k2, p1, p2 of that lens in the pictures as they are; None = none.
    reprojection_px: median distance of the points used from where they project, pixels.
    other_models: numbers of frames in the models that were not taken, largest first.
    points: (P, 6) float32 world x, y, z and RGB in [0, 1]; None where there are none.
    notes: plain sentences for the report.
    """

    method: str
    cameras: tuple[Camera | None, ...]
    distortion: tuple[float, float, float, float] | None
    reprojection_px: float
    other_models: tuple[int, ...] = ()
    points: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def registered(self) -> np.ndarray:
        """(N,) bool, the frames that have a camera."""
        return np.array([c is not None for c in self.cameras], bool)


# What finds cameras: solve(frames, folder for its own files, report of progress (words, share)).
# The world is the solver's own, of any place and scale; `place` brings it to the convention.
# IdfError: why it found none.
Solver = Callable[[Frames, Path, Callable[[str, float], None]], Cameras]
