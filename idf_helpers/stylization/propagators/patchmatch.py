"""Guided texture synthesis: the places of a picture that no view shows are made of patches of
styled pictures whose source looks alike.

Patch correspondences by PatchMatch (Barnes et al., SIGGRAPH 2009), its propagation by jump
flooding, so that the result does not depend on an order of visits; the target by expectation
maximization over a pyramid (Wexler et al., PAMI 2007), guided as in image analogies (Hertzmann et
al., SIGGRAPH 2001) and StyLit (Fišer et al., SIGGRAPH 2016). The latter's price for using the same
patch over and over is taken, too: without it large areas end up as one flat patch. Only patches
that lie wholly on the head serve as sources, so that no background can get in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...kernels.compile import inner, kernel
from ..surface import nearest_fill

RADIUS = 2  # patches of 5 x 5
ROUNDS = 4  # of search and vote on each level
SMALLEST = 24  # pixels of the shorter side of the coarsest level
EVEN = 0.02  # price of a source used as often as all are on average, in mean squared difference


@dataclass(frozen=True, eq=False)
class Source:
    """What patches are taken from. style: (H, W, 3), guide: (H, W, G), both float32; valid: (H, W)
    bool, the head. All sources of one synthesis have one width."""

    style: np.ndarray
    guide: np.ndarray
    valid: np.ndarray


def synthesize(sources: list[Source], guide: np.ndarray, known: np.ndarray, wanted: np.ndarray,
               seed: int = 0, style_weight: float = 1.0, even: float = EVEN) -> np.ndarray:
    """Return (H, W, 3) float32: `known` with the pixels of `wanted` made.

    guide: (H, W, G) float32 of the target, weighted like the sources'. known: (H, W, 3) float32.
    wanted: (H, W) bool, to be made; a pixel that is neither wanted nor finite in `known` is off
    the head and does not count. style_weight: of the agreement of neighboring patches, against
    the guides'. even: price of using a source often, see EVEN. Returned unchanged where no source
    has a whole patch of head.
    """
    if not wanted.any():
        return known
    levels = _pyramid(sources, guide, known, wanted)
    match = made = None
    for style, source_guide, centers, target, target_guide, fill, counts in reversed(levels):
        places = np.ascontiguousarray(np.argwhere(centers).astype(np.int32))
        if not len(places):
            continue
        pixels = np.ascontiguousarray(np.argwhere(fill).astype(np.int32))
        h, w = fill.shape
        fresh = match is None
        if fresh:
            match = np.zeros((h, w, 2), np.int32)
        else:  # the level below knows the match to two pixels
            rows, columns = np.minimum(np.arange(h) // 2, match.shape[0] - 1), \
                np.minimum(np.arange(w) // 2, match.shape[1] - 1)
            match = 2 * match[rows][:, columns]
            match[..., 0] += np.arange(h)[:, None] % 2
            match[..., 1] += np.arange(w)[None, :] % 2
        match = np.ascontiguousarray(match, np.int32)
        cost = np.full((h, w), np.inf, np.float32)
        _start(pixels, match, centers, places, seed, fresh)
        if fresh:
            target[fill] = nearest_fill(target, counts & ~fill)[fill] if (counts & ~fill).any() \
                else style[centers].mean(0)
        else:
            target[fill] = cv2.resize(made, (w, h), interpolation=cv2.INTER_LINEAR)[fill]
        rate = np.float32(even * len(places) / len(pixels))
        use = _use(pixels, match, centers.shape)
        for round_ in range(ROUNDS):
            weight = 0.0 if fresh and round_ == 0 else style_weight
            _measure(pixels, match, cost, style, source_guide, target, target_guide, counts, weight)
            for jump in (4, 1) if round_ < 2 else (1,):
                _search(pixels, match.copy(), match, cost, style, source_guide, centers, target,
                        target_guide, counts, use, rate, fill, jump,
                        seed + 101 * round_ + jump, weight)
            out = target.copy()
            _vote(pixels, match, cost, style, fill, out)
            target = out
        made = target
    if match is None:
        return known
    return np.where(wanted[..., None], made, known).astype(np.float32)


def _use(pixels, match, shape) -> np.ndarray:
    """(H, W) float32: how many target pixels take their patch from about here."""
    use = np.zeros(shape, np.float32)
    y, x = match[pixels[:, 0], pixels[:, 1]].T
    np.add.at(use, (y, x), 1.0)
    return cv2.blur(use, (2 * RADIUS + 1,) * 2, borderType=cv2.BORDER_CONSTANT)


def _pyramid(sources, guide, known, wanted):
    counts = wanted | np.isfinite(known[..., 0])
    target = np.where(np.isfinite(known), known, 0).astype(np.float32)
    styles, guides, valids = ([getattr(s, n) for s in sources] for n in ("style", "guide", "valid"))
    levels = []
    while True:
        parts = []
        for style, g, valid in zip(styles, guides, valids, strict=True):
            parts.append((style, g, _whole(valid)))
        style, source_guide, centers = (np.ascontiguousarray(np.concatenate(p)) for p in
                                        zip(*parts, strict=True))
        levels.append((style, source_guide, centers, target, guide, wanted, counts))
        if min(wanted.shape) < 2 * SMALLEST or min(styles[0].shape[:2]) < 2 * SMALLEST:
            return levels
        for i in range(len(styles)):
            styles[i], guides[i], valids[i] = _halved(styles[i], valids[i]), \
                _halved(guides[i], valids[i]), _half_mask(valids[i], 0.99)
        target, guide = _halved(target, counts & ~wanted), _halved(guide, counts)
        wanted, counts = _half_mask(wanted, 0.01), _half_mask(counts, 0.01)


def _whole(valid):
    """Return where a whole patch lies on the head and in the picture."""
    return cv2.erode(valid.astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2, np.uint8),
                     borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0


def _halved(values, mask):
    """Return the mean over the pixels of the mask in each 2 x 2 block; 0 where there is none."""
    m = np.asarray(mask, np.float32)[..., None]
    total, count = _blocks(values * m).sum((1, 3)), _blocks(m).sum((1, 3))
    return np.ascontiguousarray(total / np.maximum(count, 1))


def _half_mask(mask, share):
    return _blocks(np.asarray(mask, np.float32)[..., None]).mean((1, 3))[..., 0] >= share


def _blocks(values):
    """Return (H, W, C) values as (H/2, 2, W/2, 2, C) blocks, with zeros beyond odd edges."""
    h, w = (n + n % 2 for n in values.shape[:2])
    v = np.zeros((h, w, values.shape[2]), np.float32)
    v[:values.shape[0], :values.shape[1]] = values
    return v.reshape(h // 2, 2, w // 2, 2, -1)


@inner
def _random(a, b, c, d):
    """Return a number in [0, 2^31) that depends on its arguments alone (integer hash)."""
    x = np.uint32(a * 73856093 + b * 19349663 + c * 83492791 + d * 2654435761)
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x ^= x >> np.uint32(15)
    x = np.uint32(x * np.uint32(0x846CA68B))
    x ^= x >> np.uint32(16)
    return np.int64(x >> np.uint32(1))


@inner
def _distance(style, source_guide, target, target_guide, counts, y, x, sy, sx, weight, limit):
    """Return the mean squared difference of two patches over the target's pixels that count;
    infinite as soon as it is beyond `limit`."""
    h, w = counts.shape
    total, n = np.float32(0.0), 0
    for dy in range(-RADIUS, RADIUS + 1):
        ty = y + dy
        if ty < 0 or ty >= h:
            continue
        for dx in range(-RADIUS, RADIUS + 1):
            tx = x + dx
            if tx < 0 or tx >= w or not counts[ty, tx]:
                continue
            n += 1
            for c in range(target_guide.shape[2]):
                d = target_guide[ty, tx, c] - source_guide[sy + dy, sx + dx, c]
                total += d * d
            if weight > 0:
                for c in range(3):
                    d = target[ty, tx, c] - style[sy + dy, sx + dx, c]
                    total += np.float32(weight) * d * d
        if total > limit * 25:
            return np.float32(np.inf)
    return total / n if n else np.float32(np.inf)


@kernel
def _start(pixels, match, centers, places, seed, fresh):
    """Give every pixel a match that is a source: its own where that is one, else a random one."""
    for k in range(pixels.shape[0]):
        y, x = pixels[k, 0], pixels[k, 1]
        sy, sx = match[y, x, 0], match[y, x, 1]
        if fresh or not (0 <= sy < centers.shape[0] and 0 <= sx < centers.shape[1]
                         and centers[sy, sx]):
            r = _random(y, x, seed, 7) % places.shape[0]
            match[y, x, 0], match[y, x, 1] = places[r, 0], places[r, 1]


@kernel
def _measure(pixels, match, cost, style, source_guide, target, target_guide, counts, weight):
    for k in range(pixels.shape[0]):
        y, x = pixels[k, 0], pixels[k, 1]
        cost[y, x] = _distance(style, source_guide, target, target_guide, counts, y, x,
                               match[y, x, 0], match[y, x, 1], weight, np.float32(1e30))


@kernel
def _search(pixels, before, match, cost, style, source_guide, centers, target, target_guide,
            counts, use, rate, fill, jump, seed, weight):
    """Try the matches of four neighbors at `jump`, shifted; then random ones, ever nearer."""
    h, w = fill.shape
    sh, sw = centers.shape
    for k in range(pixels.shape[0]):
        y, x = pixels[k, 0], pixels[k, 1]
        for n in range(4):
            dy, dx = ((n == 0) - (n == 1)) * jump, ((n == 2) - (n == 3)) * jump
            ny, nx = y + dy, x + dx
            if 0 <= ny < h and 0 <= nx < w and fill[ny, nx]:
                _try(match, cost, style, source_guide, centers, target, target_guide, counts, use,
                     rate, y, x, before[ny, nx, 0] - dy, before[ny, nx, 1] - dx, weight)
        radius, step = max(sh, sw), 0
        while radius >= 1:
            ry = _random(y, x, seed, step) % (2 * radius + 1) - radius
            rx = _random(x, y, seed, step + 31) % (2 * radius + 1) - radius
            _try(match, cost, style, source_guide, centers, target, target_guide, counts, use, rate,
                 y, x, match[y, x, 0] + ry, match[y, x, 1] + rx, weight)
            radius, step = radius // 2, step + 1


@inner
def _try(match, cost, style, source_guide, centers, target, target_guide, counts, use, rate, y, x,
         sy, sx, weight):
    """Take the source (sy, sx) where distance and price together are less."""
    if not (0 <= sy < centers.shape[0] and 0 <= sx < centers.shape[1] and centers[sy, sx]):
        return
    oy, ox = match[y, x, 0], match[y, x, 1]
    limit = cost[y, x] + rate * (use[oy, ox] - use[sy, sx])  # for the distance alone
    if limit <= 0:
        return
    c = _distance(style, source_guide, target, target_guide, counts, y, x, sy, sx, weight, limit)
    if c < limit:
        cost[y, x] = c
        _spread(use, oy, ox, np.float32(-1.0))
        _spread(use, sy, sx, np.float32(1.0))
        match[y, x, 0], match[y, x, 1] = sy, sx


@inner
def _spread(use, y, x, amount):
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            use[y + dy, x + dx] += amount / 25


@kernel
def _vote(pixels, match, cost, style, fill, out):
    """Set each pixel to the mean of what the patches around it hold there, better ones more."""
    h, w = fill.shape
    for k in range(pixels.shape[0]):
        y, x = pixels[k, 0], pixels[k, 1]
        total = np.float32(0.0)
        r = g = b = np.float32(0.0)
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                ny, nx = y + dy, x + dx
                if 0 <= ny < h and 0 <= nx < w and fill[ny, nx]:
                    share = np.float32(1.0) / (np.float32(2e-3) + cost[ny, nx])
                    sy, sx = match[ny, nx, 0] - dy, match[ny, nx, 1] - dx
                    r += share * style[sy, sx, 0]
                    g += share * style[sy, sx, 1]
                    b += share * style[sy, sx, 2]
                    total += share
        out[y, x, 0], out[y, x, 1], out[y, x, 2] = r / total, g / total, b / total
