"""Modules import only from the layers below them, and in no circle."""

import ast
import subprocess
import sys
from pathlib import Path

from benchmarks.house import PACKAGE, Checkout, code_lines_of, components

ROOT = Path(__file__).resolve().parent.parent


def test_nothing_imports_upward():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr


def test_no_files_import_each_other_in_a_circle_not_even_inside_functions():
    checkout = Checkout(ROOT)
    assert checkout.circles() == []
    assert checkout.mutual_pairs() == []


def test_no_test_module_imports_another():
    """What several need lies in tests/fixtures."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                named = [*(node.module or "").split("."), *(a.name for a in node.names)]
                assert not [n for n in named if n.startswith("test_")], f"{path}:{node.lineno}"


# --- the counting itself --------------------------------------------------------------------------

def checkout(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / PACKAGE / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\n'
        'layers = ["roof | attic", "(walls)", "floor"]\n')
    return Checkout(tmp_path)


def test_a_circle_through_a_lazy_import_is_found(tmp_path):
    house = checkout(
        tmp_path, roof__a="from ..floor import b\n", roof__c="",
        floor__b="def f():\n    from ..roof.a import x\n    from ..roof.a import y\n")
    assert house.circles() == [[f"{PACKAGE}.floor.b", f"{PACKAGE}.roof.a"]]
    assert house.mutual_pairs() == [("floor", "roof")]
    assert [str(i) for i in house.upward()] == [
        f"{PACKAGE}.floor.b:2 -> {PACKAGE}.roof.a (lazy)",
        f"{PACKAGE}.floor.b:3 -> {PACKAGE}.roof.a (lazy)"]
    assert len(house.lazy()) == len(house.closing()) == 1  # one pair of modules


def test_siblings_may_not_import_each_other(tmp_path):
    house = checkout(tmp_path, roof__a="from ..attic.b import x\nfrom . import c\n", roof__c="",
                     attic__b="")
    assert [i.target for i in house.upward()] == [f"{PACKAGE}.attic.b"]
    assert house.circles() == []


def test_components_of_a_graph():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a", "f"}}
    assert sorted(map(sorted, components(graph))) == [["a", "b", "c"], ["d", "e"], ["f"]]


def test_code_lines_leave_out_comments_blank_lines_and_docstrings():
    source = b'"""Module\n\ndoc."""\n\nx = """a\nb"""  # text, not a docstring\n# a comment\n' \
             b'class A:\n    y: int = 1\n    """Of the field."""\n'
    assert code_lines_of(source) == {5, 6, 8, 9}
