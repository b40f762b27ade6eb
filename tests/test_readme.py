"""The README tells the truth: its Python example runs, and its commands and flags are there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.house import Checkout
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_VIDEO = (ROOT / "docs" / "own_video.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?:^|`|\b)idf ([a-z]+)\b([^`\n]*)", re.MULTILINE)
# spellings that the command line rewrites: of people, and of the original's script
SPELLINGS = {"--budget": "--budget-s", "--main_folder": "main-folder", "--sides": "--mode"}


@pytest.fixture(scope="module")
def flags():
    return Checkout(ROOT).flags()


def test_every_command_is_in_the_readme_and_the_other_way_round(flags):
    named = {name for name, _ in COMMAND.findall(README)}
    assert set(flags) <= named
    named |= {name for name, _ in COMMAND.findall(OWN_VIDEO)}
    assert named - set(flags) == set(), "README or docs call commands that are not there"


def test_commands_are_shown_with_flags_that_they_have(flags):
    for name, rest in COMMAND.findall(README + OWN_VIDEO):
        for flag in re.findall(r"(?<![\w-])--[a-z][\w.-]*", rest):
            wanted = SPELLINGS.get(flag, flag).replace("_", "-")
            assert wanted in [*flags[name], "--help"], f"idf {name} {flag}"


def test_what_the_page_on_own_video_names_is_what_make_leaves():
    """Files and doubts in docs/own_video.md are those of the code."""
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "idf_helpers").rglob("*.py"))
    for path in re.findall(r"`(?:\w+/)?([\w]+\.(?:jpg|mp4|png|html|ply|md))`", OWN_VIDEO):
        assert f'"{path}"' in code, path
    doubts = OWN_VIDEO[OWN_VIDEO.index("What the doubts mean"):OWN_VIDEO.index("How long, and how")]
    rows = [line.split("|")[1].strip() for line in doubts.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    making = "".join(p.read_text("utf-8") for p in (ROOT / "idf_helpers/making").glob("*.py"))
    words = "".join(re.findall(r"[a-z]", re.sub(r"\{[^}]*\}", "", making).lower()))
    for row in rows:
        longest = max(re.split(r"\bN\b|\(.*?\)|°|%|,", row), key=len)
        wanted = "".join(re.findall(r"[a-z]", longest.lower()))
        assert wanted in words, row


# of other programs: pip, Blender's script, the web UI, the authors' and graphdeco's scripts
FOREIGN = {"--extra-index-url", "--api", "--eval", "--white_background", "--skip_train", "--help"}


def test_no_flag_is_named_that_no_command_has(flags):
    known = {name for names in flags.values() for name in names}
    for flag in re.findall(r"(?<![\w-])--[a-z][\w.-]*", README + OWN_VIDEO):
        if flag not in FOREIGN:
            assert SPELLINGS.get(flag, flag).replace("_", "-") in known | {"main-folder"}, flag


def test_the_python_example_runs(tmp_path, monkeypatch, small_head, capsys):
    """As it stands, but with fewer views and steps."""
    code, = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    assert code.count('"head_multiview"') == code.count("budget_s=120") == 1
    code = code.replace('"head_multiview"', repr(str(small_head))).replace(
        "budget_s=120", "iterations=30, resolution=32, initial=200, max_gaussians=300")
    samples = Path("assets/samples/source_photos")
    (tmp_path / samples).mkdir(parents=True)
    shutil.copy(ROOT / samples / "B.png", tmp_path / samples)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["picture"].dtype == np.float32 and names["picture"].shape[2] == 3
    assert read_json(tmp_path / "runs/head/metrics.json")["iterations"] == 30
    assert verify(tmp_path / "runs/head.html").synthetic
    said = capsys.readouterr().out
    assert "mean" in said and "synthetic" in said
