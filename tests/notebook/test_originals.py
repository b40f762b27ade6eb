"""The sections "The original, step by step": short, licensed first, and nothing is fetched or built
by a cell."""

import ast
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SECTIONS = {"01_swap": "Apache-2.0", "02_gaussian_splatting": "not for commercial use",
            "04_nerface_4d": "CC BY-NC-SA 4.0"}


def section(name: str) -> list[dict]:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    starts = [i for i, c in enumerate(cells)
              if "".join(c["source"]).startswith("## The original, step by step")]
    assert len(starts) == 1
    part = cells[starts[0]:]
    ends = [i for i, c in enumerate(part) if "".join(c["source"]).startswith("**Try this**")]
    return part[:ends[0] + 1]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_short_and_says_the_license_first(name):
    cells = section(name)
    assert len(cells) <= 8
    first, *rest = cells
    text = "".join(first["source"])
    assert SECTIONS[name] in text and "docs/originals.md" in text and re.search("[Ww]ithout ", text)
    assert [c["cell_type"] for c in rest] == ["code"] * (len(rest) - 1) + ["markdown"]


@pytest.mark.parametrize("name", SECTIONS)
def test_no_cell_clones_compiles_or_installs(name):
    for cell in section(name):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            tree = ast.parse(source)  # no line of a shell
            assert not re.search(r"subprocess|os\.system|get_ipython|urllib|requests", source)
            imported = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            assert set(imported) <= {"idf_helpers.notebook"}
            assert not any(isinstance(n, ast.Import) for n in ast.walk(tree))
