"""Which views are styled: spread evenly over the directions, the one in front first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.cameras import Camera, scene_frame
from ..data.sequence import farthest_first, front_view
from ..errors import IdfError

ROUNDS = 8  # of refinement


def choose_keys(cameras: Sequence[Camera], count: int, first: int | None = None) -> list[int]:
    """Return the indices of `count` views, the first one first: the farthest ones by viewing
    direction, then each moved to the middle of the views nearest to it (k-medoids).

    first: index that must be among them; None = the view in front.
    """
    if count < 1:
        raise IdfError("At least one view must be styled", f"keys {count}", "give 1 or more")
    scene = scene_frame(cameras)
    directions = np.array([(c.position - scene.center) / np.linalg.norm(c.position - scene.center)
                           for c in cameras])
    apart = np.arccos(np.clip(directions @ directions.T, -1, 1))
    first = front_view(cameras) if first is None else first
    chosen = farthest_first(apart.__getitem__, first, count)
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
