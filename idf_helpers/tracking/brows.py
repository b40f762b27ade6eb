"""Where the brows are, from the pictures themselves.

The landmark model shows half of a raised or lowered brow and errs by as much, but in the
picture a brow can be followed to a fraction of a pixel. A fit to the landmarks finds where the
head is; the strip of every frame above the eyes is unwrapped onto the face at rest, where only
expression moves anything; six stretches of the brows are followed up and down against what they
look like in the clip's quiet frames (normalized correlation, which does not mind the light's
strength). A second fit takes those heights as measurements beside the landmarks.

A height counts as far as it can be trusted: how well a stretch is met again, whether it faces the
camera, how many pixels a centimeter has; and over the clip each brow must follow what the landmarks
show of it. Where a fringe or glasses hide it, it does not, and the landmarks alone decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from ..errors import IdfError
from ..face.frame_fitter import BrowSight
from ..face.topology import (
    BROW_STRETCHES,
    LEFT_EYE_INNER,
    LEFT_EYE_OUTER,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
)

REACH = (0.9, 0.45)  # cm to the sides and up and down: the skin that a stretch's motion is of
CELL = 0.08  # cm, of an unwrapped strip
TEMPLATE = (2.2, 1.7)  # cm, width and height of what is followed
SEARCH = (0.32, 1.3)  # cm to the sides and up and down
QUIET = 0.25  # share of the frames, those of the least expression, that the template is made of
TEMPLATE_FRAMES = 120  # at most
ROUNDS = 2  # the template is aligned to itself so many times
MET = (0.6, 0.9)  # correlation from which a height counts, and from which it counts fully
FACING = (0.25, 0.5)  # cosine, the same
CONTRAST = 1.0  # gray levels, least standard deviation of a template
# Least correlation over the clip with what the landmarks show of the same brow. Heights and
# landmarks share the pose's error: what sticks to the head (a fringe, thick frames) has up to 0.66,
# brows that are seen mostly 0.8 and more.
AGREEMENT = 0.7
ERROR, PIXELS = 0.05, 0.3  # cm, and pixels: standard error of a height that is met well
REST_FRAMES, REST_ROUNDS, REST_ROBUST = 64, 2, 0.15  # frames that tell where the brows are at rest;
# how often they are fitted for it; cm, residual at which a frame counts half


@dataclass(frozen=True, eq=False)
class BrowHeights:
    """What was followed in a clip of N frames.

    center: (6, 3) float64 cm in the head's frame, the stretches of this face at rest.
    height: (N, 6) cm above where they are in the clip's quiet frames, along the head's y, under the
        poses that they were unwrapped with; 0 where trust is.
    trust: (N, 6) in [0, 1].
    """

    center: np.ndarray
    height: np.ndarray
    trust: np.ndarray


def sights(fitter, pictures, xy, poses, weights, used) -> dict[int, BrowSight]:
    """Return what the pictures show of the brows, for each frame where they show something.

    fitter: `fit.FrameFitter` of this face. pictures: see `measure`. xy: (N, 468, 2) pixels. poses,
    weights: (N, 4, 4) and (N, S) of a fit to the landmarks alone. used: (N,) bool. A brow of which
    pictures and landmarks do not agree over the clip that it moves has weight 0 throughout.
    """
    found = measure(pictures, poses, used, weights.sum(1), fitter.lens, fitter.neutral)
    expected = weights @ fitter.brow_shapes[..., 1].T
    believed = np.repeat(agreement(found, expected) >= AGREEMENT, 3)
    found = replace(found, trust=found.trust * believed)
    scale = fitter.f.mean() / -poses[:, 2, 3]  # pixels of a centimeter
    weight = found.trust / (ERROR**2 + (PIXELS / scale[:, None]) ** 2)
    index = np.flatnonzero(np.asarray(used) & (found.trust.sum(1) > 0))

    def sight(i, rest):
        now = found.center + np.outer(found.height[i], (0, 1, 0))
        q = now @ poses[i, :3, :3].T + poses[i, :3, 3]
        seen = fitter.c + fitter.f * q[:, :2] / -q[:, 2:] * (1, -1)
        up = poses[i, :2, 1] * (1, -1)  # the head's y
        return BrowSight(found.center + np.outer(rest, (0, 1, 0)), seen,
                         up / max(float(np.linalg.norm(up)), 1e-9), weight[i], found.trust[i])

    # The heights are those over the clip's quiet frames, in which the brows need not be at rest:
    # where they are then comes from the landmarks, and from fits that know the heights too.
    off = np.where(found.trust > 0, found.height - expected, np.nan)
    rest = np.array([np.median(o[np.isfinite(o)]) if np.isfinite(o).any() else 0.0 for o in off.T])
    some = index[np.linspace(0, len(index) - 1, min(len(index), REST_FRAMES)).astype(int)]
    at = {i: (poses[i], weights[i]) for i in some}
    for _ in range(REST_ROUNDS):
        total, count = np.zeros_like(rest), np.full_like(rest, 1e-9)
        for i in some:
            brow = sight(i, rest)
            try:
                at[i] = fitter.fit(xy[i], *at[i], brow=brow)[:2]
            except IdfError:
                continue
            high = (fitter.brow_seen(brow, at[i][1], at[i][0]) - brow.seen) @ brow.up / scale[i]
            w = found.trust[i] / (1 + (high / REST_ROBUST) ** 2)
            total, count = total - w * high, count + w
        rest = rest + total / count
    return {int(i): sight(i, rest) for i in index}


def centers(vertices) -> np.ndarray:
    """Return (6, 3) cm: the middles of the stretches on a face (468, 3)."""
    return np.stack([np.asarray(vertices, np.float64)[list(k)].mean(0) for k in BROW_STRETCHES])


def agreement(heights: BrowHeights, expected) -> np.ndarray:
    """Return (2,) correlation over the clip of the right and the left brow's heights with those
    that the landmarks' fit expects.

    expected: (N, 6) cm. 0 where there is nothing to compare: fewer than eight frames, or one of the
    two does not move.
    """
    out = np.zeros(2)
    for side, k in enumerate((slice(0, 3), slice(3, 6))):
        w = heights.trust[:, k]
        rows = w.sum(1) > 0.5
        if rows.sum() < 8:
            continue
        w = w[rows] / w[rows].sum(1, keepdims=True)
        a, b = (w * heights.height[rows, k]).sum(1), (w * np.asarray(expected)[rows, k]).sum(1)
        if min(a.std(), b.std()) > 1e-3:
            out[side] = np.corrcoef(a, b)[0, 1]
    return out


def measure(pictures: Callable[[int], np.ndarray], poses, used, quietness, lens,
            neutral) -> BrowHeights:
    """Follow the brows of a clip.

    pictures: number of a frame -> its (H, W, 3) uint8 RGB. poses: (N, 4, 4) head to camera of a fit
    to the landmarks. used: (N,) bool, frames that may count. quietness: (N,), less = less
    expression. lens: with fx, fy, cx, cy in pixels. neutral: (468, 3) cm, the face at rest.
    """
    index = np.flatnonzero(used)
    middle = centers(neutral)
    n = len(poses)
    height, trust = np.zeros((n, len(middle))), np.zeros((n, len(middle)))
    if not len(index):
        return BrowHeights(middle, height, trust)
    strip = Strip(neutral, middle)
    seen = np.stack([strip.unwrap(pictures(i), poses[i], lens) for i in index])
    order = np.argsort(np.asarray(quietness)[index], kind="stable")
    quiet = order[:max(1, int(np.ceil(QUIET * len(order))))]
    quiet = quiet[np.linspace(0, len(quiet) - 1, min(len(quiet), TEMPLATE_FRAMES)).astype(int)]
    facing = np.stack([strip.facing(poses[i]) for i in index])
    for k in range(len(middle)):
        template = _template(np.stack([strip.window(seen[i], k) for i in quiet]))
        if template.std() < CONTRAST:
            continue  # bare skin, or a face of a few pixels: nothing that could be followed
        template = _normed(template)
        for row, i in enumerate(index):
            shift, met, edge = _find(strip.window(seen[row], k), template)
            if not edge:
                height[i, k] = shift[1]
                trust[i, k] = _ramp(met, MET) * _ramp(facing[row, k], FACING)
    height[trust == 0] = 0
    return BrowHeights(middle, height, trust)


class Strip:
    """The part of a face at rest about the brows, as a grid of points, rows from above.

    neutral: (468, 3) cm; middle: (6, 3) of the stretches.
    """

    def __init__(self, neutral, middle):
        eyes = np.asarray(neutral)[[RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER,
                                    LEFT_EYE_OUTER], 1].mean()
        reach = TEMPLATE[1] / 2 + SEARCH[1] + 2 * CELL
        top = middle[:, 1].max() + reach
        rows = int(np.ceil((top - min(middle[:, 1].min() - reach, eyes)) / CELL)) + 1
        side = np.abs(middle[:, 0]).max() + TEMPLATE[0] / 2 + SEARCH[0] + 2 * CELL
        columns = 2 * int(np.ceil(side / CELL)) + 1
        self.y = top - CELL * np.arange(rows)
        self.x = CELL * (np.arange(columns) - columns // 2)
        depth = surface(np.asarray(neutral, np.float64), self.x, self.y)
        self.grid = np.stack([*np.meshgrid(self.x, self.y), depth], -1)
        self.middle = middle
        slope_y, slope_x = np.gradient(depth, CELL)
        self.normal = np.empty((len(middle), 3))
        for k, (x, y, _) in enumerate(middle):
            i, j = self._cell(x, y)
            self.normal[k] = -slope_x[i, j], slope_y[i, j], 1  # rows run down
        self.normal /= np.linalg.norm(self.normal, axis=1, keepdims=True)

    def _cell(self, x, y) -> tuple[int, int]:
        return int(round((self.y[0] - y) / CELL)), int(round((x - self.x[0]) / CELL))

    def unwrap(self, picture, pose, lens) -> np.ndarray:
        """Return (rows, columns) uint8 gray: what `picture` shows of the strip under a pose."""
        q = self.grid.reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]
        u = (lens.cx - lens.fx * q[:, 0] / q[:, 2] - 0.5).reshape(self.grid.shape[:2])
        v = (lens.cy + lens.fy * q[:, 1] / q[:, 2] - 0.5).reshape(self.grid.shape[:2])
        h, w = picture.shape[:2]
        x0, y0 = (int(np.clip(np.floor(a.min()) - 8, 0, s - 1)) for a, s in ((u, w), (v, h)))
        x1, y1 = (int(np.clip(np.ceil(a.max()) + 9, b + 1, s))
                  for a, b, s in ((u, x0, w), (v, y0, h)))
        gray = cv2.cvtColor(np.ascontiguousarray(picture[y0:y1, x0:x1, :3]), cv2.COLOR_RGB2GRAY)
        cell = int(lens.fx / -np.median(q[:, 2]) * CELL)  # pixels of a cell: averaged over
        if cell >= 2:
            gray = cv2.blur(gray, (cell, cell))
        return cv2.remap(gray, (u - x0).astype(np.float32), (v - y0).astype(np.float32),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def facing(self, pose) -> np.ndarray:
        """Return (6,) cosine of each stretch's normal with the direction to the camera."""
        to = -pose[:3, :3].T @ pose[:3, 3] - self.middle
        return (to * self.normal).sum(1) / np.linalg.norm(to, axis=1)

    def window(self, seen, k: int) -> np.ndarray:
        """Return (rows, columns) float32 of a strip: what stretch `k` is looked for in."""
        i, j = self._cell(*self.middle[k, :2])
        b, a = (int(round((TEMPLATE[d] / 2 + SEARCH[d]) / CELL)) for d in (1, 0))
        part = seen[i - b:i + b + 1, j - a:j + a + 1].astype(np.float32)
        return cv2.GaussianBlur(part, (0, 0), 1.0)


def surface(vertices, x, y) -> np.ndarray:
    """Return (rows, columns) cm: the depth z of a face (468, 3) seen from the front on a grid,
    smoothed; beyond the mesh that of the nearest point."""
    points = np.stack(np.meshgrid(x, y), -1)
    z = LinearNDInterpolator(vertices[:, :2], vertices[:, 2])(points)
    beyond = np.isnan(z)
    if beyond.any():
        z[beyond] = NearestNDInterpolator(vertices[:, :2], vertices[:, 2])(points[beyond])
    return cv2.GaussianBlur(z, (0, 0), 0.4 / CELL)


def _template(windows) -> np.ndarray:
    """Mean of what lies in the middle of windows (N, rows, columns), aligned to itself."""
    dy, dx = (int(round(SEARCH[d] / CELL)) for d in (1, 0))
    h, w = windows.shape[1] - 2 * dy, windows.shape[2] - 2 * dx
    shifts = np.zeros((len(windows), 2))
    for turn in range(ROUNDS + 1):
        template = np.mean([cv2.warpAffine(
            p, np.array([[1, 0, dx + a / CELL], [0, 1, dy - b / CELL]], np.float32), (w, h),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
            for p, (a, b) in zip(windows, shifts, strict=True)], axis=0)
        if turn == ROUNDS or template.std() < CONTRAST:
            break
        shifts = np.array([_find(p, _normed(template))[0] for p in windows])
        shifts -= np.median(shifts, axis=0)
    return template


def _normed(template) -> np.ndarray:
    return ((template - template.mean()) / template.std()).astype(np.float32)


def _find(window, template):
    """((to the right, up) cm, correlation, whether it is at the window's edge): where in `window`
    the template lies, to a fraction of a cell, from the middle."""
    score = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(score)
    rows, columns = score.shape
    right = _peak(score[y], x) - (columns - 1) / 2
    down = _peak(score[:, x], y) - (rows - 1) / 2
    return np.array([right, -down]) * CELL, best, y in (0, rows - 1)


def _peak(values, i: int) -> float:
    """Where a parabola through three values has its top; `i` itself at an end."""
    if not 0 < i < len(values) - 1:
        return float(i)
    a, b, c = (float(v) for v in values[i - 1:i + 2])
    bend = a - 2 * b + c
    return i + 0.5 * (a - c) / bend if bend < 0 else float(i)


def _ramp(value, limits):
    return np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1)
