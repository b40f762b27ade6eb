"""README, docs and notebooks tell the truth: commands and flags exist, the example runs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.house import Checkout
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json

ROOT = Path(__file__).resolve().parent.parent
PAGES = {p.name: p.read_text(encoding="utf-8")
         for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
         if p.parent == ROOT or p.name != "README.md"}
README, OWN_VIDEO = PAGES["README.md"], PAGES["own_video.md"]


def markdown_of(notebook) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


TEXTS = PAGES | {p.name: markdown_of(p) for p in sorted((ROOT / "notebooks").glob("*.ipynb"))}
COMMAND = re.compile(r"(?:^|`|\b)idf ([a-z]+)\b([^`\n]*)", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
# spellings that the command line rewrites: of people, and of the original's script
SPELLINGS = {"--budget": "--budget-s", "--main_folder": "main-folder", "--sides": "--mode",
             "--video_path": "main-folder", "--target_folder": "--out",
             "--border_frames": "--batch-size"}


@pytest.fixture(scope="module")
def flags():
    return Checkout(ROOT).flags()


def test_every_command_is_explained():
    from idf_helpers.cli.commands import COMMANDS
    named = {name for name, _ in COMMAND.findall(PAGES["commands.md"])}
    assert set(COMMANDS) <= named


@pytest.mark.parametrize("page", TEXTS)
def test_commands_are_shown_with_flags_that_they_have(page, flags):
    for name, rest in COMMAND.findall(TEXTS[page]):
        assert name in flags, f"{page}: idf {name}"
        for flag in FLAG.findall(rest):
            wanted = SPELLINGS.get(flag, flag).replace("_", "-")
            assert wanted in [*flags[name], "--help"], f"{page}: idf {name} {flag}"


def test_what_the_page_on_own_video_names_is_what_make_leaves():
    """Files and doubts in docs/own_video.md are those of the code."""
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "idf_helpers").rglob("*.py"))
    for path in re.findall(r"`(?:\w+/)?([\w]+\.(?:jpg|mp4|png|html|ply|md))`", OWN_VIDEO):
        assert f'"{path}"' in code, path
    doubts = OWN_VIDEO[OWN_VIDEO.index("What the doubts mean"):OWN_VIDEO.index("How long, and how")]
    rows = [line.split("|")[1].strip() for line in doubts.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    making = "".join(p.read_text("utf-8") for stage in ("making", "capturing", "tracking")
                     for p in (ROOT / "idf_helpers" / stage).glob("*.py"))
    words = "".join(re.findall(r"[a-z]", re.sub(r"\{[^}]*\}", "", making).lower()))
    for row in rows:
        longest = max(re.split(r"\bN\b|\(.*?\)|°|%|,", row), key=len)
        wanted = "".join(re.findall(r"[a-z]", longest.lower()))
        assert wanted in words, row


# of other programs: pip, Blender's script, the web UI, the authors' and graphdeco's scripts
FOREIGN = {"--extra-index-url", "--api", "--eval", "--white_background", "--skip_train", "--help",
           "--views", "--size", "--recursive", "--file", "--no-build-isolation",
           "--start_checkpoint"}


@pytest.mark.parametrize("page", TEXTS)
def test_no_flag_is_named_that_no_command_has(page, flags):
    known = {name for names in flags.values() for name in names}
    for flag in FLAG.findall(TEXTS[page]):
        if flag not in FOREIGN:
            wanted = SPELLINGS.get(flag, flag).replace("_", "-")
            assert wanted in known | {"main-folder"}, f"{page}: {flag}"


def test_the_readme_stays_short_and_every_page_can_be_found():
    assert README.count("\n") <= 130
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\((\w+\.md)", index))
    assert listed == set(PAGES) - {"README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_links_to_headings_lead_somewhere(page):
    for name, anchor in re.findall(r"\]\((?:docs/)?(\w+\.md)?#([\w-]+)\)", PAGES[page]):
        heads = re.findall(r"^#+ (.+)$", PAGES[name or page], re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads}
        assert anchor in slugs, f"{page}: {name}#{anchor}"


@pytest.mark.parametrize("page", TEXTS)
def test_pictures_are_there_and_described(page):
    """Words stand in the place of a badge or picture that cannot be loaded."""
    folder = ROOT if page == "README.md" else ROOT / ("docs" if page in PAGES else "notebooks")
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", TEXTS[page]):
        assert alt.strip(), f"{page}: {target[:80]} without words"
        if not target.startswith(("https:", "data:", "attachment:")):
            assert (folder / target).stat().st_size < 2e6, f"{page}: {target}"
    for tag in re.findall(r"<img\b[^>]*>", TEXTS[page]):
        assert re.search(r'\balt="[^"]+"', tag), f"{page}: {tag[:80]}"


def test_the_python_example_runs(tmp_path, monkeypatch, small_head, capsys):
    """As it stands, but with fewer views and steps."""
    code, = re.findall(r"```python\n(.*?)```", PAGES["python.md"], re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    assert code.count('"head_multiview"') == code.count("budget_s=120") == 1
    code = code.replace('"head_multiview"', repr(str(small_head))).replace(
        "budget_s=120", "iterations=30, resolution=32, initial=200, max_gaussians=300")
    samples = Path("assets/samples/source_photos")
    (tmp_path / samples).mkdir(parents=True)
    shutil.copy(ROOT / samples / "B.png", tmp_path / samples)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "python.md", "exec"), names)
    assert names["picture"].dtype == np.float32 and names["picture"].shape[2] == 3
    assert read_json(tmp_path / "runs/head/metrics.json")["iterations"] == 30
    assert verify(tmp_path / "runs/head.html").synthetic
    said = capsys.readouterr().out
    assert "mean" in said and "synthetic" in said
