"""Every field of every settings class is read by the program: none is accepted and then ignored."""

import ast
import functools
from collections import Counter
from pathlib import Path

from idf_helpers.runtime.settings import Settings

PACKAGE = Path(__file__).resolve().parent.parent / "idf_helpers"


@functools.cache
def definitions():
    """{name: (module, class node)} of all classes of the package, and its parsed modules."""
    trees = {p: ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    return {node.name: (path, node) for path, tree in trees.items() for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)}, trees


def is_settings(name, classes) -> bool:
    return name == Settings.__name__ or name in classes and any(
        is_settings(getattr(base, "id", getattr(base, "attr", "")), classes)
        for base in classes[name][1].bases)


def reads(node) -> Counter:
    """How often each name is read as an attribute below a node."""
    return Counter(n.attr for n in ast.walk(node)
                   if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load))


def unread(classes, trees) -> set[tuple[str, str]]:
    """(class, field) of settings that nothing outside the class reads. A property that passes a
    field on counts as the field: then the property must be read."""
    everywhere = sum(map(reads, trees.values()), Counter())
    found = set()
    for name, (_, node) in classes.items():
        if name == Settings.__name__ or not is_settings(name, classes):
            continue
        outside = everywhere - reads(node)
        passed_on = set()
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and outside[part.name]:
                passed_on |= set(reads(part))
        found |= {(name, part.target.id) for part in node.body if isinstance(part, ast.AnnAssign)
                  and not (outside[part.target.id] or part.target.id in passed_on)
                  and "ClassVar" not in ast.unparse(part.annotation)}
    return found


def test_each_field_is_read():
    assert unread(*definitions()) == set()


def test_the_walk_sees_the_settings_and_a_field_that_nothing_reads():
    classes, trees = definitions()
    assert sum(is_settings(name, classes) for name in classes) > 15
    node = ast.parse("class Dead(Settings):\n    never_read_at_all: int = 1\n    seed: int = 0\n")
    with_it = classes | {"Dead": (None, node.body[0])}
    assert unread(with_it, trees) == {("Dead", "never_read_at_all")}
