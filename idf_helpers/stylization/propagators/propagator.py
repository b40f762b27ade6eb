"""What propagators share: their answer, their settings, keys before and after a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import IdfError


@dataclass(frozen=True, eq=False)
class Propagated:
    """One frame. rgb: (H, W, 3) float32 in [0, 1]; only what lies on the head counts.
    alpha: (H, W) float32, None = the view's own mask. seen: share of the head that a key shows
    (the rest is made up), None where the method does not know."""

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    seen: float | None = None


def is_closed(views: Sequence, closed: bool | None = None) -> bool:
    """Whether the row of views is a ring; closed: said beforehand."""
    if closed is not None:
        return closed
    cameras = [getattr(v, "camera", None) for v in (views[0], views[1], views[-1])] \
        if len(views) > 2 else [None]
    if any(c is None for c in cameras):
        return False
    first, second, last = (c.position for c in cameras)
    return bool(np.linalg.norm(last - first) < 1.7 * np.linalg.norm(second - first))


def neighbors(index: int, keys: Sequence[int], count: int, closed: bool) -> tuple[int, int, float]:
    """(key before, key after, how far between in [0, 1]) of frame `index`. keys: rising. At the
    ends of an open row the one key counts alone."""
    if not keys:
        raise IdfError("There is no key view to carry the style from", "0 keys",
                       "style at least one view")
    before = [k for k in keys if k <= index]
    after = [k for k in keys if k >= index]
    if before and after:
        a, b = before[-1], after[0]
        return a, b, 0.0 if a == b else (index - a) / (b - a)
    if not closed:
        return (before[-1], before[-1], 0.0) if before else (after[0], after[0], 1.0)
    a, b = keys[-1], keys[0]
    span = b + count - a
    return a, b, 0.0 if span == 0 else ((index - a) % count) / span
