"""Count what makes the code hard to find one's way in: circles, upward and lazy imports, settings.

    python benchmarks/house.py                     this checkout
    python benchmarks/house.py FOLDER              another one
    python benchmarks/house.py --before FOLDER     both side by side, with what was asked for

Only the standard library is used here; the flags are counted by the checkout's own command line, in
a process of its own, and need its packages. `--list` names every circle and every counted import.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import io
import json
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "idf_helpers"
LONG = 450  # lines; a file of more is hard to read in one sitting
MUST = {
    "import circles of files": "0",
    "pairs of packages that import each other": "0",
    "upward imports (layer contract)": "0",
    "lazy imports": "<= 45",
    "lazy imports that close a circle": "0",
    "config fields": "<= 240",
    "command line flags": "<= 230",
    "code lines": "<= 21500",
    "import paths of the notebooks": "<= 8",
}
LIST_FLAGS = '''
import importlib, json, warnings
import tyro
warnings.simplefilter("ignore")

class Parser(BaseException):
    pass

def flags(function):
    return flags_of(tyro.extras.get_parser(function))

def flags_of(parser):
    found = set()
    for action in parser._actions:
        if action.dest == "help":
            continue
        if hasattr(action, "choices") and isinstance(action.choices, dict):  # subcommands
            for choice in action.choices.values():
                found |= flags_of(choice)
        else:
            found.add(action.option_strings[0] if action.option_strings else action.dest)
    return found

def of_generated(command):
    """Of a command that is made from a signature when it is called; where its flags depend on
    a method, those of all methods."""
    from idf_helpers.cli.main import main

    def cli(function, **options):
        raise Parser(flags(function))

    tyro.cli, found = cli, set()
    module, _, table = (command.methods or "").partition(":")
    methods = getattr(importlib.import_module(module), table).names() if table else [""]
    for method in methods:
        try:
            main([command.name, *[f"--{command.choice}", method] * bool(method)])
        except Parser as parser:
            found |= parser.args[0]
    return found

try:
    from idf_helpers.commands import COMMANDS  # functions
    found = {name: flags(function) for name, function in COMMANDS.items()}
except ModuleNotFoundError:
    from idf_helpers.cli.commands import COMMANDS
    found = {name: of_generated(command) for name, command in COMMANDS.items()}
print(json.dumps({name: sorted(names) for name, names in found.items()}))
'''


@dataclass(frozen=True)
class Import:
    """One import statement's edge between two modules of the package."""

    source: str
    target: str
    line: int
    lazy: bool

    def __str__(self):
        return f"{self.source}:{self.line} -> {self.target}{' (lazy)' * self.lazy}"


class Checkout:
    """The modules of a checkout and the imports between them."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self.files = {}  # module name -> file
        for file in sorted((self.root / PACKAGE).rglob("*.py")):
            parts = file.relative_to(self.root).with_suffix("").parts
            self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
        if not self.files:
            raise SystemExit(f"{root} holds no package {PACKAGE}")
        self.trees = {name: ast.parse(file.read_bytes()) for name, file in self.files.items()}
        # The package itself names its verbs for type checkers; it imports them when they are used.
        self.imports = [i for name in self.files if name != PACKAGE
                        for i in self._imports_of(name)]

    def _imports_of(self, name: str):
        tree = self.trees[name]
        lazy = {id(inner) for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                for inner in ast.walk(node)}
        for node in ast.walk(tree):
            for target in dict.fromkeys(self._targets(name, node)):
                if target != name:
                    yield Import(name, target, node.lineno, id(node) in lazy)

    def _targets(self, name: str, node):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_package = self.files[name].name == "__init__.py"
                parts = name.split(".")
                parts = parts[:len(parts) - node.level + is_package]
                base = ".".join([*parts, *([base] if base else [])])
            wanted = [(base, alias.name) for alias in node.names]
        else:
            return
        for module, inner in wanted:
            if inner and f"{module}.{inner}" in self.files:
                yield f"{module}.{inner}"
            elif module in self.files:
                yield module

    # --- the counts -------------------------------------------------------------------------------

    def circles(self) -> list[list[str]]:
        """Return the strongly connected groups of more than one file, lazy imports included."""
        graph: dict[str, set[str]] = {name: set() for name in self.files}
        for edge in self.imports:
            graph[edge.source].add(edge.target)
        return [sorted(group) for group in components(graph) if len(group) > 1]

    def mutual_pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of rooms (a folder or a loose module each) that import each other."""
        edges = {(room(i.source), room(i.target)) for i in self.imports}
        return sorted((a, b) for a, b in edges if a < b and (b, a) in edges)

    def upward(self) -> list[Import] | None:
        """Return the imports against the layers that pyproject.toml states; None without such."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
        contracts = project.get("tool", {}).get("importlinter", {}).get("contracts", [])
        contract = next((c for c in contracts if c.get("type") == "layers"), None)
        if contract is None:
            return None
        floor, alone = {}, {}
        for height, layer in enumerate(reversed(contract["layers"])):
            for part in re.split("[|:]", layer):
                floor[part.strip(" ()")], alone[height] = height, "|" in layer
        ignored = [re.split(r"\s*->\s*", i) for i in contract.get("ignore_imports", [])]
        found = []
        for edge in self.imports:
            a, b = room(edge.source), room(edge.target)
            if a == b or a not in floor or b not in floor or any(
                    fnmatch.fnmatch(edge.source, s) and fnmatch.fnmatch(edge.target, t)
                    for s, t in ignored):
                continue
            if floor[b] > floor[a] or (floor[a] == floor[b] and alone[floor[a]]):
                found.append(edge)
        return found

    def lazy(self) -> list[Import]:
        """Return the imports of the package's own modules that stand inside functions, one for
        each pair of modules."""
        return list({(i.source, i.target): i for i in self.imports if i.lazy}.values())

    def closing(self) -> list[Import]:
        """Return the lazy imports whose target leads back to their source."""
        group = {name: n for n, circle in enumerate(self.circles()) for name in circle}
        return [i for i in self.lazy()
                if i.source in group and group.get(i.target) == group[i.source]]

    def config_fields(self) -> dict[str, int]:
        """Return the number of own fields of each dataclass that holds settings."""
        found = {}
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and node.name.endswith(("Config", "Options")) \
                        and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
                    found[f"{name}.{node.name}"] = sum(
                        isinstance(part, ast.AnnAssign)
                        and "ClassVar" not in ast.unparse(part.annotation) for part in node.body)
        return found

    def flags(self) -> dict[str, list[str]] | None:
        """Return the flags and arguments of each command, as its parser holds them; None, with the
        reason on stderr, where the commands cannot be loaded."""
        environment = dict(os.environ, PYTHONPATH=str(self.root))
        done = subprocess.run([sys.executable, "-c", LIST_FLAGS], cwd=self.root, text=True,
                              capture_output=True, env=environment)
        if done.returncode:
            print(f"The flags of {self.root} cannot be counted: {done.stderr.splitlines()[-1]}",
                  file=sys.stderr)
            return None
        return json.loads(done.stdout.splitlines()[-1])

    def code_lines(self) -> int:
        """Return the lines of the package that are neither blank, comment nor docstring."""
        return sum(len(code_lines_of(f.read_bytes())) for f in self.files.values())

    def notebook_paths(self) -> list[str]:
        """Return the modules that the notebooks import from."""
        found = set()
        for notebook in sorted((self.root / "notebooks").glob("*.ipynb")):
            for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    text = "".join(cell["source"])
                    found |= set(re.findall(rf"^\s*(?:from|import)\s+({PACKAGE}[\w.]*)", text,
                                            re.M))
        return sorted(found)

    def long_files(self) -> list[str]:
        """Return the Python files of more than `LONG` lines."""
        return [str(f.relative_to(self.root)) for f in self.files.values()
                if f.read_bytes().count(b"\n") > LONG]


def room(module: str) -> str:
    """Return the folder directly under the package, or the loose module; "" for the package."""
    return [*module.split("."), ""][1]


def components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components (Tarjan's algorithm, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    result = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        while work:
            node, targets = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            for target in targets:
                if target not in index:
                    work.append((target, iter(sorted(graph[target]))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = stack[stack.index(node):]
                    del stack[stack.index(node):]
                    on_stack -= set(group)
                    result.append(group)
    return result


def code_lines_of(source: bytes) -> set[int]:
    """Return the numbers of the lines that hold code."""
    passed = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER, tokenize.ENCODING}
    lines = set()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in passed:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):  # docstrings: of modules, classes, functions, fields
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) \
                and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def count(checkout: Checkout) -> dict[str, int | None]:
    """Return all counts by their names in the table."""
    upward, flags = checkout.upward(), checkout.flags()
    return {
        "import circles of files": len(checkout.circles()),
        "pairs of packages that import each other": len(checkout.mutual_pairs()),
        "upward imports (layer contract)": None if upward is None else len(upward),
        "lazy imports": len(checkout.lazy()),
        "lazy imports that close a circle": len(checkout.closing()),
        "config fields": sum(checkout.config_fields().values()),
        "command line flags": None if flags is None else sum(map(len, flags.values())),
        "code lines": checkout.code_lines(),
        "import paths of the notebooks": len(checkout.notebook_paths()),
        f"files above {LONG} lines": len(checkout.long_files()),
        "files": len(checkout.files),
    }


def table(columns: dict[str, dict]) -> str:
    """Return the counts as a Markdown table with one column for each checkout."""
    names = list(next(iter(columns.values())))
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    for name in names:
        rows.append([name, *("–" if c.get(name) is None else str(c[name])
                             for c in columns.values())])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(part.ljust(w) for part, w in zip(row, widths, strict=True))
                     + " |" for row in rows)


def listing(checkout: Checkout) -> str:
    """Return every circle, pair and counted import, for whoever wants to mend them."""
    parts = {
        "circles": [" <-> ".join(c) for c in checkout.circles()],
        "pairs": [f"{a} <-> {b}" for a, b in checkout.mutual_pairs()],
        "upward": checkout.upward() or [], "lazy": checkout.lazy(), "closing": checkout.closing(),
        "config fields": [f"{n:4} {name}" for name, n in checkout.config_fields().items()],
        "flags": [f"{len(names):4} {name}: {' '.join(names)}"
                  for name, names in (checkout.flags() or {}).items()],
        "notebooks": checkout.notebook_paths(), "long files": checkout.long_files(),
    }
    return "\n".join(f"\n{title} ({len(rows)})\n" + "\n".join(f"  {row}" for row in rows)
                     for title, rows in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path,
                        default=Path(__file__).resolve().parent.parent, help="a checkout")
    parser.add_argument("--before", type=Path, help="an older checkout to stand beside it")
    parser.add_argument("--list", action="store_true", help="name what was counted, too")
    arguments = parser.parse_args()
    here = Checkout(arguments.folder)
    columns = {"before": count(Checkout(arguments.before))} if arguments.before else {}
    columns["now"] = count(here)
    columns["must"] = MUST
    print(table(columns))
    if arguments.list:
        print(listing(here))


if __name__ == "__main__":
    main()
