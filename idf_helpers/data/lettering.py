"""Text in pictures: a real font, lines that fit a width, nothing cut off."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

SMALLEST = 7  # pixels; a word that is too wide even then is split
LEADING = 1.3  # height of a line, of the font's size


@lru_cache
def font(size: int):
    """Return DejaVu Sans, which matplotlib brings along, at `size` pixels (a Pillow font)."""
    from PIL import ImageFont

    matplotlib = importlib.util.find_spec("matplotlib")  # not imported: that takes a second
    assert matplotlib is not None and matplotlib.origin is not None  # a dependency of ours
    return ImageFont.truetype(
        Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def text_width(text: str, size: int) -> int:
    """Return the width of a line in pixels."""
    return int(np.ceil(font(size).getlength(text)))


def fitted(text: str, width: int, size: int) -> tuple[list[str], int]:
    """Return the lines of a text that is at most `width` pixels wide, and the size of its font:
    `size`, or less where a single word needs it."""
    words = [w for w in text.split(" ") if w]  # not at a no-break space
    while size > SMALLEST and any(text_width(w, size) > width for w in words):
        size -= 1
    lines: list[str] = []
    for word in words:
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and text_width(lines[-1] + letter, size) > width:
                lines.append("")
            lines[-1] += letter
    return lines, size


def text_block(text: str, width: int, size: int, ink, paper, pad: int = 4) -> np.ndarray:
    """Return a text as a picture, uint8 (H, width, 3), as high as its lines need.

    ink, paper: RGB, 0 to 255. pad: pixels on every side. An empty text is `2 * pad` high.
    """
    from PIL import Image, ImageDraw

    lines, size = fitted(text, width - 2 * pad, size)
    step = round(size * LEADING)
    picture = Image.new("RGB", (width, len(lines) * step + 2 * pad), tuple(paper))
    draw = ImageDraw.Draw(picture)
    for k, line in enumerate(lines):
        draw.text((pad, pad + k * step), line, font=font(size), fill=tuple(ink))
    return np.array(picture)


@lru_cache(512)
def text_mask(text: str, size: int) -> np.ndarray:
    """Return a line of text as uint8 (h, w), 255 where it is ink, without empty rows and columns at
    its rim."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = font(size).getbbox(text)
    mask = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font(size), fill=255)
    out = np.array(mask)
    out.setflags(write=False)
    return out


def write_on(picture: np.ndarray, text: str, x: int, y: int, size: int, ink) -> None:
    """Write a line onto a uint8 (H, W, 3) picture, its upper left corner at (x, y); what lies
    outside the picture is left out."""
    mask = text_mask(text, size)
    part = picture[max(0, y):max(0, y + mask.shape[0]), max(0, x):max(0, x + mask.shape[1])]
    share = mask[max(0, -y):, max(0, -x):][:part.shape[0], :part.shape[1], None] / 255
    part[:] = part * (1 - share) + np.array(ink) * share + 0.5
