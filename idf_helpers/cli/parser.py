"""From the signature of a function to a command: flags, help, the call, what is printed.

Of the function's arguments `Command.positional` ones need no name, a `config` becomes one flag for
each of its fields (other configs one with a prefix), and `reporter` is the progress line.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import tyro
from tyro.conf import Positional, Suppress, arg

from ..errors import IdfError, nearest
from ..runtime.progress import Line
from ..runtime.registry import Entry, Registry
from ..runtime.settings import bounds, is_recipe, range_text
from . import show
from .commands import Command


def run(command: Command, argv: list[str]) -> None:
    """Parse a command line, call the function, print the result."""
    argv = command.rewrite(argv)
    function, line = imported(command.function), Line()
    arguments = parse(command, function, argv)
    given = dict(arguments)
    if command.choice in given and command.choice not in inspect.signature(function).parameters:
        given["method"] = f"{imported(command.methods).stage}:{given.pop(command.choice)}"
    if "reporter" in inspect.signature(function).parameters:
        given["reporter"] = line
    result = function(**given)
    line.close()
    if command.show:
        getattr(show, command.show)(result, arguments)


def imported(target: str) -> Any:
    """Import "module:attribute"."""
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


def parse(command: Command, function: Callable, argv: list[str]) -> dict[str, Any]:
    """Return the arguments on a command line; ends the program for --help and for bad flags."""
    found: dict[str, Any] = {}

    def take(**arguments):
        found.update(arguments)

    parameters = arguments_of(command, function)
    if command.methods:
        parameters = _with_method(parameters, command.choice, imported(command.methods), argv)
    take.__doc__ = function.__doc__
    take.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    take.__annotations__ = {n: p.annotation for n, p in parameters.items()}
    tyro.cli(take, args=argv, prog=f"idf {command.name}")
    return found


def arguments_of(command: Command, function: Callable) -> dict[str, inspect.Parameter]:
    """Return a function's arguments by name, with types that the parser understands."""
    hints = typing.get_type_hints(function, include_extras=True)
    out = {}
    for name, p in inspect.signature(function).parameters.items():
        if name == "reporter" or name in command.hidden or name == "method" and command.methods:
            continue
        kind, default = typed(hints.get(name, str)), p.default
        if name == "config" and command.methods:
            kind = Any  # the method's, see `_with_method`
        elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
            kind = with_ranges(kind)
            default = kind()
            if name == command.flat:  # its fields become flags without a prefix
                kind = Annotated[kind, arg(name="")]
        elif name in command.positional:
            kind = Positional[kind]
        elif name in command.renamed:
            kind = Annotated[kind, arg(name=command.renamed[name])]
        out[name] = p.replace(kind=p.KEYWORD_ONLY, default=default, annotation=kind)
    return out


def _with_method(parameters: dict[str, inspect.Parameter], choice: str, methods: Registry,
                 argv: list[str]) -> dict[str, inspect.Parameter]:
    """Add the flag that names the method, and the settings of the one that it names."""
    name = _named(argv, choice) or ("auto" if methods.automatic else "")
    if name or not {"-h", "--help"} & set(argv):
        entry, _ = methods.choose(name)
        _refuse_flags_of_others(argv, choice, entry, methods)
        kind = with_ranges(entry.config_type(), parameters.keys() - {"config"})
        config = parameters["config"].replace(default=kind(),
                                              annotation=Annotated[kind, arg(name="")])
    else:
        config = None  # each has its own: only the common flags can be listed
    names = ", ".join(["auto"] * methods.automatic + methods.names())
    text = f"one of: {names}; with one named, --help lists its flags"
    flag = inspect.Parameter(choice, inspect.Parameter.KEYWORD_ONLY,
                             default="auto" if methods.automatic else "",
                             annotation=Annotated[str, arg(help=text)])
    out = {}
    for n, p in parameters.items():
        if n == "config" and config:
            out[n] = config
        elif n not in (choice, "config"):
            out[n] = p
        if n == "out":
            out[choice] = flag
    return out


def _named(argv: list[str], choice: str) -> str:
    """Return the method that a command line names; its flags depend on it."""
    for i, word in enumerate(argv):
        if word == f"--{choice}":
            return "".join(argv[i + 1:i + 2])
        if word.startswith(f"--{choice}="):
            return word.partition("=")[2]
    return ""


def _refuse_flags_of_others(argv: list[str], choice: str, entry: Entry, methods: Registry) -> None:
    """Raise IdfError for a flag that another method of the stage reads, and this one not."""
    kind = entry.config_type()
    own, recipe = _flags_of(kind)
    others: dict[str, list[str]] = {}
    for other in methods.entries.values():
        for name in _flags_of(other.config_type())[0] - own:
            others.setdefault(name, []).append(other.name)
    for word in argv:
        name = word[2:].partition("=")[0].replace("-", "_").removeprefix("no_")
        if word.startswith("--") and name in recipe - own:
            raise IdfError(f"--{name.replace('_', '-')} is no flag; few ever turn it",
                           f"a setting of `{entry.name}` for Python",
                           f"leave it out, or call it from Python with {kind.__name__}({name}=…)")
        if word.startswith("--") and name in others:
            raise IdfError(f"The method `{entry.name}` does not read --{name.replace('_', '-')}",
                           f"--{choice} {entry.name}; read by: {', '.join(others[name])}",
                           f"leave it out{nearest(name, own)}")


def _flags_of(kind: type) -> tuple[set[str], set[str]]:
    """Return the names of a config's fields that are flags, and of those set from Python only."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = {f.name for f in dataclasses.fields(kind)}
    recipe = {name for name in names if is_recipe(hints[name])}
    return names - recipe, recipe


def typed(hint) -> Any:
    """Return an annotation in the parser's form: a path where a path will do, a config alone."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        sides = [s for s in get_args(hint) if s is not type(None)]
        if any(get_origin(side) is Sequence for side in sides):
            return tuple[Path, ...] | None if type(None) in get_args(hint) else tuple[Path, ...]
        if Path in sides and len(sides) > 1:
            return Path | None if type(None) in get_args(hint) else Path
        for side in sides:
            if isinstance(side, type) and dataclasses.is_dataclass(side):
                return side
    return hint


def with_ranges(kind: type, taken: Collection[str] = ()) -> type:
    """Return a subclass of a config whose flags show the range of their values.

    taken: fields that are no flags, since an argument of the function has their name. Those that
    are marked as part of a recipe are none either.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    shown = {}
    for f in dataclasses.fields(kind):
        bound = bounds(hints[f.name])
        if f.name in taken or is_recipe(hints[f.name]):
            shown[f.name] = Suppress[Annotated[hints[f.name], arg(name=f"of-config-{f.name}")]]
        elif bound:
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
