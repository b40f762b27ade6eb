"""The only place that decodes or writes images and video: bounded reads, atomic writes.

Pictures are uint8 RGB or RGBA arrays (H, W, 3 or 4). Pillow decodes (OpenCV returns a half-gray
picture for a truncated JPEG, silently); imageio-ffmpeg's ffmpeg encodes and decodes video.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IdfError
from ..runtime.files import atomic_write
from .ffmpeg import TO_SDR, Feed, decode, even_sized, ffmpeg_executable, raw_input

MAX_PIXELS = 64_000_000  # of one picture; a 30000² PNG of 0.1 MB would take 2.7 GB decoded
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# What Pillow may open: its other readers start programs (EPS: Ghostscript) or are seldom looked at.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


# --- images ---------------------------------------------------------------------------------------

def read_image(path_or_bytes, what: str = "picture") -> np.ndarray:
    """Return uint8 (H, W, 3) RGB, or (H, W, 4) where the file has transparency (alpha not
    premultiplied).

    EXIF rotation is applied; palette, gray, CMYK and 16-bit pictures are converted, and RGB of
    another color space (Display P3 of phones, Adobe RGB) to sRGB; of an animation the first frame
    is taken. IdfError: missing, empty, not an image, truncated, or more
    than MAX_PIXELS (told from the header, before anything is decoded).
    """
    from PIL import ImageOps

    with _picture(path_or_bytes, what) as image:
        image.load()
        return _to_uint8(ImageOps.exif_transpose(image))


# What Pillow's readers raise for damaged files (struct.error and IndexError out of EXIF and TIFF).
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error,
           IndexError, KeyError, TypeError, AttributeError, OverflowError, ZeroDivisionError,
           RuntimeError)


@contextlib.contextmanager
def _picture(source: Any, what: str) -> Iterator[Any]:
    """Yield the picture behind a path or bytes, its header read and its size checked. Without
    Pillow's warnings: about its size, where ours is the stricter limit, and about odd EXIF
    entries, which nobody here reads. IdfError for what goes wrong, also while it is used."""
    from PIL import Image, UnidentifiedImageError

    name, stream = _open_source(source, what)
    smaller = f"make it smaller than {MAX_PIXELS // 10**6} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with stream, Image.open(stream, formats=FORMATS) as image:
                w, h = image.size
                if w * h > MAX_PIXELS:
                    raise IdfError(f"The {what} {name} is too large",
                                   f"{w}x{h} = {w * h / 1e6:.0f} megapixels", smaller)
                yield image
    except UnidentifiedImageError:
        raise IdfError(f"The {what} {name} is not an image that can be read", "no known format",
                       "give a PNG, JPEG or WebP file") from None
    except Image.DecompressionBombError as error:
        raise IdfError(f"The {what} {name} is too large", str(error)[:120], smaller) from None
    except DAMAGED as error:
        raise IdfError(f"The {what} {name} is damaged or truncated", str(error)[:120] or
                       type(error).__name__, "save or download it again") from None


def _open_source(source, what):
    if isinstance(source, (bytes, bytearray, memoryview)):
        if len(source) == 0:
            raise IdfError(f"The {what} is empty", "0 bytes", "choose the file again")
        return "(upload)", io.BytesIO(bytes(source))
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
        return str(path), open(path, "rb")
    except (OSError, ValueError) as error:
        raise IdfError(f"The {what} {path} cannot be read", str(error),
                       "check the path and the file's permissions") from None


def _to_uint8(image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":  # 16- and 32-bit gray
        a = np.asarray(image, np.float64)
        top = 65535.0 if a.max(initial=0) > 255 else 255.0
        gray = np.clip(a * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    out = np.array(image.convert("RGBA" if transparent else "RGB"))
    if profile:
        out[..., :3] = _to_srgb(out[..., :3], profile)
    return out


def _to_srgb(rgb: np.ndarray, profile: bytes) -> np.ndarray:
    """Return (H, W, 3) uint8 in sRGB. A profile that is sRGB, or cannot be read, changes nothing.
    """
    from PIL import Image, ImageCms

    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(space).lower():
            return rgb
        done = ImageCms.profileToProfile(Image.fromarray(np.ascontiguousarray(rgb)), space,
                                         ImageCms.createProfile("sRGB"))
        return rgb if done is None else np.asarray(done)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return rgb


def image_size(path, what: str = "picture") -> tuple[int, int]:
    """Return (width, height) from the header alone, EXIF rotation considered."""
    with _picture(path, what) as image:
        w, h = image.size
        return (h, w) if image.getexif().get(0x0112) in (5, 6, 7, 8) else (w, h)


def encode_image(image: np.ndarray, suffix: str = ".png", *, xmp: str | None = None,
                 text: dict[str, str] | None = None, quality: int = 92,
                 effort: int = 6) -> bytes:
    """Return encoded PNG, JPEG or WebP bytes of a uint8 (H, W, 3|4) or float [0, 1] picture.

    xmp: an XMP packet; text: PNG text chunks (for JPEG and WebP only the XMP travels).
    effort: of PNG's compression, 1 (four times as fast, a tenth larger) to 9.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    picture = Image.fromarray(np.ascontiguousarray(to_uint8(image)))
    out = io.BytesIO()
    suffix = suffix.lower()
    if suffix == ".png":
        info = PngInfo()
        for key, value in (text or {}).items():
            info.add_itxt(key, value)
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp)
        picture.save(out, "PNG", pnginfo=info, compress_level=effort)
    elif suffix in (".jpg", ".jpeg"):
        extra = {"xmp": xmp.encode()} if xmp else {}
        picture.convert("RGB").save(out, "JPEG", quality=quality, **extra)
    elif suffix == ".webp":
        extra = {"xmp": xmp.encode()} if xmp else {}
        picture.save(out, "WEBP", quality=quality, **extra)
    else:
        raise IdfError(f"Pictures are not written as `{suffix}`", suffix, "use .png, .jpg or .webp")
    return out.getvalue()


def write_image(path, image: np.ndarray, *, xmp: str | None = None,
                text: dict[str, str] | None = None, quality: int = 92, effort: int = 6) -> None:
    """Write a picture, atomically; the suffix decides on the format (see `encode_image`)."""
    data = encode_image(image, Path(path).suffix, xmp=xmp, text=text, quality=quality,
                        effort=effort)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return uint8 as it is, float in [0, 1] rounded to 0..255 (values outside are clipped)."""
    image = np.asarray(image)
    if image.dtype == np.uint8:
        return image
    return (np.clip(np.nan_to_num(image), 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def over(image: np.ndarray, background=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Return a uint8 RGB(A) picture over a constant background: float32 (H, W, 3) in [0, 1]."""
    rgb = image[..., :3].astype(np.float32) / 255.0
    if image.shape[2] == 3:
        return rgb
    return compose(rgb, image[..., 3].astype(np.float32) / 255.0, background)


def over_gray(image: np.ndarray) -> np.ndarray:
    """Return RGBA over mid-gray (a face is found as well on it as on a photo), RGB as it is."""
    if image.shape[2] == 3:
        return image
    a = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * a + 128 * (255 - a) + 127) // 255).astype(np.uint8)


def compose(rgb: np.ndarray, alpha: np.ndarray, background=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Return rgb (H, W, 3) float32, not premultiplied, by alpha (H, W) over a constant color."""
    a = alpha[..., None]
    return rgb * a + np.asarray(background, np.float32) * (1.0 - a)


def resize_area(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return uint8 picture at another size; color is averaged premultiplied, so edges keep their
    hue."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrink = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    if image.shape[2] == 3:
        return cv2.resize(image, (width, height), interpolation=method)
    a = image[..., 3:].astype(np.float32) / 255.0
    small = cv2.resize(np.concatenate([image[..., :3].astype(np.float32) * a, a], axis=2),
                       (width, height), interpolation=method)
    alpha = small[..., 3:]
    rgb = np.where(alpha > 1e-4, small[..., :3] / np.maximum(alpha, 1e-4), 0)
    return np.clip(np.concatenate([rgb, alpha * 255], axis=2) + 0.5, 0, 255).astype(np.uint8)


# --- video ----------------------------------------------------------------------------------------

class VideoWriter:
    """Appends frames to an H.264 file; see `video_writer`."""

    def __init__(self, path: Path, fps: float, comment: str, crf: int):
        self.path, self.fps, self.count, self.size = path, fps, 0, None
        self._options = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt",
                         "yuv420p", "-movflags", "+faststart"]
        self._options += ["-metadata", f"comment={comment}"] if comment else []
        self._stack = contextlib.ExitStack()
        self._feed: Feed | None = None

    def append(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 (H, W, 3) or float in [0, 1], all of one size; odd sizes are padded.
        """
        frame = to_uint8(frame)[..., :3]
        self.size = self.size or frame.shape[:2]
        if frame.shape[:2] != self.size:
            raise IdfError("The frames of a video differ in size",
                           f"{frame.shape[:2]} after {self.size}", "bring them to one size")
        frame = even_sized(frame)
        if self._feed is None:
            self._feed = self._stack.enter_context(
                Feed([*raw_input(frame, self.fps), *self._options, str(self.path)]))
        if not self._feed.write(frame.tobytes()):
            self.finish()
        self.count += 1

    def finish(self) -> None:
        """Close the file; IdfError where not all frames are in it."""
        if self._feed is None:
            raise IdfError("A video needs at least one frame", "0 frames", "give it some")
        code, words = self._feed.finish()
        if code:
            raise IdfError("The video could not be encoded", words, "check the free disk space")
        written = sum(1 for _ in read_video(self.path))
        if written != self.count:  # ffmpeg may end quietly on a full disk
            raise IdfError("The video is incomplete", f"{written} of {self.count} frames",
                           "check the free disk space")

    def close(self) -> None:
        """End the program, where it still runs."""
        self._stack.close()


@contextlib.contextmanager
def video_writer(path, fps: float = 30.0, comment: str = "", crf: int = 20):
    """Yield a VideoWriter; the file appears only when all frames are in it.

    crf: H.264 quality, 0 (lossless) … 51. comment: the MP4 comment tag (survives re-encoding).
    """
    path = Path(path)
    with atomic_write(path) as temporary:
        temporary.touch()  # missing rights show here; of ffmpeg's words only the last are kept
        with contextlib.closing(VideoWriter(temporary, fps, comment, crf)) as writer:
            yield writer
            writer.finish()


@dataclass(frozen=True)
class VideoInfo:
    """width, height: pixels as shown, after the rotation that the header asks for; fps: frames a
    second; comment: the file's comment tag; duration: seconds by the header, 0 = it does not say;
    sound: whether there is a sound track; hdr: whether it has a high dynamic range (HLG, PQ), which
    `decoding` brings into that of pictures."""

    width: int
    height: int
    fps: float
    comment: str
    duration: float = 0.0
    sound: bool = False
    hdr: bool = False

    @property
    def decoding(self) -> tuple[str, ...]:
        """ffmpeg's options for frames as they are meant to look."""
        return TO_SDR if self.hdr else ()


def video_info(path) -> VideoInfo:
    """Return what the header of a video file says. IdfError: missing, or no video stream."""
    if not Path(path).is_file():
        raise IdfError(f"The video {path} does not exist", "no such file",
                       "check the path for typing errors")
    said = subprocess.run([ffmpeg_executable(), "-hide_banner", "-i", str(path)],
                          stdin=subprocess.DEVNULL, capture_output=True).stderr.decode(
                              errors="replace")
    stream = re.search(r"Stream #.*?Video:.*?(\d{2,5})x(\d{2,5})", said)
    if not stream:
        raise IdfError(f"{path} holds no video that can be read", said.strip()[-160:],
                       "give an MP4, MOV, MKV, WebM or AVI file")
    width, height = int(stream[1]), int(stream[2])
    # ffmpeg turns the frames of a video that was filmed upright; the header has them lying
    turned = re.search(r"rotation of (-?[\d.]+) degrees", said)
    if turned and round(float(turned[1])) % 180 == 90:
        width, height = height, width
    fps = re.search(r"([\d.]+) fps", said)
    comment = re.search(r"^\s*comment\s*: (.*)$", said, re.M | re.I)  # Matroska's: COMMENT
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    seconds = sum(float(n) * u for n, u in zip(length.groups(), (3600, 60, 1), strict=True)) \
        if length else 0.0
    return VideoInfo(width, height, float(fps[1]) if fps else 25.0,
                     comment[1].strip() if comment else "", seconds,
                     bool(re.search(r"Stream #.*?Audio:", said)),
                     bool(re.search(r"Stream #.*?Video:.*?(arib-std-b67|smpte2084)", said)))


def read_video(path) -> Iterator[np.ndarray]:
    """Yield uint8 (H, W, 3) frames one at a time; constant memory."""
    info = video_info(path)
    options = ("-fps_mode", "passthrough", *info.decoding)
    for data in decode(path, info.width * info.height * 3, options):
        yield np.frombuffer(data, np.uint8).reshape(info.height, info.width, 3)


def is_image(path) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def is_video(path) -> bool:
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES
