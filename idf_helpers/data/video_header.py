"""What the header of a video says, and how its frames are to be decoded to look as meant.

imageio-ffmpeg brings ffmpeg without ffprobe, so what `ffmpeg -i` prints is read. Written against
the printing code itself: avcodec_string in libavcodec/avcodec.c (pixel format, range, matrix /
primaries / transfer, field order, SAR) and dump_stream_format in libavformat/dump.c (side data), of
https://github.com/FFmpeg/FFmpeg.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import IdfError
from .animations import animation_info, is_animation
from .ffmpeg import ONE_FILE, ffmpeg_executable, to_sdr

HDR = {"arib-std-b67": "HLG", "smpte2084": "PQ"}
WIDE = ("bt2020", "smpte431", "smpte432")  # primaries of more colors than a usual screen's
READ = "MP4, MOV, MKV, WebM, AVI, MTS, M2TS, TS, 3GP, OGV, WMV, FLV or MPEG"


@dataclass(frozen=True)
class VideoInfo:
    """width, height: pixels as shown, after the rotation that the header asks for, and square; fps:
    frames a second; comment: the file's comment tag; duration: seconds by the header, 0 = it does
    not say; sound: whether there is a sound track; hdr: whether it has a high dynamic range (HLG,
    PQ), which `decoding` brings into that of pictures. transfer, primaries, matrix: how colors are
    stored, ffmpeg's names, "" = it does not say. dolby: profile of Dolby Vision, 0 = none.
    interlaced: whether a frame is two half pictures. turned: degrees by which the header turns what
    is stored, counterclockwise. pixel_aspect: width over height of a stored pixel. animation: GIF,
    APNG, WebP or AVIF, which Pillow reads in place of ffmpeg."""

    width: int
    height: int
    fps: float
    comment: str
    duration: float = 0.0
    sound: bool = False
    hdr: bool = False
    transfer: str = ""
    primaries: str = ""
    matrix: str = ""
    dolby: int = 0
    interlaced: bool = False
    turned: int = 0
    pixel_aspect: float = 1.0
    animation: str = ""

    @property
    def filters(self) -> tuple[str, ...]:
        """ffmpeg's filters for frames as they are meant to look, none where they already do."""
        out = ["bwdif=mode=send_frame:deint=interlaced"] if self.interlaced else []
        if out and self.turned % 180 == 90:  # ffmpeg has turned it: half pictures are columns now
            there, back = ("cclock", "clock")[::1 if self.turned % 360 == 90 else -1]
            out = [f"transpose={back}", *out, f"transpose={there}"]
        if self.hdr or self.primaries in WIDE:
            out.append(to_sdr(self.transfer if self.hdr else "bt709", self.primaries, self.matrix))
        if self.pixel_aspect != 1:
            out += [f"scale={self.width}:{self.height}:flags=bicubic", "setsar=1"]
        return tuple(out)

    @property
    def decoding(self) -> tuple[str, ...]:
        """The same as ffmpeg's options."""
        return ("-vf", ",".join(self.filters)) if self.filters else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the frames, in words for the user."""
        out = []
        if self.hdr:
            kind = "Dolby Vision over " if self.dolby else ""
            out.append(f"HDR video ({kind}{HDR[self.transfer]}): brought to the standard range, "
                       "BT.709")
        elif self.primaries in WIDE:
            out.append(f"the video's wide colors ({self.primaries}) are brought to BT.709")
        if self.interlaced:
            out.append("the video is interlaced: whole frames are made of its half pictures")
        if self.pixel_aspect != 1:
            out.append(f"the video's pixels are not square ({self.pixel_aspect:.3f} : 1): frames "
                       f"become {self.width}x{self.height}")
        return tuple(out)


def video_info(path) -> VideoInfo:
    """Return what the header of a video file says. IdfError: missing, or no video stream, or one
    that only a Dolby Vision decoder can show."""
    if not Path(path).is_file():
        raise IdfError(f"The video {path} does not exist", "no such file",
                       "check the path for typing errors")
    if is_animation(path):
        kind, width, height, durations = animation_info(path)
        seconds = sum(durations) / 1000
        return VideoInfo(width, height, len(durations) / max(seconds, 1e-3), "", seconds,
                         animation=kind)
    done = subprocess.run([ffmpeg_executable(), "-hide_banner", *ONE_FILE, "-i", str(path)],
                          stdin=subprocess.DEVNULL, capture_output=True)
    said = done.stderr.decode(errors="replace")
    if not 0 <= done.returncode < 256 and "Stream #" not in said:
        # It crashed: ffmpeg 7.0.2, of imageio-ffmpeg 0.6.0, at a transport stream's service names.
        raise IdfError(f"ffmpeg crashed at the header of {path}", f"exit code {done.returncode}",
                       "pip install --upgrade imageio-ffmpeg, then start again")
    return parse_header(said, path)


def parse_header(said: str, path="video") -> VideoInfo:
    """Return what ffmpeg printed about a file; path: for messages. IdfError as `video_info`."""
    stream = re.search(r"Stream #(?![^\n]*\(attached pic\))[^\n]*?Video:[^\n]*?"
                       r"\b(\d{1,5})x(\d{1,5})\b(?P<rest>[^\n]*)"
                       r"(?P<side>(?:\n(?!\s*Stream #)[^\n]*)*)", said)
    if not stream or not int(stream[1]) * int(stream[2]):
        raise IdfError(f"{path} holds no video that can be read", said.strip()[-160:],
                       f"give a {READ} file")
    line, side = stream[0].partition("\n")[0], stream["side"]
    width, height = int(stream[1]), int(stream[2])
    # the codec's, then the container's where that is another: it counts
    aspect = [int(n) for n in
              (re.findall(r"\bSAR (\d{1,9}):(\d{1,9})", stream["rest"]) or ["11"])[-1]]
    ratio = aspect[0] / aspect[1] if all(aspect) else 1.0
    if not (abs(ratio - 1) > 0.005 and 1 / 8 < ratio < 8):  # else rounding, or nonsense
        ratio = 1.0
    # The longer way, so that nothing is thrown away.
    width, height = max(1, round(width * max(ratio, 1))), max(1, round(height * max(1 / ratio, 1)))
    # ffmpeg turns the frames of a video that was filmed upright; the header has them lying
    rotation = re.search(r"rotation of (-?\d+(?:\.\d+)?) degrees", side)
    turned = round(float(rotation[1])) if rotation else 0
    if turned % 180 == 90:
        width, height = height, width
    fps = re.search(r"([\d.]+) fps", line)
    comment = re.search(r"^\s*comment\s*: (.*)$", said, re.M | re.I)  # Matroska: COMMENT
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    seconds = sum(float(n) * u for n, u in zip(length.groups(), (3600, 60, 1), strict=True)) \
        if length else 0.0
    info = VideoInfo(width, height, (_number(fps[1]) if fps else 0.0) or 25.0,
                     comment[1].strip() if comment else "", seconds,
                     bool(re.search(r"Stream #.*?Audio:", said)),
                     interlaced=bool(re.search(r"\b(top|bottom) (first|coded first)", line)),
                     turned=turned, pixel_aspect=ratio)
    return _of_colors(info, line, side, path)


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0


def _of_colors(info: VideoInfo, line: str, side: str, path) -> VideoInfo:
    """Return the header with its colors: "tv, matrix/primaries/transfer" or one name for all."""
    three = re.search(r"\((?:[^()]*?, ?)?([\w-]+)/([\w-]+)/([\w-]+)[,)]", line)
    one = re.search(r"\((?:[^()]*?, ?)?(bt709|bt2020\w*|smpte170m|bt470bg)[,)]", line)
    names = three.groups() if three else (one[1],) * 3 if one else ("",) * 3
    matrix, primaries, transfer = ("" if n in ("unknown", "reserved") else n for n in names)
    dovi = re.search(r"DOVI configuration record:.*?profile: (\d+).*?compatibility id: (\d+)", side)
    if dovi and int(dovi[2]) == 0 and transfer not in HDR:
        raise IdfError(
            f"The video {path} is Dolby Vision that no plain player shows in its colors",
            f"profile {dovi[1]} without a compatible base picture",
            "film or export it as HDR10, HLG or SDR (iPhone: Settings > Camera > Record Video > "
            "HDR Video off)")
    return replace(info, matrix=matrix, primaries=primaries, transfer=transfer,
                   hdr=transfer in HDR, dolby=int(dovi[1]) if dovi else 0)
