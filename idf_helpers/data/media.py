"""The only place that decodes or writes images and video: bounded reads, atomic writes.

Pictures are uint8 RGB or RGBA arrays (H, W, 3 or 4). Pillow decodes (OpenCV returns a half-gray
picture for a truncated JPEG, silently); imageio-ffmpeg's ffmpeg encodes and decodes video.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..runtime.files import atomic_write
from .animations import read_animation
from .color_profile import Stored, profile_name
from .ffmpeg import BT709, BT709_OPTIONS, Feed, count_frames, decode, even_sized, raw_input
from .kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image, is_video
from .picture_file import FORMATS, MAX_PIXELS, as_array, opened, orientation
from .video_header import VideoInfo, video_info

__all__ = [
    "FORMATS", "IMAGE_SUFFIXES", "MAX_PIXELS", "VIDEO_SUFFIXES", "VideoInfo", "VideoWriter",
    "compose", "encode_image", "has_alpha", "image_size", "is_image", "is_turned", "is_video",
    "over", "over_gray", "read_image", "read_stored", "read_video", "resize_area", "to_uint8",
    "video_info", "video_writer", "write_image"]

# --- images ---------------------------------------------------------------------------------------

def read_image(path_or_bytes, what: str = "picture") -> np.ndarray:
    """Return uint8 (H, W, 3) RGB, or (H, W, 4) where the file has transparency (alpha not
    premultiplied).

    EXIF rotation is applied; palette, gray, CMYK and 16-bit pictures are converted, and colors of
    another space (Display P3 of phones, Adobe RGB, CMYK by its profile) to sRGB; of an animation
    the first frame is taken. IdfError: missing, empty, not an image, truncated, or more
    than MAX_PIXELS (told from the header, before anything is decoded).
    """
    return read_stored(path_or_bytes, what)[0]


def read_stored(source, what: str = "picture") -> tuple[np.ndarray, Stored | None]:
    """Return what `read_image` does, and the file's own colors where they are RGB by a profile
    other than sRGB's, so that the picture can be written in these again."""
    from PIL import ImageOps

    with opened(source, what) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        seen, name = as_array(image), profile_name(image)
        if not name or image.mode not in ("RGB", "RGBA"):
            return seen, None
        return seen, Stored(image.info["icc_profile"], name,
                            np.array(image.convert("RGB")), seen[..., :3])


def image_size(path, what: str = "picture") -> tuple[int, int]:
    """Return (width, height) from the header alone, EXIF rotation considered."""
    with opened(path, what) as image:
        w, h = image.size
        return (h, w) if orientation(image) > 4 else (w, h)


def is_turned(path, what: str = "picture") -> bool:
    """Return whether EXIF turns or mirrors a picture, from its header alone."""
    with opened(path, what) as image:
        return orientation(image) > 1


def has_alpha(path, what: str = "picture") -> bool:
    """Return whether a picture may have transparency, from its header alone."""
    with opened(path, what) as image:
        return image.has_transparency_data


def encode_image(image: np.ndarray, suffix: str = ".png", *, xmp: str | None = None,
                 text: dict[str, str] | None = None, quality: int = 92,
                 effort: int = 4, profile: bytes = b"") -> bytes:
    """Return encoded PNG, JPEG or WebP bytes of a uint8 (H, W, 3|4) or float [0, 1] picture.

    xmp: an XMP packet; text: PNG text chunks (for JPEG and WebP only the XMP travels).
    effort: of PNG's compression, 1 to 9; 6 takes 2.5 times as long as 4 and saves 6 %, 1 takes 0.6
    of the time and adds 15 %. profile: the ICC profile of the picture's colors, nothing for
    sRGB.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    picture = Image.fromarray(np.ascontiguousarray(to_uint8(image)))
    out = io.BytesIO()
    suffix = suffix.lower()
    extra: dict = {"icc_profile": profile} if profile else {}
    if suffix == ".png":
        info = PngInfo()
        for key, value in (text or {}).items():
            info.add_itxt(key, value)
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp)
        picture.save(out, "PNG", pnginfo=info, compress_level=effort, **extra)
    elif suffix in (".jpg", ".jpeg"):
        extra |= {"xmp": xmp.encode()} if xmp else {}
        picture.convert("RGB").save(out, "JPEG", quality=quality, **extra)
    elif suffix == ".webp":
        # Named here: else Pillow imports all its formats, a tenth of a second.
        from PIL import WebPImagePlugin  # noqa: F401

        extra |= {"xmp": xmp.encode()} if xmp else {}
        picture.save(out, "WEBP", quality=quality, **extra)
    else:
        raise IdfError(f"Pictures are not written as `{suffix}`", suffix, "use .png, .jpg or .webp")
    return out.getvalue()


def write_image(path, image: np.ndarray, *, xmp: str | None = None,
                text: dict[str, str] | None = None, quality: int = 92, effort: int = 4) -> None:
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
        self._options = ["-vf", BT709, *BT709_OPTIONS, "-c:v", "libx264", "-preset", "veryfast",
                         "-crf", str(crf), "-movflags", "+faststart"]
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
        written = count_frames(self.path)
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


def read_video(path) -> Iterator[np.ndarray]:
    """Yield uint8 (H, W, 3) frames one at a time; constant memory."""
    info = video_info(path)
    if info.animation:
        yield from (over_gray(frame) for frame in read_animation(path))
        return
    options = ("-fps_mode", "passthrough", *info.decoding)
    for data in decode(path, info.width * info.height * 3, options):
        yield np.frombuffer(data, np.uint8).reshape(info.height, info.width, 3)

