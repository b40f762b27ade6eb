"""Animations as short videos: GIF, APNG, animated WebP and AVIF, frame by frame, with alpha and how
long each frame is shown.

Pillow composes the frames (disposal, blending) as browsers do; ffmpeg reads WebP only since 8.1.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from ..errors import IdfError
from ..runtime.files import atomic_write
from .ffmpeg import EXACT, Feed, raw_input
from .kinds import kind_of
from .picture_file import as_array, opened

MAX_FRAMES = 10_000
MOST = 128_000_000  # pixels of all frames together: Pillow keeps those it writes in memory
UNSAID = 100  # ms that browsers show a frame of which the file says 10 or less
SUFFIXES = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "AVIF": ".webp"}


def is_animation(path) -> bool:
    """Whether a file is an animation of two frames or more, by its content."""
    if kind_of(path) != "animation":
        return False
    try:
        return len(animation_info(path)[3]) > 1
    except IdfError:
        return False  # as a picture it says what is wrong with it


def animation_info(path) -> tuple[str, int, int, tuple[int, ...]]:
    """Return (Pillow's name of the format, width, height, milliseconds of each frame). IdfError:
    damaged, or more than MAX_FRAMES."""
    known = os.stat(path)
    return _info(os.fspath(path), known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=64)
def _info(path: str, _size: int, _when: int) -> tuple[str, int, int, tuple[int, ...]]:
    with opened(path, "animation") as image:
        kind, size, count = image.format, image.size, getattr(image, "n_frames", 1)
        if count > MAX_FRAMES:
            raise IdfError(f"The animation {path} is too long", f"{count} frames",
                           f"cut it to {MAX_FRAMES} frames")
        durations = []
        for k in range(_first(image), count):
            image.seek(k)
            if kind in ("WEBP", "AVIF"):
                image.load()  # these tell it only then
            shown = image.info.get("duration", 0) or 0
            durations.append(round(shown) if shown > 10 else UNSAID)
    return kind, *size, tuple(durations)


def _first(image) -> int:
    """Return 1 for an APNG whose first picture is only for those who cannot show it move."""
    return int(bool(getattr(image, "default_image", False)) and image.n_frames > 1)


def read_animation(path) -> Iterator[np.ndarray]:
    """Yield uint8 (H, W, 4) frames, one at a time: sRGB with alpha, not premultiplied."""
    with opened(path, "animation") as image:
        for k in range(_first(image), getattr(image, "n_frames", 1)):
            image.seek(k)
            image.load()
            frame = as_array(image)
            if frame.shape[2] == 3:
                frame = np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])
            yield frame


def loops(path) -> int:
    """Return how often it is shown, 0 = without end."""
    with opened(path, "animation") as image:
        return int(image.info.get("loop", 1 if image.format == "GIF" else 0))


def write_lossless(path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write (H, W, 3) uint8 frames as a Matroska file that holds each pixel as it is, atomically.

    fps: frames a second, even where the animation's own are uneven.
    """
    with atomic_write(path) as temporary, contextlib.ExitStack() as stack:
        feed = None
        for frame in frames:
            feed = feed or stack.enter_context(
                Feed([*raw_input(frame, fps), *EXACT, str(temporary)]))
            if not feed.write(np.ascontiguousarray(frame).tobytes()):
                break
        code, words = feed.finish() if feed else (1, "no frames")
        if code:
            raise IdfError("The frames of an animation could not be kept", words,
                           "check the free disk space")


def write_animation(path, frames: Iterable[np.ndarray], durations: Iterable[int], kind: str,
                    loop: int = 0, xmp: str = "") -> None:
    """Write (H, W, 4) uint8 frames; path: as it is, so give a temporary name.

    kind: GIF, PNG, WEBP (AVIF is written as WebP). loop: how often it is shown, 0 = without end.
    xmp: of a WebP. GIF: 256 colors a frame, and alpha is either all or nothing.
    """
    from PIL import Image

    pictures = (Image.fromarray(f) for f in frames)
    first = next(pictures)
    options: dict = {"save_all": True, "append_images": pictures, "loop": loop,
                     "duration": list(durations)}
    if kind == "GIF":
        options |= {"disposal": 2}
        if loop == 1:
            del options["loop"]
    elif kind == "PNG":
        options |= {"disposal": 0, "blend": 0, "append_images": list(pictures)}
    else:
        kind, options = "WEBP", options | {"lossless": True, "exact": True, "quality": 20,
                                           "xmp": xmp.encode()}
    first.save(path, kind, **options)
