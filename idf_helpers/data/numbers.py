"""Numbers out of files that may hold anything."""

from __future__ import annotations

import numpy as np

from ..errors import IdfError


def numbers(value, name: str, where: str, length: int | None = None) -> np.ndarray:
    """Return a list of finite numbers as (N,) float64; IdfError for anything else.

    name, where: the key and its place, for messages. length: how many there must be."""
    try:
        a = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise IdfError(f"`{name}` of {where} is not a list of numbers", repr(value)[:80],
                       "correct that entry") from None
    if a.ndim != 1 or (length is not None and len(a) != length) \
            or not (np.abs(a) < 1e30).all():  # NaN fails; float32 ends at 3e38
        raise IdfError(f"`{name}` of {where} is not a list of "
                       f"{'' if length is None else f'{length} '}finite numbers", repr(value)[:80],
                       "correct that entry")
    return a
