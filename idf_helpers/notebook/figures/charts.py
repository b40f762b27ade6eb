"""Charts that look like the sheets: same gray, same ink."""

from __future__ import annotations

import numpy as np

from ...data.contact_sheet import BACKGROUND

COLORS = ("#ffd166", "#7fd1ff", "#ff9b85", "#a8e6a1", "#d9b8ff")  # legible on the gray
INK = "white"


def chart(width: float, height: float, columns: int = 1, ratios=None):
    """Return a matplotlib Figure of so many inches with a row of `columns` axes in it."""
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor=BACKGROUND)
    axes = figure.subplots(1, columns, squeeze=False, width_ratios=ratios)[0]
    for a in axes:
        a.set_facecolor(BACKGROUND)
        a.tick_params(colors=INK, labelsize=9)
        for spine in a.spines.values():
            spine.set_color(INK)
        for text in (a.xaxis.label, a.yaxis.label, a.title):
            text.set_color(INK)
            text.set_fontsize(10)
    return figure, axes


def legend(axes, **more) -> None:
    """Name the curves of `axes`."""
    axes.legend(facecolor=BACKGROUND, edgecolor="none", labelcolor=INK, fontsize=9, **more)


def picture_of(figure) -> np.ndarray:
    """Return a drawn figure: (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
