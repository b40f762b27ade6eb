"""Operations of the kernels on a row: all numbers of one grid vertex, in vectors of 16 floats.

A row holds the raw density in lane 0 and behind it the color's coefficients, red first: 13 floats
for degree 1 (one vector), 28 for degree 2 (two). The number of vectors comes from the *type* of the
argument `wide` (`splats.simd.lanes_tuple(n)`), so that it is part of numba's cache key. LLVM splits
the vectors for processors with narrower ones.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels.adam import BETA1, BETA2, EPSILON
from ...kernels.numba_private import cgutils
from ...kernels.simd import Lanes, Vector, data_pointer, lanes_tuple

LANES = 16
F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def vectors(sh_degree: int) -> int:
    """Return the vectors of a row for a color of this degree."""
    return -(-(1 + 3 * (sh_degree + 1) ** 2) // LANES)


def wide(sh_degree: int) -> tuple:
    """Return the kernels' argument that holds how many vectors a row has."""
    return lanes_tuple(vectors(sh_degree))


class _Rows:
    """Emits loads and stores of whole rows: lists of vectors."""

    def __init__(self, builder, count: int):
        self.builder, self.count, self.lanes = builder, count, Lanes(builder, LANES)

    def offset(self, row, k: int):
        """Element offset of vector k of an LLVM row number of any width."""
        if row.type != I64:
            row = self.builder.sext(row, I64)
        at = self.builder.mul(row, ir.Constant(I64, self.count * LANES))
        return self.builder.add(at, ir.Constant(I64, k * LANES))

    def load(self, pointer, row) -> list[Vector]:
        return [self.lanes.load(pointer, self.offset(row, k)) for k in range(self.count)]

    def store(self, values, pointer, row) -> None:
        for k, value in enumerate(values):
            self.lanes.store(value, pointer, self.offset(row, k))

    def density_lane(self, x: float, others: float = 0.0) -> list[Vector]:
        """Constants: x in lane 0 of the first vector, `others` everywhere else."""
        first = self.lanes.constants([x] + [others] * (LANES - 1))
        return [first] + [self.lanes.vector(others)] * (self.count - 1)

    def sum(self, vector: Vector):
        """Return the sum of the lanes, an LLVM float."""
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        kind = ir.FunctionType(F32, [F32, vector.lanes.type])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [ir.Constant(F32, 0.0), vector.value],
                                 fastmath=("reassoc", "contract", "nsz"))

    def sqrt(self, vector: Vector) -> Vector:
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(vector.lanes.type, [vector.lanes.type]),
            f"llvm.sqrt.v{LANES}f32")
        return Vector(self.lanes, self.builder.call(function, [vector.value]))

    def divide(self, a: Vector, b: Vector) -> Vector:
        return Vector(self.lanes, self.builder.fdiv(a.value, b.value, flags=("contract", "nsz")))


def _corners(context, builder, signature, args, slots: int, cell: int, frac: int):
    """LLVM (row number i32, weight float) of a cell's eight corners.

    slots (nx, ny, nz) int32 gives a vertex's row. args[cell] is the number of the vertex with the
    lowest coordinates, args[frac:frac + 3] the position in the cell, in [0, 1). The weights are
    the products of f or 1 - f along the three axes.
    """
    struct = cgutils.create_struct_proxy(signature.args[slots])(context, builder, args[slots])
    shape = cgutils.unpack_tuple(builder, struct.shape, 3)
    plane, line = builder.mul(shape[1], shape[2]), shape[2]
    one = ir.Constant(F32, 1.0)
    sides = [(builder.fsub(one, f), f) for f in args[frac:frac + 3]]
    for dx in (0, 1):
        for dy in (0, 1):
            across = builder.fmul(sides[0][dx], sides[1][dy])
            at = args[cell]
            if dx:
                at = builder.add(at, plane)
            if dy:
                at = builder.add(at, line)
            for dz in (0, 1):
                here = builder.add(at, ir.Constant(at.type, dz))
                row = builder.load(builder.gep(struct.data, [here]))
                yield row, builder.fmul(across, sides[2][dz])


FLOAT, INDEX = types.float32, types.intp


@intrinsic
def gather(typingctx, wide, params, slots, cell, fx, fy, fz, out, at):
    """out[at] = sum over the cell's corners of weight · params[row]; returns its raw density."""
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        params, out = (data_pointer(context, builder, signature, args, k) for k in (1, 7))
        total = None
        for row, weight in _corners(context, builder, signature, args, 2, 3, 4):
            weight = R.lanes.splat(weight)
            part = [weight * v for v in R.load(params, row)] if total is None else \
                [weight * v + t for v, t in zip(R.load(params, row), total, strict=True)]
            total = part
        R.store(total, out, args[8])
        return builder.extract_element(total[0].value, ir.Constant(I32, 0))
    return types.float32(wide, params, slots, INDEX, FLOAT, FLOAT, FLOAT, out, INDEX), codegen


@intrinsic
def scatter(typingctx, wide, gradients, touched, slots, cell, fx, fy, fz, ray, at, w, density):
    """gradients[row] += weight · (w · ray[at] + density in lane 0) at the cell's corners, and
    touched[row] = 1. The transpose of `gather`."""
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        gradients, touched, ray = (data_pointer(context, builder, signature, args, k)
                                   for k in (1, 2, 8))
        w, density = R.lanes.splat(args[10]), R.lanes.splat(args[11])
        values = [w * v + density * unit for v, unit in
                  zip(R.load(ray, args[9]), R.density_lane(1.0), strict=True)]
        for row, weight in _corners(context, builder, signature, args, 3, 4, 5):
            weight = R.lanes.splat(weight)
            R.store([weight * v + g for v, g in zip(values, R.load(gradients, row), strict=True)],
                    gradients, row)
            builder.store(ir.Constant(ir.IntType(8), 1), builder.gep(touched, [row]))
        return context.get_dummy_value()
    return types.void(wide, gradients, touched, slots, INDEX, FLOAT, FLOAT, FLOAT, ray, INDEX,
                      FLOAT, FLOAT), codegen


@intrinsic
def add_scaled(typingctx, wide, total, values, at, w):
    """total[0] += w · values[at]."""
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        total, values = (data_pointer(context, builder, signature, args, k) for k in (1, 2))
        w, first = R.lanes.splat(args[4]), ir.Constant(I64, 0)
        R.store([w * v + t for v, t in zip(R.load(values, args[3]), R.load(total, first),
                                           strict=True)], total, first)
        return context.get_dummy_value()
    return types.void(wide, total, values, INDEX, FLOAT), codegen


@intrinsic
def dot(typingctx, wide, a, i, b, j):
    """sum of a[i]·b[j] over all lanes."""
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        a, b = (data_pointer(context, builder, signature, args, k) for k in (1, 3))
        products = [x * y for x, y in zip(R.load(a, args[2]), R.load(b, args[4]), strict=True)]
        total = products[0]
        for product in products[1:]:
            total = total + product
        return R.sum(total)
    return types.float32(wide, a, INDEX, b, INDEX), codegen


@intrinsic
def smooth(typingctx, wide, gradients, params, row, neighbor, density, color, limit):
    """gradients[row] += λ · clip(params[row] - params[neighbor], ±limit), λ = `density` in lane 0
    and `color` elsewhere: the slope of a Huber norm of the difference."""
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        gradients, params = (data_pointer(context, builder, signature, args, k) for k in (1, 2))
        density, color, limit = (R.lanes.splat(a) for a in args[5:8])
        rest = [a + b for a, b in zip(
            [density * u for u in R.density_lane(1.0)],
            [color * u for u in R.density_lane(0.0, 1.0)], strict=True)]
        out = []
        for g, a, b, weight in zip(R.load(gradients, args[3]), R.load(params, args[3]),
                                   R.load(params, args[4]), rest, strict=True):
            step = (a - b).minimum(limit).maximum(limit * -1.0)
            out.append(weight * step + g)
        R.store(out, gradients, args[3])
        return context.get_dummy_value()
    return types.void(wide, gradients, params, INDEX, INDEX, FLOAT, FLOAT, FLOAT), codegen


@intrinsic
def adam(typingctx, wide, params, first, second, gradients, row, density, color, correction):
    """Emit one step of Adam (arXiv 1412.6980) on a row, and set its gradient back to zero.

    Of its own beside `kernels.adam`: a row is one or two whole vectors with density and color in
    it, loaded, moved and cleared in one pass.
    density, color: learning rates of lane 0 and of the others, divided by 1 - β1ᵗ;
    correction: 1 / (1 - β2ᵗ).
    """
    def codegen(context, builder, signature, args):
        R = _Rows(builder, signature.args[0].count)
        params, first, second, gradients = (
            data_pointer(context, builder, signature, args, k) for k in (1, 2, 3, 4))
        row = args[5]
        density, color, correction = (R.lanes.splat(a) for a in args[6:9])
        rates = [density * u + color * o for u, o in zip(
            R.density_lane(1.0), R.density_lane(0.0, 1.0), strict=True)]
        G = R.load(gradients, row)
        # m = β1·m + (1-β1)·g,  v = β2·v + (1-β2)·g²,  p -= lr·m̂ / (√v̂ + ε)
        M = [(1 - BETA1) * g + BETA1 * m for g, m in zip(G, R.load(first, row), strict=True)]
        V = [(1 - BETA2) * (g * g) + BETA2 * v for g, v in zip(G, R.load(second, row), strict=True)]
        P = [p - R.divide(rate * m, R.sqrt(v * correction) + EPSILON)
             for p, m, v, rate in zip(R.load(params, row), M, V, rates, strict=True)]
        for values, pointer in ((P, params), (M, first), (V, second),
                                ([R.lanes.vector(0.0)] * R.count, gradients)):
            R.store(values, pointer, row)
        return context.get_dummy_value()
    return types.void(wide, params, first, second, gradients, INDEX, FLOAT, FLOAT, FLOAT), codegen


def empty_rows(count: int, sh_degree: int) -> np.ndarray:
    """Return (count, 16 or 32) float32 zeros."""
    return np.zeros((count, LANES * vectors(sh_degree)), np.float32)
