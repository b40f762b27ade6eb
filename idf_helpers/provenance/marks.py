"""Marks: what an exported file says about its own origin, for machines and for eyes.

`mark(path, Mark(...))` is the one function that every exported picture, video, page and model
passes, as the last step of its export. It writes into the finished file, without encoding it
again: XMP (IPTC digital source type) in PNG, JPEG and WebP, the comment tag of an MP4, comment
lines of a PLY header, the asset of a GLB, meta tags of an HTML page; a format without any place
for text gets a `<name>.provenance.json` beside it. Signed credentials (C2PA) have to come after all
other changes of a file, so their place is at the end of `mark`; an imperceptible watermark changes
pixels, so its place is `label`, before encoding.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import struct
import subprocess
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..data.ffmpeg import QUIET, ffmpeg_executable
from ..data.lettering import SMALLEST, text_mask, write_on
from ..data.media import to_uint8
from ..errors import IdfError
from ..runtime.files import atomic_write, sha256_file, write_bytes, write_json

# IPTC NewsCodes, http://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPES = ("compositeSynthetic", "compositeWithTrainedAlgorithmicMedia",
                "trainedAlgorithmicMedia")
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOFTWARE = "ImplicitDeepfake (idf_helpers)"
LABEL = "SYNTHETIC"
CAPITALS = 0.73  # height of the font's capitals, of its size
KEY = "idf:provenance"
GLB_MAGIC, GLB_JSON = 0x46546C67, 0x4E4F534A  # "glTF", "JSON"


@dataclass(frozen=True)
class Mark:
    """What is written.

    run_id: of the run folder the file came from. source_type: one of SOURCE_TYPES; a classical
    swap is "compositeSynthetic", one by a trained generator "compositeWithTrainedAlgorithmicMedia".
    consent: digest of the consent record ("" where nothing was swapped). made: what the file is.
    """

    run_id: str
    made: str
    source_type: str = "compositeSynthetic"
    consent: str = ""

    def text(self) -> str:
        """Return one readable line that `parse` reads back."""
        return (f"synthetic, made with {SOFTWARE}: {_plain(self.made)}; run {_plain(self.run_id)}; "
                f"digitalSourceType {self.source_type}; consent {self.consent[:64] or 'none'}")

    def xmp(self) -> str:
        made, line = html.escape(_plain(self.made)), html.escape(self.text())
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
            'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" '
            f'Iptc4xmpExt:DigitalSourceType="{IPTC}{self.source_type}" '
            f'xmp:CreatorTool="{html.escape(SOFTWARE)}"><dc:title><rdf:Alt><rdf:li '
            f'xml:lang="x-default">{made}</rdf:li></rdf:Alt></dc:title><dc:description><rdf:Alt>'
            f'<rdf:li xml:lang="x-default">{line}</rdf:li></rdf:Alt></dc:description>'
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>')


def _plain(text: str) -> str:
    """Return one line without the separator and without control characters."""
    return " ".join(re.sub(r"[\x00-\x1f;]+", " ", str(text)).split())[:120]


_LINE = re.compile(r"synthetic, made with (?P<software>[^:;]+): (?P<made>[^;]*); "
                   r"run (?P<run_id>[^;]*); digitalSourceType (?P<source_type>\w+); "
                   r"consent (?P<consent>\w+)")


def parse(text: str) -> dict | None:
    """Return the fields of the first mark line in `text`, or None."""
    found = _LINE.search(html.unescape(text))
    if not found:
        return None
    out = found.groupdict()
    out["consent"] = "" if out["consent"] == "none" else out["consent"]
    return out


# --- files ----------------------------------------------------------------------------------------

def mark(path, what: Mark) -> Path:
    """Write the mark into the file at `path`, atomically, and return the path.

    IdfError: unknown source type, or a file that is not what its suffix says.
    """
    path = Path(path)
    if what.source_type not in SOURCE_TYPES:
        raise IdfError(f"There is no digital source type `{what.source_type}`", what.source_type,
                       f"one of: {', '.join(SOURCE_TYPES)}")
    suffix = path.suffix.lower()
    if suffix in _IN_BYTES:
        write_bytes(path, _marked_bytes(path.read_bytes(), suffix, what, path))
    else:
        _IN_FILES.get(suffix, _mark_beside)(path, what)
    return path


@contextlib.contextmanager
def marked(path, what: Mark):
    """Yield a temporary path to write the file to; mark it, and only then put it in place, so
    that no export is seen without its mark. Where the mark lies beside the file (formats without
    a place for text) it is written right after."""
    path = Path(path)
    inside = path.suffix.lower() in _IN_BYTES | _IN_FILES
    with atomic_write(path) as temporary:
        yield temporary
        if inside:
            mark(temporary, what)
    if not inside:
        mark(path, what)


def mark_picture_bytes(data: bytes, suffix: str, what: Mark) -> bytes:
    """Return encoded PNG or JPEG bytes with the mark in them (pixels untouched)."""
    if suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise IdfError(f"Pictures are not marked as `{suffix}`", suffix, "use .png or .jpg")
    return _marked_bytes(data, suffix.lower(), what, "the picture")


def _marked_bytes(data: bytes, suffix: str, what: Mark, name) -> bytes:
    kind, put_in = _IN_BYTES[suffix]
    try:
        return put_in(data, what)
    except (ValueError, KeyError, TypeError, struct.error):
        raise IdfError(f"{name} is not a {kind} file", "another content than its suffix says",
                       "give it the suffix of what it is") from None


def _png_with(data: bytes, what: Mark) -> bytes:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError("not a PNG")
    chunks = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        keyword = body.split(b"\0", 1)[0]
        if not (kind == b"iTXt" and keyword in (b"XML:com.adobe.xmp", KEY.encode())):
            chunks.append(data[at:at + 12 + size])
        at += 12 + size
        if kind == b"IHDR":
            chunks.append(_itxt("XML:com.adobe.xmp", what.xmp()))
            chunks.append(_itxt(KEY, what.text()))
    return b"".join(chunks)


def _itxt(keyword: str, text: str) -> bytes:
    body = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _jpeg_with(data: bytes, what: Mark) -> bytes:
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG")
    name = b"http://ns.adobe.com/xap/1.0/\0"
    out, at = [data[:2]], 2
    body = name + what.xmp().encode()
    mine = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    placed = False
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2:at + 4])[0]
        segment = data[at:at + 2 + size]
        if not placed and data[at + 1] != 0xE0:  # after JFIF's own segment
            out.append(mine)
            placed = True
        if not (data[at + 1] == 0xE1 and segment[4:4 + len(name)] == name):
            out.append(segment)
        at += 2 + size
    return b"".join([*out, *([] if placed else [mine]), data[at:]])


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


def _ply_with(data: bytes, what: Mark) -> bytes:
    first = data.find(b"\n")
    end = data.find(b"end_header", 0, 65536)
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("not a PLY")
    second = data.find(b"\n", first + 1)  # after the `format` line
    eol = b"\r\n" if data[first - 1:first] == b"\r" else b"\n"
    head = [line for line in data[second + 1:end].split(b"\n")
            if not line.startswith(b"comment synthetic, made with")]
    line = b"comment " + what.text().encode("ascii", "replace") + eol
    return data[:second + 1] + line + b"\n".join(head) + data[end:]


def _glb_with(data: bytes, what: Mark) -> bytes:
    """Mark glTF 2.0 binary in `asset.copyright` and `asset.extras` of the JSON chunk, which is
    the first."""
    magic, version, _, size, kind = struct.unpack_from("<5I", data)
    if (magic, version, kind) != (GLB_MAGIC, 2, GLB_JSON):
        raise ValueError("not a GLB")
    scene = json.loads(data[20:20 + size])
    asset = scene["asset"]
    asset |= {"generator": SOFTWARE, "copyright": what.text(),
              "extras": {KEY: what.text(), "digitalSourceType": f"{IPTC}{what.source_type}"}}
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size:]
    return struct.pack("<5I", GLB_MAGIC, 2, 20 + len(text) + len(rest), len(text),
                       GLB_JSON) + text + rest


def _html_with(data: bytes, what: Mark) -> bytes:
    text = re.sub(r'<meta name="(?:idf:provenance|digitalSourceType|generator)"[^>]*>\n?', "",
                  data.decode("utf-8"))
    tags = (f'<meta name="generator" content="{html.escape(SOFTWARE)}">\n'
            f'<meta name="digitalSourceType" content="{IPTC}{what.source_type}">\n'
            f'<meta name="{KEY}" content="{html.escape(what.text())}">\n')
    changed, n = re.subn(r"(<head[^>]*>\n?)", lambda m: m[1] + tags, text, count=1)
    if n != 1:
        raise ValueError("not an HTML page")
    return changed.encode()


def _mark_beside(path: Path, what: Mark) -> None:
    if not path.is_file():
        raise IdfError(f"{path} does not exist", "no such file", "write it before it is marked")
    write_json(path.with_name(path.name + ".provenance.json"),
               {"text": what.text(), "sha256": sha256_file(path), **asdict(what)})


_IN_BYTES = {".png": ("PNG", _png_with), ".jpg": ("JPEG", _jpeg_with),
             ".jpeg": ("JPEG", _jpeg_with), ".ply": ("PLY", _ply_with), ".glb": ("GLB", _glb_with),
             ".html": ("HTML", _html_with)}
_IN_FILES = {".webp": _mark_webp, ".mp4": _mark_mp4}


# --- pictures -------------------------------------------------------------------------------------

def label(image: np.ndarray, text: str = LABEL) -> np.ndarray:
    """Return a copy of a uint8 or float (H, W, 3) picture with the visible label in its upper left
    corner, where no player's controls hide it.

    Light text on a dark plate (contrast above 4.5:1 on any picture), at least 3 % of the height;
    smaller on a picture that is too narrow for it.
    """
    out = to_uint8(image)[..., :3].copy()
    h, w = out.shape[:2]
    height = max(8, round(0.04 * h))  # of the capitals, pixels
    pad = max(3, round(0.6 * height))
    size = round(height / CAPITALS)
    while size > SMALLEST and text_mask(text, size).shape[1] + 3 * pad > w:
        size -= 1
    th, tw = text_mask(text, size).shape
    box = out[pad:pad + th + 2 * pad, pad:pad + tw + 2 * pad]
    box[:] = (box * 0.25 + 12).astype(np.uint8)  # darkest-safe plate: at most 76 of 255
    write_on(out, text, 2 * pad, 2 * pad, size, (245, 245, 245))
    return out
