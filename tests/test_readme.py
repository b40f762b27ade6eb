"""The README tells the truth: its Python example runs, and its commands and flags are there."""

import re
from pathlib import Path

import pytest

from benchmarks.house import Checkout

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?:^|`|\b)idf ([a-z]+)\b([^`\n]*)", re.MULTILINE)
# spellings that the command line rewrites: of people, and of the original's script
SPELLINGS = {"--budget": "--budget-s", "--main_folder": "main-folder"}


@pytest.fixture(scope="module")
def flags():
    return Checkout(ROOT).flags()


def test_every_command_is_in_the_readme_and_the_other_way_round(flags):
    named = {name for name, _ in COMMAND.findall(README)}
    assert set(flags) <= named
    assert named - set(flags) == set(), "README calls commands that are not there"


def test_commands_are_shown_with_flags_that_they_have(flags):
    for name, rest in COMMAND.findall(README):
        for flag in re.findall(r"(?<![\w-])--[a-z][\w.-]*", rest):
            wanted = SPELLINGS.get(flag, flag).replace("_", "-")
            assert wanted in [*flags[name], "--help"], f"idf {name} {flag}"
