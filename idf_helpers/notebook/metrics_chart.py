"""Swaps side by side in bins of yaw, as a chart: identity, pose, expression, LPIPS."""

from __future__ import annotations

import textwrap

import numpy as np

from ..errors import IdfError
from ..face.identity import SAME_PERSON
from ..runtime.tables import Table
from ..swapping.frame_measures import YAW_BINS
from ..swapping.measure_table import figures_by_yaw, measured
from .figures.charts import COLORS, INK, picture_of

PANELS = {"identity_source": ("identity distance to the source", "lower = more like the photo"),
          "pose_error": ("head turned away, degrees", "lower = the target's pose"),
          "lips_error": ("lips moved away, mm", "lower = the target's expression"),
          "lpips_target": ("LPIPS of the face", "difference from the target's picture")}


def yaw_chart(table: Table) -> np.ndarray:
    """Return a chart of what `evaluate` measured of swaps: (H, W, 3) uint8.

    A panel for each measure, bins of yaw on x, a bar for each run. In the first, a circle is the
    distance from the result to the target and a line that from source to target, before the swap.
    What was not measured has its reason in its place. IdfError where the table is not of swaps.
    """
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    rows = [r for r in table.records if "by_yaw" in r]
    if not rows:
        raise IdfError("There is nothing to draw by yaw", "a table without swaps",
                       "give what evaluate(RUN) returned for runs of a swap")
    figure = Figure(figsize=(2.9 * len(PANELS), 3.1), dpi=110, layout="constrained")
    for axes, (key, (words, meaning)) in zip(figure.subplots(1, len(PANELS)), PANELS.items(),
                                             strict=True):
        axes.set_title(words, fontsize=9)
        if not any(measured(row, key) for row in rows):
            _say(axes, next(row["notes"].get(key, "no face was found") for row in rows))
            continue
        _bars(axes, figures_by_yaw(rows, key))
        axes.set_xlabel(f"yaw, degrees\n({meaning})", fontsize=8)
        if key == "identity_source":
            _beside(axes, rows)
    handles, labels = next((h for a in figure.axes if (h := a.get_legend_handles_labels())[0]),
                           ([], []))
    if handles:
        figure.legend(handles, labels, loc="outside lower center", fontsize=8,
                      ncols=min(4, len(labels)))
    return picture_of(figure)


def _place(k: int, runs: int) -> np.ndarray:
    """Return (bins,) where the k-th of some runs stands on x."""
    return np.arange(len(YAW_BINS)) + (k - (runs - 1) / 2) * 0.8 / runs


def _bars(axes, values: dict[str, list[float | None]]) -> None:
    top = 0.0
    for k, (name, each) in enumerate(values.items()):
        height = np.array([np.nan if v is None else v for v in each])
        top = max(top, np.nanmax(height, initial=0))
        axes.bar(_place(k, len(values)), height, 0.72 / len(values), label=name,
                 color=COLORS[k % len(COLORS)])
        for x, v in zip(_place(k, len(values)), height, strict=True):
            axes.text(x, 0 if np.isnan(v) else v, "no face" if np.isnan(v) else f"{v:.2f}",
                      ha="center", va="bottom", fontsize=7, rotation=90 if len(values) > 3 else 0)
    axes.set_xticks(range(len(YAW_BINS)), list(YAW_BINS), fontsize=8)
    axes.set_xlim(-0.6, len(YAW_BINS) - 0.4)
    axes.set_ylim(0, 1.18 * top or 1)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _beside(axes, rows: list[dict]) -> None:
    """Mark the distances to the target and before, and below which one is the same person."""
    marks = {"identity_target": ("o", "result to target"), "identity_before": ("_", "before")}
    top = axes.get_ylim()[1]
    for key, (marker, words) in marks.items():
        for k, each in enumerate(figures_by_yaw(rows, key).values()):
            height = np.array([np.nan if v is None else v for v in each])
            top = max(top, 1.1 * np.nanmax(height, initial=0))
            axes.plot(_place(k, len(rows)), height, marker, markersize=9 if marker == "_" else 4,
                      markerfacecolor="none", color=INK, label=words if k == 0 else None)
    axes.axhline(SAME_PERSON, color=INK, lw=0.8, ls=":", label="same person below")
    axes.set_ylim(0, max(top, 1.1 * SAME_PERSON))


def _say(axes, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    lines = textwrap.fill(text, 34, break_long_words=False)
    axes.text(0.5, 0.5, f"not measured\n\n{lines}", ha="center", va="center", fontsize=8,
              transform=axes.transAxes, in_layout=False)
