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


class Values:
    """One frame's values over those of the whole file."""

    def __init__(self, data: dict, entry: dict, where: str):
        self.data, self.entry, self.where = data, entry, where

    def raw(self, key):
        value = self.entry.get(key)
        return self.data.get(key) if value is None else value

    def get(self, key: str) -> float | None:
        """Return a finite number; IdfError for what is none."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise IdfError(f"`{key}` of {self.where} is not a number", repr(value)[:60],
                           "correct that entry")
        if not abs(value) < 1e30:  # NaN, infinity, and whole numbers beyond every float
            raise IdfError(f"`{key}` of {self.where} is not a finite number", f"{value!r:.40}",
                           "correct that entry")
        return float(value)

    def first(self, *keys: str) -> float | None:
        return next((v for k in keys if (v := self.get(k)) is not None), None)


def as_array(value) -> np.ndarray:
    """Return what a file holds as float64, of whatever shape; empty where it is no array."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0)
