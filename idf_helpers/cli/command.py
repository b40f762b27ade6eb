"""A command of `idf`, made from the signature of the function that a Python user calls.

Of the function's arguments `positional` ones need no name, a `config` becomes one flag for each of
its fields, and `reporter` is the progress line. What is printed at the end is the command's `show`.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import tyro
from tyro.conf import Positional, arg

from ..data.dataset import Dataset
from ..errors import IdfError, nearest
from ..runtime.progress import Line
from ..runtime.registry import Registry
from ..runtime.settings import bounds, range_text


@dataclass(frozen=True)
class Command:
    """One command.

    name, summary: in the list of `idf --help`. target: "module:function". positional: arguments
    that need no name. show: (result, arguments) -> None prints what came of it. renamed: flag for
    an argument whose name is no good flag. hidden: arguments that a shell can't give. rewrite:
    other spellings of flags that people type -> the command line that is parsed.
    """

    name: str
    summary: str
    target: str
    positional: tuple[str, ...] = ()
    show: Callable[[Any, dict], None] = lambda result, arguments: None
    renamed: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    rewrite: Callable[[list[str]], list[str]] = lambda argv: argv

    def function(self) -> Callable:
        """Import what a Python user calls."""
        module, attribute = self.target.split(":")
        return getattr(__import__(module, fromlist=[attribute]), attribute)

    def parameters(self, argv: list[str]) -> dict[str, inspect.Parameter]:
        """Return the arguments by name, with types that the parser understands."""
        function = self.function()
        hints = typing.get_type_hints(function, include_extras=True)
        out = {}
        for name, p in inspect.signature(function).parameters.items():
            if name == "reporter" or name in self.hidden:
                continue
            kind, default = typed(hints.get(name, str)), p.default
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                kind = with_ranges(kind)
                default = kind()
                if name == "config":  # its fields become flags without a prefix
                    kind = Annotated[kind, arg(name="")]
            elif name in self.positional:
                kind = Positional[kind]
            elif name in self.renamed:
                kind = Annotated[kind, arg(name=self.renamed[name])]
            out[name] = inspect.Parameter(name, p.KEYWORD_ONLY, default=default, annotation=kind)
        return out

    def call(self, arguments: dict) -> Any:
        """Call the function with what was parsed."""
        return self.function()(**arguments)

    def parse(self, argv: list[str]) -> dict:
        """Return the arguments on a command line; ends the program for --help and bad flags."""
        found: dict = {}

        def take(**arguments):
            found.update(arguments)

        parameters = self.parameters(argv)
        take.__doc__ = self.function().__doc__
        take.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore
        take.__annotations__ = {n: p.annotation for n, p in parameters.items()}
        tyro.cli(take, args=argv, prog=f"idf {self.name}")
        return found

    def run(self, argv: list[str]) -> None:
        """Parse, call, print."""
        arguments = self.parse(self.rewrite(argv))
        line = Line()
        given = dict(arguments)
        if "reporter" in inspect.signature(self.function()).parameters:
            given["reporter"] = line
        result = self.call(given)
        line.close()
        self.show(result, arguments)


@dataclass(frozen=True)
class TrainingCommand(Command):
    """`reconstruct` for one stage: its flags are those of the method that --backend names.

    stage, methods: the table of the stage.
    """

    stage: str = ""
    methods: Callable[[], Registry] | None = None

    def parameters(self, argv: list[str]) -> dict[str, inspect.Parameter]:
        parameters = Command.parameters(self, argv)
        entry, _ = self._registry().choose(self._backend(argv))
        kind = with_ranges(entry.config_type())
        self._refuse_flags_of_others(argv, entry)
        keyword = inspect.Parameter.KEYWORD_ONLY
        first = [n for n in parameters if n in ("data", "out")]
        return {**{n: parameters[n] for n in first},
                "backend": inspect.Parameter(
                    "backend", keyword, default="auto",
                    annotation=Annotated[str, arg(help="auto, or one of: "
                                                  + ", ".join(self._registry().names()))]),
                "config": inspect.Parameter("config", keyword, default=kind(),
                                            annotation=Annotated[kind, arg(name="")]),
                **{n: p for n, p in parameters.items()
                   if n not in (*first, "method", "config")}}

    def call(self, arguments: dict) -> Any:
        arguments = dict(arguments)
        return self.function()(method=f"{self.stage}:{arguments.pop('backend')}", **arguments)

    def _registry(self) -> Registry:
        assert self.methods is not None
        return self.methods()

    def _backend(self, argv: list[str]) -> str:
        """Return the method that a command line names; its flags depend on it."""
        for word, following in zip(argv, [*argv[1:], ""], strict=True):
            if word == "--backend":
                return following
            if word.startswith("--backend="):
                return word.partition("=")[2]
        return "auto"

    def _refuse_flags_of_others(self, argv: list[str], entry) -> None:
        """Raise IdfError for a flag that another method of the stage reads, and this one not."""
        own = {f.name for f in dataclasses.fields(entry.config_type())}
        others: dict[str, list[str]] = {}
        for other in self._registry().entries.values():
            for f in dataclasses.fields(other.config_type()):
                if f.name not in own:
                    others.setdefault(f.name, []).append(other.name)
        for word in argv:
            if not word.startswith("--") or word == "--help":
                continue
            name = word[2:].partition("=")[0].replace("-", "_").removeprefix("no_")
            if name in others:
                raise IdfError(f"The method `{entry.name}` does not read --{name.replace('_', '-')}",
                               f"--backend {entry.name}; read by: {', '.join(others[name])}",
                               f"leave it out{nearest(name, own)}")


def typed(hint) -> Any:
    """Return an annotation as the parser wants it: a path where a path will do, a config alone."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        sides = [s for s in get_args(hint) if s is not type(None)]
        for side in sides:
            if isinstance(side, type) and dataclasses.is_dataclass(side) and side is not Dataset:
                return side
            if get_origin(side) is Sequence:
                return tuple[Path, ...]
        if Path in sides and len(sides) > 1:
            return Path | None if type(None) in get_args(hint) else Path
    return hint


def with_ranges(kind: type) -> type:
    """Return a subclass of a config whose flags show the range of their values."""
    hints = typing.get_type_hints(kind, include_extras=True)
    shown = {}
    for f in dataclasses.fields(kind):
        bound = bounds(hints[f.name])
        if bound:
            shown[f.name] = Annotated[hints[f.name], arg(metavar=_metavar(hints[f.name], bound))]
    namespace = {"__annotations__": shown, "__doc__": kind.__doc__, "__module__": kind.__module__,
                 **{n: _default(kind, n) for n in shown}}
    return dataclass(frozen=True)(type(kind.__name__, (kind,), namespace))


def _default(kind: type, name: str):
    f = kind.__dataclass_fields__[name]
    if f.default_factory is not dataclasses.MISSING:
        return field(default_factory=f.default_factory)
    return f.default


def _metavar(hint, bound) -> str:
    text = str(hint)
    words = "INT" if "int" in text.split("Interval")[0] else "FLOAT"
    return f"{words} {range_text(*bound)}"
