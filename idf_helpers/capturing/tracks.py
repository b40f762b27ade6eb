"""Points of the head that are seen again from frame to frame: SIFT, matched and joined to tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..data.media import read_image
from ..runtime.progress import Reporter

FEATURES = 1500  # most in a picture
NEXT = (1, 2, 3, 5, 8, 12)  # a frame's partners after it, in frames
ALIKE = 14.0  # degrees between frames of two passes that are matched too
RATIO = 0.8  # Lowe's, of the nearest to the second nearest descriptor
EPIPOLAR = 1.5  # px
FEWEST = 12  # matches that make a pair


@dataclass(frozen=True, eq=False)
class Tracks:
    """What is seen in several frames.

    frame, point: (M,) int64, of each sight. xy: (M, 2) float64 pixels. points: how many there are.
    Sorted by point.
    """

    frame: np.ndarray
    point: np.ndarray
    xy: np.ndarray
    points: int

    def kept(self, good: np.ndarray, least: int = 2) -> Tracks:
        """Return the sights `good` (M,) bool of points that still have `least` of them."""
        count = np.bincount(self.point[good], minlength=self.points)
        good = good & (count[self.point] >= least)
        names, point = np.unique(self.point[good], return_inverse=True)
        return Tracks(self.frame[good], point, self.xy[good], len(names))


def find_tracks(pictures: Sequence[Path], masks: Sequence[Path], looks: np.ndarray,
                reporter: Reporter) -> Tracks:
    """Match features within the masks and join them.

    looks: (N, 3) unit directions from which frames see the head, NaN where that is not known.
    """
    sift = cv2.SIFT_create(nfeatures=FEATURES, contrastThreshold=0.012, edgeThreshold=14)
    places, descriptors = [], []
    for k, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        gray = cv2.cvtColor(read_image(picture)[..., :3], cv2.COLOR_RGB2GRAY)
        inside = (read_image(mask)[..., 0] > 200).astype(np.uint8)
        inside = cv2.erode(inside, np.ones((7, 7), np.uint8))
        found, place = _features(sift, gray, inside)
        descriptors.append(found)
        places.append(place)
        reporter.step("finding points on the head", (k + 1) / len(pictures))
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in places])])
    pairs = _pairs(len(places), looks)
    links = []
    for k, (i, j) in enumerate(pairs):
        a, b = _matched(descriptors[i], descriptors[j])
        if len(a) < FEWEST:
            continue
        good = fitting(places[i][a], places[j][b])
        if good.sum() < FEWEST:
            continue
        links.append(np.column_stack([offsets[i] + a[good], offsets[j] + b[good]]))
        if k % 10 == 0:
            reporter.step("matching points", (k + 1) / len(pairs))
    owner = np.repeat(np.arange(len(places)), np.diff(offsets))
    xy = np.concatenate(places) if len(places) else np.zeros((0, 2))
    return _joined(np.concatenate(links) if links else np.zeros((0, 2), int), owner, xy)


def fitting(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (N,) bool, which of the matched points (N, 2) two cameras may have seen: none where
    they fit no pair of cameras."""
    try:
        _, good = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, EPIPOLAR, 0.999, 2000)
    except cv2.error:  # OpenCV 5 asserts where its best model is none
        good = None
    return np.zeros(len(a), bool) if good is None else good[:, 0] > 0


def _pairs(n: int, looks: np.ndarray) -> list[tuple[int, int]]:
    out = {(i, i + d) for i in range(n) for d in NEXT if i + d < n}
    # the same side seen in another pass
    cosine = looks @ looks.T
    with np.errstate(invalid="ignore"):
        near = cosine > np.cos(np.radians(ALIKE))
    for i in range(0, n, 3):
        far = [j for j in np.flatnonzero(near[i]) if abs(j - i) > NEXT[-1]]
        for j in sorted(far, key=lambda j: -cosine[i, j])[:4]:
            out.add((min(i, j), max(i, j)))
    return sorted(out)


def _features(sift, gray: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit descriptors (K, 128) float32 and places (K, 2) px of features within a mask."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return np.zeros((0, 128), np.float32), np.zeros((0, 2))
    y, x = max(0, rows[0] - 8), max(0, columns[0] - 8)
    part = (slice(y, rows[-1] + 9), slice(x, columns[-1] + 9))
    # shaded skin has little contrast: what there is, is evened out before it is looked at
    even = cv2.createCLAHE(3.0, (8, 8)).apply(np.ascontiguousarray(gray[part]))
    points, found = sift.detectAndCompute(even, np.ascontiguousarray(inside[part]))
    if found is None:
        return np.zeros((0, 128), np.float32), np.zeros((0, 2))
    root = np.sqrt(found / np.maximum(found.sum(1, keepdims=True), 1e-6))  # RootSIFT
    return root.astype(np.float32), np.array([p.pt for p in points]) + (x + 0.5, y + 0.5)


def _matched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `a` and `b` that are each other's nearest, clearly."""
    if min(len(a), len(b)) < FEWEST:
        return np.zeros(0, int), np.zeros(0, int)
    alike = a @ b.T
    two = np.argpartition(-alike, 1, axis=1)[:, :2]
    first, second = (alike[np.arange(len(a)), two[:, k]] for k in (0, 1))
    swap = second > first
    best = np.where(swap, two[:, 1], two[:, 0])
    near = np.maximum(2 - 2 * np.maximum(first, second), 1e-6)  # squared distances
    next_ = np.maximum(2 - 2 * np.minimum(first, second), 1e-6)
    good = (near < RATIO**2 * next_) & (alike.argmax(0)[best] == np.arange(len(a)))
    return np.flatnonzero(good), best[good]


def _joined(links: np.ndarray, owner: np.ndarray, xy: np.ndarray) -> Tracks:
    """Join linked features; what has two of one frame contradicts itself and is left out."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(owner)
    graph = coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), (n, n))
    _, label = connected_components(graph, directed=False)
    count = np.bincount(label)
    key = label * (owner.max(initial=0) + 1) + owner
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    twice = np.zeros(len(count), bool)
    twice[label[first[times > 1]]] = True
    rows = np.flatnonzero((count[label] >= 2) & ~twice[label])
    rows = rows[np.argsort(label[rows], kind="stable")]
    names, point = np.unique(label[rows], return_inverse=True)
    return Tracks(owner[rows], point, xy[rows], len(names))
