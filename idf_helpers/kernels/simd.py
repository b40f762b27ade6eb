"""Explicit vectors inside numba: an emitter of LLVM `<L x float>` code that reads like formulas.

Numba's plain loops over these arrays stay scalar (10-20 times slower), so the inner loops are
written with this emitter; everything around them is ordinary numba.
The width L comes from the *type* of an argument, a tuple of L floats (`lanes_tuple`): it is then
part of numba's cache key, as a global constant would not be.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .numba_private import cgutils

F32 = ir.FloatType()
I32 = ir.IntType(32)
BYTE_PTR = ir.IntType(8).as_pointer()
FLAGS = ("contract", "nsz")  # a*b + c may fuse; NaN and infinity keep their meaning


def lanes_tuple(count: int) -> tuple:
    """Return the argument whose type tells the kernels the vector width; its values are not
    used."""
    return tuple(np.float32(0) for _ in range(count))


def data_pointer(context, builder, signature, args, k):
    """Return LLVM pointer to the first element of array argument k."""
    return cgutils.create_struct_proxy(signature.args[k])(context, builder, args[k]).data


@intrinsic
def fetch_ahead(typingctx, array, i):
    """Ask the processor to bring array[i] (a row of up to 64 bytes, or one number) near; no
    effect on any value.

    What another core has written, or what lies in no order, comes too late when it is first asked
    for at its turn.
    """
    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        found = context.make_array(kind)(context, builder, args[0])
        size = builder.extract_value(found.strides, 0)
        first = cgutils.pointer_add(builder, found.data, builder.mul(args[1], size), BYTE_PTR)
        call = cgutils.get_or_insert_function(builder.module, ir.FunctionType(
            ir.VoidType(), [BYTE_PTR, I32, I32, I32]), "llvm.prefetch")
        last = cgutils.pointer_add(builder, first, builder.sub(size, size.type(1)), BYTE_PTR)
        for at in (first, last)[:kind.ndim]:  # a row may lie on two cache lines
            builder.call(call, [at, I32(0), I32(3), I32(1)])  # to read, to keep, data
        return context.get_dummy_value()
    return types.void(array, types.intp), codegen


class Vector:
    """L floats in a register; + - * / work lane by lane, with vectors or numbers."""

    __array_ufunc__ = None  # a numpy number on the left leaves the operation to this class

    def __init__(self, lanes: Lanes, value):
        self.lanes, self.value = lanes, value

    def _emit(self, operation, left, right):
        left, right = self.lanes.vector(left), self.lanes.vector(right)
        return Vector(self.lanes, operation(left.value, right.value, flags=FLAGS))

    def __add__(self, other):
        return self._emit(self.lanes.builder.fadd, self, other)

    def __sub__(self, other):
        return self._emit(self.lanes.builder.fsub, self, other)

    def __mul__(self, other):
        return self._emit(self.lanes.builder.fmul, self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return self._emit(self.lanes.builder.fsub, other, self)

    def __truediv__(self, other):
        return self._emit(self.lanes.builder.fdiv, self, other)

    def __rtruediv__(self, other):
        return self._emit(self.lanes.builder.fdiv, other, self)

    def compare(self, relation: str, other):
        """Return a mask, one bit a lane; a NaN fails every relation."""
        other = self.lanes.vector(other)
        return self.lanes.builder.fcmp_ordered(relation, self.value, other.value)

    def minimum(self, other):
        return self.where(self.compare("<", other), other)

    def maximum(self, other):
        return self.where(self.compare(">", other), other)

    def where(self, mask, otherwise):
        """Return this vector where the mask is set, `otherwise` elsewhere."""
        otherwise = self.lanes.vector(otherwise)
        return Vector(self.lanes, self.lanes.builder.select(mask, self.value, otherwise.value))


class Lanes:
    """Emits vector code of `count` lanes through an llvmlite builder."""

    def __init__(self, builder, count: int):
        self.builder, self.count = builder, count
        self.type = ir.VectorType(F32, count)

    def vector(self, x) -> Vector:
        """Return a Python number as a vector of constants; vectors pass through."""
        if isinstance(x, Vector):
            return x
        return self.constants([x] * self.count)

    def constants(self, numbers) -> Vector:
        return Vector(self, ir.Constant(self.type, [ir.Constant(F32, float(x)) for x in numbers]))

    def index(self) -> Vector:
        """Return 0, 1, 2, …, L-1."""
        return self.constants(range(self.count))

    def splat(self, scalar) -> Vector:
        """Return one LLVM float in every lane."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.count), [ir.Constant(I32, 0)] * self.count)
        return Vector(self, self.builder.shuffle_vector(first, undefined, zeros))

    def splat_index(self, integer) -> Vector:
        """Return an LLVM integer (row number) as a float in every lane."""
        return self.splat(self.builder.sitofp(self.builder.trunc(integer, I32), F32))

    def broadcast(self, pointer, offset) -> Vector:
        """Return the float at pointer[offset], in every lane."""
        if isinstance(offset, int):
            offset = ir.Constant(ir.IntType(64), offset)
        return self.splat(self.builder.load(self.builder.gep(pointer, [offset])))

    def _at(self, pointer, offset):
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())

    def load(self, pointer, offset) -> Vector:
        """Return L floats from pointer[offset]; numpy memory is aligned to 4 bytes, not to a
        vector."""
        loaded = self.builder.load(self._at(pointer, offset))
        loaded.align = 4
        return Vector(self, loaded)

    def store(self, vector: Vector, pointer, offset) -> None:
        self.builder.store(vector.value, self._at(pointer, offset)).align = 4

    def reciprocal(self, x: Vector) -> Vector:
        """Return 1/x for x in [2^-100, 2^100], relative error < 1e-5, at a third of a division's
        cost.

        A first guess from the exponent bits (5 %), then two Newton steps r <- r·(2 - x·r).
        """
        integers = ir.VectorType(I32, self.count)
        magic = ir.Constant(integers, [ir.Constant(I32, 0x7EF311C7)] * self.count)
        bits = self.builder.sub(magic, self.builder.bitcast(x.value, integers))
        r = Vector(self, self.builder.bitcast(bits, self.type))
        for _ in range(2):
            r = r * (2.0 - x * r)
        return r

    @contextmanager
    def loop(self, start, stop):
        """Body once for each start <= i < stop (LLVM intp); yields i."""
        one = ir.Constant(start.type, 1)
        with cgutils.for_range_slice(self.builder, start, stop, one) as (i, _):
            yield i

    def bits(self, mask):
        """Return a mask as an LLVM i64, bit k = lane k."""
        packed = self.builder.bitcast(mask, ir.IntType(self.count))
        return self.builder.zext(packed, ir.IntType(64))

    @contextmanager
    def each_bit(self, integer):
        """Body once for each set bit of an LLVM i64, lowest first; yields its number."""
        b, kind = self.builder, integer.type
        left = cgutils.alloca_once(b, kind)
        b.store(integer, left)
        test, body, end = (b.append_basic_block(f"bits.{n}") for n in ("test", "body", "end"))
        b.branch(test)
        b.position_at_end(test)
        now = b.load(left)
        b.cbranch(b.icmp_unsigned("!=", now, kind(0)), body, end)
        b.position_at_end(body)
        b.store(b.and_(now, b.sub(now, kind(1))), left)  # the lowest set bit off
        yield b.cttz(now, ir.Constant(ir.IntType(1), 1))
        b.branch(test)
        b.position_at_end(end)

    def accumulator(self, start=0.0) -> Accumulator:
        return Accumulator(self, self.vector(start))

    def lane_sums(self, vectors: list[Vector]) -> list[Vector]:
        """Sum over the lanes of each vector, packed: element k of the result is sum(vectors[k]).

        Vectors are folded in pairs, so that a level of the tree costs two shuffles and one addition
        for two vectors. Returns ceil(n / L) vectors; elements past n repeat earlier ones.
        """
        packed = []
        for first in range(0, len(vectors), self.count):
            group, segment = list(vectors[first:first + self.count]), self.count
            while segment > 1:
                if len(group) % 2:
                    group.append(group[-1])
                group = [self._fold(a, b, segment) for a, b in zip(group[::2], group[1::2],
                                                                   strict=True)]
                segment //= 2
            packed += group
        return packed

    def _fold(self, a: Vector, b: Vector, segment: int) -> Vector:
        """Add the two halves of each segment of a, then of b."""
        low = [s + k for s in range(0, 2 * self.count, segment) for k in range(segment // 2)]
        high = [k + segment // 2 for k in low]
        return self._pick(a, b, low) + self._pick(a, b, high)

    def transposed(self, columns: list[Vector]) -> list[Vector]:
        """Return L vectors turned about: element k of vector l is element l of columns[k].

        Halves, then quarters, … are exchanged between vectors so far apart.
        """
        rows, apart = list(columns), self.count // 2
        while apart:
            for i in (i for i in range(self.count) if not i & apart):
                a, b = rows[i], rows[i + apart]
                keep = range(self.count)
                rows[i] = self._pick(a, b, [k if not k & apart else self.count + k - apart
                                            for k in keep])
                rows[i + apart] = self._pick(a, b, [k + apart if not k & apart else self.count + k
                                                    for k in keep])
            apart //= 2
        return rows

    def _pick(self, a, b, elements) -> Vector:
        mask = ir.Constant(ir.VectorType(I32, self.count), [ir.Constant(I32, k) for k in elements])
        return Vector(self, self.builder.shuffle_vector(a.value, b.value, mask))


class Accumulator:
    """A vector that a loop changes; LLVM keeps it in a register."""

    def __init__(self, lanes: Lanes, start: Vector):
        self.lanes = lanes
        self.slot = cgutils.alloca_once(lanes.builder, lanes.type)
        self.set(start)  # a store here, not at function entry: the code is inlined into loops

    def get(self) -> Vector:
        return Vector(self.lanes, self.lanes.builder.load(self.slot))

    def set(self, vector: Vector) -> None:
        self.lanes.builder.store(vector.value, self.slot)

    def add(self, vector: Vector) -> None:
        self.set(self.get() + vector)
