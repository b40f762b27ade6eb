"""From Gaussians in the world to ellipses with a color on the screen (forward), a vector of them
at a time.

One parallel loop over groups of 16 writes all that the tiles need: of each Gaussian a record of 16
floats, the box of tiles and which of them the ellipse truly touches. Formulas: see `geometry`;
opacity-aware bounds instead of three sigma: alpha = op·exp(-s) >= 1/255  <=>  s <= ln(255·op).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels import vector_math as vm
from ...kernels.compile import TILE, inner, kernel
from ...kernels.harmonics import sh_values
from ...kernels.simd import Lanes, data_pointer
from ...kernels.threads import first_item, next_item
from .blocks import count_bits, tiles_met
from .geometry import Geometry, Harmonics, Rows
from .packed import GROUP, PORTION
from .screen import CX, CY, FX, FY, MIN_ALPHA, NEAR, RECORD

f32 = np.float32
INDEX = ir.IntType(64)
HIT_BITS = 63  # boxes of up to so many tiles keep their hits as bits; larger ones test again
NOT_DRAWN = -1.0  # first column of a box


@intrinsic
def project_vector(typingctx, lanes, values, start, coefficients, cam, width, height, records, i,
                   box):
    """Write records i … i + L - 1 and their boxes, box (4, L): first and last column of tiles,
    first and last row; the first -1 where a Gaussian is not drawn.

    start: of the vector's first row in `values`.
    coefficients: how many of the harmonics are used.
    """
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        values, cam, records, box = (data_pointer(context, builder, signature, args, k)
                                     for k in (1, 4, 7, 9))
        start, coefficients, width, height, first = (args[k] for k in (2, 3, 5, 6, 8))
        load = Rows(L, values, start).load
        g = Geometry(L, cam, load)
        u = g.cam[FX] * g.x_z + g.cam[CX]
        v = g.cam[FY] * g.y_z + g.cam[CY]
        s_max = vm.log(255.0 * g.opacity)
        # half extents of the ellipse s = s_max, a hair wider than exact against rounding
        reach_x, reach_y = (vm.sqrt((2.0 * s_max * k).maximum(0.0)) * 1.0001 + 0.01
                            for k in (g.A, g.C))
        drawn = builder.and_(g.z.compare(">=", g.cam[NEAR]),
                             g.opacity.compare(">=", MIN_ALPHA))
        drawn = builder.and_(drawn, g.det.compare("<", 1e30))  # overflow, NaN
        edges = []
        for center, reach, size in ((u, reach_x, width), (v, reach_y, height)):
            # pixel centers at +0.5: columns ceil(u - reach - 0.5) … floor(u + reach - 0.5)
            # a NaN ends up as `size`, from which on nothing is drawn
            low = L.vector(0.0).maximum(center - reach - 0.5).minimum(L.splat(size))
            high = (center + reach - 0.5).minimum(L.splat(size) - 1.0).maximum(-1.0)
            begin = vm.whole(low)
            begin = (begin + 1.0).where(begin.compare("<", low), begin)
            drawn = builder.and_(drawn, begin.compare("<=", high))
            edges += [vm.whole(begin * (1 / TILE)), vm.whole(high * (1 / TILE))]
        edges[0] = edges[0].where(drawn, NOT_DRAWN)
        for k, edge in enumerate(edges):
            L.store(edge, box, INDEX(k * L.count))

        # color = max(0, 0.5 + sum_k Y_k(direction) sh_k); a NaN stays one
        colors = [L.accumulator(0.5) for _ in range(3)]
        basis = Harmonics(L, sh_values(*g.direction))
        with basis.loop(coefficients) as (k, Y, rows):
            for color, row in zip(colors, rows, strict=True):
                color.set(Y * load(row) + color.get())
        colors = [L.vector(0.0).where(c.compare("<", 0.0), c) for c in (c.get() for c in colors)]

        # conic = [[C, -B], [-B, A]] / det
        conic = (g.C * g.inv_det * (-1 / 16), g.B * g.inv_det * (1 / 8),
                 g.A * g.inv_det * (-1 / 16))
        record = [u, v, *conic, s_max * (-1 / 8), g.opacity, *colors, g.z, g.B / g.C, g.B / g.A]
        record += [L.vector(0.0)] * (RECORD - len(record))
        for part in range(0, RECORD, L.count):
            for k, vector in enumerate(L.transposed(record[part:part + L.count])):
                at = builder.mul(builder.add(first, INDEX(k)), INDEX(RECORD))
                L.store(vector, records, builder.add(at, INDEX(part)))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, values, n, n, cam, types.float32, types.float32, records, n,
                      box), codegen


@inner
def find_hits(lanes, records, boxes, i):
    """Return the number of tiles in box i that the ellipse touches, and the bits of them."""
    x0, y0 = boxes[i, 0], boxes[i, 2]
    columns = boxes[i, 1] - x0
    area = columns * (boxes[i, 3] - y0)
    if area == 1:
        return 1, 1
    hits, bits = 0, 0
    for first in range(0, area, len(lanes)):
        found = tiles_met(lanes, records, i, x0, y0, columns, first, area)
        hits += count_bits(found)
        if area <= HIT_BITS:
            bits |= found << first
    return hits, bits


@kernel
def project(lanes, values, coefficients, cam, width, height, records, boxes, bits, hits, counter):
    """All Gaussians of packed `values`, padding included. Writes records (N, 16) f32, boxes (N, 4)
    i32: x0, x1, y0, y1 in tiles, ends excluded; bits (N,) i64, hits (N,) i32.

    hits[i] = 0 marks a Gaussian that is not drawn; its other rows are then undefined.
    """
    groups, rows = values.shape[:2]
    portions = -(-groups // PORTION)
    w, h = f32(width), f32(height)
    box = np.empty((4, len(lanes)), f32)
    item = first_item(counter)
    while item < portions:
        for group in range(item * PORTION, min((item + 1) * PORTION, groups)):
            for part in range(0, GROUP, len(lanes)):
                first = group * GROUP + part
                project_vector(lanes, values, group * rows * GROUP + part, coefficients, cam, w,
                               h, records, first, box)
                for lane in range(len(lanes)):
                    i = first + lane
                    hits[i] = 0
                    if box[0, lane] >= f32(0):
                        for k in range(4):
                            boxes[i, k] = int(box[k, lane]) + k % 2
                        hits[i], bits[i] = find_hits(lanes, records, boxes, i)
        item = next_item(counter)
