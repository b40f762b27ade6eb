"""A first look at every frame: how sharp, how far moved, where the take is cut or zoomed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..data.cameras import fitted_size
from ..data.footage import Source
from ..data.media import over_gray
from ..errors import IdfError
from ..runtime.progress import Reporter

LOOK = 320  # px, longer side of the pictures looked at
CORNERS = 160  # corners followed from frame to frame
# A cut: the small pictures differ this much (1 - correlation), and so many times more than those
# of the frames around it do.
CUT, CUT_MORE = 0.12, 5.0
SAMPLES = 12  # small pictures that are kept
AROUND = 12  # frames before and after, to compare with
# A zoom: most of the picture, all over it, grows or shrinks alike, so much in half a second; people
# who lean forward and hands that shake reach 0.05.
ZOOM, ZOOM_ALIKE = 0.1, 0.5
# A slow zoom shows where the camera stands: the rim of the picture, the room, grows as a whole.
SLOW, SLOW_S, SLOW_ALIKE = 0.08, 0.4, 0.6
SLOW_KNOWN = 0.5  # of the moments looked at: with fewer the camera moves
STEADY = 0.5  # of a take that must be left where a slow zoom is cut away
RIM = 0.22  # of the picture's sides
STILL = 0.15  # px at LOOK: what moves less over all the take is a still picture


@dataclass(frozen=True, eq=False)
class Scan:
    """What a first look at N frames tells.

    sharpness: (N,) variance of the Laplacian of the small luminance. moved: (N,) how far the upper
    quarter of the corners moved since the frame before, shares of the longer side; NaN where no
    corner could be followed. different: (N,) 1 - correlation with the frame before. scale: (N,)
    log of how much the whole picture grew since the frame before, 0 where it did not as a whole.
    grown: (N,) log of how much the room grew since the first frame, while the camera stands; 0
    where it does not, or no room is seen.
    samples: a few of the small pictures, (h, w, 3) uint8 RGB. longer: pixels of the frames' longer
    side.
    """

    sharpness: np.ndarray
    moved: np.ndarray
    different: np.ndarray
    scale: np.ndarray
    grown: np.ndarray
    samples: tuple[np.ndarray, ...] = ()
    longer: int = 0

    def __len__(self) -> int:
        return len(self.sharpness)


def scan(source: Source, reporter: Reporter) -> Scan:
    """Look at every frame once, small. IdfError: no frames."""
    rows: list[tuple[float, float, float, float]] = []
    total, before, thumb = max(source.count(), 1), None, None
    samples, longer = [], 0
    apart, anchor, rim = max(1, round(SLOW_S * source.fps)), None, []
    for _, picture in source.frames():
        rgb = over_gray(picture)
        h, w = rgb.shape[:2]
        size = fitted_size(w, h, min(LOOK, max(w, h)))
        look, longer = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), max(w, h)
        if len(rows) % max(1, total // SAMPLES) == 0:
            samples.append(look)
        gray = cv2.cvtColor(look, cv2.COLOR_RGB2GRAY)
        sharp = float(cv2.Laplacian(gray, cv2.CV_32F).var())
        small = cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
        if before is None or before.shape != gray.shape:
            rows.append((sharp, np.nan, 0.0, 0.0))
        else:
            moved, scale = _motion(before, gray)
            rows.append((sharp, moved, 1 - _correlation(thumb, small), scale))
        if (len(rows) - 1) % apart == 0:
            same = anchor is not None and anchor.shape == gray.shape
            rim.append(_rim_growth(anchor, gray) if same else np.nan)
            anchor = gray
        before, thumb = gray, small
        if len(rows) % 20 == 0:
            reporter.step("looking at the frames", min(len(rows) / total, 1.0))
    if not rows:
        raise IdfError(f"{source.path} has no frames", "0 frames", "check that it plays")
    return Scan(*np.array(rows, np.float64).T, _grown(np.array(rim), apart, len(rows)),
                tuple(samples), longer)


def _grown(rim: np.ndarray, apart: int, n: int) -> np.ndarray:
    known = np.isfinite(rim[1:])
    if not len(known) or known.mean() < SLOW_KNOWN:
        return np.zeros(n)
    return np.interp(np.arange(n), np.arange(len(rim)) * apart, np.cumsum(np.nan_to_num(rim)))


def takes(found: Scan, fps: float) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the unbroken takes as (first, one past the last), longest first, and what broke them.

    Of a take with a slow zoom the longest part without it is kept where it is most of it.
    """
    n, breaks, why = len(found), [], []
    for i in range(1, n):
        near = np.r_[found.different[max(1, i - AROUND):i], found.different[i + 1:i + 1 + AROUND]]
        usual = np.median(near) if len(near) else 0.0
        if found.scale[i] == 0 and found.different[i] > max(CUT, CUT_MORE * usual):
            breaks.append((i, i))
            why.append(f"a cut at frame {i}")
    span = max(2, round(fps / 2))
    total = np.concatenate([[0.0], np.cumsum(found.scale)])
    i = span
    while i <= n:
        if abs(total[i] - total[i - span]) > ZOOM:
            first, last = i - span, i
            while last < n and abs(total[min(n, last + span // 2)] - total[last]) > ZOOM / 4:
                last = min(n, last + span // 2)
            breaks.append((first, last))
            why.append(f"a zoom at frames {first} to {last - 1}")
            i = last + span
        else:
            i += 1
    edges, start = [], 0
    for first, last in sorted(breaks):
        edges.append((start, first))
        start = max(start, last)
    edges.append((start, n))
    parts = sorted((e for e in edges if e[1] > e[0]), key=lambda e: e[0] - e[1])
    if parts and zoomed(found, parts[0]) > 1:
        (first, last), (a, b) = parts[0], _steady(found.grown, parts[0])
        if b - a > STEADY * (last - first):
            parts[0] = (a, b)
            why += [f"a slow zoom at frames {p} to {q - 1}" for p, q in ((first, a), (b, last))
                    if q > p]
    return sorted(parts, key=lambda e: e[0] - e[1]), why


def _steady(grown: np.ndarray, take: tuple[int, int]) -> tuple[int, int]:
    """Return the longest part of a take in which the lens hardly zooms."""
    best = first = take[0]
    longest = 0
    for last in range(take[0] + 1, take[1] + 1):
        while np.ptp(grown[first:last]) > SLOW / 2:
            first += 1
        if last - first > longest:
            best, longest = first, last - first
    return best, best + longest


def zoomed(found: Scan, take: tuple[int, int]) -> float:
    """Return how many times larger the lens shows the room at one time of a take than at another,
    in a slow zoom; 1 where there is none."""
    grown = found.grown[take[0]:take[1]]
    return float(np.exp(np.ptp(grown))) if len(grown) and np.ptp(grown) > SLOW else 1.0


def is_still(found: Scan) -> bool:
    """Return whether nothing moves in all the frames: a picture that was saved as a video."""
    moved = found.moved[1:]
    known = moved[np.isfinite(moved)]
    return bool(found.different[1:].max(initial=0) < 1e-3
                and known.max(initial=0) < STILL / LOOK)


def _motion(before: np.ndarray, gray: np.ndarray) -> tuple[float, float]:
    """How far corners moved (upper quartile, shares of the longer side; NaN: none seen), and the
    log of the scale of the picture where all of it has one."""
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 6)
    if corners is None or len(corners) < 12:
        return np.nan, 0.0
    after, found, _ = cv2.calcOpticalFlowPyrLK(before, gray, corners, None, winSize=(15, 15),
                                               maxLevel=3)
    ok = found[:, 0] > 0
    if ok.sum() < 12:
        return np.nan, 0.0
    a, b = corners[ok, 0], after[ok, 0]
    moved = float(np.quantile(np.linalg.norm(b - a, axis=1), 0.75)) / max(gray.shape)
    scale = 0.0
    # zooms are told only where corners lie all over the picture
    cells = {(int(x * 3 / gray.shape[1]), int(y * 3 / gray.shape[0])) for x, y in a}
    if len(cells) >= 6:
        fit, inside = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=1.5)
        if fit is not None and inside.mean() > ZOOM_ALIKE:
            scale = float(np.log(max(np.hypot(fit[0, 0], fit[1, 0]), 1e-3)))
    return moved, scale if abs(scale) > 1e-3 else 0.0


def _rim_growth(before: np.ndarray, gray: np.ndarray) -> float:
    """Log of the scale of the picture's rim, where three sides of it or more move as one; else
    NaN."""
    h, w = before.shape
    x, y = round(RIM * w), round(RIM * h)
    mask = np.full((h, w), 255, np.uint8)
    mask[y:h - y, x:w - x] = 0
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 6, mask=mask)
    if corners is None or len(corners) < 12:
        return np.nan
    after, found, _ = cv2.calcOpticalFlowPyrLK(before, gray, corners, None, winSize=(15, 15),
                                               maxLevel=3)
    ok = found[:, 0] > 0
    if ok.sum() < 12:
        return np.nan
    fit, inside = cv2.estimateAffinePartial2D(corners[ok, 0], after[ok, 0],
                                              ransacReprojThreshold=1.0)
    if fit is None or inside.mean() < SLOW_ALIKE:
        return np.nan
    a = corners[ok, 0][inside[:, 0] > 0]
    sides = [(a[:, 0] < x).any(), (a[:, 0] > w - x).any(), (a[:, 1] < y).any(),
             (a[:, 1] > h - y).any()]
    return float(np.log(np.hypot(fit[0, 0], fit[1, 0]))) if sum(sides) >= 3 else np.nan


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6)) \
        if max(a.std(), b.std()) > 1 else 1.0
