"""Zstandard streams of `.spz`, never unpacked beyond the size that is expected."""

from __future__ import annotations

import io
from pathlib import Path

import zstandard

from .splat_model import damaged

LEVEL = 9
MOST_WINDOW = 1 << 27  # bytes that a stream may make the decoder keep behind


def packed(array) -> bytes:
    """Return the bytes of an array, compressed."""
    return zstandard.ZstdCompressor(LEVEL).compress(memoryview(array).cast("B"))


def unpacked(data: bytes, size: int, path: Path) -> bytes:
    """Return exactly `size` bytes; never unpacks more. IdfError where there are more or fewer."""
    decoder = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW)
    try:
        with decoder.stream_reader(io.BytesIO(data)) as stream:
            out = stream.read(size)
            more = stream.read(1)
    except zstandard.ZstdError as error:
        raise damaged(path, ".spz", str(error)) from None
    if len(out) != size or more:
        raise damaged(path, ".spz", f"a stream of {'more' if more else len(out)} bytes, {size} "
                                    "expected")
    return out
