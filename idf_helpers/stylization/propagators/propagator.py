"""The interface of propagators: styled key views in, every view in that style out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import IdfError
from ..stylist import View, as_float


@dataclass(frozen=True, eq=False)
class StyledFrame:
    """One frame in the style.

    rgb: (H, W, 3) float32 in [0, 1]; only what lies on the head counts. alpha: (H, W) float32,
    None = the view's own mask. seen: share of the head that a key shows (the rest is made up),
    None where the method does not know.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    seen: float | None = None


class Propagator(ABC):
    """Carries styled key views to all views.

    views: all of them, in the order of the turn. keys: index -> styled (H, W, 3), uint8 or float.
    IdfError where there is no key, or where the views lack something.
    """

    name: str

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray]):
        if not keys:
            raise IdfError("There is no key view to carry the style from", "0 keys",
                           "style at least one view")
        self.views, self.keys = views, {k: as_float(p) for k, p in keys.items()}
        self.index = sorted(keys)
        self.closed = is_closed(views)

    @abstractmethod
    def frame(self, index: int) -> StyledFrame:
        """Return view `index` in the style."""

    def neighbors(self, index: int) -> tuple[int, int, float]:
        """Return (key before, key after, how far between in [0, 1]) of a view.

        At the ends of an open sequence the one key counts alone.
        """
        before = [k for k in self.index if k <= index]
        after = [k for k in self.index if k >= index]
        if before and after:
            a, b = before[-1], after[0]
            return a, b, 0.0 if a == b else (index - a) / (b - a)
        if not self.closed:
            return (before[-1], before[-1], 0.0) if before else (after[0], after[0], 1.0)
        a, b, count = self.index[-1], self.index[0], len(self.views)
        span = b + count - a
        return a, b, 0.0 if span == 0 else ((index - a) % count) / span


def is_closed(views: Sequence[View]) -> bool:
    """Return whether the views form a closed turn: the last camera is next to the first."""
    if len(views) < 3 or any(views[k].camera is None for k in (0, 1, -1)):
        return False
    first, second, last = (views[k].camera.position for k in (0, 1, -1))
    return bool(np.linalg.norm(last - first) < 1.7 * np.linalg.norm(second - first))
