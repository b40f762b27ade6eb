"""A picture before and after, with a line between them that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as w
import numpy as np

from ..data.contact_sheet import BACKGROUND
from ..data.media import over, resize_area, to_uint8
from .still import WithStill
from .widgets import picture_widget, png


def split(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Return `before` left of the line at `share` of the width, `after` right of it:
    (H, W, 3) uint8.

    before, after: uint8 (H, W, 3|4) of one size, alpha over gray. share: in [0, 1].
    """
    left, right = (to_uint8(over(p, BACKGROUND)) for p in (before, after))
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} before, {right.shape} after; they must be alike")
    x = round(float(np.clip(share, 0, 1)) * left.shape[1])
    out = np.concatenate([left[:, :x], right[:, x:]], axis=1)
    if 0 < x < out.shape[1]:
        out[:, max(0, x - 1):x + 1] = (255, 255, 255)
    return out


def checked(pairs: Sequence[tuple[Callable, Callable]], names: Sequence[str]) -> list:
    """Return the pairs as a list. ValueError where there are none, or not as many names."""
    if not pairs or len(pairs) != len(names):
        raise ValueError(f"{len(pairs)} pairs, {len(names)} names")
    return list(pairs)


class BeforeAfter(WithStill):
    """Two sliders: which picture, and where the line is.

    pairs: (before, after) functions that read a picture, called when it is shown. names: of the
    pictures, shown beside the first slider. size: width on the page, pixels.
    """

    def __init__(self, pairs: Sequence[tuple[Callable, Callable]], names: Sequence[str],
                 size: int = 420):
        self.pairs, self.size = checked(pairs, names), size
        self.which = w.SelectionSlider(options=[(n, i) for i, n in enumerate(names)],
                                       value=len(names) // 2, description="view",
                                       continuous_update=True)
        self.line = w.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="before | after",
                                  readout=False, style={"description_width": "110px"})
        self.picture = picture_widget(size)
        self.box = w.VBox([w.HBox([self.which, self.line]), self.picture])
        self._read: tuple[int, np.ndarray, np.ndarray] | None = None
        for control in (self.which, self.line):
            control.observe(self._show, names="value")
        self._show()

    def replace(self, pairs: Sequence[tuple[Callable, Callable]], names: Sequence[str]) -> None:
        """Show other pairs in the place of these."""
        self.pairs, self._read = checked(pairs, names), None
        self.which.options = [(n, i) for i, n in enumerate(names)]
        self.which.value = len(names) // 2
        self._read = None
        self._show()

    def _show(self, change=None) -> None:
        i = self.which.value
        if self._read is None or self._read[0] != i:
            before, after = (read() for read in self.pairs[i])
            h = round(self.size * before.shape[0] / before.shape[1])
            self._read = (i, *(resize_area(p, self.size, h) for p in (before, after)))
        self.picture.value = png(split(self._read[1], self._read[2], self.line.value))
