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
from numba import types
from numba.extending import intrinsic

from ...kernels.compile import TILE, inner, kernel
from ...kernels.simd import data_pointer, fetch_ahead
from ...kernels.threads import first_item, next_item
from .blocks import Tile, aligned_planes, row_pointer
from .raster_forward import AHEAD, ALPHA_PLANE, DEPTH_PLANE, FEATURES, emit_alpha
from .screen import A8, B8, C8, MAX_ALPHA, OPACITY, RECORD, T_MIN

f32 = np.float32

# Columns of a slot: moments of dL/ds with the offset (dx, dy) from the mean, and sums of w·g.
M0, MX, MY, MXX, MXY, MYY, G_RED, G_GREEN, G_BLUE, G_DEPTH = range(10)
SUMS = 10
SLOT = 16  # floats: a whole number of vectors, one cache line
# Planes of a tile: T, A, loss gradients of red, green, blue and (where asked for) of sum w·z.
T_PLANE, A_PLANE, LOSS_RED, LOSS_GREEN, LOSS_BLUE, LOSS_DEPTH = range(6)


@intrinsic
def gradients(typingctx, lanes, channels, planes, records, i, slots, j, x0, y0, blocks):
    """Take Gaussian i off T and A in some blocks of a tile; write its ten sums to slots[j] (16,).

    channels: how many the loss depends on: 3 = color, 4 = and alpha, 5 = and depth.
    """
    features = FEATURES[:4 if channels.count == 5 else 3]

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature, args, 2)
        L = tile.L
        rec = row_pointer(context, builder, signature, args, 3, RECORD)
        out = row_pointer(context, builder, signature, args, 5, SLOT)
        a, b, c, t_min, opacity = (L.broadcast(rec, k) for k in (A8, B8, C8, T_MIN, OPACITY))
        values = [L.broadcast(rec, k) for k in features]
        first_dx, first_dy = tile.offsets(rec, args[7], args[8])
        moments = [L.accumulator() for _ in range(6)]
        weighted = [L.accumulator() for _ in features]
        with L.each_bit(args[9]) as block:
            right, down = tile.corner(block)
            dx, dy = first_dx - right, first_dy - down
            t = dx * (a * dx + b * dy) + c * dy * dy
            unclamped = emit_alpha(t, opacity, t_min)
            alpha = unclamped.minimum(MAX_ALPHA)
            T, A = tile.load(T_PLANE, block), tile.load(A_PLANE, block)
            w = alpha * T
            loss = [tile.load(LOSS_RED + k, block) for k in range(len(features))]
            q = loss[0] * values[0]
            for g, value in zip(loss[1:], values[1:], strict=True):
                q = g * value + q
            A = A - w * q
            tile.store(A, A_PLANE, block)
            tile.store(T - w, T_PLANE, block)
            # dL/ds = -alpha·(T·q - A/(1 - alpha)), 0 where alpha was clamped
            ds = unclamped * (A * L.reciprocal(1.0 - alpha) - T * q)
            ds = ds.where(unclamped.compare("<", MAX_ALPHA), 0.0)
            ds_dx, ds_dy = ds * dx, ds * dy
            m0, mx, my, mxx, mxy, myy = moments
            for total, term in ((m0, ds), (mx, ds_dx), (my, ds_dy)):
                total.add(term)
            for total, one, other in ((mxx, ds_dx, dx), (mxy, ds_dx, dy), (myy, ds_dy, dy)):
                total.set(one * other + total.get())
            for total, g in zip(weighted, loss, strict=True):
                total.set(w * g + total.get())
        sums = [total.get() for total in moments + weighted]
        sums += [L.vector(0.0)] * (SUMS - len(sums))
        for k, vector in enumerate(L.lane_sums(sums)):
            L.store(vector, out, args[6].type(k * L.count))
        return context.get_dummy_value()
    return types.void(lanes, channels, planes, records, types.intp, slots, types.intp,
                      types.float32, types.float32, types.intp), codegen


@intrinsic
def load_tile(typingctx, lanes, channels, planes, picture, d_rgb, d_alpha, d_depth, start, width,
              plane):
    """Set T = 1, the loss gradients, and A, from pictures as `store_tile` writes them.

    The loss gradient with respect to depth D/alpha (D = sum w·z) goes into D and alpha:
        dL/dD = d_depth/alpha,  dL/dalpha = d_alpha - d_depth·depth/alpha
    and alpha = 1 - T_end acts like a background of color -1:
        A = d_rgb·rgb + dL/dD·D - dL/dalpha·T_end
    """
    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature, args, 2)
        picture, d_rgb, d_alpha, d_depth = (data_pointer(context, builder, signature, args, k)
                                            for k in (3, 4, 5, 6))
        start, width, plane = args[7:]
        starts = [builder.add(start, builder.mul(plane, plane.type(k))) for k in range(5)]
        with tile.all_blocks() as block:
            rows = tile.rows(block, width)
            A = tile.L.vector(0.0)
            for c in range(3):
                g = tile.gather(d_rgb, rows, starts[c])
                tile.store(g, LOSS_RED + c, block)
                A = g * tile.gather(picture, rows, starts[c]) + A
            if channels.count >= 4:
                alpha = tile.gather(picture, rows, starts[ALPHA_PLANE])
                d_covered = tile.gather(d_alpha, rows, start)
                if channels.count == 5:
                    solid = alpha.compare(">=", 0.5)
                    depth = tile.gather(picture, rows, starts[DEPTH_PLANE]).where(solid, 0.0)
                    g = tile.gather(d_depth, rows, start).where(solid, 0.0)
                    d_sum = (g / alpha).where(solid, 0.0)
                    tile.store(d_sum, LOSS_DEPTH, block)
                    d_covered = d_covered - d_sum * depth
                    A = g * depth + A
                A = A - d_covered * (1.0 - alpha)
            tile.store(A, A_PLANE, block)
            tile.store(1.0, T_PLANE, block)
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, channels, planes, picture, d_rgb, d_alpha, d_depth, n, n, n), codegen


@inner
def cut_out(images, left, top, out):
    """Copy what a tile at the edge has of some pictures to out (planes, 16, 16), the rest zero."""
    out[:] = f32(0)
    planes, height, width = images.shape
    for p in range(planes):
        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                out[p, row, column] = images[p, top + row, left + column]


@kernel
def blend_backward(lanes, channels, records, starts, ids, slot_of, masks, stops, order, tiles_x,
                   picture, d_rgb, d_alpha, d_depth, slots, reached, counter):
    """All tiles, in the given order (busiest first). d_alpha, d_depth: (1, H, W), or of any size
    where the channels leave them out.

    Fills reached (pairs,) bool, and slots (pairs, 16) where that comes out True; the other pairs
    lie behind what is opaque and have no gradient.
    """
    planes = aligned_planes(6)
    edges = np.empty((4, 5, TILE, TILE), f32)
    height, width = picture.shape[1:]
    item = first_item(counter)
    while item < len(order):
        tile = order[item]
        left, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        first, last = starts[tile], stops[tile]
        if first < last:
            if left + TILE <= width and top + TILE <= height:
                load_tile(lanes, channels, planes, picture, d_rgb, d_alpha, d_depth,
                          top * width + left, width, height * width)
            else:
                cut_out(picture, left, top, edges[0])
                cut_out(d_rgb, left, top, edges[1])
                if len(channels) >= 4:
                    cut_out(d_alpha, left, top, edges[2])
                if len(channels) == 5:
                    cut_out(d_depth, left, top, edges[3])
                load_tile(lanes, channels, planes, edges[0], edges[1], edges[2], edges[3], 0, TILE,
                          TILE * TILE)
        x0, y0 = f32(left) + f32(0.5), f32(top) + f32(0.5)
        for k in range(first, last):
            blocks, slot = np.int64(masks[k]), slot_of[k]
            fetch_ahead(records, ids[min(k + AHEAD, last - 1)])
            fetch_ahead(slots, slot_of[min(k + AHEAD, last - 1)])  # a write waits for its line, too
            reached[slot] = blocks != 0
            if blocks != 0:
                gradients(lanes, channels, planes, records, ids[k], slots, slot, x0, y0, blocks)
        for k in range(last, starts[tile + 1]):
            reached[slot_of[k]] = False
        item = next_item(counter)
