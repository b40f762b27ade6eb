"""The whole pipeline as one picture, the same in every notebook, with "you are here"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...data import samples
from ...data.lettering import LEADING, fitted, font, text_width
from ...data.media import encode_image, over, read_image, resize_area, to_uint8
from ...errors import IdfError

WIDTH, HEIGHT, ZOOM = 960, 300, 2  # of the drawing, and pixels for each of its units
CARD, LINE, TEXT, DATA = (36, 39, 46), (150, 156, 168), (238, 240, 244), (84, 90, 102)
HERE, ON_HERE = (255, 181, 71), (30, 30, 30)
LETTERS = 13
FACE, STEP = 54, 20  # size of a small picture, and from one to the next
# Pictures of the bundled heads, read one by one: opening the datasets would take seconds.
VIEWS, TALK = ("r_52", "r_11", "r_80"), ("f_0100", "f_0020")


@dataclass(frozen=True)
class Box:
    """A notebook (with its number) or a piece of data. x, y: center. faces: pictures in it, left of
    the text."""

    text: str
    x: int
    y: int
    width: int = 128
    height: int = 44
    faces: int = 0

    @property
    def aside(self) -> int:
        """Width that the pictures take."""
        return FACE + (self.faces - 1) * STEP + 6 if self.faces else 0


BOXES = {
    "photo": Box("photo of a face", 112, 60, 196, 66, 1),
    "views": Box("views of a head", 112, 150, 196, 66, 3),
    "talk": Box("video of someone talking", 112, 240, 196, 66, 2),
    "01": Box("01 swap the face", 318, 150),
    "new views": Box("views with the new face", 498, 105),
    "new frames": Box("frames with the new face", 498, 240),
    "05": Box("05 restyle", 498, 38),
    "02": Box("02 Gaussian splats", 682, 70),
    "03": Box("03 radiance field", 682, 140),
    "04": Box("04 avatar", 682, 240),
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

    return Image(data=encode_image(pipeline_picture(here), ".png"), width=WIDTH)


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
    faces = _faces()
    for name, box in BOXES.items():
        _box(draw, box, name in NOTEBOOKS, name == here)
        for k in range(box.faces):
            _paste(picture, faces[name][k], box.x - box.width // 2 + 6 + k * STEP,
                   box.y - FACE // 2)
    box = BOXES[here]
    if any(a == here and BOXES[b].x == box.x for a, b in ARROWS):  # an arrow goes down from it
        _text(draw, "you are here ▶", box.x - box.width // 2 - 60, box.y, 140, HERE)
    else:
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
                           (8 if notebook else 16) * ZOOM, fill, HERE if here else LINE,
                           2 * ZOOM if notebook else 0)
    _text(draw, box.text, box.x + box.aside // 2, box.y, box.width - 12 - box.aside,
          ON_HERE if here else TEXT)


@lru_cache
def _faces() -> dict[str, list[np.ndarray]]:
    """Return the bundled inputs as small pictures: (size, size, 3) uint8, by the names of boxes."""
    found = {"photo": [read_image(samples.photo("B"))]}
    for box, name, frames in (("views", "head_multiview", VIEWS), ("talk", "head_talking", TALK)):
        found[box] = [read_image(samples.path(name) / "train" / f"{f}.png") for f in frames]
    size, behind = FACE * ZOOM, np.array(DATA) / 255
    return {name: [to_uint8(over(resize_area(_middle(p), size, size), behind)) for p in pictures]
            for name, pictures in found.items()}


def _middle(picture: np.ndarray) -> np.ndarray:
    """Return the square in the middle, a little less than the picture's shorter side."""
    h, w = picture.shape[:2]
    half = round(0.44 * min(h, w))
    return picture[h // 2 - half:h // 2 + half, w // 2 - half:w // 2 + half]


def _paste(picture, face: np.ndarray, x: int, y: int) -> None:
    """Put a small picture with round corners at (x, y)."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", face.shape[1::-1])
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *mask.size), 10 * ZOOM, 255)
    picture.paste(Image.fromarray(face), (x * ZOOM, y * ZOOM), mask)


def _text(draw, text: str, x: int, y: int, width: int, color) -> None:
    """Write a text centered at (x, y), in lines that fit."""
    lines, size = fitted(text, width * ZOOM, LETTERS * ZOOM)
    step = size * LEADING
    top = y * ZOOM - step * len(lines) / 2
    for k, line in enumerate(lines):
        draw.text((x * ZOOM - text_width(line, size) / 2, top + k * step), line, font=font(size),
                  fill=color)
