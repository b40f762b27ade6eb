"""Places in footage, in words: "0:03–0:05, 0:12"."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import shorten


def clock(seconds: float) -> str:
    """Return minutes and seconds: 65.2 -> "1:05"."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def moments(names: Iterable[str]) -> str:
    """Return moments or names in words, the first few of many, each once."""
    return shorten(list(dict.fromkeys(names)))


def spans(numbers: Iterable[int], fps: float, gap_s: float = 0.5) -> str:
    """Return when frames were: their numbers as moments, runs of them as spans.

    fps: frames a second; 0 for pictures, whose numbers are given instead. gap_s: seconds between
    two frames (or 1 number) up to which they count as one span.
    """
    runs: list[list[int]] = []
    for n in sorted(set(numbers)):
        if runs and n - runs[-1][1] <= max(gap_s * fps, 1):
            runs[-1][1] = n
        else:
            runs.append([n, n])

    def word(n: int) -> str:
        return clock(n / fps) if fps else str(n)

    return moments(word(a) if word(a) == word(b) else f"{word(a)}–{word(b)}" for a, b in runs)
