"""Zstandard: the standard library's module, on Python below 3.14 its backport (`backports.zstd`,
PSF license, 0.5 MB)."""

from __future__ import annotations

import sys
from pathlib import Path

from .splat_model import damaged

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 9
WINDOW_LOG = 27  # no stream makes the decoder keep more than 128 MB behind


def packed(array) -> bytes:
    """Return the bytes of an array, compressed."""
    return zstd.compress(memoryview(array).cast("B"), LEVEL)


def unpacked(data: bytes, size: int, path: Path) -> bytes:
    """Return exactly `size` bytes; never unpacks more. IdfError where there are more or fewer."""
    options = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
    decoder = zstd.ZstdDecompressor(options=options)
    try:
        out = decoder.decompress(data, max_length=size)
        while len(out) < size and not decoder.eof:
            more = decoder.decompress(b"", max_length=size - len(out))
            if not more:
                break
            out += more
    except zstd.ZstdError as error:
        raise damaged(path, ".spz", str(error)) from None
    if len(out) != size:
        raise damaged(path, ".spz", f"a stream of {len(out)} bytes, {size} expected")
    return out
