"""Where a head ends that turns while the shoulders do not: a line under the chin of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.cameras import Camera
from ..errors import IdfError
from ..face.head_model import FaceModel
from ..face.pose import fit_pose, project
from ..face.shape_fit import guessed_lens
from ..face.topology import CHIN
from .place import ORIGIN, TO_WORLD, UNIT

BELOW, BEHIND = 2.6, 6.0  # cm, of the middle of the neck from the chin
SOFT = 0.8  # cm over which the cut fades


@dataclass(frozen=True, eq=False)
class Neck:
    """Lines across the necks of N frames.

    middle: (N, 2) pixels, a point of each. up: (N, 2) pixels of a centimeter toward the head, at
    right angles to it. Filled in between the frames that show a face.
    """

    middle: np.ndarray
    up: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, width: int, height: int) -> Neck:
        """Find the lines. points: (N, 468, 3) landmarks, NaN where there is no face. IdfError: no
        frame shows one."""
        model, lens = FaceModel.load(), guessed_lens(width, height)
        f, c = np.array([lens.fx, lens.fy]), np.array([lens.cx, lens.cy])
        ends = _ends()
        out = np.full((len(points), 2, 2), np.nan)
        pose = None
        for i in np.flatnonzero(np.isfinite(points[..., :2]).all((1, 2))):
            try:
                pose = fit_pose(points[i], lens, start=pose, model=model).pose
            except IdfError:
                pose = None
                continue
            out[i] = project(pose, ends, f, c)
        known = np.flatnonzero(np.isfinite(out[:, 0, 0]))
        if not len(known):
            raise IdfError("No frame shows a face", f"{len(points)} frames",
                           "film the face too, larger than about 64 pixels")
        every = np.arange(len(points))
        flat = out.reshape(len(points), 4)
        flat = np.stack([np.interp(every, known, flat[known, k]) for k in range(4)], 1)
        ends = flat.reshape(-1, 2, 2)
        return cls(ends[:, 0], ends[:, 1] - ends[:, 0])

    @classmethod
    def placed(cls, cameras: Sequence[Camera | None]) -> Neck:
        """Return the lines of frames whose cameras are known, in the world of the bundled views;
        NaN for those that have none."""
        ends = _ends() @ TO_WORLD.T * UNIT + ORIGIN
        out = np.array([np.full((2, 2), np.nan) if c is None else c.project(ends)[0]
                        for c in cameras])
        return cls(out[:, 0], out[:, 1] - out[:, 0])

    @staticmethod
    def level(below: float) -> float:
        """Return the height of a plane that lies so many cm under the neck, in the world of the
        bundled views."""
        return float((_ends()[0] @ TO_WORLD.T * UNIT + ORIGIN)[2] - below * UNIT)

    def above(self, i: int, width: int, height: int, offset: float = 0.0) -> np.ndarray:
        """Return (H, W) float32 in [0, 1]: 1 on the head's side of frame `i`'s line, 0 below it.
        offset: cm by which the line is moved up."""
        up = self.up[i] / max(float(self.up[i] @ self.up[i]), 1e-9)
        x, y = np.arange(width) + 0.5 - self.middle[i, 0], np.arange(height) + 0.5
        y = y - self.middle[i, 1]
        cm = x[None] * up[0] + y[:, None] * up[1] - offset
        return np.clip(cm / SOFT + 0.5, 0, 1).astype(np.float32)


def _ends() -> np.ndarray:
    """(2, 3) cm in the head's frame: the middle of the neck, and a centimeter above it."""
    middle = FaceModel.load().rest[CHIN].astype(np.float64) + (0, -BELOW, -BEHIND)
    middle[0] = 0
    return np.array([middle, middle + (0, 1, 0)])
