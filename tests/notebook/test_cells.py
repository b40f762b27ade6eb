"""What every code cell of the notebooks keeps to: signs of life, the panel's inputs."""

import ast
import json
from pathlib import Path

import pytest

BOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
# Calls that take seconds: a cell with one of them shows a bar, or a panel that has one runs it. The
# small trials (`try_splats` and the like) show one themselves.
LONG = {"evaluate", "compare_swaps", "swap_clip", "write_view", "export", "reenact", "make",
        "compare_methods", "talking_frames", "fetch_face_models", "make_archive", "bases_picture",
        "difference_picture", "fewer_keys_picture", "stylize", "loop"}


def cells(book: Path) -> list[str]:
    return ["".join(c["source"]) for c in json.loads(book.read_text(encoding="utf-8"))["cells"]
            if c["cell_type"] == "code"]


def calls(node: ast.AST) -> set[str]:
    """Names that are called in a piece of code."""
    found = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in found}


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_what_takes_seconds_stands_in_a_bar(book):
    for source in cells(book):
        tree = ast.parse(source)
        shown = {name for block in ast.walk(tree) if isinstance(block, ast.With)
                 and any("Bar" in calls(item.context_expr) for item in block.items)
                 for name in calls(block)}
        assert not calls(tree) & LONG - shown, source


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_the_form_goes_to_a_panel_and_all_cells_ask_the_panel(book):
    """A photo that was uploaded, and the consent that was typed, are the panel's."""
    for source in cells(book):
        if "# @title" not in source and "Panel(" not in source:
            assert not {"CONSENT", "PHOTO"} & {n.id for n in ast.walk(ast.parse(source))
                                               if isinstance(n, ast.Name)}, source


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_results_go_where_the_first_cells_say(book):
    form = next(s for s in cells(book) if "# @title Parameters" in s)
    assert "RUNS_DIR = begin(RUNS_DIR, KEEP_ON_DRIVE)" in form
    assert "KEEP_ON_DRIVE = False  # @param {type:\"boolean\"}" in form


def test_the_field_of_notebook_03_is_trained_once():
    """What the panel trained is what the comparison asks for: see test_nerf_panel."""
    source, = (s for s in cells(BOOKS[2]) if "compare_methods(" in s)
    call = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)
                and getattr(n.func, "id", "") == "compare_methods")
    data, _, methods, config, _ = map(ast.unparse, call.args)
    assert (data, config) == ("data", "panel.config") and "panel.method" in methods
