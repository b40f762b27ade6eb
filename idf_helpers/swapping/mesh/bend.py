"""Bend a picture so that its face has another shape: smooth between the landmarks and around them.

Ears, jaw and hair bend along, which looks natural; at 1.4 widths of the face nothing moves.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from ...data.sequence import farthest_first
from ...face import topology
from ...face.head_model import FaceModel

# Lengths are shares of the width of the face.
REACH = 1.4  # from the middle of the face to where nothing moves any more
FADE = 0.4  # over which motion ends there
BORDER = 0.12  # the same before the picture's border, beyond which there is nothing to fetch
STEP = 1 / 24  # of the grid on which the motion is computed
CONTROLS, ANCHORS = 160, 24  # points of the face that carry the motion, and on the ring
SMOOTHING = 1.0  # of the radial basis functions, per cent of the width


@cache
def control_points() -> np.ndarray:
    """Return the numbers of the landmarks that carry the bend, spread over the face."""
    rest = FaceModel.load().rest.astype(np.float64)
    return np.array(farthest_first(lambda i: np.linalg.norm(rest - rest[i], axis=1),
                                   topology.NOSE_TIP, CONTROLS))


def bend(image: np.ndarray, before, after, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture with its face bent, and where it changed, (H, W) bool.

    image: (H, W, 3|4) uint8; alpha bends too, since an outline moves. before, after: (468, 2)
    pixels of the landmarks, the bent picture shows at `after` what was at `before`. width: of the
    face, pixels.

    The motion between the points is the smoothest that has theirs: radial basis functions
    phi(r) = -r with a constant, at rest on a ring around the head.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    h, w = image.shape[:2]
    changed = np.zeros((h, w), bool)
    center, radius = after.mean(0), REACH * width
    low = np.maximum(np.floor(center - radius), 0).astype(int)
    high = np.minimum(np.ceil(center + radius), (w, h)).astype(int)
    if (high - low < 4).any() or np.abs(after - before).max() < 0.02:
        return image, changed
    shift = _motion(before, after, width, center, low, high)
    x, y = (np.arange(a, b, dtype=np.float32) for a, b in zip(low, high, strict=True))
    out_x = np.hypot(*np.meshgrid(x + 0.5 - center[0], y + 0.5 - center[1]))
    border = np.minimum(np.minimum(x + 0.5, w - 0.5 - x)[None],
                        np.minimum(y + 0.5, h - 0.5 - y)[:, None])
    fade = np.clip((radius - out_x) / (FADE * width), 0, 1)
    fade *= np.clip(border / (BORDER * width), 0, 1)
    shift *= fade[..., None]
    # Where all is solid, a picture with alpha is bent like one without, to the byte.
    cut_out = image.shape[2] == 4 and image[..., 3].min() < 255
    part = _premultiplied(image) if cut_out else image
    part = cv2.remap(part, x[None] + shift[..., 0], y[:, None] + shift[..., 1], cv2.INTER_CUBIC,
                     borderMode=cv2.BORDER_REPLICATE)
    if cut_out:
        part[..., :3] *= 255 / np.maximum(part[..., 3:], 1)
    moves = np.abs(shift).max(-1) > 0.02
    changed[low[1]:high[1], low[0]:high[0]] = moves
    out = image.copy()
    if cut_out:
        part = np.clip(np.rint(part), 0, 255).astype(np.uint8)
    window = out[low[1]:high[1], low[0]:high[0]]
    np.copyto(window, part, where=moves[..., None])
    return out, changed


def _premultiplied(image) -> np.ndarray:
    """Colors by their share, so that no background bleeds in."""
    out = image.astype(np.float32)
    out[..., :3] *= out[..., 3:] / 255
    return out


def _motion(before, after, width, center, low, high) -> np.ndarray:
    """(h, w, 2) float32: from where each pixel of the window low..high fetches its color."""
    k = control_points()
    angle = np.linspace(0, 2 * np.pi, ANCHORS, endpoint=False)
    ring = center + REACH * width * np.stack([np.cos(angle), np.sin(angle)], 1)
    unit = width / 100
    nodes = np.concatenate([after[k], ring]) / unit
    values = np.concatenate([before[k] - after[k], np.zeros((ANCHORS, 2))])
    n = len(nodes)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = SMOOTHING * np.eye(n) \
        - np.linalg.norm(nodes[:, None] - nodes[None], axis=-1)
    system[n, n] = 0
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((1, 2))]))
    step = max(3.0, STEP * width)
    count = np.ceil((high - low) / step).astype(int) + 1
    gx, gy = (np.float32(low[i] + step * np.arange(count[i])) for i in (0, 1))
    dx = (gx[:, None] - np.float32(nodes[:, 0] * unit)) ** 2  # (X, n)
    dy = (gy[:, None] - np.float32(nodes[:, 1] * unit)) ** 2  # (Y, n)
    r = np.sqrt(dy[:, None] + dx[None]) / np.float32(unit)
    grid = (r @ -solved[:n].astype(np.float32) + solved[n].astype(np.float32)).astype(np.float32)
    w, h = high - low
    at = [(np.arange(s, dtype=np.float32) + 0.5) / np.float32(step) for s in (w, h)]
    return cv2.remap(grid, *np.meshgrid(*at), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
