"""The room behind a talking head, from the clip itself.

What the person uncovers at one time or another is the median of the frames that show it. What never
shows is guessed from the colors around it, and marked: the picture is RGBA, and its alpha is 0
where the color is a guess or where what was seen there changes all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.cameras import fitted_size
from ..errors import IdfError
from ..face.person_mask import PersonMask

FRAMES = 48  # looked at, spread over the clip
SEEN = 4  # frames that must show a pixel
SHOWS = 0.12  # probability of a person from which a pixel does not show the room
MARGIN = 0.02  # of the picture's longer side: kept away from the person
SPREAD = 14.0  # gray levels between the quartiles: what changes more is no background
FOLLOWED, CORNERS = 320, 12  # px, longer side of what corners are followed in; how many it takes
# The head about a face of height 1 where there is no mask: up, down, to the sides of the middle;
# and the body below, half its width at the picture's lower edge.
ABOVE, BELOW, ASIDE, SHOULDERS = 1.1, 0.8, 0.9, 2.4


@dataclass(frozen=True, eq=False)
class Background:
    """picture: (H, W, 4) uint8 RGBA, alpha 255 = seen, 0 = guessed. known: share of the pixels that
    were seen and keep still. moving: share of those that were seen which do not keep still. masked:
    whether the person was found by a mask, and not by the face alone. shift: how far the room moves
    in the picture, over its width; zoom: by what factor it grows."""

    picture: np.ndarray
    known: float
    moving: float
    masked: bool
    shift: float = 0.0
    zoom: float = 1.0


def background(picture: Callable[[int], np.ndarray], points, rows: Sequence[int]) -> Background:
    """Return the room that frames show.

    picture: row -> (H, W, 3) uint8 RGB. points: (N, 468, 2 or 3) pixels, NaN where there is no
    face. rows: the frames that may be taken, of one unbroken take.
    """
    rows = np.asarray(rows)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), FRAMES)).astype(int))]
    mask, masked = PersonMask(), True
    frames, hidden = [], []
    for i in rows:
        frame = picture(int(i))
        away = around_face(points[i], frame.shape)
        if masked:
            try:
                away = near_face(points[i], frame.shape) | (mask.rough(frame) > SHOWS)
            except IdfError:  # the model is not on this machine: the face alone tells
                masked = False
                hidden = [around_face(points[k], frame.shape) for k in rows[:len(hidden)]]
        frames.append(frame)
        hidden.append(away)
    height, width = frames[0].shape[:2]
    side = 2 * max(2, round(MARGIN * max(height, width))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    hidden = np.stack([cv2.dilate(h.astype(np.uint8), kernel) for h in hidden]) > 0
    color, spread, count = _middle(np.stack(frames), hidden)
    least = min(SEEN, len(frames))
    seen = count >= least
    still = seen & (spread <= SPREAD)
    filled = fill(color, seen)
    alpha = np.where(still, 255, 0).astype(np.uint8)
    return Background(np.dstack([filled, alpha]), float(still.mean()),
                      float((seen & ~still).sum() / max(seen.sum(), 1)), masked,
                      *camera_motion(frames, hidden))


def around_face(points, shape) -> np.ndarray:
    """Return (H, W) bool: where head and body may be, by the face alone; everything where there is
    no face."""
    out = np.zeros(shape[:2], np.uint8)
    p = np.asarray(points)[:, :2]
    if not np.isfinite(p).all():
        return np.ones(shape[:2], bool)
    (x0, y0), (x1, y1) = p.min(0), p.max(0)
    x, y, h = (x0 + x1) / 2, (y0 + y1) / 2, max(y1 - y0, x1 - x0)
    cv2.ellipse(out, (round(x), round(y - 0.15 * h)), (round(ASIDE * h), round(ABOVE * h)), 0, 0,
                360, 1, -1)
    corners = np.array([(x - ASIDE * h, y), (x + ASIDE * h, y), (x + SHOULDERS * h, y + 2.2 * h),
                        (x + SHOULDERS * h, shape[0]), (x - SHOULDERS * h, shape[0]),
                        (x - SHOULDERS * h, y + 2.2 * h)])
    cv2.fillConvexPoly(out, np.round(corners).astype(np.int32), 1)
    return out > 0


def near_face(points, shape) -> np.ndarray:
    """Return (H, W) bool: the face and what is close to it; nothing where there is no face."""
    out = np.zeros(shape[:2], np.uint8)
    p = np.asarray(points)[:, :2]
    if np.isfinite(p).all():
        middle = p.mean(0)
        cv2.fillConvexPoly(out, cv2.convexHull(
            np.round(middle + 1.15 * (p - middle)).astype(np.int32)), 1)
    return out > 0


def camera_motion(frames, hidden) -> tuple[float, float]:
    """Return how far the room moves in a clip, over the picture's width, and by what factor it
    grows or shrinks, from corners that are followed outside of what is hidden; (0, 1) where there
    is nothing to follow. frames: N of (H, W, 3) uint8; hidden: (N, H, W) bool."""
    height, width = frames[0].shape[:2]
    size = fitted_size(width, height, min(FOLLOWED, max(width, height)))
    gray = [cv2.cvtColor(cv2.resize(f, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
            for f in frames]
    room = [cv2.resize((~h).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
            for h in hidden]
    total, corners = np.eye(3), np.array([(0, 0, 1), (size[0], 0, 1), (0, size[1], 1),
                                          (*size, 1)], np.float64)
    shift, zooms = 0.0, [1.0]
    for a, b, free in zip(gray, gray[1:], room, strict=False):
        at = cv2.goodFeaturesToTrack(a, 150, 0.02, 5, mask=free)
        if at is None or len(at) < CORNERS:
            continue
        to, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, at, None, winSize=(15, 15))
        ok = ok.reshape(-1) > 0
        if ok.sum() < CORNERS:
            continue
        step, good = cv2.estimateAffinePartial2D(at[ok], to[ok], ransacReprojThreshold=1.0)
        if step is None or good.sum() < max(CORNERS, 0.5 * ok.sum()):
            continue  # no single motion: leaves, people
        total = np.vstack([step, (0, 0, 1)]) @ total
        shift = max(shift, float(np.linalg.norm(corners @ total.T - corners, axis=1).max()))
        zooms.append(float(np.sqrt(np.linalg.det(total[:2, :2]))))
    return shift / size[0], max(zooms) / min(zooms)


def _middle(frames, hidden):
    """Median (H, W, 3) uint8 of the frames that are not hidden, the quartiles' distance (H, W) in
    gray levels, and how many there are (H, W)."""
    n, height, width = hidden.shape
    color = np.zeros((height, width, 3), np.uint8)
    spread = np.zeros((height, width), np.float32)
    count = (~hidden).sum(0)
    for top in range(0, height, 32):  # so that few numbers are in memory at once
        part = slice(top, top + 32)
        values = frames[:, part].astype(np.int16)
        values[hidden[:, part]] = 999  # behind all colors
        values.sort(axis=0)
        at = count[part]

        def take(share, values=values, at=at):
            k = np.clip((share * at).astype(int), 0, n - 1)
            return np.take_along_axis(values, k[None, ..., None], 0)[0]

        color[part] = np.where(at[..., None] > 0, take(0.5), 0)
        spread[part] = np.where(at > 0, (take(0.75) - take(0.25)).mean(-1), 0)
    return color, spread, count


def fill(color, known) -> np.ndarray:
    """Return (H, W, 3) uint8: pixels that are not known get the colors around them, the smoother
    the farther these are. color: (H, W, 3) uint8; known: (H, W) bool; gray where nothing is."""
    if not known.any():
        return np.full_like(color, 128)
    levels = [(color.astype(np.float32) * known[..., None], known.astype(np.float32))]
    while max(levels[-1][1].shape) > 1:
        values, weight = levels[-1]
        size = tuple(max(1, -(-s // 2)) for s in weight.shape[::-1])
        w = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        v = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        v, full = v / np.maximum(w, 1e-6)[..., None], np.minimum(4 * w, 1)
        levels.append((v * full[..., None], full))
    out = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)[..., None]
    for values, weight in reversed(levels[:-1]):
        up = cv2.resize(out, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        out = values + (1 - weight)[..., None] * up.reshape(*weight.shape, 3)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)
