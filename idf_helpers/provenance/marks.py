"""Marks: what an exported file says about its own origin, for machines and for eyes.

`marked(path, Mark(...))` surrounds the writing of every exported picture, video, page and model.
The file gets its mark, and where it has one its signed credentials (`credentials`), under a
temporary name; what has to lie beside it is written next; only then does the file appear. An
imperceptible watermark changes pixels, so it and the visible `label` come before encoding.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..data.lettering import SMALLEST, text_mask, write_on
from ..data.media import to_uint8
from ..errors import IdfError
from ..runtime.files import atomic_write, sha256_file, write_bytes, write_json
from . import credentials
from .inside import marked_bytes, put_inside
from .mark_line import IPTC, SOURCE_TYPES, Mark, parse

__all__ = ["IPTC", "LABEL", "SOURCE_TYPES", "Mark", "label", "mark", "mark_picture_bytes", "marked",
           "parse"]

LABEL = "SYNTHETIC"
CAPITALS = 0.73  # height of the font's capitals, of its size
BESIDE = ".provenance.json"


# --- files ----------------------------------------------------------------------------------------

def mark(path, what: Mark, sign: bool = True) -> Path:
    """Write the mark into the file at `path`, or beside it where it has no place for one.

    sign: with signed credentials; frames of a dataset, which are many, go without. Returns the
    path. IdfError: unknown source type, or a file that is not what its suffix says.
    """
    path = Path(path)
    _check(what)
    if not path.is_file():
        raise IdfError(f"{path} does not exist", "no such file", "write it before it is marked")
    _put(path, path, what, sign)
    return path


@contextlib.contextmanager
def marked(path, what: Mark):
    """Yield a temporary path to write the file to; mark it, and only then put it in place, so
    that no file is seen without its mark. What lies beside it is there before it is."""
    path = Path(path)
    _check(what)
    try:
        with atomic_write(path) as temporary:
            yield temporary
            beside = _put(path, temporary, what, True)
        for suffix in (BESIDE, credentials.BESIDE):  # of an earlier file of this name
            old = path.with_name(path.name + suffix)
            if old not in beside and os.path.lexists(old):  # False for a name that is too long
                old.unlink(missing_ok=True)
    except BaseException:
        if not path.exists():  # nothing to tell about
            for suffix in (BESIDE, credentials.BESIDE):
                with contextlib.suppress(OSError):  # such as a name that is too long
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise


def _check(what: Mark) -> None:
    if what.source_type not in SOURCE_TYPES:
        raise IdfError(f"There is no digital source type `{what.source_type}`", what.source_type,
                       f"one of: {', '.join(SOURCE_TYPES)}")


def _put(path: Path, content: Path, what: Mark, sign: bool) -> list[Path]:
    """Mark and sign `content`, which is to stand at `path`; return what was written beside it."""
    beside = []
    if not put_inside(content, what):
        beside.append(path.with_name(path.name + BESIDE))
        write_json(beside[0], {"text": what.text(), "sha256": sha256_file(content),
                               **asdict(what)})
    if sign and (manifest := credentials.sign(path, content, what)):
        beside.append(path.with_name(path.name + credentials.BESIDE))
        write_bytes(beside[-1], manifest)
    return beside


def mark_picture_bytes(data: bytes, suffix: str, what: Mark) -> bytes:
    """Return encoded PNG or JPEG bytes with the mark in them (pixels untouched)."""
    if suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise IdfError(f"Pictures are not marked as `{suffix}`", suffix, "use .png or .jpg")
    return marked_bytes(data, suffix.lower(), what, "the picture")


# --- pictures -------------------------------------------------------------------------------------

def label(image: np.ndarray, text: str = LABEL) -> np.ndarray:
    """Return a copy of a uint8 or float (H, W, 3) picture with the visible label in its upper left
    corner, where no player's controls hide it.

    Light text on a dark plate (contrast above 4.5:1 on any picture), at least 3 % of the height;
    smaller on a picture that is too narrow for it.
    """
    out = to_uint8(image)[..., :3].copy()
    h, w = out.shape[:2]
    height = max(8, round(0.04 * h))  # of the capitals, pixels
    pad = max(3, round(0.6 * height))
    size = round(height / CAPITALS)
    while size > SMALLEST and text_mask(text, size).shape[1] + 3 * pad > w:
        size -= 1
    th, tw = text_mask(text, size).shape
    box = out[pad:pad + th + 2 * pad, pad:pad + tw + 2 * pad]
    box[:] = (box * 0.25 + 12).astype(np.uint8)  # darkest-safe plate: at most 76 of 255
    write_on(out, text, 2 * pad, 2 * pad, size, (245, 245, 245))
    return out
