"""Videos in pieces: every kind of clip is indexed, read by number, and put together again."""

import subprocess

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.clips import (
    VideoIndex,
    index_video,
    join_parts,
    read_frames,
    without_names,
    write_part,
)
from idf_helpers.data.ffmpeg import ffmpeg_executable
from tests.fixtures.video import ffmpeg

SECONDS, RATE = 2, 25


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Folder of clips of a moving picture, 64 x 48."""
    d = tmp_path_factory.mktemp("clips")
    picture = ["-f", "lavfi", "-i", f"testsrc2=s=64x48:r={RATE}"]
    tone = ["-f", "lavfi", "-i", "sine=f=440"]
    h264 = ["-t", SECONDS, "-c:v", "libx264", "-g", 12, "-bf", 2, "-pix_fmt", "yuv420p"]
    ffmpeg(*picture, *tone, *h264, "-c:a", "aac", d / "sound.mp4")
    ffmpeg(*picture, *h264, d / "silent.mp4")
    ffmpeg(*picture, "-vf", "select='not(mod(n,5))+lt(mod(n,16),7)'", "-fps_mode", "passthrough",
           *h264, d / "variable.mp4")
    ffmpeg("-itsoffset", 0.44, "-i", d / "sound.mp4", "-i", d / "sound.mp4", "-map", "0:v", "-map",
           "1:a", "-c", "copy", d / "late.mp4")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=65x49:r={RATE}", "-t", SECONDS, "-c:v", "ffv1",
           d / "odd.mkv")
    ffmpeg(*picture, *tone, "-t", SECONDS, "-c:v", "ffv1", "-c:a", "adpcm_ms", d / "adpcm.mkv")
    ffmpeg(*tone, "-t", 1, "-c:a", "aac", d / "only_sound.mp4")
    ffmpeg("-i", d / "sound.mp4", "-c", "copy", "-movflags", "+faststart", d / "front.mp4")
    whole = (d / "front.mp4").read_bytes()
    (d / "cut.mp4").write_bytes(whole[:int(0.6 * len(whole))])
    whole = (d / "odd.mkv").read_bytes()
    (d / "cut.mkv").write_bytes(whole[:int(0.5 * len(whole))])
    whole = (d / "silent.mp4").read_bytes()
    (d / "headless.mp4").write_bytes(whole[:int(0.5 * len(whole))])
    (d / "text.mp4").write_text("not a video")
    return d


@pytest.mark.parametrize("name", ["sound.mp4", "silent.mp4", "variable.mp4", "late.mp4", "odd.mkv",
                                  "adpcm.mkv"])
def test_there_and_back(clips, tmp_path, name):
    index = index_video(clips / name)
    assert index.sound == (name in ("sound.mp4", "late.mp4", "adpcm.mkv"))
    assert index.variable == (name == "variable.mp4")
    parts = []
    for k, start in enumerate(range(0, len(index), 13)):
        stop = min(start + 13, len(index))
        parts.append(tmp_path / f"{k}.ts")
        write_part(parts[-1], read_frames(clips / name, index, start, stop),
                   index.times[start:stop], crf=4)
    how = join_parts(tmp_path / "out.mp4", parts, index, clips / name)
    assert how == {"sound.mp4": "copied", "late.mp4": "copied",
                   "adpcm.mkv": "encoded as AAC"}.get(name, "none")
    again = index_video(tmp_path / "out.mp4")
    assert again.sound == index.sound and len(again) == len(index)
    np.testing.assert_allclose(again.times, index.times, atol=2e-3)
    assert (again.width, again.height) == (index.width + index.width % 2,
                                           index.height + index.height % 2)
    for a, b in zip(read_frames(clips / name, index), read_frames(tmp_path / "out.mp4", again),
                    strict=True):
        near = np.abs(a.astype(int) - b[:index.height, :index.width]).mean()
        assert near < 12  # 4:2:0 blurs this picture's hard colors


def test_sound_is_the_same_packets(clips, tmp_path):
    index = index_video(clips / "sound.mp4")
    write_part(tmp_path / "p.ts", read_frames(clips / "sound.mp4", index), index.times)
    join_parts(tmp_path / "out.mp4", [tmp_path / "p.ts"], index, clips / "sound.mp4")

    def packets(path):
        return subprocess.run([ffmpeg_executable(), "-loglevel", "error", "-i", str(path),
                               "-map", "0:a", "-c", "copy", "-f", "md5", "-"],
                              capture_output=True, check=True).stdout

    assert packets(tmp_path / "out.mp4") == packets(clips / "sound.mp4")


def test_ranges_begin_where_they_should(clips):
    for name in ("sound.mp4", "variable.mp4", "late.mp4"):
        index = index_video(clips / name)
        every = [f.copy() for f in read_frames(clips / name, index)]
        for start in (1, 11, 12, 13, len(index) - 1):
            got = next(read_frames(clips / name, index, start, start + 1))
            np.testing.assert_array_equal(got, every[start])


def test_seeking_that_fails_is_noticed(clips):
    index = index_video(clips / "sound.mp4")
    wrong = VideoIndex(index.width, index.height, index.times - 0.3, index.checks, index.sound)
    got = [f.copy() for f in read_frames(clips / "sound.mp4", wrong, 20, 23)]
    for a, b in zip(got, read_frames(clips / "sound.mp4", index, 20, 23), strict=True):
        np.testing.assert_array_equal(a, b)  # decoded from the beginning instead
    other = VideoIndex(index.width, index.height, index.times, index.checks + 1, True)
    with pytest.raises(IdfError, match="has changed"):
        list(read_frames(clips / "sound.mp4", other, 3, 5))


def test_parts_are_the_same_bytes_each_time(clips, tmp_path):
    index = index_video(clips / "silent.mp4")
    for name in ("a.ts", "b.ts"):
        write_part(tmp_path / name, read_frames(clips / "silent.mp4", index, 5, 30),
                   index.times[5:30])
    assert (tmp_path / "a.ts").read_bytes() == (tmp_path / "b.ts").read_bytes()
    named = (tmp_path / "a.ts").read_bytes()
    bare = without_names(named)
    assert b"Service01" in named and b"Service01" not in bare
    assert 0 < len(bare) < len(named) and not len(bare) % 188
    with pytest.raises(IdfError, match="could not be encoded"):
        write_part(tmp_path / "c.ts", read_frames(clips / "silent.mp4", index, 0, 3),
                   index.times[:5])
    assert not list(tmp_path.glob("*c*"))


def test_indexes_are_kept(clips, tmp_path):
    index = index_video(clips / "sound.mp4")
    index.save(tmp_path / "i.npz")
    again = VideoIndex.load(tmp_path / "i.npz")
    np.testing.assert_array_equal(again.checks, index.checks)
    assert (again.width, again.sound, again.fps) == (64, True, pytest.approx(RATE))


@pytest.mark.parametrize("name,says", [
    ("only_sound.mp4", "holds no video"), ("text.mp4", "holds no video"),
    ("headless.mp4", "holds no video"), ("missing.mp4", "does not exist"),
    ("cut.mp4", "damaged or cut off"), ("cut.mkv", "damaged or cut off")])
def test_bad_videos_give_one_error(clips, name, says):
    with pytest.raises(IdfError, match=says):
        index_video(clips / name)


def test_longer_sound_is_no_damage(clips, tmp_path):
    ffmpeg("-i", clips / "silent.mp4", "-f", "lavfi", "-i", "sine=f=300:d=9", "-c:v", "copy",
           "-c:a", "aac", tmp_path / "long.mp4")
    assert len(index_video(tmp_path / "long.mp4")) == SECONDS * RATE
