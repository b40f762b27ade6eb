"""Which views are styled: spread evenly over the directions, the one in front first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.cameras import Camera, scene_frame, yaw_pitch
from ..errors import IdfError

ROUNDS = 8  # of refinement


def choose_keys(cameras: Sequence[Camera], count: int, first: int | None = None) -> list[int]:
    """Indices of `count` views, the first one first: farthest-point choice by viewing direction,
    then each moved to the middle of the views nearest to it (k-medoids).

    first: index that must be among them; None = the view in front.
    """
    if not 1 <= count:
        raise IdfError("At least one view must be styled", f"keys {count}")
    scene = scene_frame(cameras)
    directions = np.array([(c.position - scene.center) / np.linalg.norm(c.position - scene.center)
                           for c in cameras])
    apart = np.arccos(np.clip(directions @ directions.T, -1, 1))
    if first is None:
        first = front_view(cameras)
    chosen = [first]
    while len(chosen) < min(count, len(cameras)):
        distance = apart[chosen].min(0)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    for _ in range(ROUNDS):
        owner = apart[chosen].argmin(0)
        moved = [first]
        for k in range(1, len(chosen)):
            mine = np.flatnonzero(owner == k)
            costs = (apart[np.ix_(mine, mine)] ** 2).sum(1)
            moved.append(int(mine[costs.argmin()]))
        if moved == chosen:
            break
        chosen = moved
    return [chosen[0], *sorted(chosen[1:])]


def front_view(cameras: Sequence[Camera]) -> int:
    """Index of the view most in front, at eye level."""
    scene = scene_frame(cameras)
    angles = [yaw_pitch(c, scene) for c in cameras]
    return min(range(len(angles)), key=lambda i: abs(angles[i][0]) + 0.5 * abs(angles[i][1] - 5))
