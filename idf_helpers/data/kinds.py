"""What a file is, told from its first bytes: a picture, an animation or a video.

Suffixes lie (a WebP named .jpg, an .MTS that nobody lists), so they only decide where there is no
file yet, or where its content is of no known kind: then the reader says what is wrong with it.

Signatures: RFC 2083 and 9649, ISO/IEC 14496-12 (ftyp), ITU-T H.222.0 (188-byte packets; 192 in
M2TS), RFC 8794 (EBML), RFC 3533 (Ogg), and those in https://github.com/FFmpeg/FFmpeg/libavformat.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Literal

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic",
                  ".heif", ".gif", ".apng", ".mpo", ".jfif")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mts", ".m2ts", ".ts", ".3gp",
                  ".3g2", ".ogv", ".wmv", ".asf", ".flv", ".mpg", ".mpeg", ".vob", ".mxf", ".y4m")
HEAD = 4096  # bytes that are looked at

Kind = Literal["picture", "animation", "video", ""]

_PICTURES = (b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_VIDEOS = (b"\x1a\x45\xdf\xa3", b"OggS", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FLV\x01",
           b"\0\0\1\xba", b"\0\0\1\xb3", b"\x06\x0e\x2b\x34", b"YUV4MPEG2 ")
# Brands of ISO files that hold pictures; all others hold a video (or sound).
_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"jpeg")
_MOVING_BRANDS = (b"avis", b"hevc", b"hevx", b"msf1")


def kind_of(path_or_bytes) -> Kind:
    """Return what a file (or its bytes) is by its content, "" where it cannot be told or read."""
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        return _of_head(bytes(path_or_bytes[:HEAD]), len(path_or_bytes))
    try:
        known = os.stat(path_or_bytes)
        if not os.path.isfile(path_or_bytes):  # a pipe would be waited for
            return ""
        return _of_file(os.fspath(path_or_bytes), known.st_size, known.st_mtime_ns)
    except (OSError, ValueError, TypeError):
        return ""


@lru_cache(maxsize=4096)
def _of_file(path: str, size: int, _when: int) -> Kind:
    with open(path, "rb") as file:
        return _of_head(file.read(HEAD), size)


def _of_head(head: bytes, size: int) -> Kind:
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "animation"  # or a still one: `animations.is_animation` counts its frames
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "animation" if b"acTL" in head[:head.find(b"IDAT")] else "picture"
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            animated = head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2
            return "animation" if animated else "picture"
        return "video" if head[8:12] in (b"AVI ", b"AVIX") else ""
    if head[4:8] == b"ftyp":
        if head[8:12] in _MOVING_BRANDS:
            return "animation"
        return "picture" if head[8:12] in _STILL_BRANDS else "video"
    if head.startswith(_PICTURES):
        return "picture"
    if head.startswith(_VIDEOS) or head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video"
    return "video" if _is_transport(head, size) else ""


def _is_transport(head: bytes, size: int) -> bool:
    """Whether packets of an MPEG transport stream begin, with or without a time before each."""
    for packet, start in ((188, 0), (192, 4), (204, 0)):
        marks = head[start::packet]
        if len(marks) >= min(3, size // packet) > 0 and set(marks) == {0x47}:
            return True
    return False


def is_image(path) -> bool:
    """Whether a file is a picture, or is named like one where it is not there or unknown."""
    kind = kind_of(path)
    return kind in ("picture", "animation") if kind else _suffix(path) in IMAGE_SUFFIXES


def is_video(path) -> bool:
    """Whether a file is a video, or is named like one where it is not there or unknown; an
    animation (`animations.is_animation`) is none."""
    kind = kind_of(path)
    return kind == "video" if kind else _suffix(path) in VIDEO_SUFFIXES


def _suffix(path) -> str:
    return os.path.splitext(path)[1].lower()
