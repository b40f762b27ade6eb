"""How the kernels are compiled: cached machine code, vector width, dynamic work sharing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

TILE_H = 16  # rows of a tile; a tile is as wide as a vector, so that one row is one vector
PLAIN_TILE_W = 16  # tile width of the plain loops, which know no vectors

# Compiler flags of all kernels: fused multiply-add is welcome; NaN and infinity keep their meaning
# (a broken Gaussian is culled by comparisons that a NaN fails), so no full `fastmath`.
OPTIONS = dict(fastmath={"contract", "nsz"}, error_model="numpy", nogil=True)


# Files of this folder whose functions are compiled into kernels of other files.
SHARED = ("jit.py", "simd.py", "harmonics.py", "project.py", "raster_forward.py",
          "raster_backward.py")


def _source_stamp(function) -> tuple:
    """Identifies the text that a kernel is compiled from."""
    files = [Path(__file__).with_name(name) for name in SHARED]
    files.append(Path(function.__code__.co_filename))
    return tuple(hashlib.sha256(f.read_bytes()).hexdigest() for f in files)


def kernel(parallel: bool = False):
    """`njit` with the machine code cached on disk.

    Numba drops cached code when the function's own file changes, yet not when a helper in another
    file does; here an edit in any file of SHARED counts.
    """
    def compile_lazily(function):
        dispatcher = njit(cache=True, parallel=parallel, **OPTIONS)(function)
        cache_file = getattr(dispatcher._cache, "_cache_file", None)  # None: caching is off
        if cache_file is not None:
            cache_file._source_stamp = _source_stamp(function)
        return dispatcher
    return compile_lazily


inner = njit(**OPTIONS)  # a helper, compiled into the kernels that call it


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


@intrinsic
def next_item(typingctx, counter):
    """counter[0]++ as one atomic step, returning the value before: hands out tiles to threads.

    Which thread gets a tile does not change what is computed for it.
    """
    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")
    return types.int64(counter), codegen
