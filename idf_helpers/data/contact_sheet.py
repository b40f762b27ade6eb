"""Contact sheets: many pictures in one, for looking at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .lettering import text_block, text_width
from .media import over, resize_area, to_uint8

# A gray that neither glares on a black page nor stands out on a white one, light and dark hair both
# show on it, and white text has a contrast of 5:1.
PAPER = (106, 109, 116)
INK = (255, 255, 255)
BACKGROUND = (PAPER[0] / 255, PAPER[1] / 255, PAPER[2] / 255)
LETTERS = 13  # size of the font, pixels; smaller on small cells
WIDEST_LABEL = 110  # pixels
HELD_OUT_ROWS = ("picture", "render")


def contact_sheet(pictures: Sequence[np.ndarray], columns: int | None = None, cell: int = 160,
                  captions: Sequence[str] | None = None, background=BACKGROUND,
                  rows: Sequence[str] | None = None) -> np.ndarray:
    """Return uint8 (H, W, 3): the pictures (uint8 RGB(A) or float [0, 1]) in rows, each `cell`
    pixels wide, transparent ones over `background`.

    captions: one for each picture, above it. rows: one for each row, to its left. Both are wrapped
    where they are too long, never cut.
    """
    pictures = [_cell(picture, cell, background) for picture in pictures]
    columns = columns or min(len(pictures), max(1, math.ceil(math.sqrt(len(pictures) * 1.6))))
    size = max(9, min(LETTERS, cell // 8))
    tops = [text_block(c, cell, size, INK, PAPER) if c else _blank(0, cell)
            for c in captions or [""] * len(pictures)]
    same = max(len(p) for p in pictures)
    lines, heads = [], []
    for start in range(0, len(pictures), columns):
        here = slice(start, start + columns)
        head = max(len(top) for top in tops[here])
        line = [_down(_up(top, head), picture, _blank(same - len(picture), cell))
                for top, picture in zip(tops[here], pictures[here], strict=True)]
        line += [_blank(head + same, cell)] * (columns - len(line))
        lines.append(np.concatenate(line, axis=1))
        heads.append(head)
    if rows is not None:
        width = min(WIDEST_LABEL, max(text_width(r, size) for r in rows) + 10)
        labels = [text_block(r, width, size, INK, PAPER) for r in rows]
        lines = [_labeled(label, line, head)
                 for label, line, head in zip(labels, lines, heads, strict=True)]
    return np.concatenate(lines)


def before_after(before: Sequence[np.ndarray], after: Sequence[np.ndarray], cell: int = 160,
                 captions: Sequence[str] | None = None,
                 rows: tuple[str, str] = ("before", "after")) -> np.ndarray:
    """Return two rows: the pictures before, and below them the same after."""
    pictures = [*before, *after]
    captions = [*captions, *[""] * len(list(after))] if captions else None
    return contact_sheet(pictures, columns=len(list(before)), cell=cell, captions=captions,
                         rows=rows)


def titled(picture: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """Return a picture below titles that share its width equally: uint8 (H', W, 3)."""
    width = picture.shape[1]
    edges = [round(k * width / len(titles)) for k in range(len(titles) + 1)]
    bars = [text_block(t, b - a, LETTERS, INK, PAPER)
            for t, a, b in zip(titles, edges, edges[1:], strict=False)]
    head = max(len(bar) for bar in bars)
    return _down(np.concatenate([_up(bar, head) for bar in bars], axis=1), to_uint8(picture))


def _cell(picture: np.ndarray, width: int, background) -> np.ndarray:
    picture = to_uint8(picture)
    height = max(1, round(width * picture.shape[0] / picture.shape[1]))
    return to_uint8(over(resize_area(picture, width, height), background))


def _labeled(label: np.ndarray, line: np.ndarray, head: int) -> np.ndarray:
    """Return a row with its label to the left of it, at the middle of the pictures below `head`."""
    if len(label) > len(line):
        line = _down(line, _blank(len(label) - len(line), line.shape[1]))
    above = min(head + max(0, len(line) - head - len(label)) // 2, len(line) - len(label))
    side = _down(_blank(above, label.shape[1]), label,
                 _blank(len(line) - above - len(label), label.shape[1]))
    return np.concatenate([side, line], axis=1)


def _up(picture: np.ndarray, height: int) -> np.ndarray:
    return _down(_blank(height - len(picture), picture.shape[1]), picture)


def _down(*pictures: np.ndarray) -> np.ndarray:
    return np.concatenate(pictures)


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)
