"""Video of a high dynamic range, as phones film: colors as they are meant to look."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.data.ffmpeg import QUIET, ffmpeg_executable
from idf_helpers.data.footage import Source
from idf_helpers.data.media import read_video, video_info
from idf_helpers.making.probe import spread

SIGNALS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of HLG, in vertical stripes


def hlg_nits(signal):
    """Light of a display of 1000 nits, ITU-R BT.2100: inverse OETF, then system gamma 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return 1000 * scene**1.2


def bt1886(light):
    """8-bit value at which a display of standard video shows light in [0, 1]."""
    return 255 * light ** (1 / 2.4)


@pytest.fixture(scope="module")
def hlg(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdr") / "phone.mov"
    luma = np.repeat(np.round(64 + 876 * np.array(SIGNALS)), 32).astype(np.uint16)
    chroma = np.full(32 * 80 * 2, 512, np.uint16)
    frame = np.tile(luma, (64, 1)).tobytes() + chroma.tobytes()
    subprocess.run(
        [ffmpeg_executable(), *QUIET, "-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "160x64",
         "-r", "10", "-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace",
         "bt2020nc", "-color_range", "tv", "-i", "-", "-c:v", "libx264", "-crf", "4",
         "-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc",
         "-color_range", "tv", str(path)], input=frame * 4, check=True)
    return path


def test_grays_are_those_of_a_display(hlg):
    assert video_info(hlg).hdr
    frame = next(read_video(hlg))
    seen = frame[:, 16::32].astype(float).mean((0, 2))
    meant = bt1886(np.clip(hlg_nits(np.array(SIGNALS)) / 203, 0, 1))
    np.testing.assert_allclose(seen[:3], meant[:3], atol=3)
    assert 215 < seen[3] < seen[4] - 5  # white is bright, and what is brighter differs from it
    assert np.ptp(frame[:, 80].astype(int), axis=-1).max() <= 2  # gray stays gray


def test_an_indexed_video_gives_the_same_frames(hlg):
    index = index_video(hlg)
    frames = list(read_frames(hlg, index, 1, 3))
    assert len(index) == 4 and len(frames) == 2
    np.testing.assert_array_equal(frames[0], list(read_video(hlg))[1])


def test_the_first_look_at_a_target_sees_the_same_colors(hlg):
    look = next(iter(spread(Source(hlg))))[2]
    np.testing.assert_allclose(look[:, 16::32].astype(float), next(read_video(hlg))[:, 16::32],
                               atol=4)


def test_other_videos_are_left_alone(tmp_path):
    from idf_helpers.data.media import video_writer

    with video_writer(tmp_path / "sdr.mp4", 10) as video:
        video.append(np.full((32, 32, 3), 120, np.uint8))
    assert not video_info(tmp_path / "sdr.mp4").hdr
    assert video_info(tmp_path / "sdr.mp4").decoding == ()
