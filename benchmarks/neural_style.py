"""The stylist `neural` on the bundled turntable: seconds a view, seams, one rule for all views.

python benchmarks/neural_style.py               about a minute; needs `idf download neural_style`

Seconds are of one thread's processor. "apart": how far the mean color of the hair and the face of
neighboring key views differ from the one they have in common, of 255, with means measured over all
key views and with each view's own. "seam": the largest difference, of 255, between a picture
painted in parts and at once.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.data import samples
from idf_helpers.stylization.config import NeuralConfig
from idf_helpers.stylization.methods import open_stylist
from idf_helpers.stylization.stylist import Stylist, View
from idf_helpers.stylization.stylists import style_network
from idf_helpers.stylization.views import DatasetViews

SIZES = (256, 512, 800)
STYLES = ("swirls", "ink", "14", "24")
LIMIT_S = 2.0  # a key view of 256


def seconds(stylist: Stylist, view: View) -> float:
    """Median seconds of one thread for a view, of three."""
    took = []
    for _ in range(3):
        started = time.thread_time()
        stylist.stylize(view)
        took.append(time.thread_time() - started)
    return float(np.median(took))


def apart(pictures: list[np.ndarray], views: list[View]) -> float:
    """Mean difference, of 255, of the head's light and dark half between neighboring views."""
    levels = []
    for picture, view in zip(pictures, views, strict=True):
        gray, head = view.source().mean(-1), view.mask > 0.95
        levels.append([picture[head & part].mean(0) for part in (gray < 0.35, gray >= 0.35)])
    found = np.array(levels)
    return float(255 * np.abs(found - np.roll(found, 1, axis=0)).mean())


def seam(stylist: Stylist, view: View) -> float:
    """Largest difference, of 255, of a view painted in parts of 256 and at once."""
    at_once = stylist.stylize(view)
    usual, style_network.PART = style_network.PART, 256
    try:
        return float(255 * np.abs(stylist.stylize(view) - at_once).max())
    finally:
        style_network.PART = usual


def main() -> None:
    data = samples.dataset("head_turntable")
    print("style    size   s a view     seam   apart: one rule   each its own")
    slowest = 0.0
    for name in STYLES:
        for size in SIZES:
            every = DatasetViews(data, resolution=min(size, max(data.size)))
            views = [every[k].resized(size, size) for k in range(0, len(every), len(every) // 8)]
            stylist = open_stylist("neural", NeuralConfig(style=(name,)))
            stylist.prepare(views)
            stylist.stylize(views[0])
            took = seconds(stylist, views[0])
            if size > SIZES[0]:
                print(f"{name:8s} {size:4d}   {took:8.2f}   {seam(stylist, views[0]):6.2f}")
                continue
            slowest = max(slowest, took)
            one = apart([stylist.stylize(v) for v in views], views)
            own = []
            for v in views:
                stylist.prepare([replace(v)])
                own.append(stylist.stylize(v))
            print(f"{name:8s} {size:4d}   {took:8.2f}   {seam(stylist, views[0]):6.2f}   "
                  f"{one:15.1f}   {apart(own, views):12.1f}")
    print(f"slowest view of {SIZES[0]}: {slowest:.2f} s (limit {LIMIT_S:g})"
          f"{'' if slowest <= LIMIT_S else '   MISSED'}")


if __name__ == "__main__":
    main()
