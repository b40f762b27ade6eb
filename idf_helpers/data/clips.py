"""Long videos in pieces: an index of all frames, ranges read by frame number, parts encoded on
their own, and all of it joined again with the original sound.

Nothing here holds more than one frame. The index is made by decoding the video once: container
headers lie about frame counts, and a truncated file shows only there. It keeps a checksum of every
frame, so that a range that was reached by seeking is known to begin where it should. Parts are
MPEG transport streams without B-frames, whose bytes may simply be strung together.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..errors import IdfError
from ..runtime.files import atomic_write
from ..runtime.npz import ArrayRecord
from .ffmpeg import (
    BT709,
    BT709_OPTIONS,
    EXACT,
    MOVING,
    ONE_FILE,
    QUIET,
    Feed,
    decode,
    even_sized,
    ffmpeg_executable,
    raw_input,
)
from .media import MAX_PIXELS, VideoInfo, to_uint8, video_info

TICKS = 90_000  # a second, of the parts' clock (MPEG's own)
# Where and with what it was filmed, and by whom, stays in the original.
PRIVATE = ("-map_metadata", "-1", "-map_chapters", "-1")
_ALL = ("-fps_mode", "passthrough", "-enc_time_base", "demux")


@dataclass(frozen=True, eq=False)
class VideoIndex(ArrayRecord):
    """Every frame of a video.

    width, height: pixels as shown. times: (N,) float64 seconds from the file's start, rising.
    checks: (N,) uint32, Adler-32 from 0 of the frame's RGB bytes. sound: whether there is a track.
    """

    width: int
    height: int
    times: np.ndarray
    checks: np.ndarray
    sound: bool

    schema: ClassVar = {"width": "iu", "height": "iu", "times": "f! N", "checks": "u4 N",
                        "sound": "b"}

    def __len__(self) -> int:
        return len(self.times)

    @property
    def fps(self) -> float:
        """Mean frames a second."""
        if len(self) < 2:
            return 25.0
        return float((len(self) - 1) / max(self.times[-1] - self.times[0], 1e-6))

    @property
    def variable(self) -> bool:
        """Whether the frames come at different intervals (beyond a clock's rounding)."""
        step = np.diff(self.times)
        return len(step) > 1 and float(step.max() - step.min()) > max(0.1 * np.median(step), 2e-3)

    @classmethod
    def load(cls, path) -> VideoIndex:
        """Return what `save` wrote; IdfError where the file holds something else."""
        out = super().load(path)
        if not (0 < out.width <= MAX_PIXELS and 0 < out.height <= MAX_PIXELS and len(out)
                and out.width * out.height <= MAX_PIXELS and (np.diff(out.times) >= 0).all()):
            raise IdfError(f"{path} is no list of a video's frames",
                           f"{out.width} x {out.height}, {len(out)} frames",
                           "delete it and run that stage again")
        return cls(int(out.width), int(out.height), out.times, out.checks, bool(out.sound))


def index_video(path, progress=None) -> VideoIndex:
    """Decode a video once. progress: called with the share done, where the length is known.

    IdfError: not there, no video stream, nothing that can be decoded, a picture beyond MAX_PIXELS,
    and a file that ends before its header says or is damaged inside.
    """
    path = Path(path)
    info = video_info(path)
    if info.width * info.height > MAX_PIXELS:
        raise IdfError(f"The video {path} is too large", f"{info.width}x{info.height}",
                       f"make it smaller than {MAX_PIXELS // 10**6} megapixels")
    command = [ffmpeg_executable(), *QUIET, *ONE_FILE, "-i", str(path), *MOVING, *_ALL,
               *info.decoding, "-pix_fmt", "rgb24",
               "-c:v", "rawvideo", "-f", "framecrc", "-"]
    clock, size, rows = 1.0, None, []
    with tempfile.TemporaryFile() as complaints, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=complaints) as process:
        for line in process.stdout:
            text = line.decode("ascii", "replace")
            if text.startswith("#tb 0:"):
                above, _, below = text.split()[-1].partition("/")
                clock = int(above) / int(below)
            elif text.startswith("#dimensions 0:"):
                size = tuple(int(n) for n in text.split()[-1].split("x"))
            elif not text.startswith("#"):
                _, _, pts, _, _, check = text.split(",")[:6]
                rows.append((int(pts), int(check, 16)))
                if progress and info.duration and len(rows) % 50 == 0:
                    progress(min(1.0, rows[-1][0] * clock / info.duration))
        code = process.wait()
        complaints.seek(0)
        words = complaints.read(2000).decode(errors="replace").strip()
    if not rows or size is None:
        raise IdfError(f"No frame of the video {path} can be decoded", words[-160:] or "0 frames",
                       "save or download it again")
    pts = np.array([r[0] for r in rows], np.float64)
    order = np.all(np.diff(pts) > 0)
    times = pts * clock if order else np.arange(len(pts)) / info.fps
    index = VideoIndex(*size, times, np.array([r[1] for r in rows], np.uint32), info.sound)
    _check_whole(path, index, info, code, words)
    return index


def _check_whole(path: Path, index: VideoIndex, info: VideoInfo, code: int, words: str) -> None:
    """Raise IdfError where decoding ended early."""
    length = index.times[-1] + 1 / max(index.fps, 1e-3)
    broken = re.search(r"[^\n]*(partial file|truncat|Invalid data|corrupt|missing picture|"
                       r"decoding|ended prematurely)[^\n]*", words, re.I)
    short = length < 0.95 * info.duration - 0.5 and _sound_length(path, info) < info.duration - 0.5
    if code != 0 or broken or short:
        reason = f": {broken[0].strip()[-80:]}" if broken else ""
        raise IdfError(
            f"The video {path} is damaged or cut off", f"{len(index)} frames, {length:.1f} of "
            f"{info.duration:.1f} s, can be decoded{reason}",
            "save or download it again, or keep the good part: ffmpeg -i VIDEO -t "
            f"{max(length - 1, 0.1):.1f} good.mp4")


def _sound_length(path: Path, info: VideoInfo) -> float:
    """Return seconds of sound that the file holds, which may be more than of pictures."""
    if not info.sound:
        return 0.0
    done = subprocess.run(
        [ffmpeg_executable(), *QUIET, *ONE_FILE, "-i", str(path), "-map", "0:a:0", "-c", "copy",
         "-f", "framecrc", "-"], stdin=subprocess.DEVNULL, capture_output=True)
    lines = done.stdout.decode("ascii", "replace").splitlines()
    clock = next((x.split()[-1].split("/") for x in lines if x.startswith("#tb 0:")), ("1", "1"))
    rows = [x.split(",") for x in lines if x and not x.startswith("#")]
    return int(rows[-1][2]) * int(clock[0]) / int(clock[1]) if rows else 0.0


def read_frames(path, index: VideoIndex, start: int = 0, stop: int | None = None
                ) -> Iterator[np.ndarray]:
    """Yield frames start..stop-1 as uint8 (H, W, 3), one at a time.

    Seeks, and checks that it arrived; else decodes from the beginning. IdfError where the video is
    not the one that was indexed.
    """
    stop = len(index) if stop is None else stop
    if not 0 <= start < stop <= len(index):
        raise ValueError(f"frames {start}..{stop} of {len(index)}")
    skip = 0
    frames = _decode(path, index, _before(index, start))
    first = next(frames, None)
    if first is None or zlib.adler32(first, 0) != index.checks[start]:
        frames.close()
        skip = start
        frames = _decode(path, index, None)
        first = next(frames, None)
    count = 0
    try:
        while first is not None and count < stop - start:
            if skip:
                skip -= 1
            else:
                if count == 0 and zlib.adler32(first, 0) != index.checks[start]:
                    break
                count += 1
                yield np.frombuffer(first, np.uint8).reshape(index.height, index.width, 3)
            first = next(frames, None) if count < stop - start else None
    finally:
        frames.close()
    if count < stop - start:
        raise IdfError(f"The video {path} has changed", f"frame {start + count} is not what it was",
                       "start again with another --out")


def _before(index: VideoIndex, frame: int) -> float | None:
    """Return a moment between the frame before and this one, seconds; None = from the beginning."""
    if frame == 0:
        return None
    return float(0.5 * (index.times[frame - 1] + index.times[frame]))


def _decode(path, index: VideoIndex, start: float | None) -> Iterator[bytes]:
    seek = () if start is None else ("-ss", f"{start:.6f}")
    options = (*_ALL, *video_info(path).decoding)
    return decode(path, index.width * index.height * 3, options, seek)


def write_part(path, frames: Iterable[np.ndarray], times: np.ndarray, crf: int = 18,
               exact: bool = False) -> int:
    """Encode a piece of a video as H.264, atomically; return its size in bytes.

    frames: uint8 (H, W, 3) of one size; odd sizes are padded by a repeated row or column, since
    4:2:0 needs even ones. times: (n,) seconds, of each frame. crf: 0 (lossless) to 51. One thread
    and no B-frames: the same bytes on every machine, and parts that can be strung together.
    exact: each pixel as it is, at any size, and without times (a Matroska file, see `read_parts`).
    """
    ticks = np.round(np.asarray(times, np.float64) * TICKS).astype(np.int64)
    options = list(EXACT) if exact else [
               "-vf", f"{BT709},settb=1/{TICKS},setpts={_clock(ticks)}", *BT709_OPTIONS,
               "-fps_mode", "passthrough", "-enc_time_base", f"1/{TICKS}",
               "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-threads", "1",
               "-crf", str(crf), "-f", "mpegts",
               "-mpegts_copyts", "1", "-muxdelay", "0", "-muxpreload", "0"]
    with atomic_write(path) as temporary, contextlib.ExitStack() as stack:
        feed, count = None, 0
        for frame in frames:
            frame = to_uint8(frame)[..., :3]
            frame = np.ascontiguousarray(frame) if exact else even_sized(frame)
            feed = feed or stack.enter_context(
                Feed([*raw_input(frame, 25), *options, str(temporary)]))
            if not feed.write(frame.tobytes()):
                break
            count += 1
        code, words = feed.finish() if feed else (1, "")
        if code != 0 or count != len(ticks):
            raise IdfError("A part of the video could not be encoded",
                           words or f"{count} of {len(ticks)} frames",
                           "check the free disk space")
        return temporary.stat().st_size


def read_parts(parts: Iterable[Path], width: int, height: int) -> Iterator[np.ndarray]:
    """Yield the (H, W, 3) uint8 frames of parts that were written `exact`."""
    for part in parts:
        for data in decode(part, width * height * 3, ("-fps_mode", "passthrough")):
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _clock(ticks: np.ndarray) -> str:
    """Return ffmpeg's expression for the time of frame N: even steps as a formula, else a table."""
    first, n = int(ticks[0]), len(ticks)
    step = (ticks[-1] - first) / max(n - 1, 1)
    if np.abs(ticks - np.round(first + step * np.arange(n))).max(initial=0) <= 1:
        return f"'floor({first}+N*{step:.9f}+0.5)'"
    return "'" + "+".join(f"eq(N\\,{k})*{int(t)}" for k, t in enumerate(ticks)) + "'"


def without_names(stream: bytes) -> bytes:
    """Return a transport stream without its table of service names (PID 17 of the 188-byte
    packets): the ffmpeg 7.0 of imageio-ffmpeg 0.6 crashes where it reads them."""
    packets = np.frombuffer(stream, np.uint8).reshape(-1, 188)
    pid = (packets[:, 1].astype(np.uint16) & 31) << 8 | packets[:, 2]
    return packets[pid != 17].tobytes()


def join_parts(path, parts: Iterable[Path], index: VideoIndex, sound_from) -> str:
    """Write one MP4 of the parts, with the sound of the video `sound_from`; return what happened
    to the sound: "copied", "encoded as AAC" (where an MP4 cannot hold it as it is), "none".

    path: written as it is, so give a temporary name (`atomic_write`). Frames are counted at the
    end: ffmpeg may end quietly on a full disk.
    """
    parts = list(parts)
    # Transport streams give no durations; without its own the last frame would be cut off.
    last = round(TICKS / max(index.fps, 1.0))
    length = f"setts=duration='if(gt(DURATION,0),DURATION,{last})'"
    ways = (("copied", ["-c:a", "copy"]), ("encoded as AAC", ["-c:a", "aac", "-b:a", "192k"])) \
        if index.sound else (("none", []),)
    words = ""
    for how, codec in ways:
        sound = [*ONE_FILE, "-i", str(sound_from), "-map", "0:v:0", "-map", "1:a:0"] if codec else \
            ["-map", "0:v:0"]
        with Feed(["-itsoffset", f"{index.times[0]:.6f}", "-f", "mpegts", "-i", "pipe:0", *sound,
                   "-c:v", "copy", "-bsf:v", length, *codec, *PRIVATE, "-movflags", "+faststart",
                   "-f", "mp4", str(path)]) as feed:
            all(feed.write(without_names(part.read_bytes())) for part in parts)
            code, words = feed.finish()
        if code == 0:
            written = len(index_video(path))
            if written == len(index):
                return how
            words = f"{written} of {len(index)} frames"
    raise IdfError("The video could not be put together", words, "check the free disk space")
