"""The order of frames in time, and the choice of views that are spread as far as possible."""

from types import SimpleNamespace

import numpy as np

from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame, yaw_pitch
from idf_helpers.data.sequence import (
    farthest_first,
    frame_number,
    frame_times,
    front_view,
    in_time,
    natural_key,
)


def test_times_come_from_the_names():
    assert frame_times(["train/f_0002", "val/f_0010", "train/f_0001"]).tolist() == [2, 10, 1]
    t = frame_times(["train/f_0001", "train/f_0000", "test/f_0001"])
    assert t[0] - t[1] == 1 and abs(t[2] - t[0]) > 100
    assert frame_times(["a", "b"]).tolist() == [0, 1]
    assert len(frame_times([])) == 0


def test_frames_of_all_splits_in_the_order_of_their_numbers():
    assert frame_number("take2/f_0031_left") == 31 and frame_number("portrait") is None
    names = ["test/f_0011", "cover", "train/f_0010", "val/f_0002", "train/f_0003"]
    assert [f.name for f in in_time([SimpleNamespace(name=n) for n in names])] == [
        "val/f_0002", "train/f_0003", "train/f_0010", "test/f_0011", "cover"]


def test_numbers_in_names_count_as_numbers():
    assert sorted(["r_10", "r_2", "r_1b", "r_1"], key=natural_key) == ["r_1", "r_1b", "r_2", "r_10"]
    assert sorted(["a", "7", "10"], key=natural_key) == ["7", "10", "a"]


def test_the_farthest_are_taken_first():
    x = np.array([0.0, 1.0, 10.0, 4.0, 4.9])
    assert farthest_first(lambda i: abs(x - x[i]), 0, 4) == [0, 2, 4, 1]
    assert sorted(farthest_first(lambda i: abs(x - x[i]), 1, 99)) == [0, 1, 2, 3, 4]


def test_the_view_in_front():
    cameras = samples.dataset("head_multiview").cameras
    yaw, pitch = yaw_pitch(cameras[front_view(cameras)], scene_frame(cameras))
    assert abs(yaw) < 12 and abs(pitch) < 25
