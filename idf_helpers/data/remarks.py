"""What a reader noticed, said once however many frames it holds for."""

from __future__ import annotations

from collections import Counter


class Remarks:
    """Collects texts; `notes` tells each once, with the number of frames it holds for."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._total: set[str] = set()
        self._ranges: dict[str, tuple[float, float]] = {}

    def add(self, text: str, value: float | None = None) -> None:
        """Note something about one frame. value: stands for {} in the text; of many frames its
        range does."""
        self._counts[text] += 1
        if value is not None:
            low, high = self._ranges.get(text, (value, value))
            self._ranges[text] = min(low, value), max(high, value)

    def say(self, text: str) -> None:
        """Note something about the whole dataset."""
        self._counts[text] += 1
        self._total.add(text)

    def notes(self, frames: int) -> tuple[str, ...]:
        """Return all texts in the order they came. frames: how many there are in all."""
        return tuple(self._filled(t) + ("" if t in self._total or n >= frames else
                                        f" ({n} of {frames} frames)")
                     for t, n in self._counts.items())

    def _filled(self, text: str) -> str:
        if text not in self._ranges:
            return text
        low, high = (f"{v:.4g}" for v in self._ranges[text])
        return text.replace("{}", low if low == high else f"{low} to {high}")
