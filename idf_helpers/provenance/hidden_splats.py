"""A mark inside a `.splat`, which has no header: rows at its end that no viewer shows.

Such a row is a Gaussian of opacity 0 at the place of the first one, so that neither the picture nor
the bounds of the scene change; its color and three of its four rotation bytes hold six bytes of
text. The text stands behind a magic word and its length, and before its CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
TINY = np.float32(1e-6)  # the size of a row that holds text
A_ROW = 6  # bytes of text
MAGIC = b"idfmark\x01"
MAX_ROWS = 512


def rows_of(text: str, mean) -> bytes:
    """Return the rows that hold `text`. mean: (3,) of the first Gaussian."""
    data = text.encode()[:MAX_ROWS * A_ROW - 32]
    body = MAGIC + struct.pack("<H", len(data)) + data + struct.pack("<I", zlib.crc32(data))
    body += b"\0" * (-len(body) % A_ROW)
    cells = np.frombuffer(body, np.uint8).reshape(-1, A_ROW)
    rows = np.zeros(len(cells), ROW)
    rows["mean"], rows["scale"] = mean, TINY
    rows["rgba"][:, :3], rows["quat"][:, :3] = cells[:, :3], cells[:, 3:]
    rows["quat"][:, 3] = 255  # a rotation of length zero is none
    return rows.tobytes()


def hidden_rows(rows: np.ndarray) -> int:
    """Return how many rows at the end of an array of `ROW` hold a text; 0 where none do."""
    text = _text(rows[-MAX_ROWS:])
    return text[1] if text else 0


def read_text(f: BinaryIO) -> str:
    """Return the text hidden at the end of an open `.splat`, "" where there is none."""
    size = f.seek(0, 2)
    count = min(size // ROW.itemsize, MAX_ROWS)
    f.seek(size - count * ROW.itemsize)
    found = _text(np.frombuffer(f.read(count * ROW.itemsize), ROW))
    return found[0] if found else ""


def _text(rows: np.ndarray) -> tuple[str, int] | None:
    """Return the text and the number of its rows."""
    ours = (rows["rgba"][:, 3] == 0) & (rows["scale"] == TINY).all(axis=1) \
        & (rows["quat"][:, 3] == 255)
    count = len(rows) if ours.all() else int(np.argmin(ours[::-1]))
    rows = rows[len(rows) - count:]
    body = np.concatenate([rows["rgba"][:, :3], rows["quat"][:, :3]], axis=1).tobytes()
    at = body.rfind(MAGIC)
    if at < 0 or at % A_ROW or len(body) < at + len(MAGIC) + 6:
        return None
    start = at + len(MAGIC) + 2
    size, = struct.unpack_from("<H", body, start - 2)
    data = body[start:start + size]
    if body[start + size:start + size + 4] != struct.pack("<I", zlib.crc32(data)):
        return None
    return data.decode("utf-8", "replace"), count - at // A_ROW
