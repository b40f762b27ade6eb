"""Reprojection of styled key views into another view through the depth of the scene.

For each pixel of the target: its surface point, where each key sees it, whether the key sees it at
all (its own depth decides), and how well (angle to the surface, distance to an edge). What several
keys see is averaged with weights cos^p. Depth-image-based rendering; the weights are those of
unstructured lumigraph rendering (Buehler et al., SIGGRAPH 2001) without its resolution term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..kernels.compile import inner, kernel
from .stylist import View, as_float
from .surface import LEAST, SOLID, edge_trust, extended, facing, nearest_fill, normals

TOLERANCE = 0.02  # scene radii by which depths of two views may differ at one surface point
POWER = 4.0  # exponent of the cosine that weights the keys; high = the best key alone
MIN_COSINE = 0.12  # surface seen more aslant than this counts as not seen


@dataclass(frozen=True, eq=False)
class Key:
    """A styled view ready to be sampled.

    picture: (H, W, 3) float32, colors carried beyond the silhouette. depth: (H, W) float32, NaN
    off the head. cosine: (H, W) float32 to the surface. trust: (H, W) float32, see
    `surface.edge_trust`; 0 = not to be used. pose: (3, 4) float64 world to OpenCV camera.
    intrinsics: fx, fy, cx, cy.
    """

    picture: np.ndarray
    depth: np.ndarray
    cosine: np.ndarray
    trust: np.ndarray
    pose: np.ndarray
    intrinsics: tuple[float, float, float, float]

    @classmethod
    def of(cls, view: View, picture: np.ndarray, tolerance: float,
           usable: np.ndarray | None = None) -> Key:
        """Return a styled view ready to be sampled.

        tolerance: world units, see `reproject`. usable: (H, W) bool, False where the styled
        picture shows no head although the view does.
        """
        camera, depth = view.camera, np.asarray(view.depth, np.float32)
        normal = normals(depth, camera) if view.normal is None else view.normal
        trust = edge_trust(depth, view.mask, tolerance)
        if view.confidence is not None:  # a doubtful place serves where no other key sees it
            trust *= np.maximum(view.confidence, LEAST)
        solid = (view.mask >= SOLID) & (trust > 0)
        if usable is not None:
            solid &= usable
            trust = np.where(usable, trust, 0).astype(np.float32)
        filled = nearest_fill(as_float(picture), solid)
        return cls(filled, depth, facing(normal, camera), trust,
                   np.ascontiguousarray(camera.w2c_cv[:3]),
                   (camera.fx, camera.fy, camera.cx, camera.cy))


@dataclass(frozen=True, eq=False)
class Warped:
    """rgb: (H, W, 3) float32, 0 where unknown. cosine: (H, W) float32, the best key's cosine to
    the surface there, 0 where no key sees it."""

    rgb: np.ndarray
    cosine: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(H, W) bool."""
        return self.cosine > 0


def reproject(target: View, keys: list[Key], tolerance: float) -> Warped:
    """Return what `keys` show of the surface that `target` sees.

    tolerance: how far in world units a key's depth may differ and still be the same surface.
    """
    depth = extended(target.depth, target.mask)
    h, w = depth.shape
    rgb, cosine = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
    weight = np.zeros((h, w), np.float32)
    c = target.camera
    to_world = np.linalg.inv(np.vstack([c.w2c_cv[:3], [0, 0, 0, 1]]))[:3]
    for key in keys:
        _gather(depth, np.ascontiguousarray(to_world), c.fx, c.fy, c.cx, c.cy, key.picture,
                key.depth, key.cosine, key.trust, key.pose, *key.intrinsics, tolerance, POWER,
                rgb, weight, cosine)
    seen = weight > 0
    rgb[seen] /= weight[seen][:, None]
    return Warped(np.clip(rgb, 0, 1), np.where(seen, cosine, 0))


@kernel
def _gather(depth, to_world, fx, fy, cx, cy, picture, key_depth, key_cosine, key_trust, pose,
            kfx, kfy, kcx, kcy, tolerance, power, rgb, weight, best):
    height, width = depth.shape
    kh, kw = key_depth.shape
    color = np.zeros(3, np.float32)
    for i in range(height):
        for j in range(width):
            z = depth[i, j]
            if not z > 0:
                continue
            x, y = (j + 0.5 - cx) / fx * z, (i + 0.5 - cy) / fy * z
            wx = to_world[0, 0] * x + to_world[0, 1] * y + to_world[0, 2] * z + to_world[0, 3]
            wy = to_world[1, 0] * x + to_world[1, 1] * y + to_world[1, 2] * z + to_world[1, 3]
            wz = to_world[2, 0] * x + to_world[2, 1] * y + to_world[2, 2] * z + to_world[2, 3]
            px = pose[0, 0] * wx + pose[0, 1] * wy + pose[0, 2] * wz + pose[0, 3]
            py = pose[1, 0] * wx + pose[1, 1] * wy + pose[1, 2] * wz + pose[1, 3]
            pz = pose[2, 0] * wx + pose[2, 1] * wy + pose[2, 2] * wz + pose[2, 3]
            if pz <= 0:
                continue
            u, v = px / pz * kfx + kcx - 0.5, py / pz * kfy + kcy - 0.5
            if not (0 <= u <= kw - 1 and 0 <= v <= kh - 1):
                continue
            cosine, trust = _visible(key_depth, key_cosine, key_trust, u, v, pz, tolerance)
            if cosine < MIN_COSINE or trust <= 0:
                continue
            _cubic(picture, u, v, color)
            share = np.float32(cosine**power * trust)
            weight[i, j] += share
            for c in range(3):
                rgb[i, j, c] += share * color[c]
            if cosine > best[i, j]:
                best[i, j] = cosine


@inner
def _visible(depth, cosine, trust, u, v, z, tolerance):
    """Cosine and trust at (u, v), interpolated over the neighbors on the surface at depth z;
    0, 0 where none is on it."""
    x0, y0 = int(math.floor(u)), int(math.floor(v))
    total, total_cosine, total_trust = 0.0, 0.0, 0.0
    for dy in range(2):
        for dx in range(2):
            x, y = min(x0 + dx, depth.shape[1] - 1), min(y0 + dy, depth.shape[0] - 1)
            d = depth[y, x]
            if not d > 0:
                continue
            share = (1 - abs(u - (x0 + dx))) * (1 - abs(v - (y0 + dy))) + 1e-6
            # a slanted surface changes its depth within a pixel
            slack = tolerance * (1 + 2 * (1 - cosine[y, x]))
            if abs(d - z) < slack:
                total += share
                total_cosine += share * cosine[y, x]
                total_trust += share * trust[y, x]
    if total <= 0:
        return 0.0, 0.0
    return total_cosine / total, total_trust / total


@inner
def _cubic(image, u, v, out):
    """Catmull-Rom at (u, v), limited to the values of the four nearest pixels: no ringing."""
    h, w = image.shape[:2]
    x0, y0 = int(math.floor(u)), int(math.floor(v))
    tx, ty = u - x0, v - y0
    for c in range(3):
        low, high, total = 1e30, -1e30, 0.0
        for dy in range(-1, 3):
            y = min(max(y0 + dy, 0), h - 1)
            row = 0.0
            for dx in range(-1, 3):
                x = min(max(x0 + dx, 0), w - 1)
                value = image[y, x, c]
                row += _catmull(tx, dx) * value
                if 0 <= dx <= 1 and 0 <= dy <= 1:
                    low, high = min(low, value), max(high, value)
            total += _catmull(ty, dy) * row
        out[c] = min(max(total, low), high)


@inner
def _catmull(t, offset):
    """Weight of the sample at `offset` in -1 … 2 for a place t in [0, 1] past sample 0."""
    d = abs(t - offset)
    if d < 1:
        return 1 + d * d * (1.5 * d - 2.5)
    if d < 2:
        return 2 + d * (-4 + d * (2.5 - 0.5 * d))
    return 0.0
