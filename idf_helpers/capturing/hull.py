"""What the masks of all frames agree on: a solid, and the part of each picture that shows it.

A mask made of one picture errs at its outline, and takes a piece of the room for hair now and then;
another frame sees that piece elsewhere. So a cell of space is the person where nearly all masks say
so, as with a visual hull, and of every mask what shows no such cell is dropped. A bust ends at a
plane: which pixels are below it, only a solid can tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from ..data.cameras import Camera, fitted_size
from ..data.media import read_image
from .cameras import Cameras, Frames
from .look import write_mask
from .neck import Neck
from .place import ORIGIN

REACH = np.array([2.0, 2.0, 1.7])  # world units beside and above the head that are looked at
BELOW = 0.4  # the same under the plane at which a bust ends
CELL, FINE = 0.06, 3  # side of a cell; parts of a side into which cells of the surface are cut
AGREE = 0.85  # of the masks that see a cell must have it
SEEN_IN = 4  # masks that must see it at least
SAMPLED = 400  # pixels, longer side at which masks are asked
DRAWN = 220  # pixels, longer side at which the solid is drawn: a fine cell has about one
KEPT = 0.6  # of its pixels, that a mask keeps at least; else the masks do not agree at all


@dataclass(frozen=True, eq=False)
class Hull:
    """The solid's surface.

    points: (N, 3) float32, centers of the fine cells near the surface, inside.
    """

    points: np.ndarray

    @classmethod
    def of(cls, masks: list[np.ndarray], cameras: list[Camera], distortion, low: np.ndarray,
           high: np.ndarray) -> Hull:
        """Return what the masks agree on between two corners.

        masks: (h, w) uint8, each the whole picture of its camera at any size.
        """
        axes = [np.arange(a, b, CELL) + CELL / 2 for a, b in zip(low, high, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        solid = _agreed(grid.reshape(-1, 3), masks, cameras, distortion).reshape(grid.shape[:3])
        near = ndimage.binary_dilation(solid) & ~ndimage.binary_erosion(solid, iterations=2)
        part = (np.arange(FINE) - (FINE - 1) / 2) * CELL / FINE
        parts = np.stack(np.meshgrid(part, part, part, indexing="ij"), axis=-1).reshape(-1, 3)
        fine = (grid[near][:, None] + parts).reshape(-1, 3)
        return cls(fine[_agreed(fine, masks, cameras, distortion)].astype(np.float32))

    def shown(self, camera: Camera, distortion, above: float | None) -> np.ndarray:
        """Return (H, W) float32 in [0, 1]: where a picture shows the solid, for `above` the part
        of it above that height; a fine cell wider than it is."""
        width, height = fitted_size(camera.width, camera.height, DRAWN)
        uv, z = _project(self.points, camera, distortion)
        order = np.argsort(-z)  # the nearest is drawn last
        x, y = np.floor(uv[order] * (width / camera.width, height / camera.height)
                        ).astype(np.int64).T + 1
        good = (x > 0) & (x <= width) & (y > 0) & (y <= height) & (z[order] > 0)
        near, level = (np.full((height + 2, width + 2), v, np.float32) for v in (np.inf, 0.0))
        y, x = y[good], x[good]
        near[y, x], level[y, x] = z[order[good]], self.points[order[good], 2]
        # each as wide as three pixels: single ones stay free, and show what is behind
        drawn, height_at = near.copy(), level.copy()
        for shift in [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
            nearer = np.roll(near, shift, (0, 1)) < drawn
            drawn[nearer] = np.roll(near, shift, (0, 1))[nearer]
            height_at[nearer] = np.roll(level, shift, (0, 1))[nearer]
        some = np.isfinite(drawn)
        keep = some if above is None else some & (height_at > above)
        keep = cv2.GaussianBlur(keep[1:-1, 1:-1].astype(np.float32), (0, 0), 1)  # no steps
        full = cv2.resize(keep, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
        return np.clip(2 * full - 0.5, 0, 1)


def agreed(frames: Frames, cameras: Cameras, folder: Path, bust: float | None
           ) -> tuple[Frames, bool]:
    """Return the frames with masks that keep what all agree on, written to `folder`, and whether
    they do agree; where not, the frames as they are.

    cameras: in the world of the bundled views. bust: cm under the neck at which the person ends;
    None: the masks end by themselves.
    """
    rows = np.flatnonzero(cameras.registered)
    found = [cameras.cameras[i] for i in rows]
    level = None if bust is None else Neck.level(bust)
    low, high = ORIGIN - REACH, ORIGIN + REACH
    if level is not None:
        low[2] = level - BELOW
    whole = [read_image(frames.masks[i])[..., 0] for i in rows]
    small = [cv2.resize(m, fitted_size(m.shape[1], m.shape[0], SAMPLED),
                        interpolation=cv2.INTER_AREA) for m in whole]
    hull = Hull.of(small, found, cameras.distortion, low, high)
    if not len(hull.points):
        return frames, False
    masks, kept = list(frames.masks), []
    for i, mask, camera in zip(rows, whole, found, strict=True):
        keep = hull.shown(camera, cameras.distortion, level)
        head = hull.shown(camera, cameras.distortion, None) if level is not None else keep
        kept.append((mask * head).sum() / max(mask.sum(), 1))
        masks[i] = folder / frames.masks[i].name
        write_mask(masks[i], mask / 255 * keep)
    if np.median(kept) < KEPT:
        return frames, False
    return replace(frames, masks=tuple(masks)), True


def _agreed(points: np.ndarray, masks: list[np.ndarray], cameras: list[Camera], distortion
            ) -> np.ndarray:
    seen, said = (np.zeros(len(points), np.int32) for _ in range(2))
    for mask, camera in zip(masks, cameras, strict=True):
        uv, z = _project(points, camera, distortion)
        h, w = mask.shape
        x, y = np.floor(uv * (w / camera.width, h / camera.height)).astype(np.int64).T
        inside = (z > 0) & (x >= 0) & (y >= 0) & (x < w) & (y < h)
        seen += inside
        said[inside] += mask[y[inside], x[inside]] > 127
    return (seen >= min(SEEN_IN, len(masks))) & (said >= AGREE * seen)


def _project(points: np.ndarray, camera: Camera, distortion) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 2) pixels in the picture as it is, distortion included, and (N,) depth."""
    uv, z = camera.project(points)
    if distortion is None:
        return np.nan_to_num(uv, nan=-1, posinf=-1, neginf=-1), z
    k1, k2 = distortion[:2]
    center, f = np.array([camera.cx, camera.cy]), np.array([camera.fx, camera.fy])
    d = (np.nan_to_num(uv, nan=-1, posinf=-1, neginf=-1) - center) / f
    r2 = np.minimum((d * d).sum(1, keepdims=True), 4.0)  # what is far outside stays outside
    return center + f * d * (1 + k1 * r2 + k2 * r2**2), z
