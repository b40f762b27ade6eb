"""Swap backends that are named rather than listed: rows of a user's own, and hybrids."""

from __future__ import annotations

from pathlib import Path

from ..catalogue import VIEWS, Backend, find
from ..errors import IdfError


def resolve(name: str) -> Backend | None:
    """`onnx:ROW.json` is a row of the user's own, `uv+NAME` the hybrid of a neural backend; None
    for any other name."""
    if name.startswith("onnx:") and name.lower().endswith(".json"):
        from .neural.onnx_models import backend_of, read_row

        return backend_of(read_row(Path(name.removeprefix("onnx:")).expanduser()))
    if name.startswith("uv+"):
        inner = find("swap", name.removeprefix("uv+"))
        if inner.name in ("uv", "mesh"):
            raise IdfError(f"There is no swap backend `{name}`", name,
                           "uv+NAME makes a neural swapper consistent, e.g. uv+ghost")
        return Backend("swap", f"uv+{inner.name}", "idf_helpers.swap.neural.hybrid:HybridMethod",
                       f"{inner.name} on the frontal views, then painted into all", 6,
                       inner.missing, frozenset({VIEWS}), inner.licence, False,
                       argument=name.removeprefix("uv+"))
    return None
