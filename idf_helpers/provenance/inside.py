"""Marks inside files: the text of a mark goes into a finished file, which is not encoded again.

What a format has a place for: XMP and a text chunk in PNG, XMP and a comment in JPEG, the comment
and description of an MP4, comment lines of a PLY, the asset of a GLB, meta tags of a page, the
comment of an .npz or .sog (ZIP archives), a record of a .spz; a .splat gets rows that nobody sees
(`hidden_splats`).
"""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data.ffmpeg import QUIET, ffmpeg_executable
from ..errors import IdfError
from ..runtime.files import atomic_write, write_bytes
from .hidden_splats import ROW, hidden_rows, rows_of
from .mark_line import IPTC, SOFTWARE, Mark
from .reading import (
    KEY,
    MAX_HEAD,
    SPZ_HAS_RECORDS,
    SPZ_MARK,
    XMP_KEYWORD,
    XMP_NAMESPACE,
    spz_records,
)

SCRIPT, SCRIPT_END = b'<script type="application/c2pa">', b"</script>"  # C2PA 2.4, A.7
GLB_MAGIC, GLB_JSON = 0x46546C67, 0x4E4F534A  # "glTF", "JSON"


def put_inside(path: Path, what: Mark) -> bool:
    """Write a mark into a file; return whether its format has a place for one.

    IdfError: a file that is not what its suffix says.
    """
    suffix = path.suffix.lower()
    if suffix in _IN_BYTES:
        write_bytes(path, marked_bytes(path.read_bytes(), suffix, what, path))
    elif suffix in _IN_FILES:
        try:
            _IN_FILES[suffix](path, what)
        except (ValueError, KeyError, TypeError, RecursionError, struct.error, zipfile.BadZipFile,
                NotImplementedError):
            raise _other_content(path, suffix[1:].upper()) from None
    return suffix in _IN_BYTES or suffix in _IN_FILES


def marked_bytes(data: bytes, suffix: str, what: Mark, name) -> bytes:
    """Return a whole file's bytes with the mark in them. IdfError: another content."""
    kind, put_in = _IN_BYTES[suffix]
    try:
        return put_in(data, what)
    except (ValueError, KeyError, TypeError, RecursionError, struct.error):
        raise _other_content(name, kind) from None


def _other_content(name, kind: str) -> IdfError:
    return IdfError(f"{name} is not a {kind} file", "another content than its suffix says",
                    "give it the suffix of what it is")


def _png_with(data: bytes, what: Mark) -> bytes:
    if data[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        raise ValueError("not a PNG")
    chunks = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        keyword = data[at + 8:at + 8 + min(size, 80)].split(b"\0", 1)[0]
        ours = kind == b"iTXt" and keyword in (XMP_KEYWORD.encode(), KEY.encode())
        if not ours and kind != b"caBX":  # credentials do not outlive a change
            chunks.append(data[at:at + 12 + size])
        at += 12 + size
        if kind == b"IHDR":
            chunks.append(_itxt(XMP_KEYWORD, what.xmp()))
            chunks.append(_itxt(KEY, what.text()))
    return b"".join(chunks)


def _itxt(keyword: str, text: str) -> bytes:
    body = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _jpeg_with(data: bytes, what: Mark) -> bytes:
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG")
    key = KEY.encode()
    mine = _segment(b"\xe1", XMP_NAMESPACE + what.xmp().encode()) \
        + _segment(b"\xfe", key + b" " + what.text().encode())
    out, at, placed = [data[:2]], 2, False
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2:at + 4])[0]
        segment = data[at:at + 2 + size]
        if not placed and data[at + 1] != 0xE0:  # after JFIF's own segment
            out.append(mine)
            placed = True
        ours = data[at + 1] == 0xE1 and segment[4:].startswith(XMP_NAMESPACE) \
            or data[at + 1] == 0xFE and segment[4:].startswith(key) \
            or data[at + 1] == 0xEB and b"c2pa" in segment[:64]  # no credentials outlive a change
        if not ours:
            out.append(segment)
        at += 2 + max(size, 2)
    return b"".join([*out, *([] if placed else [mine]), data[at:]])


def _segment(kind: bytes, body: bytes) -> bytes:
    return b"\xff" + kind + struct.pack(">H", len(body) + 2) + body


def _gif_with(data: bytes, what: Mark) -> bytes:
    """Mark a GIF with XMP (XMP part 3, 1.1.2): an application extension right after the header and
    its color table, the packet as it is, and a trailer in which every reader of blocks ends."""
    if data[:3] != b"GIF" or len(data) < 14:
        raise ValueError("not a GIF")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    head, rest, trailer = b"\x21\xff\x0bXMP DataXMP", data[at:], bytes(range(255, -1, -1)) + b"\0"
    if rest.startswith(head):
        rest = rest[rest.index(trailer) + len(trailer):]
    return data[:at] + head + what.xmp().encode() + b"\1" + trailer + rest


def _mark_glb(path: Path, what: Mark) -> None:
    """Mark glTF 2.0 binary in `asset.copyright` and `asset.extras` of the JSON chunk, which is
    the first; the rest is copied, not held in memory."""
    with open(path, "rb") as f:
        magic, version, _, size, kind = struct.unpack("<5I", f.read(20))
        if (magic, version, kind) != (GLB_MAGIC, 2, GLB_JSON) or size > path.stat().st_size:
            raise ValueError("not a GLB")
        scene = json.loads(f.read(size))
        asset = scene["asset"]
        extras = asset.get("extras") if isinstance(asset.get("extras"), dict) else {}
        asset |= {"generator": SOFTWARE, "copyright": what.text(), "extras": extras | {
            KEY: what.text(), "digitalSourceType": f"{IPTC}{what.source_type}"}}
        text = json.dumps(scene, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 20 + len(text) + path.stat().st_size - 20 - size
        with atomic_write(path) as temporary, open(temporary, "wb") as out:
            out.write(struct.pack("<5I", GLB_MAGIC, 2, total, len(text), GLB_JSON) + text)
            shutil.copyfileobj(f, out, 2**20)


def script_of(page: bytes) -> tuple[int, int] | None:
    """Return start and end of the credentials in a page; None where there are none, or more than
    one, which the C2PA specification takes for none."""
    start = page.find(SCRIPT)
    end = page.find(SCRIPT_END, start) if start >= 0 else -1
    return None if end < 0 or page.find(SCRIPT, end) >= 0 else (start, end + len(SCRIPT_END))


def _html_with(data: bytes, what: Mark) -> bytes:
    if found := script_of(data):  # no credentials outlive a change
        data = data[:found[0]] + data[found[1]:]
    text = re.sub(r'<meta name="(?:idf:provenance|digitalSourceType|generator)"[^>]{0,2000}>\n?',
                  "", data.decode("utf-8"))
    tags = (f'<meta name="generator" content="{html.escape(SOFTWARE)}">\n'
            f'<meta name="digitalSourceType" content="{IPTC}{what.source_type}">\n'
            f'<meta name="{KEY}" content="{html.escape(what.text())}">\n')
    changed, n = re.subn(r"(<head[^>]{0,2000}>\n?)", lambda m: m[1] + tags, text, count=1)
    if n != 1:
        raise ValueError("not an HTML page")
    return changed.encode()


def _mark_webp(path: Path, what: Mark) -> None:
    # WebP keeps XMP in an extended container; Pillow rewrites it losslessly only by encoding
    # again, so a WebP export is encoded with its XMP (media.write_image) and checked here.
    if f"{IPTC}{what.source_type}".encode() not in path.read_bytes():
        raise IdfError(f"{path} was written without its mark",
                       "a WebP file without XMP", "export PNG or JPEG")


def _mark_mp4(path: Path, what: Mark) -> None:
    with atomic_write(path) as temporary:
        done = subprocess.run(
            [ffmpeg_executable(), *QUIET, "-y", "-i", str(path),
             "-map", "0", "-c", "copy", "-movflags", "+faststart", "-metadata",
             f"comment={what.text()}", str(temporary)],
            stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            raise IdfError(f"{path} could not be marked",
                           done.stderr.decode(errors="replace").strip()[-160:],
                           "check the free disk space, then export again")


def _mark_ply(path: Path, what: Mark) -> None:
    """Write the comment into the header; the rest is copied, not held in memory."""
    with open(path, "rb") as f:
        head = f.read(MAX_HEAD)
        end = head.find(b"\nend_header") + 1
        lines = head[:end].split(b"\n")
        if not end or len(lines) < 3 or lines[0].strip() != b"ply":
            raise ValueError("not a PLY")
        eol = b"\r\n" if lines[0].endswith(b"\r") else b"\n"
        kept = [line for line in lines[2:] if not line.startswith(b"comment synthetic, made with")]
        with atomic_write(path) as temporary, open(temporary, "wb") as out:
            out.write(b"\n".join(lines[:2]) + b"\n" + b"comment "
                      + what.text().encode("ascii", "replace") + eol + b"\n".join(kept))
            f.seek(end)
            shutil.copyfileobj(f, out, 2**20)


def _mark_npz(path: Path, what: Mark) -> None:
    with open(path, "rb") as f:
        if f.read(2) != b"PK":
            raise ValueError("not a ZIP archive")
    with atomic_write(path) as temporary:
        shutil.copyfile(path, temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = what.text().encode()


def _mark_splat(path: Path, what: Mark) -> None:
    size = path.stat().st_size
    if not size or size % ROW.itemsize:
        raise ValueError("not a .splat")
    rows = np.memmap(path, ROW, "r")
    keep, mean = size - hidden_rows(rows) * ROW.itemsize, np.array(rows["mean"][0])
    del rows
    with atomic_write(path) as temporary:
        shutil.copyfile(path, temporary)
        with open(temporary, "r+b") as f:
            f.truncate(keep)
            f.seek(keep)
            f.write(rows_of(what.text(), mean))


def _mark_spz(path: Path, what: Mark) -> None:
    """Write a record between header and table of a `.spz` of version 4 (nianticlabs/spz,
    extensions/README.md); readers skip types that they do not know."""
    data = path.read_bytes()
    magic, version, flags, toc = *struct.unpack_from("<4sI6xB", data), *struct.unpack_from(
        "<I", data, 16)
    if magic != b"NGSP" or version != 4 or not 32 <= toc <= len(data):
        raise ValueError("not a .spz of version 4")
    records = data[32:toc] if flags & SPZ_HAS_RECORDS else b""
    kept = b"".join(struct.pack("<II", kind, len(body)) + body
                    for kind, body in spz_records(records) if kind != SPZ_MARK)
    text = what.text().encode()
    kept += struct.pack("<II", SPZ_MARK, len(text)) + text
    write_bytes(path, data[:14] + bytes([flags | SPZ_HAS_RECORDS]) + data[15:16]
                + struct.pack("<I", 32 + len(kept)) + data[20:32] + kept + data[toc:])


_IN_BYTES: dict[str, tuple[str, Callable[[bytes, Mark], bytes]]] = {
    ".png": ("PNG", _png_with), ".jpg": ("JPEG", _jpeg_with), ".jpeg": ("JPEG", _jpeg_with),
    ".html": ("HTML", _html_with), ".gif": ("GIF", _gif_with)}
_IN_FILES: dict[str, Callable[[Path, Mark], None]] = {
    ".webp": _mark_webp, ".mp4": _mark_mp4, ".ply": _mark_ply, ".npz": _mark_npz,
    ".zip": _mark_npz,
    ".splat": _mark_splat, ".glb": _mark_glb, ".sog": _mark_npz, ".spz": _mark_spz}
