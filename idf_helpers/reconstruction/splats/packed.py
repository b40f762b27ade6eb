"""Gaussians as the kernels like them: sixteen together, one number of all sixteen after the other.

Group b of `values` (groups, rows, 16) holds Gaussians 16b … 16b + 15, row r the r-th number of each
of them: one load is a vector, and all numbers of a group lie on neighboring cache lines (rows over
all N Gaussians take twice the time: each of 60 rows lies on a page of memory of its own).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import types
from numba.extending import intrinsic

from ...kernels.compile import kernel
from ...kernels.simd import Lanes, data_pointer, lanes_tuple
from ...kernels.threads import first_item, next_item, run_on_threads

f32 = np.float32
GROUP = 16
NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh")  # as in `Gaussians`, in this order
MEAN, SCALE, QUAT, LOGIT, COLOR = 0, 3, 6, 10, 11  # first rows; color: coefficient k at 11 + 3k
NOT_DRAWN = f32(-100)  # opacity logit of the places after the last Gaussian
PORTION = 16  # groups that a thread takes at a time
_LANES = lanes_tuple(8)  # of the squares that are turned: a copy looks the same in any width


def aligned(shape: tuple, dtype=np.float32) -> np.ndarray:
    """Return an uninitialized array that begins at a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    return memory[skip:skip + size].view(dtype).reshape(shape)


@dataclass
class PackedGaussians:
    """values: (ceil(N / 16), 11 + 3K, 16) float32, at a cache line. count: N."""

    values: np.ndarray
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def coefficients(self) -> int:
        """K, of the harmonics."""
        return (self.values.shape[1] - COLOR) // 3

    @property
    def sh_degree(self) -> int:
        return math.isqrt(self.coefficients) - 1


@dataclass
class PackedMoments:
    """first, second: Adam's moments, in the shape of the values they belong to."""

    first: np.ndarray
    second: np.ndarray


def array_shapes(n: int, k: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the five arrays of n Gaussians with k harmonics."""
    return dict(zip(NAMES, ((n, 3), (n, 3), (n, 4), (n,), (n, k, 3)), strict=True))


def packed_shape(arrays: dict[str, np.ndarray]) -> tuple[int, int, int]:
    """Return the shape of the five arrays packed."""
    n, k = arrays["sh"].shape[:2]
    return -(-n // GROUP), COLOR + 3 * k, GROUP


def pack(arrays: dict[str, np.ndarray], out: np.ndarray | None = None) -> PackedGaussians:
    """Return five arrays by the names of `Gaussians`, float32 and contiguous, packed.

    out: takes the values.
    """
    values = aligned(packed_shape(arrays)) if out is None else out
    run_on_threads(_pack, _LANES, *_tables(arrays), values)
    return PackedGaussians(values, len(arrays["means"]))


def unpack(values: np.ndarray, n: int, out: dict[str, np.ndarray] | None = None
           ) -> dict[str, np.ndarray]:
    """Return the five arrays of n packed Gaussians. out: takes them."""
    if out is None:
        shapes = array_shapes(n, (values.shape[1] - COLOR) // 3)
        out = {name: np.empty(shape, f32) for name, shape in shapes.items()}
    run_on_threads(_unpack, _LANES, values, *_tables(out))
    return out


def _tables(arrays) -> list[np.ndarray]:
    """Return the five arrays with two dimensions."""
    return [arrays[name].reshape(len(arrays[name]), math.prod(arrays[name].shape[1:]))
            for name in NAMES]


@intrinsic
def _turn(typingctx, lanes, source, start, rows_apart, target, to, columns_apart):
    """Copy a square of L x L floats turned about: row k of it, at source[start + k·rows_apart],
    becomes what is at target[to + l·columns_apart + k]. Both C-contiguous."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        source, target = (data_pointer(context, builder, signature, args, k) for k in (1, 4))

        def places(start, apart):
            return [builder.add(start, builder.mul(apart, apart.type(k))) for k in range(L.count)]

        rows = [L.load(source, at) for at in places(args[2], args[3])]
        for row, at in zip(L.transposed(rows), places(args[5], args[6]), strict=True):
            L.store(row, target, at)
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, source, n, n, target, n, n), codegen


@kernel
def _pack(lanes, means, log_scales, quats, logits, sh, values, counter):
    n, portions = len(means), -(-len(values) // PORTION)
    tables, side = (means, log_scales, quats, logits, sh), len(lanes)
    item = first_item(counter)
    while item < portions:
        for group in range(item * PORTION, min((item + 1) * PORTION, len(values))):
            first, row, here = GROUP * group, 0, min(GROUP, n - GROUP * group)
            for table in tables:
                width, done = table.shape[1], 0
                if here == GROUP:
                    while width - done >= side:
                        for lane in range(0, GROUP, side):
                            _turn(lanes, table, (first + lane) * width + done, width, values,
                                  (group * values.shape[1] + row + done) * GROUP + lane, GROUP)
                        done += side
                for lane in range(here):
                    for k in range(done, width):
                        values[group, row + k, lane] = table[first + lane, k]
                row += width
            for lane in range(here, GROUP):
                for k in range(row):
                    values[group, k, lane] = f32(0)
                values[group, LOGIT, lane] = NOT_DRAWN
        item = next_item(counter)


@kernel
def _unpack(lanes, values, means, log_scales, quats, logits, sh, counter):
    n, portions = len(means), -(-len(values) // PORTION)
    tables, side = (means, log_scales, quats, logits, sh), len(lanes)
    item = first_item(counter)
    while item < portions:
        for group in range(item * PORTION, min((item + 1) * PORTION, len(values))):
            first, row, here = GROUP * group, 0, min(GROUP, n - GROUP * group)
            for table in tables:
                width, done = table.shape[1], 0
                if here == GROUP:
                    while width - done >= side:
                        for lane in range(0, GROUP, side):
                            _turn(lanes, values,
                                  (group * values.shape[1] + row + done) * GROUP + lane, GROUP,
                                  table, (first + lane) * width + done, width)
                        done += side
                for lane in range(here):
                    for k in range(done, width):
                        table[first + lane, k] = values[group, row + k, lane]
                row += width
        item = next_item(counter)
