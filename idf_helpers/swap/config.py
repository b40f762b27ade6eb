"""Settings of the swap stage; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError


@dataclass(frozen=True)
class SwapConfig:
    """Settings of the swap stage that decide its output.

    backend: "auto", or a name of `idf doctor`: uv (consistent between views), mesh (2D), ghost,
        onnx:NAME or onnx:ROW.json, uv+NAME (a neural swap made consistent).
    face: which face of the source photo, counted from the left from 0; None = there is one.
    target: which faces of a picture: one (the clearest), all, or numbers from the left ("0,2").
    reference: photos of the people to be swapped; the k-th source goes to the k-th.
    similarity: how like a reference a face must be, in [0, 1]; None = as suits what compares them.
    min_face: pixels; smaller faces of a picture are left alone.
    min_confidence: least probability that a face is one, (0, 1).
    pixel_boost: neural swappers work on a crop this many times as large, side by side; 1 to 8.
    """

    backend: str = "auto"
    face: int | None = None
    target: str = "one"
    reference: tuple[Path, ...] = ()
    similarity: float | None = None
    min_face: float = 0.0
    min_confidence: float = 0.9
    pixel_boost: int = 1

    def checked(self) -> SwapConfig:
        """Itself; IdfError where a value is out of its range."""
        ranges = {"similarity": (0, 1), "min_face": (0, 1e5), "min_confidence": (0.01, 0.999),
                  "pixel_boost": (1, 8)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise IdfError(f"The setting `{name}` is out of range", f"{value}",
                               f"give a value in [{low}, {high:g}]")
        return self

    @property
    def one_head(self) -> bool:
        """Whether the clearest face of each picture is meant, which is all that `uv` can swap."""
        return self.target == "one" and not self.reference
