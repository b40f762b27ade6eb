"""What files say about their origin: the text of every place in them where a mark may stand.

The kind of a file is told by its first bytes, not by its name. Every reader walks the file's own
structure, with sizes checked before memory is taken, in time linear in what it reads; a damaged
file gives what was found before the damage.

Structures: PNG 11.3.3.4 iTXt (https://www.w3.org/TR/png-3/), JPEG markers (ITU T.81 B.1), XMP in
them (XMP part 3), RIFF of WebP (RFC 9649), boxes of ISO 14496-12 with the item list of iTunes and
the `udta` text of QuickTime, glTF 2.0 binary, the end record of ZIP (APPNOTE 4.3.16).
"""

from __future__ import annotations

import html
import io
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..data.media import is_video, video_info
from ..errors import IdfError
from ..runtime.files import readable

KEY = "idf:provenance"
XMP_KEYWORD = "XML:com.adobe.xmp"
XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
MAX_TEXT = 2**18  # bytes of one text that is looked at
MAX_HEAD = 4 * 2**20  # bytes in which a text is looked for where a file has no structure for it
MAX_PARTS = 100_000  # chunks, segments or boxes that are walked
SPLAT_ROW = 32
SPZ_HAS_RECORDS = 2  # of the flags in the header of a .spz
SPZ_MARK = 0x1DFA0001  # type of the record: vendor in the upper half, number in the lower

_SOURCE_TYPE = re.compile(r"(?:cv\.iptc\.org/newscodes|c2pa\.org)/digitalsourcetype/(\w{1,64})",
                          re.IGNORECASE)
# Of the IPTC's and C2PA's digital source types those that say that a machine made it up. The others
# are what cameras, scanners and people write: digitalCapture, computationalCapture, humanEdits …
SYNTHETIC_TYPES = frozenset((
    "compositeSynthetic", "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia",
    "algorithmicMedia", "dataDrivenMedia", "virtualRecording", "trainedAlgorithmicData"))


def read_marks(path: str | Path | bytes) -> list[tuple[str, str]]:
    """Return (layer, text) of every place in a file (or its bytes) where a mark may stand and
    something does.

    Layers: "XMP", "text", "MP4 comment", "video comment", "PLY comment", "GLB asset", "HTML meta",
    "ZIP comment", "SPZ record", "hidden splats". IdfError where the file cannot be read.
    """
    content = path if isinstance(path, bytes) else None
    path = Path("bytes" if isinstance(path, bytes) else path)
    with readable(path, "file"), io.BytesIO(content) if content is not None \
            else open(path, "rb") as f:
        start = f.read(16)
        try:
            found = list(_reader(start, path)(f, path))
        except (struct.error, ValueError, RecursionError):  # damaged: what it said until there
            found = []
    return [(layer, text) for layer, text in found if text]


def source_type_of(text: str) -> str:
    """Return the first digital source type named in `text`, "" where there is none."""
    found = _SOURCE_TYPE.search(text)
    return found[1] if found else ""


def _reader(start: bytes, path: Path):
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        return _png
    if start[:2] == b"\xff\xd8":
        return _jpeg
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp
    if start[4:8] == b"ftyp" and start[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return _movie
    if start[:4] == b"ply\n" or start[:5] == b"ply\r\n":
        return _ply
    if start[:4] == b"glTF":
        return _glb
    if start[:4] == b"NGSP":
        return _spz
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return _html
    if path.suffix.lower() == ".splat":
        return _splat
    return _anything


def _png(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(8)
    for _ in range(MAX_PARTS):
        head = f.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        if kind == b"iTXt" and size <= MAX_TEXT:
            body = f.read(size)
            keyword, _, rest = body.partition(b"\0")
            text = rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\0" else b""  # not compressed
            if keyword == XMP_KEYWORD.encode():
                yield "XMP", _text(text)
            elif keyword == KEY.encode():
                yield "text", _text(text)
            f.seek(4, 1)
        else:
            f.seek(size + 4, 1)


def _jpeg(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(2)
    for _ in range(MAX_PARTS):
        head = f.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        size = struct.unpack(">H", head[2:])[0]
        body = f.read(max(size - 2, 0))
        if head[1] == 0xE1 and body.startswith(XMP_NAMESPACE):
            yield "XMP", _text(body[len(XMP_NAMESPACE):])
        elif head[1] == 0xFE and body.startswith(KEY.encode()):
            yield "text", _text(body)


def _webp(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(12)
    for _ in range(MAX_PARTS):
        head = f.read(8)
        if len(head) < 8:
            return
        kind, size = struct.unpack("<4sI", head)
        if kind == b"XMP " and size <= MAX_TEXT:
            yield "XMP", _text(f.read(size))
            f.seek(size & 1, 1)
        else:
            f.seek(size + (size & 1), 1)


def _movie(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    end = f.seek(0, 2)
    for kind, at, stop in _boxes(f, 0, end):
        if kind == b"moov":
            for inner, a, b in _boxes(f, at, stop):
                if inner == b"udta":
                    yield from _user_data(f, a, b)
        elif kind == b"uuid" and stop - at <= MAX_TEXT:
            f.seek(at)
            if f.read(16).hex() == "be7acfcb97a942e89c71999491e3afac":  # XMP part 3
                yield "XMP", _text(f.read(stop - at - 16))


def _user_data(f: BinaryIO, at: int, stop: int) -> Iterator[tuple[str, str]]:
    for kind, a, b in _boxes(f, at, stop):
        if kind == b"\xa9cmt":  # QuickTime: length, language, text
            f.seek(a + 4)
            yield "MP4 comment", _text(f.read(min(b - a - 4, MAX_TEXT)))
        elif kind == b"meta":
            for item, c, d in _boxes(f, a + 4, b):
                if item != b"ilst":
                    continue
                for name, e, g in _boxes(f, c, d):
                    for data, h, i in _boxes(f, e, g) if name == b"\xa9cmt" else ():
                        if data == b"data":
                            f.seek(h + 8)
                            yield "MP4 comment", _text(f.read(min(i - h - 8, MAX_TEXT)))


def _boxes(f: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start and end of the content) of the boxes between two places."""
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        f.seek(at)
        size, kind = struct.unpack(">I4s", f.read(8))
        begin = at + 8
        if size == 1:
            size = struct.unpack(">Q", f.read(8))[0]
            begin += 8
        stop = end if size == 0 else at + size
        if stop < begin or stop > end:
            return
        yield kind, begin, stop
        at = stop


def _ply(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(0)
    head = f.read(MAX_HEAD)
    lines = head[:max(0, head.find(b"\nend_header"))].splitlines()
    for line in lines:
        if line.startswith(b"comment ") and b"synthetic" in line[:MAX_TEXT]:
            yield "PLY comment", _text(line[8:])


def _glb(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(12)
    size, _ = struct.unpack("<2I", f.read(8))
    if size > 64 * MAX_HEAD:
        return
    # The JSON of a large scene is not parsed for one string: the asset is an object of its own,
    # and a line of ours has neither braces nor quotes in it.
    text = f.read(size)
    at = text.find(b'"asset"')
    if at >= 0:
        asset, _ = json.JSONDecoder().raw_decode(_text(text[text.index(b"{", at):][:MAX_TEXT]))
        extras = asset.get("extras")
        told = extras if isinstance(extras, dict) else {}
        yield "GLB asset", " ".join(map(str, (asset.get("copyright", ""), told.get(KEY, ""),
                                              told.get("digitalSourceType", ""))))


def _html(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(0)
    text = _text(f.read(MAX_HEAD), MAX_HEAD)
    low, at = text.lower(), 0
    for _ in range(MAX_PARTS):
        at = low.find("<meta ", at)
        stop = low.find(">", at) if at >= 0 else -1
        if stop < 0:
            break
        tag, at = text[at:min(stop, at + MAX_TEXT)], stop
        if re.search(r'name="(?:idf:provenance|digitalSourceType)"', tag):
            yield "HTML meta", html.unescape(tag)
    at = low.find("<x:xmpmeta")
    if at >= 0 and path.suffix.lower() == ".svg":
        yield "XMP", text[at:at + MAX_TEXT]


def _zip(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    end = f.seek(0, 2)
    f.seek(max(0, end - 65557))
    tail = f.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 22:
        yield "ZIP comment", _text(tail[at + 22:])


def _spz(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    f.seek(0)
    head = f.read(32)
    toc, = struct.unpack_from("<I", head, 16)
    if head[14] & SPZ_HAS_RECORDS and 32 < toc <= MAX_HEAD:
        for kind, body in spz_records(f.read(toc - 32)):
            if kind == SPZ_MARK:
                yield "SPZ record", _text(body)


def spz_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of the records of a `.spz`; struct.error where one is cut off."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length > len(data) - at - 8:
            raise struct.error("cut off")
        yield kind, data[at + 8:at + 8 + length]
        at += 8 + length


def _splat(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    from .hidden_splats import read_text

    yield "hidden splats", read_text(f)


def _anything(f: BinaryIO, path: Path) -> Iterator[tuple[str, str]]:
    if is_video(path):  # Matroska and others: by its reader
        try:
            yield "video comment", video_info(path).comment
        except IdfError:
            return
    f.seek(0)
    head = f.read(MAX_HEAD)  # TIFF, GIF, AVIF, HEIC: an XMP packet stands there as plain text
    at = head.find(b"<x:xmpmeta")
    if at >= 0:
        yield "XMP", _text(head[at:at + MAX_TEXT])


def _text(data: bytes, limit: int = MAX_TEXT) -> str:
    return data[:limit].decode("utf-8", "replace")
