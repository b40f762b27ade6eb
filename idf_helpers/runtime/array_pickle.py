"""Arrays out of a pickle that somebody else made, without running anything that it names.

A pickle may name any function and have it called. Here it may name only what plain arrays are
pickled with, and even that is answered by stand-ins: the arrays are built by this module, from
bytes, shapes and kinds of numbers that it has checked.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

MOST_ENTRIES = 10_000
KINDS = ("f2", "f4", "f8", "u1", "i4", "i8")
_TOO_ODD = (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError,
            EOFError, MemoryError, OverflowError, RecursionError, UnicodeDecodeError, ImportError)


def read_array_pickle(path: Path | str) -> dict:
    """Return nested dicts of arrays with text keys, as a pickle of such has them.

    ValueError where it holds anything else or is damaged; OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return _arrays(_Reader(file).load())
        except _TOO_ODD as error:
            raise ValueError(f"{type(error).__name__}: {error}"[:200]) from None


class _Kind:
    """Stands in for numpy.dtype."""

    __slots__ = ("dtype",)

    def __init__(self, name, align=False, copy=False):
        if name not in KINDS:
            raise pickle.UnpicklingError(f"numbers of the kind {str(name)[:20]!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if state[1] not in ("<", ">", "|", "=") or tuple(state[2:5]) != (None, None, None):
            raise pickle.UnpicklingError("a kind of numbers with fields")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for the empty array that numpy makes before it fills it."""

    __slots__ = ("value",)

    def __init__(self):
        self.value = None

    def __setstate__(self, state):
        _, shape, kind, fortran, content = state
        if type(kind) is not _Kind or type(content) is not bytes or type(shape) is not tuple \
                or not all(type(n) is int and n >= 0 for n in shape):
            raise pickle.UnpicklingError("an array of something else than numbers")
        flat = np.frombuffer(content, kind.dtype)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


class _Named:
    """What a pickle may name: nothing can be set on it, and calling it makes a stand-in."""

    __slots__ = ("_make",)

    def __init__(self, make):
        object.__setattr__(self, "_make", make)

    def __call__(self, *arguments):
        return self._make(*arguments)

    def __setattr__(self, name, value):
        raise pickle.UnpicklingError("a change to what is named")

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a change to what is named")


def _not_called(*arguments):
    raise pickle.UnpicklingError("a call of numpy.ndarray")


class _Reader(pickle.Unpickler):
    _known = {("numpy", "dtype"): _Named(_Kind), ("numpy", "ndarray"): _Named(_not_called),
              **{(f"numpy.{core}.multiarray", "_reconstruct"): _Named(lambda *a: _Array())
                 for core in ("core", "_core")}}

    def find_class(self, module, name):
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it names {module}.{name}"[:120])
        return self._known[module, name]


def _arrays(value, room: list[int] | None = None) -> dict:
    """room: how many more entries are taken; dicts that hold each other would never end."""
    room = [MOST_ENTRIES] if room is None else room
    if type(value) is not dict:
        raise ValueError(f"a {type(value).__name__} in place of a dict of arrays")
    out = {}
    for key, item in value.items():
        room[0] -= 1
        if type(key) is not str or room[0] < 0:
            raise ValueError(f"a {type(key).__name__} as a name, or too many entries")
        if type(item) is not _Array:
            out[key] = _arrays(item, room)
        elif item.value is None:
            raise ValueError("an array that is not filled")
        else:
            out[key] = item.value
    return out
