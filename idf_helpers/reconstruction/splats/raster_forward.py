"""Blending front to back, tile by tile, on those blocks of a tile that a Gaussian meets.

Per pixel, over the tile's Gaussians from near to far, with s = d^T conic d / 2:
    alpha = min(0.99, op·exp(-s)), 0 where op·exp(-s) < 1/255
    w = alpha·T;  color += w·rgb;  depth += w·z;  T *= 1 - alpha
and at the end color += T·background. A block stops once T < 1e-4 in all its pixels. Which blocks of
which Gaussian were drawn is kept for the backward pass.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from ...kernels.compile import TILE, inner, kernel
from ...kernels.simd import data_pointer, fetch_ahead
from ...kernels.threads import first_item, next_item
from .blocks import Tile, aligned_planes, blocks_alive, blocks_met, row_pointer, whole_tile
from .screen import A8, B8, BLUE, C8, DEPTH, GREEN, MAX_ALPHA, OPACITY, RECORD, RED, T_MIN

f32 = np.float32

# exp(8t) = P(t)^8 for -ln(255)/8 <= t <= 0, P the quartic of least relative error: after the three
# squarings 2.2e-5 of exp.
EXP = (0.999997437, 0.999831378, 0.498158157, 0.159372523, 0.0293178167)

T_STOP = f32(1e-4)
AHEAD = 6  # Gaussians between one that is drawn and one whose record is asked for
CHECK_EVERY = 8  # Gaussians between two looks at which blocks have become opaque
FEATURES = (RED, GREEN, BLUE, DEPTH)  # what is summed up, of a record
# Planes of a tile: T, and the sums of as many features as there are channels.
TRANSMITTANCE, SUMS = 0, 1
# Planes of a picture: red, green, blue, alpha, and depth where there are four channels.
ALPHA_PLANE, DEPTH_PLANE = 3, 4


def emit_alpha(t, opacity, t_min):
    """Return op·exp(8t), 0 where t < t_min (below 1/255)."""
    p = ((((EXP[4] * t + EXP[3]) * t + EXP[2]) * t + EXP[1]) * t + EXP[0])
    p = p * p
    p = p * p
    return (p * p * opacity).where(t.compare(">=", t_min), 0.0)


@intrinsic
def blend(typingctx, lanes, channels, planes, records, i, x0, y0, blocks):
    """Add Gaussian i to some blocks of the tile whose first pixel center is (x0, y0).

    The number of channels (3 = color, 4 = color and depth) is what is summed up.
    """
    features = FEATURES[:channels.count]

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature, args, 2)
        rec = row_pointer(context, builder, signature, args, 3, RECORD)
        a, b, c, t_min, opacity = (tile.L.broadcast(rec, k) for k in (A8, B8, C8, T_MIN, OPACITY))
        values = [tile.L.broadcast(rec, k) for k in features]
        first_dx, first_dy = tile.offsets(rec, args[5], args[6])
        with tile.L.each_bit(args[7]) as block:
            right, down = tile.corner(block)
            dx, dy = first_dx - right, first_dy - down
            # t = -s/8 = a·dx² + b·dx·dy + c·dy²
            t = dx * (a * dx + b * dy) + c * dy * dy
            alpha = emit_alpha(t, opacity, t_min).minimum(MAX_ALPHA)
            T = tile.load(TRANSMITTANCE, block)
            w = alpha * T
            tile.store(T - w, TRANSMITTANCE, block)
            for k, value in enumerate(values):
                tile.store(w * value + tile.load(SUMS + k, block), SUMS + k, block)
        return context.get_dummy_value()
    return types.void(lanes, channels, planes, records, types.intp, types.float32, types.float32,
                      types.intp), codegen


@intrinsic
def store_tile(typingctx, lanes, channels, planes, background, picture, start, width, plane):
    """Write a finished tile to a picture: colors over the background, alpha, and with four channels
    depth, sum w·z / alpha, NaN where alpha < 0.5.

    start: of the tile in a plane of the picture, whose rows have `width`, planes `plane` floats.
    """
    with_depth = channels.count == 4

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature, args, 2)
        background, picture = (data_pointer(context, builder, signature, args, k) for k in (3, 4))
        start, width, plane = args[5:]
        starts = [builder.add(start, builder.mul(plane, plane.type(k))) for k in range(5)]
        behind = [tile.L.broadcast(background, c) for c in range(3)]
        with tile.all_blocks() as block:
            rows = tile.rows(block, width)
            T = tile.load(TRANSMITTANCE, block)
            for c in range(3):
                tile.scatter(T * behind[c] + tile.load(SUMS + c, block), picture, rows, starts[c])
            alpha = 1.0 - T
            tile.scatter(alpha, picture, rows, starts[ALPHA_PLANE])
            if with_depth:
                depth = tile.load(SUMS + 3, block) / alpha
                depth = depth.where(alpha.compare(">=", 0.5), float("nan"))
                tile.scatter(depth, picture, rows, starts[DEPTH_PLANE])
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, channels, planes, background, picture, n, n, n), codegen


@inner
def draw_tile(lanes, channels, planes, records, ids, first, last, x0, y0, masks):
    """Fill the planes; returns how far into the list [first, last) it had to go.

    masks: of each pair up to there the blocks that were drawn.
    """
    planes[:] = f32(0)
    planes[TRANSMITTANCE] = f32(1)
    if first == last:
        return last
    alive = whole_tile(lanes)
    following = blocks_met(lanes, records, ids[first], x0, y0)
    for k in range(first, last):
        if (k - first) % CHECK_EVERY == CHECK_EVERY - 1:
            alive = blocks_alive(lanes, planes, alive, T_STOP)
            if alive == 0:
                return k
        # The blocks of the next one are known before this one is drawn: the processor then sees
        # early how often the loop over them will run.
        blocks = following & alive
        following = blocks_met(lanes, records, ids[min(k + 1, last - 1)], x0, y0)
        fetch_ahead(records, ids[min(k + AHEAD, last - 1)])
        masks[k] = blocks
        if blocks != 0:
            blend(lanes, channels, planes, records, ids[k], x0, y0, blocks)
    return last


@kernel
def draw(lanes, channels, records, starts, ids, order, tiles_x, background, picture, masks, stops,
         counter):
    """All tiles, in the given order (busiest first).

    Fills picture (4 or 5, H, W): red, green, blue, alpha, and with four channels depth; stops
    (tiles,) int64; masks (pairs,) of an unsigned integer with a bit for each block.
    """
    planes = aligned_planes(1 + len(channels))
    edge = np.empty((5, TILE, TILE), f32)
    height, width = picture.shape[1:]
    k = first_item(counter)
    while k < len(order):
        tile = order[k]
        left, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        stops[tile] = draw_tile(lanes, channels, planes, records, ids, starts[tile],
                                starts[tile + 1], f32(left) + f32(0.5), f32(top) + f32(0.5), masks)
        if left + TILE <= width and top + TILE <= height:
            store_tile(lanes, channels, planes, background, picture, top * width + left, width,
                       height * width)
        else:  # it hangs over the picture's edge
            store_tile(lanes, channels, planes, background, edge, 0, TILE, TILE * TILE)
            for p in range(len(picture)):
                for row in range(min(TILE, height - top)):
                    for column in range(min(TILE, width - left)):
                        picture[p, top + row, left + column] = edge[p, row, column]
        k = next_item(counter)
