"""What is said of an input, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Inspection:
    """What was understood of an input.

    kind: "dataset", "model", "video" or "picture". title: one line. rows: (subject, words).
    notes: what was noticed while it was read. doubts: what is likely to be wrong with it.
    pictures: name of a file -> function that draws it, uint8 (H, W, 3).
    """

    kind: str
    title: str
    rows: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    pictures: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)

    def __str__(self) -> str:
        width = max((len(subject) for subject, _ in self.rows), default=0)
        lines = [f"{self.kind}: {self.title}",
                 *(f"  {subject:{width}}  {words}" for subject, words in self.rows)]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, *(f"doubt: {doubt}" for doubt in self.doubts)])

    def as_dict(self) -> dict:
        """Return plain values for a JSON file."""
        return {"kind": self.kind, "title": self.title, **dict(self.rows),
                "notes": list(self.notes), "doubts": list(self.doubts)}
