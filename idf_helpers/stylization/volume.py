"""A head as a solid in a grid: what all views say together of where its surface is.

Depth is fused as a truncated signed distance (Curless & Levoy, SIGGRAPH 1996); outlines carve
what they leave out (visual hull, Laurentini 1994), and are enough by themselves. Normals, hollows
and the place of a pixel are read from the one grid, so that all views agree on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.cameras import Camera, scene_frame
from ..kernels.compile import inner, kernel
from .stylist import View

CELLS = 128  # along the longest side
COARSE = 32  # of the first pass, which finds where the head is
REACH = 1.3  # scene radii around the center that are looked at
BAND = 3.0  # cells before and behind a measured surface that its distance counts in
SMOOTH = (1.7, 4.0)  # cells: spread of the fine and of the soft distance
STEP = 0.5  # cells along a ray


@dataclass(frozen=True, eq=False)
class HeadAxes:
    """Where the head's own axes lie: x to the right of one who looks at the face, y up, z out of
    the face. center: (3,) world. turn: (3, 3), columns are the axes. radius: world units of 1."""

    center: np.ndarray
    turn: np.ndarray
    radius: float

    @classmethod
    def of(cls, cameras: Sequence[Camera], front: np.ndarray | None = None) -> HeadAxes:
        """Return axes as the cameras say; front: (3,) world, where the face is known to look."""
        f = scene_frame(cameras)
        z = f.front if front is None else front - f.up * (front @ f.up)
        z = z / max(np.linalg.norm(z), 1e-9) if np.linalg.norm(z) > 0.05 else f.front
        return cls(f.center, np.stack([np.cross(f.up, z), f.up, z], 1), f.radius)

    def matrix(self, camera: Camera) -> np.ndarray:
        """Return (3, 4) float64 from these axes to OpenCV camera axes, in units of `radius`."""
        m = camera.w2c_cv[:3] / self.radius
        return np.column_stack([self.radius * m[:, :3] @ self.turn, m @ [*self.center, 1.0]])

    def camera_turn(self, camera: Camera) -> np.ndarray:
        """Return (3, 3): OpenGL camera axes to these."""
        return self.turn.T @ camera.c2w[:3, :3]


@dataclass(frozen=True, eq=False)
class Volume:
    """low: (3,) place of the first cell's center, in head axes. cell: its side. fine, soft: (X, Y,
    Z) float32 in [-1, 1], above 0 inside the head, the soft one smoothed. measured: whether depth
    went into it."""

    low: np.ndarray
    cell: float
    fine: np.ndarray
    soft: np.ndarray
    measured: bool

    @classmethod
    def fuse(cls, views: Sequence[View], axes: HeadAxes, cells: int = CELLS) -> Volume | None:
        """Return the solid that the views agree on; None where they show none.

        views: with cameras, and with depth or an outline.
        """
        low, cell = np.full(3, -REACH), 2 * REACH / (COARSE - 1)
        rough, seen = _fused(views, axes, low, cell, (COARSE,) * 3)
        inside = np.argwhere((rough > -0.5) & seen)
        if not len(inside):
            return None
        low, high = low + cell * (inside.min(0) - 1.5), low + cell * (inside.max(0) + 1.5)
        cell = float((high - low).max() / (cells - 1))
        shape = tuple(np.ceil((high - low) / cell).astype(int) + 1)
        solid, _ = _fused(views, axes, low, cell, shape)
        fine, soft = (smoothed(solid, s) for s in SMOOTH)
        return cls(low, cell, fine, soft, any(v.depth is not None for v in views))

    def at(self, grid: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return (N,) float32: a grid of this size at (N, 3) places, the border's value beyond."""
        out = np.empty(len(places), np.float32)
        _sample(grid, np.ascontiguousarray((places - self.low) / self.cell), out)
        return out

    def gathered(self, samples: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Return (C, X, Y, Z) float32, half as fine: the mean around each place of what was said of
        it. samples: of each view (N, 3) places and (N, C) values."""
        shape = tuple(-(-s // 2) for s in self.fine.shape)
        channels = samples[0][1].shape[1]
        total = np.zeros((channels + 1, math.prod(shape)))
        for places, values in samples:
            at = np.clip(np.round((places - self.low) / (2 * self.cell)).astype(int), 0,
                         np.array(shape) - 1)
            flat = np.ravel_multi_index(tuple(at.T), shape)
            for c in range(channels):
                total[c] += np.bincount(flat, values[:, c], total.shape[1])
            total[-1] += np.bincount(flat, minlength=total.shape[1])
        blurred = [smoothed(g.astype(np.float32).reshape(shape), 1.0) for g in total]
        return np.stack([g / np.maximum(blurred[-1], 1e-6) for g in blurred[:-1]])

    def shared(self, grid: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return (N,) float32: a grid of `gathered` at (N, 3) places."""
        out = np.empty(len(places), np.float32)
        _sample(grid, np.ascontiguousarray((places - self.low) / (2 * self.cell)), out)
        return out

    def normals(self, grid: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return (N, 3) float32 unit normals out of the solid at (N, 3) places."""
        n = np.empty((len(places), 3), np.float32)
        for k, step in enumerate(np.eye(3) * self.cell):
            n[:, k] = self.at(grid, places - step) - self.at(grid, places + step)
        return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-6)

    def meet(self, matrix: np.ndarray, camera: Camera, rows: np.ndarray, columns: np.ndarray
             ) -> np.ndarray:
        """Return (N, 3) float32 places where the rays of pixels first meet the surface; of a ray
        that misses it, the place where it comes nearest. matrix: of `HeadAxes.matrix`."""
        turn = matrix[:, :3]
        origin = -turn.T @ matrix[:, 3]
        rays = np.stack([(columns + 0.5 - camera.cx) / camera.fx,
                         (rows + 0.5 - camera.cy) / camera.fy, np.ones(len(rows))], 1) @ turn
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        out = np.empty((len(rows), 3), np.float32)
        _meet(self.fine, (origin - self.low) / self.cell, np.ascontiguousarray(rays), STEP, out)
        return (self.low + self.cell * out).astype(np.float32)


def smoothed(grid: np.ndarray, sigma: float) -> np.ndarray:
    """Return a (X, Y, Z) float32 grid under a Gaussian of `sigma` cells."""
    size = 2 * math.ceil(2.5 * sigma) + 1
    weights, one = cv2.getGaussianKernel(size, sigma, cv2.CV_32F), np.ones(1, np.float32)
    for _ in range(3):  # along one axis, which then becomes the last
        flat = cv2.sepFilter2D(grid.reshape(grid.shape[0], -1), cv2.CV_32F, one, weights,
                               borderType=cv2.BORDER_REPLICATE)
        grid = np.ascontiguousarray(np.moveaxis(flat.reshape(grid.shape), 0, 2))
    return grid


def _fused(views, axes: HeadAxes, low, cell: float, shape) -> tuple[np.ndarray, np.ndarray]:
    """Return (X, Y, Z) float32 in [-1, 1], and bool: in any picture at all."""
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    seen = np.zeros(shape, np.bool_)
    for view in views:
        c = view.camera
        depth = np.full(view.mask.shape, np.nan, np.float32) if view.depth is None else \
            np.ascontiguousarray(view.depth / axes.radius, np.float32)
        _fuse(np.ascontiguousarray(axes.matrix(c)), c.fx, c.fy, c.cx, c.cy, depth,
              np.ascontiguousarray(view.mask, np.float32), np.asarray(low, np.float64), cell,
              BAND * cell, total, weight, seen)
    return np.where(weight > 0, total / np.maximum(weight, 1), 1).astype(np.float32), seen


@kernel
def _fuse(m, fx, fy, cx, cy, depth, mask, low, cell, band, total, weight, seen):
    h, w = mask.shape
    for i in range(total.shape[0]):
        x = low[0] + i * cell
        for j in range(total.shape[1]):
            y = low[1] + j * cell
            for k in range(total.shape[2]):
                z = low[2] + k * cell
                d = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
                if d <= 0:
                    continue
                u = int((m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]) / d * fx + cx)
                v = int((m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]) / d * fy + cy)
                if not (0 <= u < w and 0 <= v < h):
                    continue
                seen[i, j, k] = True
                if mask[v, u] < 0.5:
                    total[i, j, k] -= 4.0  # an outline is surer than a depth
                    weight[i, j, k] += 4.0
                    continue
                s = (d - depth[v, u]) / band
                if s < 1.0:  # farther behind, and without depth, it may be anything
                    total[i, j, k] += max(s, -1.0)
                    weight[i, j, k] += 1.0


@inner
def _linear(grid, x, y, z):
    x = min(max(x, 0.0), grid.shape[0] - 1.001)
    y = min(max(y, 0.0), grid.shape[1] - 1.001)
    z = min(max(z, 0.0), grid.shape[2] - 1.001)
    i, j, k = int(x), int(y), int(z)
    a, b, c = x - i, y - j, z - k
    low = (1 - b) * ((1 - c) * grid[i, j, k] + c * grid[i, j, k + 1]) \
        + b * ((1 - c) * grid[i, j + 1, k] + c * grid[i, j + 1, k + 1])
    high = (1 - b) * ((1 - c) * grid[i + 1, j, k] + c * grid[i + 1, j, k + 1]) \
        + b * ((1 - c) * grid[i + 1, j + 1, k] + c * grid[i + 1, j + 1, k + 1])
    return (1 - a) * low + a * high


@kernel
def _sample(grid, places, out):
    for n in range(len(places)):
        out[n] = _linear(grid, places[n, 0], places[n, 1], places[n, 2])


@kernel
def _meet(grid, origin, rays, step, out):
    for n in range(len(rays)):
        near, far = 0.0, 1e9 if rays[n, 0] == rays[n, 0] else -1.0  # of NaN there is no ray
        for a in range(3):
            r = rays[n, a]
            if abs(r) < 1e-9:
                continue
            s, t = -origin[a] / r, (grid.shape[a] - 1 - origin[a]) / r
            near, far = max(near, min(s, t)), min(far, max(s, t))
        before, t, most, best = -1.0, near, -9.0, near
        while t <= far:
            now = _linear(grid, origin[0] + t * rays[n, 0], origin[1] + t * rays[n, 1],
                          origin[2] + t * rays[n, 2])
            if now >= 0:
                if t > near:
                    t -= step * now / (now - before)
                best = t
                break
            if now > most:
                most, best = now, t
            before = now
            t += step
        for a in range(3):
            out[n, a] = origin[a] + best * rays[n, a]
