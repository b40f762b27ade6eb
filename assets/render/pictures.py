"""What happens to a rendered picture before it is a sample: background, PNG, atomic replace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from idf_helpers.runtime.files import atomic_write


def over(rgba: np.ndarray, background) -> np.ndarray:
    """(H, W, 4) uint8 straight alpha over a color (3,) or picture (H, W, 3) -> (H, W, 3) uint8.

    c = a f + (1 - a) b, in sRGB values, as a compositing browser or Pillow does.
    """
    a = rgba[..., 3:].astype(np.float64) / 255
    b = np.broadcast_to(np.asarray(background, np.float64), rgba[..., :3].shape)
    return np.round(a * rgba[..., :3] + (1 - a) * b).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> None:
    """Optimized PNG, written whole or not at all."""
    with atomic_write(path) as part:
        Image.fromarray(picture).save(part, "PNG", optimize=True)


def room(size: int) -> np.ndarray:
    """(size, size, 3) uint8: a blurred wall with a shelf and a picture, behind a talking head."""
    big = 4 * size

    def box(left, top, right, bottom):
        return [round(x * big) for x in (left, top, right, bottom)]

    wall = np.linspace(0, 1, big)[:, None, None]
    wall = (1 - wall) * np.array([166, 176, 192.0]) + wall * np.array([140, 150, 166.0])
    image = Image.fromarray(np.broadcast_to(wall, (big, big, 3)).astype(np.uint8))
    d = ImageDraw.Draw(image)
    d.rectangle(box(0, 0, 0.16, 1), fill=(120, 104, 92))
    d.rectangle(box(0, 0.335, 0.16, 0.35), fill=(84, 72, 64))
    books = [(110, 90, 84), (124, 70, 66), (86, 116, 104), (168, 142, 74), (96, 104, 140),
             (130, 72, 70)]
    for k, color in enumerate(books):
        d.rectangle(box(0.01 + 0.025 * k, 0.12, 0.034 + 0.025 * k, 0.335), fill=color)
    d.rectangle(box(0.74, 0.10, 0.95, 0.40), fill=(220, 222, 216))
    d.rectangle(box(0.765, 0.125, 0.925, 0.375), fill=(128, 150, 150))
    image = image.filter(ImageFilter.GaussianBlur(0.006 * big))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
