"""Videos as phones, camcorders and the web have them: read as they are meant to look."""

from __future__ import annotations

import contextlib
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import IdfError
from idf_helpers.data.clips import index_video, join_parts, read_frames, write_part
from idf_helpers.data.ffmpeg import QUIET, decode, ffmpeg_executable
from idf_helpers.data.footage import Source
from idf_helpers.data.kinds import VIDEO_SUFFIXES, is_image, is_video, kind_of
from idf_helpers.data.media import read_video, video_info, video_writer
from idf_helpers.data.video_header import parse_header
from tests.fixtures.reporting import Notes
from tests.fixtures.video import ffmpeg

LEFT, RIGHT, TOP = (200, 60, 50), (40, 70, 190), (240, 240, 240)
COUNT = 5


def frame(width=96, height=64):
    """Red at the left, blue at the right, white along the top: no two turns of it are alike."""
    out = np.zeros((height, width, 3), np.uint8)
    out[:, :width // 2], out[:, width // 2:] = LEFT, RIGHT
    out[:height // 4] = TOP
    return out


def encode(path, *options, count=COUNT, picture=None):
    picture = frame() if picture is None else picture
    h, w = picture.shape[:2]
    film = np.stack([picture] * count)
    for k in range(count):  # no two frames are the same, which some encoders leave out
        film[k, h // 2 - 4:h // 2 + 4, w // 2 - 4 + k:w // 2 + k] = 255
    subprocess.run(
        [ffmpeg_executable(), *QUIET, "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s",
         f"{w}x{h}", "-r", "25", "-i", "-", *options, str(path)],
        input=film.tobytes(), check=True)
    return path


def corners(picture):
    """(bottom left, bottom right, top middle) colors."""
    h, w = picture.shape[:2]
    return [picture[y - 3:y + 3, x - 3:x + 3].reshape(-1, 3).mean(0) for y, x in
            ((h - 10, w // 6), (h - 10, w - w // 6), (6, w // 2))]


def assert_upright(picture, atol=6.0):
    for found, color in zip(corners(picture), (LEFT, RIGHT, TOP), strict=True):
        np.testing.assert_allclose(found, color, atol=atol)


# ffmpeg 7.0 as imageio-ffmpeg 0.6.0 has it ends at the service names of a transport stream.
ENDS_AT_NAMES = b"ffmpeg version 7.0." in subprocess.run(
    [ffmpeg_executable(), "-version"], capture_output=True).stdout
CONTAINERS = {
    "a.MTS": ("-c:v", "libx264", "-f", "mpegts"), "a.ts": ("-c:v", "libx264",),
    "a.m2ts": ("-c:v", "libx264", "-mpegts_m2ts_mode", "1", "-f", "mpegts"),
    "a.3gp": ("-c:v", "mpeg4",), "a.webm": ("-c:v", "libvpx",), "a.ogv": ("-c:v", "libtheora",),
    "a.wmv": ("-c:v", "wmv2",), "a.flv": ("-c:v", "flv1",), "a.mpg": ("-c:v", "mpeg2video",),
    "a.avi": ("-c:v", "mjpeg",), "a.vob": ("-c:v", "mpeg2video",),
    "a.mxf": ("-c:v", "mpeg2video",),
    "a.mov": ("-c:v", "libx264", "-pix_fmt", "yuv420p10le")}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(tmp_path, name):
    if name in ("a.MTS", "a.ts", "a.m2ts") and ENDS_AT_NAMES:
        with pytest.raises(IdfError) as error:
            video_info(encode(tmp_path / name, *CONTAINERS[name]))
        assert "--upgrade imageio-ffmpeg" in error.value.do
        return
    path = encode(tmp_path / name, *CONTAINERS[name], "-q:v", "2")
    other = path.rename(tmp_path / "clip.dat")  # the content counts, not the name
    assert kind_of(other) == "video" and is_video(other) and not is_image(other)
    frames = list(read_video(other))
    assert len(frames) == COUNT
    assert_upright(frames[0], 12)
    assert len(index_video(other)) == COUNT
    assert Source(other).count() >= 1


def test_suffixes_decide_where_nothing_else_does(tmp_path):
    for suffix in VIDEO_SUFFIXES:
        assert is_video(tmp_path / f"none{suffix.upper()}")
    (tmp_path / "broken.mp4").write_bytes(b"nothing of it")
    assert is_video(tmp_path / "broken.mp4")  # so that it is said to be broken
    with pytest.raises(IdfError, match="no video"):
        video_info(tmp_path / "broken.mp4")
    assert kind_of(tmp_path) == "" and kind_of(tmp_path / "none") == ""


@pytest.mark.parametrize("turn, flip", [(90, False), (180, False), (270, False), (0, True),
                                        (90, True)])
def test_turned_and_mirrored_by_the_header(tmp_path, turn, flip):
    """The stored frame is made so that the header's matrix brings it upright."""
    stored = np.rot90(frame()[:, ::-1] if flip else frame(), -turn // 90)
    encode(tmp_path / "a.mp4", "-c:v", "libx264", "-crf", "6",
           picture=np.ascontiguousarray(stored))
    ffmpeg(*(("-display_rotation", turn) if turn else ()), *(("-display_hflip",) if flip else ()),
           "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    info = video_info(tmp_path / "b.mp4")
    got = list(read_video(tmp_path / "b.mp4"))
    assert len(got) == COUNT and got[0].shape == (info.height, info.width, 3) == (64, 96, 3)
    # of a mirror and a turn together either order is found in the wild
    assert_upright(got[0]) if not (turn and flip) else assert_upright(
        min((got[0], got[0][::-1, ::-1]), key=lambda p: np.abs(corners(p)[2] - TOP).sum()))


@pytest.mark.parametrize("aspect, size", [("2/1", (192, 64)), ("1/2", (96, 128)), ("1/1", (96, 64)),
                                          ("0/1", (96, 64))])
def test_pixels_become_square(tmp_path, aspect, size):
    path = encode(tmp_path / "a.mkv", "-vf", f"setsar={aspect}", "-c:v", "libx264", "-crf", "6")
    info = video_info(path)
    got = next(read_video(path))
    assert (info.width, info.height) == size == got.shape[1::-1]
    assert_upright(got)
    index = index_video(path)
    assert (index.width, index.height) == size
    assert next(read_frames(path, index)).shape == got.shape
    assert any("not square" in note for note in info.notes) == (size != (96, 64))


def test_pixels_that_are_not_square_in_a_turned_video(tmp_path):
    encode(tmp_path / "a.mp4", "-vf", "setsar=2/1", "-c:v", "libx264", "-crf", "6",
           picture=np.ascontiguousarray(np.rot90(frame(), -1)))
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    info = video_info(tmp_path / "b.mp4")
    assert (info.width, info.height) == (96, 128)
    assert_upright(next(read_video(tmp_path / "b.mp4")))


@pytest.mark.parametrize("turn", [0, 90, 270])
def test_interlaced(tmp_path, turn):
    """A bar that moves between the half pictures: deinterlaced, no line of a frame shows both,
    however the header turns it."""
    film = np.zeros((2 * COUNT, 64, 96, 3), np.uint8)
    for k, picture in enumerate(film):
        picture[:, 8 * k:8 * k + 12] = 255
    subprocess.run(
        [ffmpeg_executable(), *QUIET, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "96x64", "-r",
         "50", "-i", "-", "-vf", "interlace=lowpass=off", "-c:v", "libx264", "-flags",
         "+ildct+ilme", "-crf", "6", str(tmp_path / "a.mp4")], input=film.tobytes(), check=True)
    ffmpeg(*(("-display_rotation", turn) if turn else ()), "-i", tmp_path / "a.mp4", "-c", "copy",
           tmp_path / "b.mp4")
    info = video_info(tmp_path / "b.mp4")
    assert info.interlaced and any("interlaced" in note for note in info.notes)
    for picture in list(read_video(tmp_path / "b.mp4"))[1:-1]:
        picture = np.rot90(picture, -turn // 90)
        assert picture.shape == (64, 96, 3)
        combs = np.abs(np.diff(picture[8:-8, :, 1].astype(int), axis=0))
        assert (combs > 128).mean() < 0.02


def test_wide_colors_of_the_standard_range(tmp_path):
    """BT.2020 without HDR: its white is white, and its full red is beyond what a screen shows."""
    picture = np.full((64, 96, 3), 200, np.uint8)
    picture[:, :48] = (150, 90, 90)
    path = encode(tmp_path / "a.mp4", "-vf", "scale=out_color_matrix=bt2020:out_range=tv,"
                  "format=yuv420p,setparams=color_primaries=bt2020:color_trc=bt2020-10:"
                  "colorspace=bt2020nc", "-c:v", "libx264", "-crf", "4", picture=picture)
    got = next(read_video(path))
    light = (picture[0, 0] / 255.0)
    linear = np.where(light < 0.081, light / 4.5, ((light + 0.099) / 1.099) ** (1 / 0.45))
    to709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083],
                      [-0.0182, -0.1006, 1.1187]])  # ITU-R BT.2087
    meant = to709 @ linear
    meant = np.where(meant < 0.018, 4.5 * meant, 1.099 * meant**0.45 - 0.099)
    np.testing.assert_allclose(got[30, 20], 255 * meant, atol=4)
    np.testing.assert_allclose(got[30, 80], 200, atol=2)
    assert "wide colors" in video_info(path).notes[0]


def test_pq(tmp_path):
    """ITU-R BT.2100 PQ: what lies below two thirds of 203 nits is shown as bright as it is."""
    nits = np.array([0, 5, 30, 100, 203.0])
    y = (nits / 10000) ** 0.1593017578125
    signal = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    luma = np.repeat(np.round(64 + 876 * signal), 32).astype(np.uint16)
    data = np.tile(luma, (64, 1)).tobytes() + np.full(32 * 80 * 2, 512, np.uint16).tobytes()
    tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc",
            "-color_range", "tv"]
    subprocess.run([ffmpeg_executable(), *QUIET, "-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s",
                    "160x64", "-r", "10", *tags, "-i", "-", "-vf",
                    "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
                    "-c:v", "libx264", "-crf", "4", *tags, str(tmp_path / "a.mov")],
                   input=data * 2, check=True)
    info = video_info(tmp_path / "a.mov")
    assert info.hdr and "PQ" in info.notes[0]
    seen = next(read_video(tmp_path / "a.mov"))[:, 16::32].astype(float).mean((0, 2))
    np.testing.assert_allclose(seen[:4], 255 * (nits[:4] / 203) ** (1 / 2.4), atol=5)
    assert 205 < seen[4] <= 255


def tags(path):
    said = subprocess.run([ffmpeg_executable(), "-hide_banner", "-i", str(path)],
                          capture_output=True, text=True).stderr
    return said


def test_every_output_says_its_colors(tmp_path):
    with video_writer(tmp_path / "a.mp4", 10) as video:
        for _ in range(3):
            video.append(frame())
    source = encode(tmp_path / "s.mp4", "-c:v", "libx264")
    index = index_video(source)
    write_part(tmp_path / "p.ts", list(read_frames(source, index)), index.times)
    join_parts(tmp_path / "b.mp4", [tmp_path / "p.ts"], index, source)
    for name in ("a.mp4", "b.mp4"):
        info = video_info(tmp_path / name)
        assert (info.matrix, info.primaries, info.transfer) == ("bt709",) * 3
        assert "(tv, bt709" in tags(tmp_path / name)
        assert_upright(next(read_video(tmp_path / name)))


def test_places_and_names_stay_in_the_original(tmp_path):
    encode(tmp_path / "v.mp4", "-c:v", "libx264")
    ffmpeg("-i", tmp_path / "v.mp4", "-f", "lavfi", "-i", "sine=f=330", "-shortest", "-c:a", "aac",
           "-c:v", "copy", "-metadata", "location=+48.8584+002.2945/", "-metadata",
           "artist=Jane Doe",
           "-metadata:s:a:0", "title=Jane's phone", tmp_path / "s.mp4")
    assert "48.8584" in tags(tmp_path / "s.mp4")
    index = index_video(tmp_path / "s.mp4")
    write_part(tmp_path / "p.ts", list(read_frames(tmp_path / "s.mp4", index)), index.times)
    sound = join_parts(tmp_path / "b.mp4", [tmp_path / "p.ts"], index, tmp_path / "s.mp4")
    assert sound == "copied"
    data = (tmp_path / "b.mp4").read_bytes()
    assert b"48.8584" not in data and b"Jane" not in data


HEADER = """  Duration: 00:00:02.00, start: 0.000000, bitrate: 100 kb/s
  Stream #0:0[0x1](und): Video: hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le(tv, {colors}), \
1920x1080 [SAR 1:1 DAR 16:9], 100 kb/s, 30 fps, 30 tbr, 600 tbn (default)
      Side data:
        DOVI configuration record: version: 1.0, profile: {profile}, level: 4, rpu flag: 1, \
el flag: 0, bl flag: 1, compatibility id: {compatible}, compression: 0
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 128 kb/s
"""


def test_dolby_vision():
    info = parse_header(HEADER.format(colors="bt2020nc/bt2020/arib-std-b67", profile=8,
                                      compatible=4))
    assert info.hdr and info.dolby == 8 and info.sound and info.duration == 2
    assert "Dolby Vision over HLG" in info.notes[0]
    with pytest.raises(IdfError, match="Dolby Vision"):
        parse_header(HEADER.format(colors="progressive", profile=5, compatible=0))


def test_the_aspect_of_the_container_counts():
    line = HEADER.format(colors="bt709", profile=8, compatible=1)
    both = line.replace("[SAR 1:1 DAR 16:9]", "[SAR 1:1 DAR 16:9], SAR 4:3 DAR 64:27")
    assert (parse_header(both).width, parse_header(line).width) == (2560, 1920)


def test_of_several_videos_in_one_file_the_first_is_read_whatever_is_larger(tmp_path):
    path = encode(tmp_path / "two.mkv", "-filter_complex",
                  "[0:v]split[a][b];[b]scale=192:128[c]", "-map", "[a]", "-map", "[c]",
                  "-c:v", "ffv1", "-disposition:v", "0")
    info, frames = video_info(path), list(read_video(path))
    assert (info.width, info.height, len(frames)) == (96, 64, COUNT)
    assert len(index_video(path)) == COUNT
    assert_upright(frames[0])


def test_a_cover_is_not_the_video():
    header = HEADER.format(colors="bt709", profile=8, compatible=1)
    cover = "  Stream #0:0: Video: mjpeg, yuvj420p, 300x200, 90k tbr (attached pic)\n"
    assert (parse_header(cover + header).width, parse_header(header).width) == (1920, 1920)


@given(st.text(st.sampled_from("Stream #0:Video ,x0123456789SARDOVI()/[]\n.rotation of degrees-"),
               max_size=300))
def test_any_text_is_a_header_or_one_error(text):
    with contextlib.suppress(IdfError):
        info = parse_header("Stream #0:0: Video: x, " + text)
        assert info.width > 0 and info.height > 0 and info.fps > 0


@given(st.binary(max_size=900))
def test_any_bytes_are_of_some_kind(data):
    assert kind_of(data) in ("picture", "animation", "video", "")


def test_what_is_done_on_reading_is_told_to_the_user(tmp_path):
    from idf_helpers import inspect
    from idf_helpers.capturing.capture import capture
    from idf_helpers.tracking.track import track

    path = encode(tmp_path / "a.mkv", "-vf", "setsar=2/1", "-c:v", "libx264")
    assert any("not square" in note for note in inspect(path).notes)
    for verb in (track, capture):
        reporter = Notes()
        with pytest.raises(IdfError):  # there is no face in it
            verb(path, tmp_path / verb.__name__, reporter=reporter)
        assert any("not square" in note for note in reporter.notes)


def test_frames_that_no_memory_holds_are_refused(tmp_path):
    with pytest.raises(IdfError, match="frames of .* are too large"):
        next(decode(tmp_path / "a.mp4", 2**33, ()))
