"""How consistent restyled views are, measured without any model.

warp error: what two views show of the same surface, in levels of 0-255. loop closure: the same
from the last view of a closed turn to the first, against neighbors elsewhere. sharpness: Laplacian
variance against the key views' (blur lowers the warp error, too: read the two together). mask
overlap: of the outlines before and after. The measures of papers are in `consistency`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from ..data.cameras import scene_frame
from .reproject import TOLERANCE, Key, reproject
from .stylist import View, as_float
from .surface import SOLID

TRUSTED = 0.3  # cosine to the surface from which on a pixel is compared
SAMPLES = 12  # pairs of views that a mean is taken over


def warp_error(views: Sequence[View], pictures: Sequence[np.ndarray], apart: int,
               closed: bool = True, pairs: Sequence[tuple[int, int]] | None = None) -> float:
    """Return the mean absolute difference in levels of 0-255 between view i and view i + `apart`
    carried over to it, on the surface that both see well; NaN where none do.

    views: with depth. pictures: (H, W, 3). Both may be dicts, with pairs: certain ones, in place
    of some spread over the turn.
    """
    count = len(views)
    if pairs is None:
        last = count if closed else count - apart
        starts = np.unique(np.linspace(0, max(0, last - 1), min(SAMPLES, max(1, last))).astype(int))
        pairs = [(int(i), int(i + apart) % count) for i in starts if closed or i + apart < count]
    cameras = (views.values() if isinstance(views, dict) else views)
    tolerance = TOLERANCE * scene_frame([v.camera for v in cameras]).radius
    found = []
    for i, j in pairs:
        warped, both = seen_by_both(views[i], Key.of(views[j], pictures[j], tolerance), tolerance)
        if both.any():
            found.append(255 * float(np.abs(warped - as_float(pictures[i]))[both].mean()))
    return float(np.mean(found)) if found else float("nan")


def seen_by_both(view: View, key: Key, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return `key` carried over to `view`, (H, W, 3) float32, and where both see the surface well,
    (H, W) bool."""
    warped = reproject(view, [key], tolerance)
    return warped.rgb, (warped.cosine > TRUSTED) & (view.mask >= SOLID)


def loop_closure(views: Sequence[View], pictures: Sequence[np.ndarray]) -> float:
    """Return the warp error from the last view to the first, over that of neighbors elsewhere;
    1 = the seam of the turn is like any other place."""
    seam = warp_error(views, pictures, 1, pairs=[(0, len(views) - 1)])
    elsewhere = warp_error(views, pictures, 1, closed=False)
    return seam / elsewhere if elsewhere > 0 else float("nan")


def sharpness(picture: np.ndarray, mask: np.ndarray) -> float:
    """Return the variance of the Laplacian of the gray picture well inside the mask, levels²."""
    inside = cv2.erode((mask >= SOLID).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    if not inside.any():
        return float("nan")
    gray = cv2.cvtColor(as_float(picture), cv2.COLOR_RGB2GRAY) * 255
    return float(cv2.Laplacian(gray, cv2.CV_32F)[inside].var())


def mask_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return intersection over union of two masks (H, W) at one half; 1 for two empty ones."""
    a, b = a > 0.5, b > 0.5
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def background_pixels(picture: np.ndarray, mask: np.ndarray, background, source: np.ndarray) -> int:
    """Count the pixels well inside the mask with exactly the background's color where the source
    has another one. background: (3,) in [0, 1]."""
    color = np.asarray(background, np.float32)
    plain = (np.abs(as_float(picture) - color).max(-1) < 2 / 255) & \
        (np.abs(as_float(source) - color).max(-1) > 8 / 255)
    return int((plain & (mask >= SOLID)).sum())


class Pictures(Protocol):
    """Pictures by index, read when they are asked for."""

    def __getitem__(self, k: int, /) -> np.ndarray: ...


WORDS = {"warp_error_neighbors": "change of a surface point between neighbors: {:.2f} of 255",
         "warp_error_eighth": "an eighth of the turn apart: {:.2f}",
         "sharpness_of_keys": "sharpness: {:.2f} of the key views'",
         "mask_overlap": "overlap of the outlines: {:.3f}",
         "splats_psnr": "splats: {:.1f} dB on held-out views"}


def in_words(measures: dict) -> list[str]:
    """Return the main measures of a report as text; what was not measured is left out."""
    return [t.format(measures[k]) for k, t in WORDS.items() if isinstance(measures.get(k), float)]


def measure_views(views: Sequence[View], pictures: Pictures, alphas: Pictures,
                  keys: Sequence[int], closed: bool, background=(1.0, 1.0, 1.0)) -> dict:
    """Return the measures of all views, ready for JSON; what cannot be measured is a sentence.

    pictures: (H, W, 3), as made. alphas: (H, W) in [0, 1]. keys: indices of the styled views.
    """
    out: dict = {}
    if all(views[i].depth is not None for i in (0, len(views) // 2)):
        step = max(1, round(len(views) / 8))
        out["warp_error_neighbors"] = warp_error(views, pictures, 1, closed)
        out["warp_error_eighth"] = warp_error(views, pictures, step, closed)
        out["loop_closure"] = loop_closure(views, pictures) if closed else \
            "not measured: the views do not go all the way around"
    else:
        out["warp_error"] = "not measured: no depth"
    some = np.unique(np.linspace(0, len(views) - 1, min(SAMPLES, len(views))).astype(int))
    rest = [i for i in some if i not in set(keys)]
    sharp = {i: sharpness(pictures[i], views[i].mask) for i in {*some, *list(keys)[:SAMPLES]}}
    at_keys = np.mean([sharp[k] for k in list(keys)[:SAMPLES]]) if len(keys) else float("nan")
    if rest and at_keys > 0:
        out["sharpness_of_keys"] = float(np.mean([sharp[i] for i in rest]) / at_keys)
    before = np.mean([sharpness(views[i].source(), views[i].mask) for i in some])
    out["sharpness_of_source"] = float(np.mean([sharp[i] for i in some]) / before) \
        if before > 0 else float("nan")
    out["mask_overlap"] = float(np.mean([mask_overlap(alphas[i], views[i].mask) for i in some]))
    out["background_pixels"] = sum(background_pixels(pictures[i], views[i].mask, background,
                                                     views[i].source()) for i in some)
    return {k: (round(v, 4) if np.isfinite(v) else "not measured: nothing to compare")
            if isinstance(v, float) else v for k, v in out.items()}
