"""Cached machine code is dropped when any file changes that the kernel is made from."""

import ast
import os
import shutil
import subprocess
import sys

import pytest

from idf_helpers.kernels import compile as compile_module
from idf_helpers.kernels.compile import PACKAGE, source_files

MAKERS = {"kernel", "exact_kernel", "inner", "inlined", "intrinsic", "overload", "njit"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file):
    """{name: file of this package that it comes from} of the file's imports at its top."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                for place in (folder / f"{alias.name}.py", folder.with_suffix(".py"),
                              folder / "__init__.py"):
                    if place.is_file():
                        found[alias.asname or alias.name] = place
                        break
    return found


def makers_of(node):
    names = {d.func if isinstance(d, ast.Call) else d for d in node.decorator_list}
    return {n.id for n in names if isinstance(n, ast.Name)} & MAKERS


def compiled_functions(file):
    return [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(n, ast.FunctionDef) and makers_of(n)]


def made_from(file, seen):
    """The files whose functions and constants the compiled functions of a file use."""
    if file in seen:
        return seen
    seen.add(file)
    there = imports(file)
    for name in {n.id for f in compiled_functions(file) for n in ast.walk(f)
                 if isinstance(n, ast.Name)} & set(there):
        made_from(there[name], seen)
    return seen


KERNELS = [f for f in FILES if any(
    makers_of(n) & {"kernel", "exact_kernel"} for n in compiled_functions(f))]


@pytest.mark.parametrize("file", KERNELS, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_the_stamp_covers_every_file_that_a_kernel_is_made_from(file):
    assert made_from(file, set()) <= set(source_files(file))


def test_there_are_kernels_that_use_other_files():
    layer = PACKAGE / "reconstruction/avatar/layer.py"
    assert len(KERNELS) > 15 and layer in KERNELS
    assert PACKAGE / "kernels/adam.py" in made_from(layer, set())


def test_nothing_but_compile_caches_kernels():
    """`njit(cache=True)` elsewhere would go by the kernel's own file only."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "cache":
                assert file.name == "compile.py", file


def test_imports_over_several_lines_with_comments_count(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_module, "PACKAGE", tmp_path)
    for name in ("a", "b", "c", "unused", "deep/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "start.py").write_text(
        "from . import (  # which\n    a,  # first\n    b,\n)\nfrom .c import X as Y\n"
        "from .deep.d import Z\nimport numpy\nfrom numpy import array\n")
    assert [f.stem for f in source_files(tmp_path / "start.py")] == ["a", "b", "c", "d", "start"]


RUN = """
import numpy as np
from idf_helpers.kernels.adam import PART
from idf_helpers.reconstruction.avatar import layer
from idf_helpers.kernels.compile import source_stamp
print(PART, source_stamp(layer.__file__))
"""


def test_an_edit_of_a_constant_in_another_file_changes_the_stamp(tmp_path):
    """`PART` of adam.py sizes buffers in layer.py and is compiled into the kernels that fill them.
    """
    copy = tmp_path / "idf_helpers"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def stamp():
        out = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True,
                             check=True, cwd=tmp_path,
                             env={**os.environ, "PYTHONPATH": str(tmp_path)}).stdout
        part, _, rest = out.partition(" ")
        return int(part), rest

    part, before = stamp()
    adam = copy / "kernels" / "adam.py"
    adam.write_text(adam.read_text().replace(f"PART = {part}", f"PART = {part // 2}"))
    after = stamp()
    assert after[0] == part // 2 and after[1] != before
    adam.write_text(adam.read_text().replace(f"PART = {part // 2}", f"PART = {part}"))
    assert stamp() == (part, before)


CACHED = """
import sys
import numpy as np
from idf_helpers.{where} import doubled
a = np.ones(3)
doubled(a)
print(a[0], sum(doubled.stats.cache_hits.values()))
"""


def test_the_cached_code_itself_is_made_anew(tmp_path):
    copy = tmp_path / "idf_helpers"
    for name in ("__init__.py", "errors.py", "kernels/__init__.py", "kernels/compile.py",
                 "kernels/numba_private.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, copy / name)
    (copy / "kernels/factor.py").write_text("FACTOR = 2.0\n")
    (copy / "kernels/double.py").write_text(
        "from .compile import kernel\nfrom .factor import FACTOR\n\n\n@kernel\n"
        "def doubled(a):\n    a *= FACTOR\n")

    def result():
        return subprocess.run(
            [sys.executable, "-c", CACHED.format(where="kernels.double")], capture_output=True,
            text=True, check=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)}).stdout.split()

    assert result() == ["2.0", "0"] and result() == ["2.0", "1"]
    (copy / "kernels/factor.py").write_text("FACTOR = 3.0\n")
    assert result() == ["3.0", "0"] and result() == ["3.0", "1"]
