"""exp, log, 1/√, and turning a square about, against numpy."""

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from idf_helpers.kernels import vector_math
from idf_helpers.kernels.simd import Lanes, data_pointer, lanes_tuple


def compiled(emit):
    """Return f(x): `emit(L, vector)` of sixteen floats, in both vector widths."""
    @intrinsic
    def apply(typingctx, lanes, x, out, at):
        def codegen(context, builder, signature, args):
            L = Lanes(builder, signature.args[0].count)
            x, out = (data_pointer(context, builder, signature, args, k) for k in (1, 2))
            L.store(emit(L, L.load(x, args[3])), out, args[3])
            return context.get_dummy_value()
        return types.void(lanes, x, out, types.intp), codegen

    @njit
    def run(lanes, x, out):
        for at in range(0, len(x), len(lanes)):
            apply(lanes, x, out, at)

    def function(x, lanes):
        out = np.empty_like(x)
        run(lanes_tuple(lanes), x, out)
        return out

    return function


RANGES = {"exp": np.linspace(-79, 79, 4096), "log": np.geomspace(1e-37, 1e37, 4096),
          "rsqrt": np.geomspace(1e-30, 1e30, 4096), "sqrt": np.geomspace(1e-30, 1e30, 4096),
          "whole": np.linspace(0, 1e6, 4096)}
EXACT = {"exp": np.exp, "log": np.log, "rsqrt": lambda x: x**-0.5, "sqrt": np.sqrt,
         "whole": np.floor}
ERRORS = {"exp": 3e-7, "log": 2e-7, "rsqrt": 5e-6, "sqrt": 1e-7, "whole": 0}


@pytest.mark.parametrize("name", RANGES)
def test_functions(name):
    function = compiled(lambda L, x: getattr(vector_math, name)(x))
    x = RANGES[name].astype(np.float32)
    expected = EXACT[name](x.astype(np.float64))
    for lanes in (8, 16):
        error = np.abs(function(x, lanes) - expected)
        assert (error <= ERRORS[name] * np.maximum(np.abs(expected), name == "log")).all()


def test_exp_has_an_end_on_both_sides():
    x = np.float32([np.nan, np.inf, 1e9, -np.inf] * 4)
    found = compiled(lambda L, x: vector_math.exp(x))(x, 16)[:4]
    np.testing.assert_allclose(found, np.exp([80.0, 80, 80, -80]), rtol=1e-5)


@pytest.mark.parametrize("lanes", [8, 16])
def test_a_square_is_turned_about(lanes):
    @intrinsic
    def turn(typingctx, kind, x):
        def codegen(context, builder, signature, args):
            L = Lanes(builder, signature.args[0].count)
            pointer = data_pointer(context, builder, signature, args, 1)
            offsets = [context.get_constant(types.intp, k * L.count) for k in range(L.count)]
            rows = L.transposed([L.load(pointer, k) for k in offsets])
            for row, offset in zip(rows, offsets, strict=True):
                L.store(row, pointer, offset)
            return context.get_dummy_value()
        return types.void(kind, x), codegen

    x = np.arange(lanes * lanes, dtype=np.float32).reshape(lanes, lanes)
    expected = x.T.copy()
    njit(lambda kind, x: turn(kind, x))(lanes_tuple(lanes), x)
    np.testing.assert_array_equal(x, expected)
