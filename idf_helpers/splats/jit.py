"""How the kernels are compiled: cached machine code, vector width."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from llvmlite import binding
from numba import njit

TILE_H = 16  # rows of a tile; a tile is as wide as a vector, so that one row is one vector
PLAIN_TILE_W = 16  # tile width of the plain loops, which know no vectors

# Compiler flags of all kernels: fused multiply-add is welcome; NaN and infinity keep their meaning
# (a broken Gaussian is culled by comparisons that a NaN fails), so no full `fastmath`.
OPTIONS = dict(fastmath={"contract", "nsz"}, error_model="numpy", nogil=True)


# Files of the package whose functions are compiled into kernels of other files.
PACKAGE = Path(__file__).resolve().parent.parent
SHARED = ("splats/jit.py", "splats/atomic.py", "splats/team.py", "splats/simd.py",
          "splats/harmonics.py", "splats/project.py", "splats/raster_forward.py",
          "splats/raster_backward.py", "nerf/rows.py", "nerf/march.py")


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
