"""A tile of 16x16 pixels cut into blocks, one vector each, and which blocks a Gaussian meets.

L lanes hold a block of 4 x L/4 pixels: a tile has 16 blocks of 4x4 with 16 lanes, 32 of 4x2 with 8.
A set of blocks is an integer, bit k for block k, in reading order. Blocks waste far fewer lanes on
a small ellipse than rows of 16 pixels do. What a tile keeps of each pixel (transmittance, sums)
lies block after block, so that a block of it is one vector.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels import vector_math as vm
from ...kernels.compile import TILE, inner
from ...kernels.numba_private import cgutils
from ...kernels.simd import F32, Lanes, Vector, data_pointer
from .screen import A8, B8, C8, RECORD, SLOPE_X, SLOPE_Y, T_MIN, U, V

f32 = np.float32

BLOCK_W = 4  # pixels of a block's side across
IN_A_ROW = TILE // BLOCK_W
PIXELS = TILE * TILE
PLANE = PIXELS + 16  # floats from plane to plane: 4096 bytes apart they would disturb each other
INDEX = ir.IntType(64)
QUARTER = ir.VectorType(F32, BLOCK_W)


@inner
def whole_tile(lanes):
    """Return the set of all blocks of a tile."""
    return (1 << (PIXELS // len(lanes))) - 1


@inner
def aligned_planes(count):
    """Return (count, PLANE) float32 beginning at a cache line, so that no vector crosses one."""
    size, line = count * PLANE, 16
    memory = np.empty(size + line, f32)
    skip = (64 - memory.ctypes.data % 64) % 64 // 4
    return memory[skip:skip + size].reshape((count, PLANE))


def row_pointer(context, builder, signature, args, k, columns: int):
    """LLVM pointer to row args[k + 1] of the C-contiguous array argument k with so many columns."""
    pointer = data_pointer(context, builder, signature, args, k)
    return builder.gep(pointer, [builder.mul(args[k + 1], INDEX(columns))])


class Tile:
    """Emits what is common to the loops over a tile's blocks. x0, y0: center of its first pixel."""

    def __init__(self, context, builder, signature, args, planes: int):
        self.L = Lanes(builder, signature.args[0].count)
        self.builder, self.count = builder, self.L.count
        self.planes = data_pointer(context, builder, signature, args, planes)
        rows = self.L.count // BLOCK_W
        blocks = range(PIXELS // self.L.count)
        corners = [BLOCK_W * (k % IN_A_ROW) for k in blocks] + [rows * (k // IN_A_ROW)
                                                                for k in blocks]
        table = cgutils.global_constant(builder, "block_corners", ir.Constant(
            ir.ArrayType(F32, len(corners)), [ir.Constant(F32, float(c)) for c in corners]))
        self._corners = builder.bitcast(table, F32.as_pointer())

    def offsets(self, rec, x0, y0) -> tuple[Vector, Vector]:
        """Return mean - pixel, (dx, dy), at the pixels of the tile's first block."""
        L = self.L
        column, row = ([k % BLOCK_W for k in range(self.count)],
                       [k // BLOCK_W for k in range(self.count)])
        return (L.broadcast(rec, U) - (L.splat(x0) + L.constants(column)),
                L.broadcast(rec, V) - (L.splat(y0) + L.constants(row)))

    def corner(self, block) -> tuple[Vector, Vector]:
        """Return how far block `block` lies right of and below the first one, pixels."""
        down = self.builder.add(block, INDEX(PIXELS // self.count))
        return tuple(self.L.splat(self.builder.load(self.builder.gep(self._corners, [k])))
                     for k in (block, down))

    def load(self, plane: int, block) -> Vector:
        return self.L.load(self.planes, self._at(plane, block))

    def store(self, vector, plane: int, block) -> None:
        self.L.store(self.L.vector(vector), self.planes, self._at(plane, block))

    def _at(self, plane, block):
        return self.builder.add(self.builder.mul(block, INDEX(self.count)), INDEX(plane * PLANE))

    # --- pictures: rows of `width` floats -----------------------------------------------------

    def all_blocks(self):
        return self.L.loop(INDEX(0), INDEX(PIXELS // self.count))

    def rows(self, block, width) -> list:
        """Return where a block's rows begin in a picture, counted from the tile's first pixel."""
        b = self.builder
        across = b.mul(b.and_(block, INDEX(IN_A_ROW - 1)), INDEX(BLOCK_W))
        down = b.mul(b.udiv(block, INDEX(IN_A_ROW)), INDEX(self.count // BLOCK_W))
        first = b.add(b.mul(down, width), across)
        return [b.add(first, b.mul(width, INDEX(k))) for k in range(self.count // BLOCK_W)]

    def gather(self, picture, rows, start) -> Vector:
        """Return a block of a picture; start: of the tile in it."""
        parts = []
        for row in rows:
            part = self.builder.load(self._quarter(picture, start, row))
            part.align = 4
            parts.append(part)
        while len(parts) > 1:
            parts = [self._joined(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return Vector(self.L, parts[0])

    def scatter(self, vector: Vector, picture, rows, start) -> None:
        for k, row in enumerate(rows):
            part = self._elements(vector.value, vector.value, range(BLOCK_W * k, BLOCK_W * (k + 1)))
            self.builder.store(part, self._quarter(picture, start, row)).align = 4

    def _quarter(self, picture, start, row):
        at = self.builder.gep(picture, [self.builder.add(start, row)])
        return self.builder.bitcast(at, QUARTER.as_pointer())

    def _joined(self, a, b):
        return self._elements(a, b, range(2 * a.type.count))

    def _elements(self, a, b, chosen):
        kind = ir.IntType(32)
        return self.builder.shuffle_vector(a, b, ir.Constant(
            ir.VectorType(kind, len(chosen)), [kind(k) for k in chosen]))


def reaches(L: Lanes, rec, x_low, y_low, width: float, height: float):
    """Return the mask of the rectangles that meet the ellipse s <= ln(255·op) of a record: exact.

    x_low, y_low: their upper left corner relative to the picture. On a rectangle, with offsets from
    the mean, t = -s/8 = a·x² + b·x·y + c·y² is largest at the mean if that is inside, else on an
    edge that faces the mean, where it is a parabola: on the line x = const its peak is
    y = -b/(2c)·x. With the point (x, y) of the rectangle nearest to the mean in each coordinate,
    the two candidates on the lines through it are all there are.
    """
    a, b, c, t_min, slope_x, slope_y, u, v = (
        L.broadcast(rec, k) for k in (A8, B8, C8, T_MIN, SLOPE_X, SLOPE_Y, U, V))
    x_low, y_low = x_low - u, y_low - v
    x_high, y_high = x_low + width, y_low + height
    x, y = x_high.minimum(0.0).maximum(x_low), y_high.minimum(0.0).maximum(y_low)
    y_peak = (slope_y * x).minimum(y_high).maximum(y_low)
    x_peak = (slope_x * y).minimum(x_high).maximum(x_low)
    best = (a * x * x + y_peak * (b * x + c * y_peak)).maximum(
        c * y * y + x_peak * (b * y + a * x_peak))
    # a hair wide: the pixel test decides; here only no miss
    return best.compare(">=", t_min - 1e-5)


@intrinsic
def blocks_met(typingctx, lanes, records, i, x0, y0):
    """Return the set of the blocks of a tile whose pixel centers' rectangle Gaussian i meets.

    x0, y0: center of the tile's first pixel.
    """
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        rec = row_pointer(context, builder, signature, args, 1, RECORD)
        left, top, height = L.splat(args[3]), L.splat(args[4]), L.count // BLOCK_W
        found = None
        for first in range(0, PIXELS // L.count, L.count):  # as many blocks as lanes at a time
            blocks = range(first, first + L.count)
            bits = L.bits(reaches(
                L, rec, left + L.constants([BLOCK_W * (k % IN_A_ROW) for k in blocks]),
                top + L.constants([height * (k // IN_A_ROW) for k in blocks]),
                BLOCK_W - 1.0, height - 1.0))
            bits = builder.shl(bits, INDEX(first))
            found = bits if found is None else builder.or_(found, bits)
        return found
    return types.intp(lanes, records, types.intp, types.float32, types.float32), codegen


@intrinsic
def tiles_met(typingctx, lanes, records, i, x0, y0, columns, first, area):
    """Return which tiles of a box Gaussian i meets: bit k for the one of number first + k, in
    reading order; `columns` are in a row from (x0, y0) on, `area` in the box."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        rec = row_pointer(context, builder, signature, args, 1, RECORD)
        x0, y0, columns, first, area = (L.splat_index(k) for k in args[3:])
        number = first + L.index()
        row = vm.whole((number + 0.5) / columns)
        column = number - row * columns
        met = reaches(L, rec, (x0 + column) * TILE + 0.5, (y0 + row) * TILE + 0.5, TILE - 1.0,
                      TILE - 1.0)
        return L.bits(builder.and_(met, number.compare("<", area)))
    n = types.intp
    return types.intp(lanes, records, n, n, n, n, n, n), codegen


@intrinsic
def count_bits(typingctx, integer):
    """Return how many bits of an integer are set."""
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])
    return types.intp(types.intp), codegen


@intrinsic
def blocks_alive(typingctx, lanes, planes, blocks, t_stop):
    """Return those of some blocks where plane 0, the transmittance, reaches t_stop anywhere.

    Two blocks of 4x2 that make a square stop together: both widths then draw the same picture.
    """
    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature, args, 1)
        found = cgutils.alloca_once(builder, INDEX)
        builder.store(INDEX(0), found)
        with tile.L.each_bit(args[2]) as block:
            clear = tile.L.bits(tile.load(0, block).compare(">=", tile.L.splat(args[3])))
            bit = builder.select(builder.icmp_unsigned("!=", clear, INDEX(0)),
                                 builder.shl(INDEX(1), block), INDEX(0))
            builder.store(builder.or_(builder.load(found), bit), found)
        alive = builder.load(found)
        if tile.count == BLOCK_W * BLOCK_W // 2:
            upper, apart = INDEX(0x0F0F0F0F), INDEX(IN_A_ROW)  # those in even rows of blocks
            square = builder.and_(builder.or_(alive, builder.lshr(alive, apart)), upper)
            alive = builder.or_(square, builder.shl(square, apart))
        return alive
    return types.intp(lanes, planes, types.intp, types.float32), codegen
