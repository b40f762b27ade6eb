"""How the kernels are compiled: cached machine code, vector width, dynamic work sharing."""

from __future__ import annotations

import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

TILE_H = 16  # rows of a tile; a tile is as wide as a vector, so that one row is one vector
PLAIN_TILE_W = 16  # tile width of the plain loops, which know no vectors

# Compiler flags of all kernels: fused multiply-add is welcome; NaN and infinity keep their meaning
# (a broken Gaussian is culled by comparisons that a NaN fails), so no full `fastmath`.
OPTIONS = dict(fastmath={"contract", "nsz"}, error_model="numpy", nogil=True)


# Files of the package whose functions are compiled into kernels of other files.
PACKAGE = Path(__file__).resolve().parent.parent
SHARED = ("splats/jit.py", "splats/simd.py", "splats/harmonics.py", "splats/project.py",
          "splats/raster_forward.py", "splats/raster_backward.py", "nerf/rows.py", "nerf/march.py")


def _source_stamp(function) -> tuple:
    """Identifies the text that a kernel is compiled from."""
    files = [PACKAGE / name for name in SHARED]
    files.append(Path(function.__code__.co_filename))
    return tuple(hashlib.sha256(f.read_bytes()).hexdigest() for f in files)


def kernel(function):
    """`njit` with the machine code cached on disk.

    Numba drops cached code when the function's own file changes, yet not when a helper in another
    file does; here an edit in any file of SHARED counts.
    """
    try:
        dispatcher = njit(cache=True, **OPTIONS)(function)
    except (RuntimeError, OSError):  # no folder to write to, neither ours nor the user's
        return njit(**OPTIONS)(function)
    cache_file = getattr(dispatcher._cache, "_cache_file", None)  # None: caching is off
    if cache_file is not None:
        cache_file._source_stamp = _source_stamp(function)
    return dispatcher


inner = njit(**OPTIONS)  # a helper, compiled into the kernels that call it
# The same for work on one Gaussian: a call would copy the descriptors of all arrays each time.
inlined = njit(forceinline=True, **OPTIONS)


def host_lanes() -> int:
    """Vector width for this CPU in floats: 16 with AVX-512, 8 elsewhere, 1 = plain loops.

    `IDF_SIMD=0` asks for plain loops, `IDF_SIMD=8` or `16` for a width (for tests; widths that the
    CPU lacks are split into narrower instructions by LLVM).
    """
    wish = os.environ.get("IDF_SIMD", "")
    if wish in ("0", "1"):
        return 1
    if wish in ("8", "16"):
        return int(wish)
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    known = features.get("avx2") or features.get("neon") or features.get("asimd")
    return 8 if known or binding.get_default_triple().startswith(("aarch64", "arm64")) else 1


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="idf-splats")


def run_on_threads(compiled, *args) -> None:
    """compiled(*args, counter) on numba.get_num_threads() threads that share one counter.

    The kernel takes its items from `next_item(counter)`. The calling thread is one of the team and
    never waits for a helper that has not begun, so that a busy machine costs no more than its
    share. (numba's own `prange` would also do, but: it hands out equal parts beforehand, compiles
    slowly, and on some systems ends the process when two Python threads use it at once.)
    """
    counter = np.zeros(1, np.int64)
    helpers = [_helpers().submit(compiled, *args, counter)
               for _ in range(numba.get_num_threads() - 1)]
    try:
        compiled(*args, counter)
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


@intrinsic
def next_item(typingctx, counter):
    """counter[0]++ as one atomic step, returning the value before: hands out work to threads.

    Which thread gets an item does not change what is computed for it.
    """
    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")
    return types.int64(counter), codegen
