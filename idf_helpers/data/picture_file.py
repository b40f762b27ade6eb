"""Picture files, opened: which formats, how large, and what is to be told of them.

Pillow decodes; HEIC, as iPhones write it, needs the package pi-heif (the extra `heic`).
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IdfError
from .coded_color import code_points, describe, to_srgb
from .color_profile import in_srgb, profile_name, says_adobe
from .kinds import HEAD

MAX_PIXELS = 64_000_000  # of one picture; a 30000² PNG of 0.1 MB would take 2.7 GB decoded
# What Pillow may open: its other readers start programs (EPS: Ghostscript) or are seldom looked at.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
# What Pillow's readers raise for damaged files (struct.error and IndexError out of EXIF and TIFF).
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error,
           IndexError, KeyError, TypeError, AttributeError, OverflowError, ZeroDivisionError,
           RuntimeError)
DNG_VERSION, SUBFILE = 50706, 254  # TIFF tags
CODES = "idf_code_points"  # in a Pillow picture's info: its colors, where no profile tells them
TO_JPEG = "convert it to JPEG or PNG (iPhone: Settings > Camera > Formats > Most Compatible)"
# Of a JPEG or HEIC whose bright parts lie in a second picture: Ultra HDR 1.1 (Adobe's hdrgm), ISO
# 21496-1, Apple.
_GAIN_MAPS = (b"hdrgm:Version", b"urn:iso:std:iso:ts:21496:-1", b"aux:hdrgainmap",
              b"hdr-gain-map")


@contextlib.contextmanager
def opened(source: Any, what: str) -> Iterator[Any]:
    """Yield the picture behind a path or bytes, its header read and its size checked. Without
    Pillow's warnings: about its size, where ours is the stricter limit, and about odd EXIF
    entries, which nobody here reads. IdfError for what goes wrong, also while it is used."""
    from PIL import Image, UnidentifiedImageError

    name, stream = _stream(source, what)
    smaller = f"make it smaller than {MAX_PIXELS // 10**6} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with stream:
                head = stream.read(16 * HEAD)
                stream.seek(0)
                formats = _formats(head, name, what)
                with Image.open(stream, formats=formats) as image:
                    w, h = image.size
                    if w * h > MAX_PIXELS:
                        raise IdfError(f"The {what} {name} is too large",
                                       f"{w}x{h} = {w * h / 1e6:.0f} megapixels", smaller)
                    _refuse_raw(image, name, what)
                    if not image.info.get("icc_profile") and (codes := code_points(head)):
                        image.info[CODES] = codes
                    yield image
    except UnidentifiedImageError:
        raise IdfError(f"The {what} {name} is not an image that can be read", "no known format",
                       "give a PNG, JPEG or WebP file") from None
    except Image.DecompressionBombError as error:
        raise IdfError(f"The {what} {name} is too large", str(error)[:120], smaller) from None
    except DAMAGED as error:
        raise IdfError(f"The {what} {name} is damaged or truncated", str(error)[:120] or
                       type(error).__name__, "save or download it again") from None


def orientation(image: Any) -> int:
    """Return how EXIF (or XMP, as Pillow reads it) turns an opened picture: 1 is upright, 5 to 8
    exchange width and height.

    Pillow decodes a whole PNG for this, since such a chunk may follow the pixels: its chunks are
    walked through first."""
    if image.format == "PNG" and "exif" not in image.info and not _png_may_turn(image.fp):
        return 1
    found = image.getexif().get(0x0112)
    return found if found in range(2, 9) else 1


def _png_may_turn(stream) -> bool:
    """Whether a PNG has a chunk that may hold an orientation; the stream stays where it is."""
    here = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return True
            if kind in (b"tEXt", b"zTXt", b"iTXt"):
                text = stream.read(min(length, 2**20))
                if text.startswith(b"Raw profile") or b"rientation" in text or (
                        text.startswith(b"XML:com.adobe.xmp\0\1")):  # a compressed packet
                    return True
                length -= len(text)
            stream.seek(length + 4, 1)
        return False
    finally:
        stream.seek(here)


def _refuse_raw(image, name: str, what: str) -> None:
    """Raise IdfError for a camera's raw file: as TIFF, it would show a thumbnail."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    if tags and (DNG_VERSION in tags or tags.get(SUBFILE, 0) & 1):
        raise IdfError(f"The {what} {name} is a camera's raw file",
                       f"its first picture, {image.width}x{image.height}, is a preview",
                       "export it as JPEG, PNG or TIFF with the camera's program")


def _formats(head: bytes, name: str, what: str) -> tuple[str, ...]:
    """Return what Pillow may take the file for. IdfError for HEIC and AVIF without their reader."""
    from PIL import features

    if head[4:8] != b"ftyp":
        return FORMATS
    if head[8:12] in (b"avif", b"avis"):
        if not features.check("avif"):
            raise IdfError(f"The {what} {name} is an AVIF file, which this Pillow cannot read",
                           "Pillow without AVIF", "pip install 'pillow>=11.3', or convert it to "
                           "JPEG or PNG")
        return ("AVIF", *FORMATS)
    if head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"mif2", b"msf1"):
        try:
            import pi_heif
        except ImportError:
            raise IdfError(f"The {what} {name} is a HEIC file, which is not read here without the "
                           "package pi-heif", "HEIC", f"pip install pi-heif, or {TO_JPEG}"
                           ) from None
        pi_heif.register_heif_opener(thumbnails=False)
        return ("HEIF", *FORMATS)
    raise IdfError(f"The {what} {name} is not a picture", "a video, by its first bytes",
                   "give a PNG, JPEG or WebP file; a video is taken as a target")


class _FewSteps:
    """A stream that ends where a reader goes through padding byte by byte: Pillow's readers of JPEG
    and GIF take a minute for 200 MB of zeros."""

    left = 1_000_000  # reads of one byte

    def read(self, size=-1, /):
        if size == 1:
            self.left -= 1
            if self.left < 0:
                raise OSError("nothing but padding where a picture should go on")
        return super().read(size)  # type: ignore[misc]


class _Bytes(_FewSteps, io.BytesIO):
    """Bytes in memory."""


class _File(_FewSteps, io.BufferedReader):
    """A file on disk."""


def _stream(source, what):
    if isinstance(source, (bytes, bytearray, memoryview)):
        if len(source) == 0:
            raise IdfError(f"The {what} is empty", "0 bytes", "choose the file again")
        return "(upload)", _Bytes(bytes(source))
    path = Path(source)
    try:
        if not path.exists():
            raise IdfError(f"The {what} {path} does not exist", "no such file",
                           "check the path for typing errors")
        if path.is_dir():
            raise IdfError(f"The {what} {path} is a folder", "a folder", "name one file in it")
        if not path.is_file():  # a pipe or a device would be waited for without end
            raise IdfError(f"The {what} {path} is not a file", "a pipe or a device",
                           "name a picture file")
        if path.stat().st_size == 0:
            raise IdfError(f"The {what} {path} is empty", "0 bytes", "save or download it again")
        return str(path), _File(io.FileIO(path))
    except (OSError, ValueError) as error:
        raise IdfError(f"The {what} {path} cannot be read", str(error),
                       "check the path and the file's permissions") from None


def as_array(image) -> np.ndarray:
    """Return a loaded Pillow picture as uint8 (H, W, 3) sRGB, or (H, W, 4) where it has alpha."""
    if image.mode.startswith("I") or image.mode == "F":  # 16- and 32-bit gray
        most = max(float(a.max(initial=0)) for _, a in _bands(image, image.mode))
        scale, gray = 255.0 / (65535.0 if most > 255 else 255.0), np.empty(
            (image.height, image.width, 3), np.uint8)
        for rows, a in _bands(image, image.mode):
            a = np.nan_to_num(a.astype(np.float64)) * scale + 0.5
            gray[rows] = np.clip(a, 0, 255).astype(np.uint8)[..., None]
        return gray
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
    mode = "RGBA" if transparent else "RGB"
    if image.mode in ("P", "PA"):
        image = image.convert(mode)  # its profile is of the palette's colors
    codes = image.info.get(CODES)
    image = image if codes else in_srgb(image)
    out = np.empty((image.height, image.width, len(mode)), np.uint8)
    for rows, a in _bands(image, mode):
        out[rows] = a
    if codes:
        out[..., :3] = to_srgb(out[..., :3], codes)
    return out


def _bands(image, mode: str) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows and their pixels in a mode: a conversion of the whole would double the memory."""
    step = max(1, (1 << 20) // image.width)
    for top in range(0, image.height, step):
        rows = slice(top, min(top + step, image.height))
        part = image.crop((0, rows.start, image.width, rows.stop))
        yield rows, np.asarray(part if part.mode == mode else part.convert(mode))


def picture_notes(source, what: str = "picture") -> dict[str, str]:
    """Return what is done to a picture on reading beyond showing it upright, in words, by what it
    is about: profile, cmyk, depth, gain, count. From the header. IdfError as `media.read_image`."""
    out = {}
    with opened(source, what) as image:
        if codes := image.info.get(CODES):
            out["profile"] = describe(codes)
        elif name := profile_name(image):
            out["profile"] = f"its colors ({name}) are converted to sRGB"
        elif says_adobe(image):
            out["profile"] = "its colors (Adobe RGB, by its EXIF) are converted to sRGB"
        elif image.mode == "CMYK":
            out["cmyk"] = "it is CMYK without a profile: its colors are a guess"
        if image.mode.startswith("I;16") or any(
                "16" in str(part) for tile in getattr(image, "tile", ()) for part in tile[3:]):
            out["depth"] = "its 16 bits a channel are brought to 8"
        count = getattr(image, "n_frames", 1)
        if _has_gain_map(image):
            out["gain"] = "it is HDR by a gain map: its base picture, of the standard range, is " \
                          "used"
        elif count > 1:
            out["count"] = f"it holds {count} pictures: the first is used"
    return out


def _has_gain_map(image) -> bool:
    if image.format not in ("JPEG", "MPO", "HEIF", "AVIF"):
        return False
    stream = image.fp
    if stream is None:
        return False
    at = stream.tell()
    stream.seek(0)
    head = stream.read(64 * HEAD)
    stream.seek(at)
    return any(name in head for name in _GAIN_MAPS)
