"""Videos as people have them: what the tracker makes of each, and what it says."""

from __future__ import annotations

import subprocess

import cv2
import numpy as np
import pytest

from idf_helpers.data import media
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.ffmpeg import QUIET, ffmpeg_executable
from idf_helpers.data.footage import Source
from idf_helpers.data.samples import dataset
from idf_helpers.face.frame_landmarks import FollowingDetector, picture_name
from idf_helpers.runtime.files import read_json
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.track import track

QUICK = TrackConfig(fov=29.0, identity=False, overlay=False, brows=False, test=1, val=0)


@pytest.fixture(scope="module")
def talking():
    """24 frames of the bundled sequence, (256, 256, 3) uint8."""
    frames = sorted(dataset("head_talking").frames, key=lambda f: f.name[-4:])[20:68:2]
    return [f.image()[..., :3] for f in frames]


def write(path, frames, fps=10.0):
    with media.video_writer(path, fps, crf=12) as video:
        for f in frames:
            video.append(f)
    return path


def tracked(path, frames, config=QUICK):
    """(dataset, report) of frames written as a video."""
    out = path / "run"
    data = track(write(path / "clip.mp4", frames), out, config)
    return data, read_json(out / "track_report.json")


def shifted(frame, pixels):
    """A frame whose contents have moved to the right; its edge is repeated."""
    return cv2.warpAffine(frame, np.array([[1, 0, pixels], [0, 1, 0]], np.float32), (256, 256),
                          borderMode=cv2.BORDER_REPLICATE)


def said(report, words: str) -> bool:
    return sum(words in d for d in report["doubts"]) == 1


def test_two_people(talking, tmp_path):
    """The larger one is followed, also when the other comes closer."""
    frames = []
    for k in range(8):
        frame = np.full((256, 512, 3), 150, np.uint8)
        frame[:, 256:] = talking[k]
        small = cv2.resize(talking[23 - k], (180, 180), interpolation=cv2.INTER_AREA)
        frame[40:220, 30:210] = small
        frames.append(frame)
    for k in range(1, 5):  # the one that is followed leaves: nobody else is taken for it
        frames.append(frames[-1].copy())
        frames[-1][:, 256:] = shifted(talking[7], 60 * k)
    data, report = tracked(tmp_path, frames)
    assert report["used"] >= 8 and {10, 11} <= set(report["without_face"])
    assert all(f.bbox[2] > 0.45 for f in data.frames)
    assert said(report, "More than one face is seen in") and said(report, "right of the picture")


def test_the_one_who_is_followed_is_not_exchanged(talking):
    near, far = talking[0], cv2.resize(talking[5], (150, 150), interpolation=cv2.INTER_AREA)
    find, empty = FollowingDetector(), np.full((256, 512, 3), 150, np.uint8)
    both, other = empty.copy(), empty.copy()
    both[:, :256] = near
    both[50:200, 300:450] = other[50:200, 300:450] = far
    assert find(both)[:, 0].mean() < 256 and find.others == 1
    assert find(other) is None and find.others == 1
    assert find(both)[:, 0].mean() < 256
    find.cut()
    assert find(other)[:, 0].mean() > 256


def test_the_subject_walks_out(talking, tmp_path):
    out = [shifted(talking[8], 8 * k * (k + 1) // 2) for k in range(1, 9)]
    data, report = tracked(tmp_path, talking[:8] + out + [out[-1]] * 2)
    assert 8 <= report["used"] <= 13 and set(range(15, 18)) <= set(report["without_face"])
    assert said(report, "No face") and said(report, "to 1.7 s")


def test_a_cut_and_a_jump_of_the_zoom(talking, tmp_path):
    """Another room first, then a jump closer: the longest part is taken, and that is said."""
    dark = [(f * 0.3).astype(np.uint8) for f in talking[:5]]
    closer = [cv2.resize(f[20:236, 20:236], (256, 256)) for f in talking[12:17]]
    data, report = tracked(tmp_path, dark + talking[5:12] + closer)
    assert report["taken"] == [5, 11] and report["used"] == 7
    assert sorted(int(f.name[-5:]) for f in data.frames) == list(range(5, 12))
    assert said(report, "cut, or jumps closer, at 0.5 s, 1.2 s.")
    assert said(report, "0.5 to 1.1 s")


def test_a_still_picture_as_a_video(talking, tmp_path):
    _, report = tracked(tmp_path, [talking[0]] * 6)
    assert said(report, "Nothing moves")


def test_a_few_seconds_and_what_they_leave_behind(talking, tmp_path):
    """Short: said. The background is that of the clip, with alpha where it was seen."""
    data, report = tracked(tmp_path, talking[::3])
    assert said(report, "for 0.8 seconds only") and not said(report, "Nothing moves")
    picture = media.read_image(Dataset.open(data.root).background)
    assert picture.shape == (256, 256, 4)
    seen = picture[..., 3] > 0
    assert 0.3 < seen.mean() < 0.8 and not seen[100:160, 110:150].any()
    room = media.read_image(dataset("head_talking").background)[..., :3]
    off = np.abs(picture[..., :3].astype(int) - media.resize_area(room, 256, 256))
    assert off[seen].mean() < 3  # the video was compressed
    assert report["background"]["seen"] == pytest.approx(seen.mean(), abs=1e-3)


def test_filmed_upright(talking, tmp_path):
    """A phone writes frames lying and asks for them to be turned."""
    lying = [np.rot90(f[:, 40:216], 1) for f in talking[:5]]
    write(tmp_path / "lying.mp4", lying)
    subprocess.run([ffmpeg_executable(), *QUIET, "-display_rotation", "270", "-i",
                    str(tmp_path / "lying.mp4"), "-c", "copy", str(tmp_path / "phone.mp4")],
                   check=True)
    track(tmp_path / "phone.mp4", tmp_path / "run", QUICK)
    report = read_json(tmp_path / "run" / "track_report.json")
    shown = media.read_image(tmp_path / "run" / f"{picture_name(0)}.png")
    assert shown.shape == (256, 176, 3) and report["used"] == 5
    assert np.abs(shown.astype(int) - talking[0][:, 40:216]).mean() < 6


def test_frames_at_uneven_times(talking, tmp_path):
    """Variable frame rate: every frame once, none doubled to fill the clock."""
    write(tmp_path / "even.mp4", talking[:6])
    subprocess.run([ffmpeg_executable(), *QUIET, "-i", str(tmp_path / "even.mp4"), "-vf",
                    "setpts=(N+2*gt(N\\,2))/10/TB", "-fps_mode", "vfr", "-crf", "12",
                    str(tmp_path / "uneven.mp4")], check=True)
    frames = [f for _, f in Source(tmp_path / "uneven.mp4").frames()]
    assert len(frames) == 6
    for a, b in zip(frames, talking[:6], strict=True):
        assert np.abs(a.astype(int) - b).mean() < 6
