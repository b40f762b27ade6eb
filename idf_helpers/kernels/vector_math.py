"""Elementary functions of `simd.Vector`s by polynomials: a vector of them costs what a call does.

exp and log are those of Cephes (S. Moshier, https://www.netlib.org/cephes, single precision).
"""

from __future__ import annotations

from llvmlite import ir

from .numba_private import cgutils
from .simd import Vector

I32 = ir.IntType(32)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # in two parts: n times the first is exact
LARGEST_EXP = 80.0
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
       5.0000001201e-1)
LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
       -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)


def _integers(lanes, number: int):
    kind = ir.VectorType(I32, lanes.count)
    return ir.Constant(kind, [I32(number)] * lanes.count)


def _bits(x: Vector):
    return x.lanes.builder.bitcast(x.value, ir.VectorType(I32, x.lanes.count))


def _floats(lanes, bits) -> Vector:
    return Vector(lanes, lanes.builder.bitcast(bits, lanes.type))


def _polynomial(x: Vector, coefficients) -> Vector:
    total = x.lanes.vector(coefficients[0])
    for c in coefficients[1:]:
        total = total * x + c
    return total


def integers(x: Vector):
    """Return x without its fraction as a vector of i32, for |x| < 2^31."""
    return x.lanes.builder.fptosi(x.value, ir.VectorType(I32, x.lanes.count))


def whole(x: Vector) -> Vector:
    """Return x without its fraction, for |x| < 2^31; the largest integer up to x where x >= 0."""
    return Vector(x.lanes, x.lanes.builder.sitofp(integers(x), x.lanes.type))


def exp(x: Vector) -> Vector:
    """Return e^x, relative error 2e-7, with x cut off at ±80; e^80 for a NaN.

    x = n·ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial, 2^n by the exponent's bits.
    """
    lanes, b = x.lanes, x.lanes.builder
    x = x.minimum(LARGEST_EXP).maximum(-LARGEST_EXP)
    n = whole(x * 1.44269504 + 128.5) - 128.0  # the nearest integer
    r = x - n * LN2_HIGH - n * LN2_LOW
    power = b.shl(b.add(integers(n), _integers(lanes, 127)), _integers(lanes, 23))
    return (_polynomial(r, EXP) * r * r + r + 1.0) * _floats(lanes, power)


def log(x: Vector) -> Vector:
    """Return ln x, error 1e-7, for normal x > 0; a finite number for 0.

    x = 2^n·m with √½ <= m < √2; ln m by a polynomial in m - 1.
    """
    lanes, b = x.lanes, x.lanes.builder
    bits = _bits(x)
    n = Vector(lanes, b.sitofp(b.sub(b.lshr(bits, _integers(lanes, 23)), _integers(lanes, 127)),
                               lanes.type))
    m = _floats(lanes, b.or_(b.and_(bits, _integers(lanes, 0x7FFFFF)),
                             _integers(lanes, 0x3F800000)))  # in [1, 2)
    large = m.compare(">", 2**0.5)
    m, n = (m * 0.5).where(large, m), (n + 1.0).where(large, n)
    f = m - 1.0
    y = _polynomial(f, LOG) * f * f * f
    return f + (y + n * LN2_LOW - 0.5 * (f * f)) + n * LN2_HIGH


def rsqrt(x: Vector) -> Vector:
    """Return 1/√x for x in [2^-100, 2^100], relative error < 5e-6.

    A first guess from the exponent bits (3.5 %), then two Newton steps r <- r·(3 - x·r²)/2.
    """
    lanes, b = x.lanes, x.lanes.builder
    half_bits = b.lshr(_bits(x), _integers(lanes, 1))
    r = _floats(lanes, b.sub(_integers(lanes, 0x5F3759DF), half_bits))
    half = x * 0.5
    for _ in range(2):
        r = r * (1.5 - half * r * r)
    return r


def sqrt(x: Vector) -> Vector:
    """Return √x, exact to the last bit."""
    lanes = x.lanes
    function = cgutils.get_or_insert_function(
        lanes.builder.module, ir.FunctionType(lanes.type, [lanes.type]),
        f"llvm.sqrt.v{lanes.count}f32")
    return Vector(lanes, lanes.builder.call(function, [x.value]))
