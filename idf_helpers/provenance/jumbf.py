"""The parts of a C2PA manifest that no hash of it covers: as they are written, or not.

A manifest store is a tree of boxes (JUMBF, ISO 19566-5). Its hashes and signature cover what the
boxes say, but neither the boxes' own sizes and names nor the zeros that fill up the room kept for
the signature (COSE header `pad`, C2PA specification 2.4, 13.2). Somebody could change those unseen,
which harms nobody; but a file is either as it was signed or it is not.
"""

from __future__ import annotations

import re
import struct
import zlib

STORE = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"  # the type of the outermost box
NAMES = {b"c2pa": (b"c2pa",), b"c2as": (b"c2pa.assertions",),
         b"c2cl": (b"c2pa.claim", b"c2pa.claim.v2"), b"c2cs": (b"c2pa.signature",)}
MAX_DEPTH = 12
GIF_HEAD = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
JPEG_HEAD = b"JP" + struct.pack(">HI", 0x211, 1)  # box 0x211, in one segment (ISO 19566-5, D.2)


def is_as_written(data: bytes, suffix: str) -> bool:
    """Return whether the manifest stores in a file's bytes have no byte that could be another.

    suffix: of the file; "" where the bytes are a manifest store itself. False too where there is
    none. One with boxes of another program's making may be valid and not pass.
    """
    if suffix == ".gif":
        data, suffix = _joined(data), ""
    found = [m.start() - 12 for m in re.finditer(b"jumd" + re.escape(STORE), data)]
    if not found or found[0] < 0:
        return False
    try:
        end = _box(data, found[0], 0)
    except (struct.error, ValueError, IndexError):
        return False
    if suffix == ".png":  # the chunk's own checksum
        size, = struct.unpack_from(">I", data, found[0] - 8)
        return size == end - found[0] and data[end:end + 4] == struct.pack(
            ">I", zlib.crc32(data[found[0] - 4:end]))
    if suffix in (".jpg", ".jpeg"):
        return data[found[0] - 12:found[0] - 8] == b"\xff\xeb" + struct.pack(
            ">H", end - found[0] + 10) and data[found[0] - 8:found[0]] == JPEG_HEAD
    if suffix == ".mp4":  # version and flags, purpose, no Merkle tree (C2PA 2.4, A.5.1)
        return data[found[0] - 21:found[0]] == bytes(4) + b"manifest\0" + bytes(8)
    return suffix != "" or (found[0] == 0 and end == len(data))


def _joined(gif: bytes) -> bytes:
    """Return the manifest store of a GIF, which stands in blocks of 255 bytes (C2PA 2.4, A.3.4)."""
    at, parts = gif.find(GIF_HEAD) + len(GIF_HEAD), []
    while len(GIF_HEAD) <= at < len(gif) and (size := gif[at]):
        parts.append(gif[at + 1:at + 1 + size])
        at += 1 + size
    return b"".join(parts)


def _box(data: bytes, at: int, depth: int) -> int:
    """Return where a box ends; ValueError where it is not as we write it."""
    size, kind = struct.unpack_from(">I4s", data, at)
    end = at + size
    if size < 8 or end > len(data) or depth > MAX_DEPTH:
        raise ValueError("a size")
    if kind != b"jumb":
        return end
    inner = at + 8
    size, kind = struct.unpack_from(">I4s", data, inner)
    name, _, rest = data[inner + 25:inner + size].partition(b"\0")
    of = data[inner + 8:inner + 12]
    if kind != b"jumd" or data[inner + 24] & 3 != 3 or name not in NAMES.get(of, (name,)):
        raise ValueError("a name")
    inner += size
    if of == b"c2cs":
        _signature(data[inner + 8:end])
    while inner < end:
        inner = _box(data, inner, depth + 1)
    if inner != end:
        raise ValueError("a size")
    return end


def _signature(cose: bytes) -> None:
    """Check the room that is left: all zeros, and no payload (CBOR null) between it and the
    signature."""
    at = cose.find(b"cpadY")
    if at < 0:
        raise ValueError("no room")
    size, = struct.unpack_from(">H", cose, at + 5)
    begin = at + 7
    if cose[begin:begin + size].strip(b"\0") or cose[begin + size:begin + size + 1] != b"\xf6":
        raise ValueError("the room is not empty")
