"""Settings: frozen dataclasses whose fields state their own bounds, checked in one place.

    @dataclass(frozen=True)
    class BlurConfig(Settings):
        sigma: Annotated[float, Interval(gt=0, le=20)] = 1.5
        \"\"\"Standard deviation in pixels.\"\"\"

The bound stands once: `checked()` enforces it, and the command line prints it in its help.
"""

from __future__ import annotations

import functools
import math
import types
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt

from ..errors import IdfError

__all__ = ["RECIPE", "Annotated", "Interval", "Settings", "bounds", "check_range"]

RECIPE = "recipe"  # mark of a field that is set from Python, and is no flag: few ever turn it
_Bound = (Ge, Gt, Le, Lt, Interval)


class Settings:
    """Base of the settings of a stage or method; subclasses are frozen dataclasses."""

    def checked(self) -> Self:
        """Return self; IdfError naming the first field that is out of its range."""
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]
            _check(name, getattr(self, name), hint)
        self._check_together()
        return self

    def changed(self) -> dict[str, Any]:
        """Return the fields that do not have their default."""
        default = type(self)()
        return {f.name: getattr(self, f.name) for f in fields(self)  # type: ignore[arg-type]
                if getattr(self, f.name) != getattr(default, f.name)}

    def _check_together(self) -> None:
        """Raise IdfError where fields do not fit each other; for subclasses that have such."""


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in fields(cls)}


def bounds(hint: Any) -> tuple[float | None, float | None, bool, bool] | None:
    """Return (low, high, low excluded, high excluded) of an annotated type; None where it has none.
    """
    low: Any = None
    high: Any = None
    open_low = open_high = False
    for part in _metadata(hint):
        for bound in part if isinstance(part, Interval) else (part,):
            if isinstance(bound, (Ge, Gt)):
                low, open_low = (bound.ge, False) if isinstance(bound, Ge) else (bound.gt, True)
            elif isinstance(bound, (Le, Lt)):
                high, open_high = (bound.le, False) if isinstance(bound, Le) else (bound.lt, True)
    return None if low is None and high is None else (low, high, open_low, open_high)


def is_recipe(hint: Any) -> bool:
    """Return whether a field is set from Python only."""
    return get_origin(hint) is Annotated and RECIPE in hint.__metadata__


def _metadata(hint: Any) -> list:
    """Return the bounds in an annotation, also where it is one side of a union."""
    if get_origin(hint) is Annotated:
        return [m for m in hint.__metadata__ if isinstance(m, _Bound)] + _metadata(hint.__origin__)
    if get_origin(hint) in (Union, types.UnionType):
        return [m for side in get_args(hint) for m in _metadata(side)]
    return []


def _plain(hint: Any) -> Any:
    return hint.__origin__ if get_origin(hint) is Annotated else hint


def _check(name: str, value: Any, hint: Any) -> None:
    if isinstance(value, Settings):
        value.checked()
    elif get_origin(_plain(hint)) is Literal and value not in get_args(_plain(hint)):
        raise IdfError(f"The setting `{name}` is unknown", f"{value!r}",
                       f"use one of: {', '.join(map(str, get_args(_plain(hint))))}")
    elif value is not None and (bound := bounds(hint)):
        _check_bound(name, value, *bound)


def _check_bound(name: str, value: Any, low: float | None, high: float | None, open_low: bool,
                 open_high: bool) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:  # NaN fails every comparison, infinity is no setting
        above = low is None or (number > low if open_low else number >= low)
        below = high is None or (number < high if open_high else number <= high)
        if not (above and below and math.isfinite(number)):
            raise IdfError(f"The setting `{name}` is out of range", f"{value}",
                           f"give a value {range_text(low, high, open_low, open_high)}")


def range_text(low: float | None, high: float | None, open_low: bool = False,
               open_high: bool = False) -> str:
    """Return a range in words: "in [0, 1]", "of 16 or more", "above 0"."""
    if high is None:
        return f"above {low:g}" if open_low else f"of {low:g} or more"
    if low is None:
        return f"below {high:g}" if open_high else f"of at most {high:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise IdfError where the value of an argument is neither None nor within [low, high]."""
    if value is not None:
        _check_bound(name, value, low, high, False, False)
