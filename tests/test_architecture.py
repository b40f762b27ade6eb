"""ARCHITECTURE.md leads somewhere: every file and name that it mentions exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
STEP = re.compile(r"^ *([A-Za-z_][\w.]*) +([\w./]+\.py)\b", re.MULTILINE)  # of a walk
IN_FILE = re.compile(r"`([A-Za-z_][\w.]*)` in\s+`([\w./]+\.py)`")
PATHS = re.compile(r"`([\w.-]+(?:/[\w.-]*)+|[\w-]+\.(?:py|toml|md|js|cff))`")


def file_of(path: str) -> Path | None:
    """A path from the repository's or the package's root."""
    found = [p for p in (ROOT / path, ROOT / "idf_helpers" / path) if p.exists()]
    return found[0] if found else None


def defined(file: Path) -> set[str]:
    """Functions, classes, their methods and fields, and constants: "name", "Class.name"."""
    names = set()

    def visit(body, prefix=""):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(prefix + t.id for t in targets if isinstance(t, ast.Name))
            elif isinstance(node, ast.If):
                visit(node.body, prefix)

    visit(ast.parse(file.read_text(encoding="utf-8")).body)
    return names


@pytest.mark.parametrize(("name", "path"), [*STEP.findall(TEXT), *IN_FILE.findall(TEXT)])
def test_every_name_stands_in_its_file(name, path):
    assert file_of(path), path
    assert name in defined(file_of(path)), f"{path} defines no {name}"


def test_every_path_exists():
    found = 0
    for line in TEXT.splitlines():
        room = re.match(r"\| `([\w./]+)`", line)
        for path in PATHS.findall(line):
            inside = f"{room.group(1)}{path}" if room and room.group(1) != path else path
            assert file_of(path) or file_of(inside), path
            found += 1
    assert found > 20


def test_every_room_has_its_line():
    rooms = {p.name for p in (ROOT / "idf_helpers").iterdir()
             if (p.is_dir() and any(p.glob("*.py"))) or p.suffix == ".py" and p.stem[:2] != "__"}
    named = {line.split("`")[1].strip("/") for line in TEXT.splitlines()
             if line.startswith("| `")}
    assert rooms <= named, rooms - named


def test_the_walks_are_short_and_each_step_is_called_by_the_one_above():
    walks = re.findall(r"```\n(.*?)```", TEXT.split("## Six walks")[1], re.DOTALL)
    assert len(walks) == 7  # the swap has two: of views, and of a picture
    for walk in walks:
        assert len(STEP.findall(walk)) == len(walk.splitlines()) <= 20
        above: list[str] = []  # the file of the last step at each depth
        for line in walk.splitlines():
            depth = (len(line) - len(line.lstrip())) // 2
            (name, path), = STEP.findall(line)
            if depth:
                caller = file_of(above[depth - 1]).read_text(encoding="utf-8")
                called = name.split(".")[0 if name.endswith("__") else -1]
                assert re.search(rf"\b{called}\b", caller), f"{above[depth - 1]} calls no {name}"
            above[depth:] = [path]
