"""Where rays first meet the surface that Gaussians stand for; forward only.

On its way a ray loses T, and where T falls below CROSSING the Gaussian at fault gives the depth:
not that of its center, but of its densest place on the ray (Yu et al., Gaussian Opacity Fields,
2024; Zhang et al., RaDe-GS, 2024, arXiv 2406.01467), so that a flat Gaussian seen aslant is a
slanted piece of surface. With the ray d·t, d = (x, y, 1), the mean m and B = diag(1/s)·Rᵀ·W,

    t = d·BᵀB·m / d·BᵀB·d = m_z - w·B(d·m_z - m) / w·w,  w = B·d

At CROSSING = 0.5 the depth is a median; trained splats are translucent, and what lies below the
skin then draws it inwards. Measured in `benchmarks/propagation.py`.
"""

from __future__ import annotations

import math

import numpy as np

from ...kernels.compile import TILE, inner, kernel
from ...kernels.threads import first_item, next_item
from .screen import A8, B8, C8, DEPTH, MAX_ALPHA, OPACITY, T_MIN, U, V

f32 = np.float32
CROSSING = f32(0.8)
FLATTEST = f32(1e-3)  # of a Gaussian's largest standard deviation: keeps 1/s finite
REACH = f32(3)  # standard deviations that a depth may lie from the center's
FORM = 10  # B (9), and the standard deviation along the optical axis


@kernel
def depth_forms(log_scales, quats, to_camera, forms, counter):
    """Fill forms (N, FORM) of Gaussians. to_camera: (3, 3) float32, world to camera."""
    n = len(quats)
    block = first_item(counter)
    while block * 1024 < n:
        for i in range(block * 1024, min(n, block * 1024 + 1024)):
            _form(log_scales[i], quats[i], to_camera, forms[i])
        block = next_item(counter)


@inner
def _form(log_scale, quat, W, out):
    w, x, y, z = quat[0], quat[1], quat[2], quat[3]
    norm = f32(1) / max(math.sqrt(w * w + x * x + y * y + z * z), f32(1e-12))
    w, x, y, z = w * norm, x * norm, y * norm, z * norm
    R = ((1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
         (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
         (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)))
    largest = math.exp(max(log_scale[0], log_scale[1], log_scale[2]))
    along = f32(0)
    for axis in range(3):
        s = max(math.exp(log_scale[axis]), FLATTEST * largest)
        for row in range(3):
            turned = (W[row, 0] * R[0][axis] + W[row, 1] * R[1][axis] + W[row, 2] * R[2][axis])
            out[3 * axis + row] = turned / s
            if row == 2:
                along += (turned * s)**2
    out[9] = math.sqrt(along)


@kernel
def first_crossing(records, forms, starts, ids, tiles_x, fx, fy, cx, cy, depth, counter):
    """Fill depth (H, W): world units along the optical axis, NaN where T stays above CROSSING."""
    height, width = depth.shape
    tile = first_item(counter)
    while tile < len(starts) - 1:
        left, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        for row in range(top, min(top + TILE, height)):
            for column in range(left, min(left + TILE, width)):
                px, py = f32(column) + f32(0.5), f32(row) + f32(0.5)
                depth[row, column] = _crossing(records, forms, ids, starts[tile], starts[tile + 1],
                                               px, py, (px - cx) / fx, (py - cy) / fy, fx, fy)
        tile = next_item(counter)


@inner
def _crossing(records, forms, ids, first, last, px, py, x, y, fx, fy):
    T = f32(1)
    for k in range(first, last):
        g = ids[k]
        dx, dy = px - records[g, U], py - records[g, V]
        t = dx * (records[g, A8] * dx + records[g, B8] * dy) + records[g, C8] * dy * dy
        if t < records[g, T_MIN]:
            continue
        T *= f32(1) - min(records[g, OPACITY] * math.exp(f32(8) * t), f32(MAX_ALPHA))
        if T < CROSSING:
            z, b = records[g, DEPTH], forms[g]
            # d·m_z - m: what the ray is off the center in the center's plane
            ex, ey = dx / fx * z, dy / fy * z
            square, slope = f32(0), f32(0)
            for axis in range(3):
                w = b[3 * axis] * x + b[3 * axis + 1] * y + b[3 * axis + 2]
                square += w * w
                slope += w * (b[3 * axis] * ex + b[3 * axis + 1] * ey)
            off = slope / max(square, f32(1e-20))
            return z - min(max(off, -REACH * b[9]), REACH * b[9])
    return f32(np.nan)
