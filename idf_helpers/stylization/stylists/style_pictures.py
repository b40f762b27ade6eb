"""What `--style` names: pictures with weights, by path or bundled, or numbers of fixed styles."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data import samples
from ...data.media import read_image
from ...errors import IdfError
from ..surface import nearest_fill

FIXED = 26  # styles of the network that takes no picture
SMALLEST = 64  # pixels of a style picture's shorter side: less is a blur in the network's 256
BUNDLED = ("swirls", "ink")  # painted for this project, beside the bundled heads
MOST = 1e6  # of a weight: their sum stays a number
SEEN = 0.5  # alpha from which a pixel of a style picture counts


@dataclass(frozen=True)
class Style:
    """One style. file: its picture; None where it is fixed number `number`. weight: its share, all
    sum to 1."""

    file: Path | None
    number: int
    weight: float

    @property
    def name(self) -> str:
        return str(self.number) if self.file is None else self.file.name


def parse(words: Sequence[str]) -> tuple[Style, ...]:
    """Return styles from NAME[:WEIGHT], a picture's path, a bundled one or a number from 0 to 25.

    IdfError: none at all, no such number, a weight that is not above 0, pictures beside numbers.
    """
    wanted = (f"give --style with a picture, one of {', '.join(BUNDLED)}, or a number from 0 to "
              f"{FIXED - 1}; NAME:WEIGHT for several")
    if not words:
        raise IdfError("The stylist `neural` needs a style", "no style", wanted)
    found = []
    for word in map(str, words):
        name, _, weight = word.rpartition(":")
        try:
            name, share = (name, float(weight)) if name else (word, 1.0)
        except ValueError:  # a colon of the path
            name, share = word, 1.0
        if not 0 < share <= MOST:
            raise IdfError(f"The weight of the style {name} is out of range", word,
                           f"leave it out, or give it a weight above 0, at most {MOST:g}")
        number = int(name) if re.fullmatch(r"-?\d{1,9}", name) else None
        if number is not None and not 0 <= number < FIXED:
            raise IdfError("There is no such fixed style", name, wanted)
        found.append(Style(_file(name) if number is None else None, number or 0, share))
    if len({s.file is None for s in found}) > 1:
        raise IdfError("Pictures and numbers do not mix: two networks paint them",
                       " ".join(words), "give pictures only, or numbers only")
    total = sum(s.weight for s in found)
    return tuple(Style(s.file, s.number, s.weight / total) for s in found)


def _file(name: str) -> Path:
    path = Path(os.path.expanduser(name))  # Path's own raises where there is no such user
    return samples.style(name) if name in BUNDLED and not path.exists() else path


def read(path: Path, side: int) -> np.ndarray:
    """Return the middle square of a style picture, (side, side, 3) float32 in [0, 1].

    What is transparent takes the color beside it. IdfError: no picture, a tiny one, one that shows
    nothing.
    """
    import cv2

    image = read_image(path, "style picture")
    if image.shape[2] == 4:
        seen = image[..., 3] >= SEEN * 255
        if not seen.any():
            raise IdfError(f"The style picture {path} shows nothing", "all of it is transparent",
                           "give a picture with colors")
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        box = np.s_[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        image = nearest_fill(image[box][..., :3], seen[box])
    h, w = image.shape[:2]
    if min(h, w) < SMALLEST:
        raise IdfError(f"The style picture {path} is too small to show a style", f"{w}x{h} pixels",
                       f"give one of at least {SMALLEST}x{SMALLEST}, better {side}x{side} or more")
    n = min(h, w)
    y, x = (h - n) // 2, (w - n) // 2
    square = cv2.resize(np.ascontiguousarray(image[y:y + n, x:x + n]), (side, side),
                        interpolation=cv2.INTER_AREA if n >= side else cv2.INTER_CUBIC)
    return square.astype(np.float32) / 255
