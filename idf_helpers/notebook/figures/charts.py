"""Charts that look like the sheets: same gray, same ink."""

from __future__ import annotations

import numpy as np

from ...data.contact_sheet import BACKGROUND

COLORS = ("#ffd166", "#7fd1ff", "#ff9b85", "#a8e6a1", "#d9b8ff")  # legible on the gray
INK = "white"


def chart(width: float, height: float, columns: int = 1, ratios=None):
    """Return a matplotlib Figure of so many inches with a row of `columns` axes in it."""
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, width_ratios=ratios)[0]
    for a in axes:
        a.tick_params(labelsize=9)
        for text in (a.xaxis.label, a.yaxis.label, a.title):
            text.set_fontsize(10)
    return figure, axes


def legend(axes, **more) -> None:
    """Name the curves of `axes`."""
    axes.legend(edgecolor="none", fontsize=9, **more)


def picture_of(figure) -> np.ndarray:
    """Return a figure, drawn in ink on the gray of the sheets: (H, W, 3) uint8. Texts, lines and
    marks whose color was chosen keep it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure.set_facecolor(BACKGROUND)
    for axes in figure.axes:
        axes.set_facecolor(BACKGROUND)
        axes.tick_params(colors=INK)
        for spine in axes.spines.values():
            spine.set_color(INK)
    for box in (*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())):
        box.get_frame().set(facecolor=BACKGROUND, edgecolor="none")
    for text in figure.findobj(Text):
        if text.get_color() == "black":
            text.set_color(INK)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
