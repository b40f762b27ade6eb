"""What `idf export` and `idf express` ask beyond the functions that Python users call."""

from __future__ import annotations

import functools
from dataclasses import fields
from pathlib import Path

from ..errors import IdfError
from ..exporting import Model, formats
from ..exporting.config import ExportConfig
from ..exporting.expression import parse_values, write_expression

BEFORE = ("clean", "crop", "intensity", "up")  # of every format


@functools.wraps(formats.export)
def export(model, out, format=None, config=None, reporter=None) -> Path:
    config, opened = config.checked(), Model.open(model, config.up)
    chosen, name = formats.find_format(opened, Path(out), format)
    for field in fields(ExportConfig):
        value = getattr(config, field.name)
        if value != field.default and field.name not in (*BEFORE, *chosen.reads):
            flag = field.name if value is not False else f"no-{field.name}"
            raise IdfError(f"The format `{name}` does not read --{flag}", f"{value!r}",
                           "leave it out")
    opened = opened.trimmed(config)
    for line in opened.report:
        reporter.note(line)
    return formats.export(opened, out, name, config, reporter)


def express(run: Path, out: Path, values: tuple[str, ...] = (), resolution: int | None = None
            ) -> Path:
    """Write an avatar at an expression of your own.

    Args:
        run: folder of an avatar.
        out: .png or .jpg for a picture, .ply for a model frozen at that expression.
        values: by name, such as jawOpen=0.6 eyeBlink=1; none: the neutral face.
        resolution: longer side of the picture in pixels; default: as it was trained.
    """
    return write_expression(run, out, parse_values(values), resolution)
