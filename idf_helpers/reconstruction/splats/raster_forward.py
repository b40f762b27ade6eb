"""Blending front to back, tile by tile.

Per pixel, over the tile's Gaussians from near to far, with s = d^T conic d / 2:
    alpha = min(0.99, op·exp(-s)), 0 where op·exp(-s) < 1/255
    w = alpha·T;  color += w·rgb;  depth += w·z;  T *= 1 - alpha
and at the end color += T·background. A tile stops once T < 1e-4 in all its pixels.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels.compile import TILE_H, inner, kernel
from ...kernels.simd import Lanes, data_pointer, fetch_ahead
from ...kernels.threads import first_item, next_item
from .project import (
    A8,
    B8,
    BLUE,
    C8,
    DEPTH,
    GREEN,
    HALF_H,
    MAX_ALPHA,
    OPACITY,
    RECORD,
    RED,
    T_MIN,
    U,
    V,
    ceil_index,
)

f32 = np.float32

# exp(8t) = P(t)^8 for -ln(255)/8 <= t <= 0, P the quartic of least relative error: after the three
# squarings 2.2e-5 of exp.
EXP = (0.999997437, 0.999831378, 0.498158157, 0.159372523, 0.0293178167)

T_STOP = f32(1e-4)
PLANE_H = TILE_H + 1  # a spare row: planes 4096 bytes apart would disturb each other in the cache
AHEAD = 6  # Gaussians between one that is drawn and one whose record is asked for
CHECK_EVERY = 8  # Gaussians between two looks at the largest T of the tile
TRANSMITTANCE, SUM_RED, SUM_GREEN, SUM_BLUE, SUM_DEPTH = range(5)  # planes of a tile


def emit_alpha(t, opacity, t_min):
    """Return op·exp(8t), 0 where t < t_min (below 1/255)."""
    p = ((((EXP[4] * t + EXP[3]) * t + EXP[2]) * t + EXP[1]) * t + EXP[0])
    p = p * p
    p = p * p
    return (p * p * opacity).where(t.compare(">=", t_min), 0.0)


def row_pointer(context, builder, signature, args, k, columns: int):
    """LLVM pointer to row args[k + 1] of the C-contiguous array argument k with so many columns."""
    pointer = data_pointer(context, builder, signature, args, k)
    return builder.gep(pointer, [emit_offset(builder, args[k + 1], columns)])


def emit_offset(builder, integer, factor: int):
    return builder.mul(integer, ir.Constant(integer.type, factor))


@intrinsic
def blend(typingctx, lanes, planes, records, i, x0, y0, start, stop):
    """Add one Gaussian to rows start … stop-1 of the tile whose first pixel center is (x0, y0),
    one vector a row."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        tile = data_pointer(context, builder, signature, args, 1)
        rec = row_pointer(context, builder, signature, args, 2, RECORD)
        x0, y0, start, stop = args[4:]
        a, b, c, t_min, opacity, red, green, blue, z = (
            L.broadcast(rec, k) for k in (A8, B8, C8, T_MIN, OPACITY, RED, GREEN, BLUE, DEPTH))
        dx = L.broadcast(rec, U) - (L.splat(x0) + L.index())
        first_dy = L.broadcast(rec, V) - L.splat(y0)
        a_dx2, b_dx = a * dx * dx, b * dx
        plane = PLANE_H * L.count
        with L.loop(start, stop) as row:
            at = emit_offset(builder, row, L.count)
            offsets = [builder.add(at, ir.Constant(at.type, k * plane)) for k in range(5)]
            dy = first_dy - L.splat_index(row)
            # t = -s/8 = a·dx² + dy·(b·dx + c·dy)
            t = dy * (b_dx + c * dy) + a_dx2
            alpha = emit_alpha(t, opacity, t_min).minimum(MAX_ALPHA)
            T = L.load(tile, offsets[0])
            w = alpha * T
            L.store(T - w, tile, offsets[0])
            for value, offset in zip((red, green, blue, z), offsets[1:], strict=True):
                L.store(w * value + L.load(tile, offset), tile, offset)
        return context.get_dummy_value()
    return types.void(lanes, planes, records, types.intp, types.float32, types.float32,
                      types.intp, types.intp), codegen


@intrinsic
def largest_transmittance(typingctx, lanes, planes):
    """Return the largest T of a tile."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        tile = data_pointer(context, builder, signature, args, 1)
        index = ir.IntType(64)
        rows = [L.load(tile, ir.Constant(index, k * L.count)) for k in range(TILE_H)]
        while len(rows) > 1:
            rows = [p.maximum(q) for p, q in zip(rows[::2], rows[1::2], strict=True)]
        return L.largest(rows[0])
    return types.float32(lanes, planes), codegen


@inner
def aligned_planes(count, tile_w):
    """Return (count, PLANE_H, tile_w) float32 beginning at a cache line, so that no vector crosses
    one."""
    size, line = count * PLANE_H * tile_w, 16
    memory = np.empty(size + line, f32)
    skip = (64 - memory.ctypes.data % 64) % 64 // 4
    return memory[skip:skip + size].reshape((count, PLANE_H, tile_w))


@inner
def rows_of(records, i, y0):
    """Return the rows of a tile that Gaussian i can reach (start, stop), y0 the first pixel center.
    """
    top = max(records[i, V] - records[i, HALF_H] - y0, f32(0))
    bottom = min(records[i, V] + records[i, HALF_H] - y0, f32(TILE_H - 1))
    return ceil_index(top), (int(bottom) + 1 if bottom >= f32(0) else 0)


@inner
def draw_tile(lanes, planes, records, ids, first, last, x0, y0):
    """Fill the planes; returns how far into the list [first, last) it had to go."""
    planes[:] = f32(0)
    planes[TRANSMITTANCE] = f32(1)
    if first == last:
        return last
    next_start, next_stop = rows_of(records, ids[first], y0)
    for k in range(first, last):
        if (k - first) % CHECK_EVERY == CHECK_EVERY - 1:
            if largest_transmittance(lanes, planes) < T_STOP:
                return k
        # The rows of the next one are known before this one is drawn: the processor then sees
        # early how often the loop over them will run.
        start, stop = next_start, next_stop
        next_start, next_stop = rows_of(records, ids[min(k + 1, last - 1)], y0)
        fetch_ahead(records, ids[min(k + AHEAD, last - 1)])
        blend(lanes, planes, records, ids[k], x0, y0, start, stop)
    return last


@inner
def store_tile(planes, background, rgb, alpha, depth, left, top):
    height, width = alpha.shape
    for row in range(min(TILE_H, height - top)):
        for k in range(min(planes.shape[2], width - left)):
            T = planes[TRANSMITTANCE, row, k]
            y, x = top + row, left + k
            for c in range(3):
                rgb[c, y, x] = planes[SUM_RED + c, row, k] + T * background[c]
            covered = f32(1) - T
            alpha[y, x] = covered
            depth[y, x] = f32(np.nan)
            if covered >= f32(0.5):
                depth[y, x] = planes[SUM_DEPTH, row, k] / covered


@kernel
def draw(lanes, tile_w, records, starts, ids, order, tiles_x, background, rgb, alpha, depth, stops,
         counter):
    """All tiles, in the given order (busiest first). Fills the images and stops (tiles,) int64."""
    planes = aligned_planes(5, tile_w)
    k = first_item(counter)
    while k < len(order):
        tile = order[k]
        left, top = tile % tiles_x * tile_w, tile // tiles_x * TILE_H
        stops[tile] = draw_tile(lanes, planes, records, ids, starts[tile], starts[tile + 1],
                                f32(left) + f32(0.5), f32(top) + f32(0.5))
        store_tile(planes, background, rgb, alpha, depth, left, top)
        k = next_item(counter)
