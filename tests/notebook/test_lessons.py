"""What every notebook teaches, and how it is written."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST_RESULT = {"01": "swapped = panel.run()", "02": "scene = panel.run()",
                "03": "scene = panel.run()", "04": "scene = panel.run()",
                "05": "styled = panel.run()"}
FORMULAS = {"01": (r"\pi_v", r"\alpha F + (1 - \alpha) B"),
            "02": (r"\Sigma' = J\,W\,\Sigma\,W^\top J^\top", r"\prod_{j<i} (1 - \alpha_j)",
                   r"\exp\big(-\tfrac12", r"\mathrm{SSIM}"),
            "03": (r"1 - e^{-\sigma_i \delta_i}", r"\sum_i T_i\,\alpha_i\,c_i"),
            "04": (r"\sum_{k=1}^{K} w_k\,\Delta_k", r"R_t\,x + s_t"),
            "05": (r"\sqrt{\bar\alpha_t}\,z_0", r"\epsilon_\theta", r"\pi_{\text{key}}(X)")}
INSIDE = {"01": ("source_picture", "unwrapped_picture", "bands_picture"),
          "02": ("inside_picture", "growing_picture"), "03": ("geometry_picture", "ray_picture"),
          "04": ("expressions_chart", "bases_picture"), "05": ("carried_picture",)}
# Words that a reader who knows Python may not know: bold, and so explained, where they first stand.
WORDS = ("PSNR", "dB", "SSIM", "L1", "Adam", "UV map", "landmarks", "yaw", "alpha", "SH",
         "held-out", "densify", "Gaussians", "radiance field", "density", "voxels", "ray",
         "depth", "normals", "expression", "basis", "blendshapes", "latent", "ControlNet",
         "key views", "stylist", "driver")
# Turns of phrase that a reader stumbles over.
FORBIDDEN = ("what no training view", "fray", "of them swapped", "let loose", "look round", " errs",
             "as it is\"", "some 10 ", "some seconds", "what the expressions", "turn round",
             "walk round", "faces put where", "may be used", "what follows the", "brings the",
             "what is lost there", "colour", "recognise", " grey ", "e.g.", "i.e.")


def cells(path, kind=None):
    return [c for c in json.loads(path.read_text())["cells"] if kind in (None, c["cell_type"])]


def text(cell):
    return "".join(cell["source"])


def number(path):
    return path.name[:2]


@pytest.fixture(params=NOTEBOOKS, ids=number)
def book(request):
    return request.param


def taught(book):
    """The cells before the section on the original, which has its own."""
    every = cells(book)
    original = [i for i, c in enumerate(every)
                if text(c).startswith("## The original, step by step")]
    return every[:original[0]] if original else every


def test_there_are_five():
    assert [number(p) for p in NOTEBOOKS] == list(FIRST_RESULT)


def test_it_says_where_in_the_pipeline_it_is(book):
    first, *others = cells(book)
    assert "→" in text(first) and "(you are here)" in text(first)  # where nothing has been run
    line = next(row for row in text(first).splitlines() if "→" in row)
    plain = line.replace("*", "").replace(" (you are here)", "")
    assert plain == next(row for row in text(cells(NOTEBOOKS[0])[0]).splitlines()
                         if "→" in row).replace("*", "").replace(" (you are here)", "")
    here = re.search(r"\*\*([^*]*)\(you are here\)", line).group(1)
    assert number(book) in here
    assert any(f'pipeline("{number(book)}")' in text(c) for c in others[:3])


def test_the_first_result_comes_soon_and_what_is_optional_last(book):
    every = cells(book)
    at = next(i for i, c in enumerate(every) if FIRST_RESULT[number(book)] in text(c))
    assert at < 15
    further = [i for i, c in enumerate(every) if text(c).startswith("# Go further")]
    assert len(further) == 1 and further[0] > at
    for c in every[further[0]:]:
        assert "try_" not in text(c) and "<details>" not in text(c) or c["cell_type"] == "markdown"


def test_the_method_stands_before_the_picture_of_it(book):
    every = taught(book)
    prose = "\n".join(text(c) for c in every if c["cell_type"] == "markdown")
    for formula in FORMULAS[number(book)]:
        assert formula in prose, formula
    code = [text(c) for c in every if c["cell_type"] == "code"]
    for name in INSIDE[number(book)]:
        assert any(f"{name}(" in c for c in code), name
    methods = [i for i, c in enumerate(every) if c["cell_type"] == "markdown" and any(
        f in text(c) for f in FORMULAS[number(book)])]
    pictures = [i for i, c in enumerate(every) if c["cell_type"] == "code"
                and INSIDE[number(book)][-1] + "(" in text(c)]
    assert methods and pictures and methods[0] < pictures[0]


def test_there_are_two_things_to_try_and_one_question(book):
    every = taught(book)
    tries = [i for i, c in enumerate(every) if text(c).startswith("## Try this")]
    assert len(tries) == 2
    for i in tries:  # the next cell draws the answer
        assert every[i + 1]["cell_type"] == "code" and "show(" in text(every[i + 1])
        assert "?" in text(every[i])
    questions = [c for c in every if text(c).startswith("## One question")]
    assert len(questions) == 1 and "?" in text(questions[0]).split("<details>")[0]
    assert re.search(r"<details><summary>Answer</summary>\n\n.{100,}\n\n</details>$",
                     text(questions[0]), re.S)


def test_words_are_explained_where_they_first_stand(book):
    prose = "\n".join(text(c) for c in taught(book)[1:] if c["cell_type"] == "markdown")
    prose = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", prose)  # no code, formulas, links
    prose = re.sub(r"^#.*$", " ", prose, flags=re.M)
    for word in WORDS:
        stem = re.escape(word)
        first = re.search(rf"(?<![\w-]){stem}(?![\w-])", prose, 0 if word.isupper() else re.I)
        if first:
            before, after = prose[:first.start()], prose[first.end():]
            bold = before.count("**") % 2 == 1 and "**" in after
            assert bold, f"{word}: …{before[-60:]}[{first.group()}]{after[:40]}…"


def test_it_is_written_in_plain_english(book):
    prose = "\n".join(text(c) for c in cells(book)).lower()
    assert [p for p in FORBIDDEN if p in prose] == []
    for cell in cells(book, "markdown"):
        for line in re.sub(r"\]\([^)]*\)|\$[^$]*\$|`[^`]*`", "", text(cell)).splitlines():
            for sentence in re.split(r"(?<=[.?!:;])\s", line):
                assert len(sentence.split()) <= 45, sentence


def test_captions_and_messages_of_the_figures_are_plain_too():
    home = ROOT / "idf_helpers"
    for path in (*(home / "notebook").rglob("*.py"), home / "swapping" / "measure_table.py",
                 home / "swapping" / "source_notes.py"):
        strings = " ".join(re.findall(r'f?"([^"\n]*)"', path.read_text())).lower()
        assert [p for p in FORBIDDEN[:-2] if p in strings] == [], path.name


def test_the_page_of_words_has_those_that_the_notebooks_explain():
    page = (ROOT / "docs" / "terms.md").read_text().lower()
    missing = [w for w in WORDS if w.lower().rstrip("s") not in page]
    assert missing == []


def test_no_notebook_is_a_book(book):
    assert [c["id"] for c in cells(book)] == [str(k) for k in range(len(cells(book)))]
    assert book.stat().st_size < 40_000 and len(taught(book)) <= 45
