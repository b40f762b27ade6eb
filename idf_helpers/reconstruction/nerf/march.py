"""Rays through the voxel field: where the samples lie, what they weigh, and their gradients.

All lengths are in voxels: a grid vertex has whole coordinates, a ray advances one voxel a step.
Sample i of a ray, from near to far, with raw density r (interpolated between eight vertices):
    kept_i = 1 - alpha_i = exp(-softplus(r_i)) = 1/(1 + exp(r_i))
    w_i = T_i·(1 - kept_i),  T_{i+1} = T_i·kept_i,  T_0 = 1
and, color being linear in its coefficients k_i (Y: the harmonics of the ray's direction),
    C = Y · (sum_i w_i·k_i) + T_end·background,
so that the harmonics are evaluated once a ray. With g = dL/dC:
    dL/dk_i = w_i·(Y ⊗ g)
    dL/dr_i = sigmoid(r_i) · (T_{i+1}·c_i·g - sum_{j>i} w_j·c_j·g - T_end·background·g)
"""

from __future__ import annotations

import math

import numpy as np

from ...kernels.compile import inlined, inner, kernel
from ...kernels.harmonics import sh_basis
from ...kernels.threads import first_item, next_item
from .vertex_simd import LANES, add_scaled, dot, gather, scatter

f32 = np.float32
STEP = 1.0  # voxels, as `kept` below has it
T_STOP = 1e-3  # what is behind is not looked at
FAINT = 1e-3  # a sample that weighs less, and could change less, passes no gradient
RAYS = 64  # rays that a thread takes at a time
SLAB = 4  # cells along x in one part of the scatter
POSE = 16  # floats of a pose: camera-to-grid rotation (9, by rows), origin, fx, fy, cx, cy
RECORD = 5  # floats of a sample: its place in the cell, w, dL/dr


@inlined
def kept(e):
    """1 - alpha, e = exp(raw density)."""
    return f32(1) / (f32(1) + e)


@inlined
def density_exp(raw):
    return f32(math.exp(min(raw, f32(20))))


@inlined
def pixel_ray(pose, x, y, ray):
    """ray[0:3] origin, ray[3:6] unit direction, in voxels; x, y: pixels, centers at +0.5."""
    u = (x - pose[14]) / pose[12]
    v = (pose[15] - y) / pose[13]
    n = f32(1) / np.sqrt(u * u + v * v + f32(1))
    for k in range(3):
        ray[k] = pose[9 + k]
        ray[3 + k] = (pose[3 * k] * u + pose[3 * k + 1] * v - pose[3 * k + 2]) * n


@inlined
def box_entry(ray, shape, near):
    """Return (first, last) distance along the ray inside the grid without half of its empty
    outermost cells, so that a sample on the border still lies in the grid; first > last where it
    misses. Fills ray[6:9] with 1/direction."""
    first, last = f32(near), f32(1e9)
    for k in range(3):
        d = ray[3 + k]
        if abs(d) < f32(1e-9):
            d = f32(1e-9)
        inverse = f32(1) / d
        ray[6 + k] = inverse
        a = (f32(0.5) - ray[k]) * inverse
        b = (f32(shape[k]) - f32(1.5) - ray[k]) * inverse
        first, last = max(first, min(a, b)), min(last, max(a, b))
    return first, last


@inlined
def leave(x, i, inverse, s):
    """Return the distance until coordinate x, in cell i, has passed s - 1 more cells along its
    direction."""
    edge = f32(i + s) if inverse > f32(0) else f32(i - s + 1)
    return (edge - x) * inverse


@inlined
def walk(ray, t, last, skip, where):
    """Return the first t, t + STEP, … whose cell is occupied: t, or -1 where the ray leaves the
    grid.

    skip (nx, ny, nz) uint8: cells to the next occupied one, 0 in such (numbered by the vertex of
    lowest coordinates). where[0]: the cell's number.
    """
    while t < last:
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        i, j, k = np.int32(x), np.int32(y), np.int32(z)
        s = np.int32(skip[np.uint64(i), np.uint64(j), np.uint64(k)])  # unsigned: no wrap-around
        if s == 0:
            where[0] = (i * skip.shape[1] + j) * skip.shape[2] + k
            return t
        away = min(leave(x, i, ray[6], s), leave(y, j, ray[7], s), leave(z, k, ray[8], s))
        t += f32(STEP) * f32(np.int32(max(away, f32(0)) * f32(1 / STEP)) + 1)
    return f32(-1)


@inner
def color_of(total, Y, n, c):
    """Y · coefficients of color c in a row `total`, n harmonics."""
    value = f32(0)
    for b in range(n):
        value += Y[b] * total[1 + c * n + b]
    return value


@inner
def shade(wide, degree, params, slots, skip, ray, first_t, background, where, value, total, Y, out):
    """One ray to its end: out[0:3] color, out[3] alpha, out[4] mean distance along the ray.

    where (1,) int64, value, total (row,) and Y (16,): memory to work in.
    """
    t, last = box_entry(ray, skip.shape, first_t)
    total[:] = f32(0)
    T, far = f32(1), f32(0)
    t = walk(ray, t + f32(0.5 * STEP), last, skip, where)
    while t >= f32(0) and T > f32(T_STOP):
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        raw = gather(wide, params, slots, where[0], x - f32(int(x)), y - f32(int(y)),
                     z - f32(int(z)), value, 0)
        keep = kept(density_exp(raw))
        w = T * (f32(1) - keep)
        add_scaled(wide, total, value, 0, w)
        far += w * t
        T *= keep
        t = walk(ray, t + f32(STEP), last, skip, where)
    sh_basis(degree, ray[3], ray[4], ray[5], Y)
    for c in range(3):
        out[c] = color_of(total, Y, (degree + 1) ** 2, c) + T * background[c]
    out[3] = f32(1) - T
    out[4] = far / max(out[3], f32(1e-6))


@kernel
def draw(wide, degree, params, slots, skip, pose, axis, first_t, background, rgb, alpha, depth,
         counter):
    """Fill rgb (H, W, 3), alpha (H, W) and depth (H, W), the depth in voxels along the optical
    axis `axis` (3,), NaN where alpha < 0.5. first_t: nearest distance looked at, voxels."""
    size = LANES * len(wide)
    ray, Y, where = np.empty(9, f32), np.zeros(16, f32), np.zeros(1, np.int64)
    value, total, out = np.empty(size, f32), np.empty(size, f32), np.empty(5, f32)
    row = first_item(counter)
    while row < rgb.shape[0]:
        for column in range(rgb.shape[1]):
            pixel_ray(pose, f32(column) + f32(0.5), f32(row) + f32(0.5), ray)
            shade(wide, degree, params, slots, skip, ray, first_t, background, where, value, total,
                  Y, out)
            rgb[row, column] = out[:3]
            alpha[row, column] = out[3]
            depth[row, column] = f32(np.nan)
            if out[3] >= f32(0.5):
                along = ray[3] * axis[0] + ray[4] * axis[1] + ray[5] * axis[2]
                depth[row, column] = out[4] * along
        row = next_item(counter)


@kernel
def mark_hits(skip, poses, view, width, height, first_t, hits, counter):
    """hits[row, column] = 1 for the pixels of a view whose ray passes an occupied cell."""
    ray, where = np.empty(9, f32), np.zeros(1, np.int64)
    row = first_item(counter)
    while row < height:
        for column in range(width):
            pixel_ray(poses[view], f32(column) + f32(0.5), f32(row) + f32(0.5), ray)
            t, last = box_entry(ray, skip.shape, first_t)
            hits[row, column] = walk(ray, t, last, skip, where) >= f32(0)
        row = next_item(counter)


@kernel
def trace(wide, degree, params, slots, skip, poses, first_t, views, columns, rows, colors,
          background, jitter, capacity, records, cells, owners, rays, used, slabs, loss, counter):
    """Forward and backward of a batch of N rays, in parts of RAYS; gradients stay with the samples.

    views, columns, rows (N,): the pixels. colors (N, 4) uint8 premultiplied. background (N, 3),
    jitter (N,) in [0, 1). Part p writes its samples to records[p·capacity …] (RECORD floats),
    cells and owners (cell's and ray's number); used[p] of them, -1 where capacity was too small.
    rays (N, row): Y ⊗ dL/dC as a row. slabs (parts, slabs): samples in each slab of SLAB cells.
    loss (parts,): sum over the part's rays of |C - target|², whose mean over N rays is L.
    """
    n = (degree + 1) ** 2
    size = LANES * len(wide)
    nx, ny, nz = skip.shape
    longest = int(2 * (nx + ny + nz) / STEP) + 8
    count = len(views)
    to_gradient = f32(2.0 / count)
    ray, Y, where = np.empty(9, f32), np.zeros(16, f32), np.zeros(1, np.int64)
    values, total = np.empty((longest, size), f32), np.empty((1, size), f32)
    place, weight, behind_T = np.empty((longest, 3), f32), np.empty(longest, f32), \
        np.empty(longest, f32)
    slope, cell = np.empty(longest, f32), np.empty(longest, np.int32)
    g, difference = np.empty(3, f32), np.empty(3, f32)
    part = first_item(counter)
    while part < len(used):
        filled, at, error = 0, part * capacity, 0.0
        slabs[part] = 0
        for r in range(part * RAYS, min((part + 1) * RAYS, count)):
            pixel_ray(poses[views[r]], f32(columns[r]) + f32(0.5), f32(rows[r]) + f32(0.5), ray)
            t, last = box_entry(ray, skip.shape, first_t)
            t += f32(STEP) * jitter[r]
            total[:] = f32(0)
            T, m = f32(1), 0
            t = walk(ray, t, last, skip, where)
            while t >= f32(0) and T > f32(T_STOP) and m < longest:
                x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
                place[m, 0], place[m, 1] = x - f32(int(x)), y - f32(int(y))
                place[m, 2] = z - f32(int(z))
                raw = gather(wide, params, slots, where[0], place[m, 0], place[m, 1], place[m, 2],
                             values, m)
                e = density_exp(raw)
                keep = kept(e)
                w = T * (f32(1) - keep)
                add_scaled(wide, total, values, m, w)
                T *= keep
                cell[m], weight[m], behind_T[m] = where[0], w, T
                slope[m] = e / (f32(1) + e)
                m += 1
                t = walk(ray, t + f32(STEP), last, skip, where)
            sh_basis(degree, ray[3], ray[4], ray[5], Y)
            rays[r] = f32(0)
            behind = f32(0)
            for c in range(3):
                covered = f32(255 - colors[r, 3]) * background[r, c]
                difference[c] = color_of(total[0], Y, n, c) + T * background[r, c] \
                    - (f32(colors[r, c]) + covered) * f32(1 / 255)
                error += float(difference[c] * difference[c])
                g[c] = to_gradient * difference[c]
                behind += T * background[r, c] * g[c]
                for b in range(n):
                    rays[r, 1 + c * n + b] = Y[b] * g[c]
            if filled < 0:
                continue
            if filled + m > capacity:
                filled = -1
                continue
            for i in range(m - 1, -1, -1):
                radiance = dot(wide, values, i, rays, r)
                gradient = slope[i] * (behind_T[i] * radiance - behind)
                behind += weight[i] * radiance
                if weight[i] < f32(FAINT) and slope[i] * (behind_T[i] + weight[i]) < f32(FAINT):
                    continue
                q = at + filled
                records[q, 0], records[q, 1], records[q, 2] = place[i, 0], place[i, 1], place[i, 2]
                records[q, 3], records[q, 4] = weight[i], gradient
                cells[q], owners[q] = cell[i], r
                slabs[part, cell[i] // (SLAB * ny * nz)] += 1
                filled += 1
        used[part], loss[part] = filled, error
        part = next_item(counter)


@kernel
def order_samples(cells, used, capacity, cells_per_slab, starts, order, counter):
    """Sort all samples by slab, by counting, those of a slab in the order of the rays.

    starts (parts, slabs): where in `order` the samples of a part in a slab begin; used up.
    """
    part = first_item(counter)
    while part < len(used):
        for q in range(part * capacity, part * capacity + used[part]):
            slab = cells[q] // cells_per_slab
            order[starts[part, slab]] = q
            starts[part, slab] += 1
        part = next_item(counter)


@kernel
def add_gradients(wide, gradients, touched, slots, records, cells, owners, rays, order, bounds,
                  parity, counter):
    """Add the samples' gradients to their rows, slab by slab: even slabs, or odd ones.

    A slab's cells share vertices with its two neighbors only, so that threads on slabs of one
    parity never meet, and every sum has one order for any number of threads.
    """
    slab = 2 * first_item(counter) + parity
    while slab < len(bounds) - 1:
        for k in range(bounds[slab], bounds[slab + 1]):
            q = order[k]
            scatter(wide, gradients, touched, slots, cells[q], records[q, 0], records[q, 1],
                    records[q, 2], rays, owners[q], records[q, 3], records[q, 4])
        slab = 2 * next_item(counter) + parity
