"""Checks that the settings of all stages share: ranges, and how long a training runs."""

from __future__ import annotations

from ..errors import IdfError


def check_range(name: str, value, low: float, high: float, of: str = "") -> None:
    """IdfError where the value is neither None nor within [low, high].

    of: what the setting belongs to (" of the smoothing"), where the name alone would not tell.
    """
    if value is not None and not low <= value <= high:  # NaN fails too
        raise IdfError(f"The setting `{name}`{of} is out of range", f"{value}",
                       f"give a value in [{low:g}, {high:g}]")


def check_ranges(config, ranges: dict[str, tuple[float, float]], of: str = "") -> None:
    """IdfError naming the first field whose value is not None and lies outside its range."""
    for name, (low, high) in ranges.items():
        check_range(name, getattr(config, name), low, high, of)


def check_amount(config) -> None:
    """IdfError where a training is given both in `iterations` and in seconds, `budget_s`."""
    if config.iterations is not None and config.budget_s is not None:
        raise IdfError("A run is given in iterations or in seconds, not in both",
                       f"iterations {config.iterations}, budget_s {config.budget_s}",
                       "leave one of them out")
    check_ranges(config, {"iterations": (1, 1e9), "budget_s": (1e-3, 1e7)})


def budget(config, default_s: float) -> float | None:
    """Seconds that a training runs, None where it is given in iterations."""
    if config.iterations is not None:
        return None
    return default_s if config.budget_s is None else config.budget_s
