"""The program ffmpeg: raw frames out of a file, and bytes fed into it."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import IdfError

QUIET = ("-hide_banner", "-loglevel", "error")
# Before an input: lists of other files (ffconcat, HLS) and addresses are no videos, whatever name
# they have. A consent and a hash of such a text would cover other pictures than are shown.
ONE_FILE = ("-protocol_whitelist", "file,pipe,fd", "-format_whitelist",
            "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,asf,flv,mxf,yuv4mpegpipe")
# Of an input: its first moving picture, that of the header as it is read. A file may hold several,
# of which ffmpeg takes the largest by itself, and covers.
MOVING = ("-map", "0:V:0")
# Of every H.264 file written here: players guess what is not said by the picture's size. Frames
# carry it through the filters, since ffmpeg 7 the options alone are not enough.
BT709 = ("scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams=range=tv:"
         "color_primaries=bt709:color_trc=bt709:colorspace=bt709")
BT709_OPTIONS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
                 "-color_range", "tv")
EXACT = ("-c:v", "ffv1", "-pix_fmt", "gbrp", "-threads", "1", "-f", "matroska")  # each pixel as is

MOST_BYTES = 2**30  # of a raw frame


def to_sdr(transfer: str, primaries: str = "", matrix: str = "") -> str:
    """Return the filters from stored colors to those of pictures (BT.709).

    Of a high dynamic range (HLG, PQ) diffuse white, 203 nits (ITU-R BT.2408), stays white, and only
    what is brighter than two thirds of it is compressed. What the header does not say is BT.2020.
    """
    bright = transfer in ("arib-std-b67", "smpte2084")
    told = [f"tin={transfer}"] + ["pin=bt2020"] * (not primaries) + ["min=2020_ncl"] * (not matrix)
    tone = "tonemap=mobius:param=0.65:desat=0," if bright else ""
    return (f"zscale={':'.join(told)}:t=linear{':npl=203' * bright},format=gbrpf32le,"
            f"zscale=p=bt709,{tone}zscale=t=bt709:m=bt709:r=tv,format=yuv420p")


def ffmpeg_executable() -> str:
    """Return imageio-ffmpeg's binary (or IMAGEIO_FFMPEG_EXE); IdfError where there is none."""
    try:
        import imageio_ffmpeg
        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise IdfError("Video needs ffmpeg", str(error)[:120],
                       "pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE") from None


def decode(path, size: int, options: Sequence[str], seek: Sequence[str] = ()) -> Iterator[bytes]:
    """Yield the bytes of one raw RGB frame after the other; nothing where there is none.

    size: bytes of a frame. options: how frames are chosen. seek: options before the input.
    IdfError for frames of more than MOST_BYTES, which only a damaged header tells of.
    """
    if size > MOST_BYTES:
        raise IdfError(f"The frames of {path} are too large", f"{size / 1e9:.1f} GB each",
                       "the header may be damaged; convert the video to a smaller picture")
    process = subprocess.Popen(
        [ffmpeg_executable(), *QUIET, *seek, *ONE_FILE, "-i", str(path), *MOVING, *options,
         "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=max(size, 2**16))
    assert process.stdout is not None
    try:
        while len(data := process.stdout.read(size)) == size:
            yield data
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def raw_input(frame: np.ndarray, rate: float) -> list[str]:
    """Return the options for frames like this one on standard input."""
    h, w = frame.shape[:2]
    return ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{w}x{h}", "-r", f"{rate:g}", "-i", "-",
            "-an"]


def even_sized(frame: np.ndarray) -> np.ndarray:
    """Return a (H, W, 3) frame with its last row and column repeated where H.264 in 4:2:0, which
    needs even sizes, asks for it."""
    h, w = frame.shape[:2]
    return np.ascontiguousarray(np.pad(frame, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))


def count_frames(path) -> int:
    """Return how many coded pictures a video's first moving picture has, without decoding them."""
    done = subprocess.run([ffmpeg_executable(), *QUIET, *ONE_FILE, "-i", str(path), *MOVING,
                           "-c", "copy", "-f", "framecrc", "-"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return sum(line[:1].isdigit() for line in done.stdout.decode("ascii", "replace").splitlines())


class Feed:
    """A running ffmpeg that reads from this process. Use as a context manager: it is killed where
    `finish` was not reached."""

    def __init__(self, arguments: Sequence[str]):
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen([ffmpeg_executable(), *QUIET, "-y", *arguments],
                                         stdin=subprocess.PIPE, stderr=self._complaints)

    def write(self, data) -> bool:
        """Hand over bytes; False where the program has ended, and `finish` says why."""
        try:
            self._process.stdin.write(data)
        except OSError:
            return False
        return True

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the end of the error output."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        code = self._process.wait()
        return code, last_words(self._complaints)

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.finish()
        self._complaints.close()


def last_words(complaints) -> str:
    """Return the last 160 characters of the start of what a program wrote into a file."""
    complaints.seek(0)
    return complaints.read(2000).decode(errors="replace").strip()[-160:]
