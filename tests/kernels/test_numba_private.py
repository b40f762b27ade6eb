"""What we use of numba beyond its documentation: where a new release moved it, one line says so."""

import ast
import re
import tomllib

import numba
import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from idf_helpers.kernels import numba_private
from idf_helpers.kernels.compile import PACKAGE

ROOT = PACKAGE.parent


def moved(what):
    return f"numba {numba.__version__} moved {what}: mend idf_helpers/kernels/numba_private.py"


def test_the_stamp_of_cached_code_can_be_replaced(tmp_path, monkeypatch):
    @njit(cache=True)
    def one():
        return 1

    file = getattr(getattr(one, "_cache", None), "_cache_file", None)
    assert hasattr(file, "_source_stamp"), moved("the stamp of cached code, _cache._cache_file")
    numba_private.set_source_stamp(one, ("mine",))
    assert file._source_stamp == ("mine",), moved("what _cache_file compares")
    plain = njit(lambda: 1)
    numba_private.set_source_stamp(plain, ("mine",))  # nothing is cached: nothing to do
    assert plain() == 1


def test_the_number_of_threads_is_numbas():
    numba.get_num_threads()  # starts numba's threads; before that it is not there
    private = getattr(numba_private.parallel, "_get_num_threads", None)
    assert private is not None, moved("ufunc.parallel._get_num_threads (a call gets slower)")
    before = numba.get_num_threads()
    try:
        for wanted in {1, before}:
            numba.set_num_threads(wanted)
            assert numba_private.num_threads() == wanted == numba.get_num_threads(), \
                moved("what _get_num_threads counts")
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("name", ["alloca_once", "alloca_once_value", "create_struct_proxy",
                                  "for_range_slice", "gep_inbounds", "get_or_insert_function",
                                  "global_constant", "if_unlikely", "pointer_add", "unpack_tuple"])
def test_builders_helpers_are_there(name):
    assert callable(getattr(numba_private.cgutils, name, None)), moved(f"cgutils.{name}")


def test_every_helper_that_is_used_is_checked_above():
    used = set()
    for file in PACKAGE.rglob("*.py"):
        used |= set(re.findall(r"\bcgutils\.(\w+)", file.read_text(encoding="utf-8")))
    tested = set(test_builders_helpers_are_there.pytestmark[0].args[1])
    assert used == tested


def test_a_compiled_function_returns_its_code_first():
    """`first_item` calls its own kernel again, by the way numba hands results and errors back."""
    assert numba_private.RETCODE_OK.constant == 0, moved("RETCODE_OK")
    assert numba_private.RETCODE_NONE.constant == -2, moved("RETCODE_NONE")
    seen = []

    @intrinsic
    def look(typingctx):
        def codegen(context, builder, signature, args):
            seen.append([str(a.type) for a in builder.function.args])
            return context.get_constant(types.int64, 7)
        return types.int64(), codegen

    @njit
    def f(a):
        return look() + len(a)

    assert f(np.zeros(3)) == 10
    result, exception, *own = seen[0]
    assert result == "i64*" and exception.endswith("**"), moved("where results and errors go")
    assert len(own) == 7, moved("how an array is passed (7 words: memory, parent, size, ...)")


def test_nothing_else_imports_what_numba_does_not_promise():
    private = re.compile(r"^numba\.(core|np|_\w+|parfors|cpython|misc|stencils)\b|^numba\..*\._")
    for file in sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "benchmarks").glob("*.py")):
        if file.name == "numba_private.py":
            continue
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [f"{node.module}.{a.name}" for a in node.names] \
                if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [n for n in names if private.match(n)], file
        assert not re.search(r"\._(cache|dispatcher|cache_file|source_stamp)\b", text), file


def test_the_installed_numba_is_within_the_bounds():
    requirement = next(r for r in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "dependencies"] if r.startswith("numba"))
    low, high = re.fullmatch(r"numba>=([\d.]+),<([\d.]+)", requirement).groups()
    numbers = [tuple(map(int, v.split(".")[:2])) for v in (low, numba.__version__, high)]
    assert numbers[0] <= numbers[1] < numbers[2]
