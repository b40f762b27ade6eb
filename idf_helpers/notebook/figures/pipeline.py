"""The whole pipeline as one picture, the same in every notebook, with "you are here"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...data.lettering import LEADING, fitted, font, text_width
from ...errors import IdfError
from ..widgets import png

WIDTH, HEIGHT, ZOOM = 960, 300, 2  # of the drawing, and pixels for each of its units
CARD, LINE, TEXT, DATA = (36, 39, 46), (150, 156, 168), (238, 240, 244), (84, 90, 102)
HERE, ON_HERE = (255, 181, 71), (30, 30, 30)
LETTERS = 13


@dataclass(frozen=True)
class Box:
    """A notebook (with its number) or a piece of data. x, y: center. width: of it, height 44."""

    text: str
    x: int
    y: int
    width: int = 128
    height: int = 44


BOXES = {
    "photo": Box("photo of a face", 80, 60),
    "views": Box("views of a head", 80, 150),
    "talk": Box("video of someone talking", 80, 240),
    "01": Box("01 swap the face", 268, 150),
    "new views": Box("views with the new face", 460, 105),
    "new frames": Box("frames with the new face", 460, 240),
    "05": Box("05 restyle", 460, 38),
    "02": Box("02 Gaussian splats", 660, 70),
    "03": Box("03 radiance field", 660, 140),
    "04": Box("04 avatar", 660, 240),
    "head": Box("a 3D head to turn", 864, 105),
    "face": Box("a face to move with sliders", 864, 240),
}
ARROWS = (("photo", "01"), ("views", "01"), ("talk", "01"), ("01", "new views"),
          ("01", "new frames"), ("new views", "02"), ("new views", "03"), ("new frames", "04"),
          ("02", "head"), ("03", "head"), ("04", "face"), ("05", "new views"))
NOTEBOOKS = ("01", "02", "03", "04", "05")
LOOP = ("02", "05")  # the views are rendered again and restyled again


def pipeline(here: str):
    """Show the pipeline; the notebook `here` ("01" … "05") stands out. An IPython Image."""
    from IPython.display import Image

    return Image(data=png(pipeline_picture(here)), width=WIDTH)


def pipeline_picture(here: str) -> np.ndarray:
    """Return the same as (600, 1920, 3) uint8. IdfError: no such notebook."""
    from PIL import Image, ImageDraw

    if here not in NOTEBOOKS:
        raise IdfError("There is no such notebook in the pipeline", repr(here),
                       f"use one of: {', '.join(NOTEBOOKS)}")
    picture = Image.new("RGB", (WIDTH * ZOOM, HEIGHT * ZOOM), CARD)
    draw = ImageDraw.Draw(picture)
    for a, b in ARROWS:
        _arrow(draw, *_ends(BOXES[a], BOXES[b]))
    _arrow(draw, (BOXES["02"].x, BOXES["02"].y - 22), (BOXES["02"].x, BOXES["05"].y),
           (BOXES["05"].x + 64, BOXES["05"].y))
    for name, box in BOXES.items():
        _box(draw, box, name in NOTEBOOKS, name == here)
    box = BOXES[here]
    _text(draw, "▲ you are here", box.x, box.y + box.height // 2 + 13, 140, HERE)
    return np.array(picture)


def _ends(a: Box, b: Box) -> tuple[tuple[int, int], tuple[int, int]]:
    if a.x == b.x:  # straight down
        return (a.x, a.y + a.height // 2), (b.x, b.y - b.height // 2)
    return (a.x + a.width // 2, a.y), (b.x - b.width // 2, b.y)


def _arrow(draw, *points: tuple[int, int]) -> None:
    z = [(x * ZOOM, y * ZOOM) for x, y in points]
    draw.line(z, LINE, 2 * ZOOM, joint="curve")
    tip, before = np.array(z[-1], float), np.array(z[-2], float)
    along = (tip - before) / np.linalg.norm(tip - before) * 9 * ZOOM
    across = 0.45 * np.array([-along[1], along[0]])
    draw.polygon([tuple(tip), tuple(tip - along + across), tuple(tip - along - across)], LINE)


def _box(draw, box: Box, notebook: bool, here: bool) -> None:
    x, y, w, h = (v * ZOOM for v in (box.x, box.y, box.width, box.height))
    fill = HERE if here else CARD if notebook else DATA
    draw.rounded_rectangle((x - w // 2, y - h // 2, x + w // 2, y + h // 2),
                           (8 if notebook else 22) * ZOOM, fill, HERE if here else LINE,
                           2 * ZOOM if notebook else 0)
    _text(draw, box.text, box.x, box.y, box.width - 12, ON_HERE if here else TEXT)


def _text(draw, text: str, x: int, y: int, width: int, color) -> None:
    """Write a text centered at (x, y), in lines that fit."""
    lines, size = fitted(text, width * ZOOM, LETTERS * ZOOM)
    step = size * LEADING
    top = y * ZOOM - step * len(lines) / 2
    for k, line in enumerate(lines):
        draw.text((x * ZOOM - text_width(line, size) / 2, top + k * step), line, font=font(size),
                  fill=color)
