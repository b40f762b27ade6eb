"""The public surface: what `import idf_helpers` offers, and what it costs."""

import inspect
import subprocess
import sys
import typing

import pytest

import idf_helpers

VERBS = ("capture", "track", "swap", "reconstruct", "stylize", "load", "export", "evaluate",
         "inspect", "verify", "view", "make")


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_a_typed_documented_function(name):
    verb = getattr(idf_helpers, name)
    assert inspect.isfunction(verb) and verb.__name__ == name
    assert verb.__doc__ and verb.__doc__.split("\n")[0].rstrip().endswith(".")
    hints = typing.get_type_hints(verb)
    missing = [p for p in inspect.signature(verb).parameters
               if p not in hints and not p.startswith("options")]
    assert not missing and "return" in hints, missing


def test_names_are_listed_and_found():
    for name in idf_helpers.__all__:
        assert getattr(idf_helpers, name) is not None
    assert set(VERBS) <= set(dir(idf_helpers))
    with pytest.raises(AttributeError, match="nonsense"):
        idf_helpers.nonsense  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = ("import sys, idf_helpers; "
            "print(sorted({'numpy', 'cv2', 'numba', 'torch', 'ipywidgets', 'tyro', 'matplotlib'} "
            "& set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
