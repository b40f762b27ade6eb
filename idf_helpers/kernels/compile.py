"""How the kernels are compiled: cached machine code, vector width."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path

from llvmlite import binding
from numba import njit

from .numba_private import set_source_stamp

TILE = 16  # pixels of a tile of the picture, across and down

# Compiler flags of all kernels: fused multiply-add is welcome; NaN and infinity keep their meaning
# (a broken Gaussian is culled by comparisons that a NaN fails), so no full `fastmath`.
OPTIONS = dict(fastmath={"contract", "nsz"}, error_model="numpy", nogil=True)


PACKAGE = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r"^from (\.+[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


@functools.cache
def _imports_of(file: Path) -> frozenset[Path]:
    """Return the files of this package that a file imports when it is loaded."""
    found = set()
    for source, names in _IMPORT.findall(file.read_text(encoding="utf-8")):
        base = file.parents[len(source) - len(source.lstrip(".")) - 1]
        base = base.joinpath(*filter(None, source.lstrip(".").split(".")))
        for name in re.findall(r"\w+", re.sub(r"#.*", "", names)):
            found |= {base / f"{name}.py", base.with_suffix(".py")}
    return frozenset(f for f in found if f.is_file())


def source_files(file) -> list[Path]:
    """Return the file and every file of this package that it reaches by its imports, sorted.

    A kernel can only use names that its file defines or imports, so this is all it is made from.
    """
    todo, found = [Path(file).resolve()], set()
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += _imports_of(file) if file.is_relative_to(PACKAGE) else []
    return sorted(found)


@functools.cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def source_stamp(file) -> tuple[str, ...]:
    """Return what identifies the text that the kernels of a file are compiled from."""
    return tuple(_digest(f) for f in source_files(file))


def kernel(function):
    """Compile with `njit` and keep the machine code on disk.

    Numba drops cached code when the function's own file changes, yet not when a helper or a
    constant in another file does; here an edit in any file that the kernel's file imports counts.
    """
    return _cached(function, OPTIONS)


def exact_kernel(function):
    """Compile as `kernel` does, without fused multiply-add: floats as numpy computes them."""
    return _cached(function, {"nogil": True})


def _cached(function, options: dict):
    try:
        dispatcher = njit(cache=True, **options)(function)
    except (RuntimeError, OSError):  # no folder to write to, neither ours nor the user's
        return njit(**options)(function)
    set_source_stamp(dispatcher, source_stamp(function.__code__.co_filename))
    return dispatcher


inner = njit(**OPTIONS)  # a helper, compiled into the kernels that call it
# The same for work on one Gaussian: a call would copy the descriptors of all arrays each time.
inlined = njit(forceinline=True, **OPTIONS)


def host_lanes() -> int:
    """Return the vector width for this CPU in floats: 16 with AVX-512, else 8.

    `IDF_SIMD=8` or `16` asks for a width (for tests). LLVM splits widths that the CPU lacks into
    narrower instructions.
    """
    wish = os.environ.get("IDF_SIMD", "")
    if wish in ("8", "16"):
        return int(wish)
    return 16 if binding.get_host_cpu_features().get("avx512f") else 8
