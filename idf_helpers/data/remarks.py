"""What a reader noticed, said once however many frames it holds for."""

from __future__ import annotations

from collections import Counter


class Remarks:
    """Collects texts; `notes` tells each once, with the number of frames it holds for."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._total: set[str] = set()

    def add(self, text: str) -> None:
        """Note something about one frame."""
        self._counts[text] += 1

    def say(self, text: str) -> None:
        """Note something about the whole dataset."""
        self._counts[text] += 1
        self._total.add(text)

    def notes(self, frames: int) -> tuple[str, ...]:
        """Return all texts in the order they came. frames: how many there are in all."""
        return tuple(t if t in self._total or n >= frames else f"{t} ({n} of {frames} frames)"
                     for t, n in self._counts.items())
