"""Contact sheets: many pictures in one, for looking at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .media import over, resize_area, to_uint8


def contact_sheet(pictures: Sequence[np.ndarray], columns: int | None = None, cell: int = 160,
                  captions: Sequence[str] | None = None, background=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Return uint8 (H, W, 3): the pictures (uint8 RGB(A) or float [0, 1]) in rows, each `cell`
    pixels wide, transparent ones over `background`, captions above them."""
    import cv2

    pictures = list(pictures)
    columns = columns or min(len(pictures), max(1, math.ceil(math.sqrt(len(pictures) * 1.6))))
    top = 16 if captions else 0
    cells = []
    for i, picture in enumerate(pictures):
        picture = to_uint8(picture)
        h = max(1, round(cell * picture.shape[0] / picture.shape[1]))
        rgb = to_uint8(over(resize_area(picture, cell, h), background))
        if captions:
            bar = np.full((top, cell, 3), 255, np.uint8)
            cv2.putText(bar, captions[i][:cell // 6], (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38,
                        (40, 40, 40), 1, cv2.LINE_AA)
            rgb = np.concatenate([bar, rgb])
        cells.append(rgb)
    height = max(c.shape[0] for c in cells)
    blank = np.full((height, cell, 3), 255, np.uint8)
    padded = [np.concatenate([c, blank[:height - len(c)]]) for c in cells]
    padded += [blank] * (-len(padded) % columns)
    rows = [np.concatenate(padded[i:i + columns], axis=1) for i in range(0, len(padded), columns)]
    return np.concatenate(rows)


def before_after(before: Sequence[np.ndarray], after: Sequence[np.ndarray], cell: int = 160,
                 captions: Sequence[str] | None = None) -> np.ndarray:
    """Return two rows: the pictures before, and below them the same after."""
    pictures = [*before, *after]
    captions = [*captions, *[""] * len(list(after))] if captions else None
    return contact_sheet(pictures, columns=len(list(before)), cell=cell, captions=captions)
