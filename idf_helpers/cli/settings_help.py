"""How the command line shows settings: each field's own text, followed by its range."""

from __future__ import annotations

import functools
from dataclasses import MISSING, fields
from typing import get_type_hints

import docstring_parser  # which tyro brings
import tyro
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from ..runtime.settings import Settings, bounds, range_text

REGISTRY = ConstructorRegistry()


@REGISTRY.struct_rule
def _settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    if not (isinstance(info.type, type) and issubclass(info.type, Settings)):
        return None
    hints = get_type_hints(info.type, include_extras=True)
    return StructConstructorSpec(info.type, tuple(StructFieldSpec(
        f.name, hints[f.name], _default(f, info.default),
        functools.partial(field_help, info.type, f.name)) for f in fields(info.type) if f.init))


def _default(field, given):
    if isinstance(given, Settings):
        return getattr(given, field.name)
    if field.default_factory is not MISSING:
        return field.default_factory()
    return tyro.MISSING if field.default is MISSING else field.default


def field_help(config: type, name: str) -> str:
    """Return the text under a field of a settings class, and its range in words."""
    text = next((" ".join(p.description.split()) for cls in config.__mro__ if name in vars(cls).get(
        "__annotations__", ()) for p in docstring_parser.parse_from_object(cls).params
        if p.arg_name == name and p.description), "")
    bound = bounds(get_type_hints(config, include_extras=True)[name])
    return f"{text.removesuffix('.')} ({range_text(*bound)})." if bound else text
