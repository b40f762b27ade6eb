"""Gradients of the blending, tile by tile, again front to back.

With g = dL/d(pixel) and q = g·rgb + g_depth·z of a Gaussian, one running number a pixel replaces
stored transmittances and the reverse replay:
    A = g·(final pixel)            at the start: all the light of the pixel, weighted by the loss
    A -= w·q                       now only what lies behind this Gaussian
    dL/dalpha = T·q - A/(1 - alpha)
dL/ds = -alpha·dL/dalpha where alpha is not clamped. Each (tile, Gaussian) pair has a place of its
own for its sums, so that no two threads add to the same number and the result is deterministic.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels.compile import TILE_H, inner, kernel
from ...kernels.simd import Lanes, fetch_ahead
from ...kernels.threads import first_item, next_item
from .project import A8, B8, BLUE, C8, DEPTH, GREEN, MAX_ALPHA, OPACITY, RECORD, RED, T_MIN, U, V
from .raster_forward import (
    AHEAD,
    PLANE_H,
    aligned_planes,
    data_pointer,
    emit_alpha,
    emit_offset,
    row_pointer,
    rows_of,
)

f32 = np.float32

# Columns of a slot: moments of dL/ds with the offset (dx, dy) from the mean, and sums of w·g.
M0, MX, MY, MXX, MXY, MYY, G_RED, G_GREEN, G_BLUE, G_DEPTH = range(10)
SUMS = 10
SLOT = 16  # floats: a whole number of vectors, one cache line
# Planes of a tile: T, A, loss gradients of red, green, blue and (where asked for) of sum w·z.
T_PLANE, A_PLANE, LOSS_RED, LOSS_GREEN, LOSS_BLUE, LOSS_DEPTH = range(6)


@intrinsic
def gradients(typingctx, lanes, channels, planes, records, i, slots, j, x0, y0, start, stop):
    """Take one Gaussian off T and A in rows start … stop-1 of a tile; write its ten sums to
    slots[j] (16,).

    The number of channels (3 = color, 4 = color and depth) is what the loss depends on.
    """
    with_depth = channels.count == 4

    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        tile = data_pointer(context, builder, signature, args, 2)
        rec = row_pointer(context, builder, signature, args, 3, RECORD)
        out = row_pointer(context, builder, signature, args, 5, SLOT)
        x0, y0, start, stop = args[7:]
        a, b, c, t_min, opacity, red, green, blue, z = (
            L.broadcast(rec, k) for k in (A8, B8, C8, T_MIN, OPACITY, RED, GREEN, BLUE, DEPTH))
        dx = L.broadcast(rec, U) - (L.splat(x0) + L.index())
        first_dy = L.broadcast(rec, V) - L.splat(y0)
        a_dx2, b_dx = a * dx * dx, b * dx
        features = (red, green, blue, z) if with_depth else (red, green, blue)
        plane = PLANE_H * L.count
        m0, my, myy = L.accumulator(), L.accumulator(), L.accumulator()
        weighted = [L.accumulator() for _ in features]
        with L.loop(start, stop) as row:
            at = emit_offset(builder, row, L.count)
            offsets = [builder.add(at, ir.Constant(at.type, k * plane)) for k in range(6)]
            dy = first_dy - L.splat_index(row)
            t = dy * (b_dx + c * dy) + a_dx2
            unclamped = emit_alpha(t, opacity, t_min)
            alpha = unclamped.minimum(MAX_ALPHA)
            T, A = L.load(tile, offsets[T_PLANE]), L.load(tile, offsets[A_PLANE])
            w = alpha * T
            loss = [L.load(tile, offsets[LOSS_RED + k]) for k in range(len(features))]
            q = loss[0] * features[0]
            for g, feature in zip(loss[1:], features[1:], strict=True):
                q = g * feature + q
            A = A - w * q
            L.store(A, tile, offsets[A_PLANE])
            L.store(T - w, tile, offsets[T_PLANE])
            # dL/ds = -alpha·(T·q - A/(1 - alpha)), 0 where alpha was clamped
            ds = unclamped * (A * L.reciprocal(1.0 - alpha) - T * q)
            ds = ds.where(unclamped.compare("<", MAX_ALPHA), 0.0)
            m0.add(ds)
            ds_dy = ds * dy
            my.add(ds_dy)
            myy.set(ds_dy * dy + myy.get())
            for total, g in zip(weighted, loss, strict=True):
                total.set(w * g + total.get())
        # dx is the same in every row: the moments with it follow from the others
        m0, my, myy = m0.get(), my.get(), myy.get()
        mx = m0 * dx
        sums = [m0, mx, my, mx * dx, my * dx, myy] + [total.get() for total in weighted]
        if not with_depth:
            sums.append(L.vector(0.0))
        for k, vector in enumerate(L.lane_sums(sums)):
            L.store(vector, out, ir.Constant(ir.IntType(64), k * L.count))
        return context.get_dummy_value()
    return types.void(lanes, channels, planes, records, types.intp, slots, types.intp,
                      types.float32, types.float32, types.intp, types.intp), codegen


@inner
def load_tile(channels, planes, rgb, alpha, depth, d_rgb, d_alpha, d_depth, left, top):
    """Set T = 1, the loss gradients, and A; zero where the tile hangs over the picture's edge.

    The loss gradient with respect to depth D/alpha (D = sum w·z) goes into D and alpha:
        dL/dD = d_depth/alpha,  dL/dalpha = d_alpha - d_depth·depth/alpha
    and alpha = 1 - T_end acts like a background of color -1:
        A = d_rgb·rgb + dL/dD·D - dL/dalpha·T_end
    """
    height, width = alpha.shape
    planes[:] = f32(0)
    planes[T_PLANE] = f32(1)
    for row in range(min(TILE_H, height - top)):
        for k in range(min(planes.shape[2], width - left)):
            y, x = top + row, left + k
            A, covered, gradient = f32(0), alpha[y, x], d_alpha[y, x]
            for c in range(3):
                g = d_rgb[c, y, x]
                planes[LOSS_RED + c, row, k] = g
                A += g * rgb[c, y, x]
            if len(channels) == 4 and covered >= f32(0.5):
                per_sum = d_depth[y, x] / covered
                planes[LOSS_DEPTH, row, k] = per_sum
                gradient -= per_sum * depth[y, x]
                A += d_depth[y, x] * depth[y, x]
            planes[A_PLANE, row, k] = A - gradient * (f32(1) - covered)


@kernel
def blend_backward(lanes, channels, tile_w, records, starts, ids, slot_of, stops, order, tiles_x,
                   rgb, alpha, depth, d_rgb, d_alpha, d_depth, slots, reached, counter):
    """All tiles, in the given order (busiest first).

    Fills reached (pairs,) bool, and slots (pairs, 16) where that comes out True; the other pairs
    lie behind what is opaque and have no gradient.
    """
    planes = aligned_planes(6, tile_w)
    item = first_item(counter)
    while item < len(order):
        tile = order[item]
        left, top = tile % tiles_x * tile_w, tile // tiles_x * TILE_H
        load_tile(channels, planes, rgb, alpha, depth, d_rgb, d_alpha, d_depth, left, top)
        x0, y0 = f32(left) + f32(0.5), f32(top) + f32(0.5)
        last = stops[tile] - 1
        next_start, next_stop = 0, 0
        if starts[tile] <= last:
            next_start, next_stop = rows_of(records, ids[starts[tile]], y0)
        for k in range(starts[tile], stops[tile]):
            i = ids[k]
            start, stop = next_start, next_stop  # found ahead of time as in `draw_tile`
            next_start, next_stop = rows_of(records, ids[min(k + 1, last)], y0)
            fetch_ahead(records, ids[min(k + AHEAD, last)])
            gradients(lanes, channels, planes, records, i, slots, slot_of[k], x0, y0, start, stop)
            reached[slot_of[k]] = True
        for k in range(stops[tile], starts[tile + 1]):
            reached[slot_of[k]] = False
        item = next_item(counter)
