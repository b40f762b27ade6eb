"""Where a stylist changed the outline of the head: it drew beyond it, or left some of it out.

Found by the plain background that the stylist got and should give back. Where it painted the
background too, nothing can be found, and the outline counts as unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..stylist import View, as_float

APART = 0.11  # color distance (of 0 to 1) from which on a pixel is not background
PLAIN = 0.05  # spread of the background that still counts as plain
BAND = 0.08  # how far inside the outline, in head heights, a loss is looked for
SMALL = 0.002  # share of the head below which a change is noise


@dataclass(frozen=True, eq=False)
class Outline:
    """usable: (H, W) bool, False where the head should be and background is. grown: (H, W)
    float32 in [0, 1], head drawn beyond the outline. known: whether the background was plain."""

    usable: np.ndarray
    grown: np.ndarray
    known: bool


def outline(view: View, picture: np.ndarray) -> Outline:
    """Compare a styled picture (H, W, 3) with the view's mask."""
    picture, head = as_float(picture), view.mask > 0.5
    none = Outline(np.ones_like(head), np.zeros(head.shape, np.float32), False)
    near = cv2.dilate(head.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    outside = ~near
    if outside.sum() < 50 or not head.any():
        return none
    color = np.median(picture[outside], axis=0)
    spread = np.median(np.abs(picture[outside] - color).max(-1))
    if spread > PLAIN:
        return none
    backdrop = np.abs(picture - color).max(-1) < APART
    least = max(8, SMALL * head.sum())
    grown = _touching(~backdrop & ~head, head, least)
    # a loss starts at the outline and is as plain as the background
    reach = max(2, round(BAND * (np.ptp(np.flatnonzero(head.any(1))) + 1)))
    depth_inside = cv2.distanceTransform(np.pad(head, 1, mode="edge").astype(np.uint8),
                                         cv2.DIST_L2, 3)[1:-1, 1:-1]
    lost = _touching(backdrop & head & (depth_inside < reach), ~head, least)
    if lost.any():
        lost = cv2.dilate(lost.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return Outline(~(lost & head), grown.astype(np.float32), True)


def _touching(region: np.ndarray, other: np.ndarray, least: float) -> np.ndarray:
    """Return the connected parts of `region` of at least `least` pixels that border on `other`,
    opened first so that a rim of half-covered pixels is none."""
    region = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, label, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
    rim = cv2.dilate(other.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    keep = np.zeros(count, bool)
    keep[np.unique(label[rim & (region > 0)])] = True
    keep &= stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return keep[label]
