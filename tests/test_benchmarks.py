"""The benchmark scripts keep up with the package: what they import is there."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


def imports(tree):
    """(module, name or None) of every import of the project's own, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_what_it_imports_is_there(script):
    for module, name in imports(ast.parse(script.read_text(encoding="utf-8"))):
        if module.split(".")[0] in ("idf_helpers", "tests"):
            loaded = importlib.import_module(module)
            if name and not hasattr(loaded, name):
                importlib.import_module(f"{module}.{name}")
