"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import IdfError
from .files import temporary_beside, write_error


@contextlib.contextmanager
def whole_folder(out: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out` when the block ends without an exception, and is
    deleted otherwise. IdfError: `out` is there and not an empty folder, or cannot be written."""
    out = Path(out)
    part = temporary_beside(out)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise IdfError(f"{out} is not an empty folder", "something is there",
                           "choose another --out, or remove it first")
        part.mkdir(parents=True)
        yield part
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
