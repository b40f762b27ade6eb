"""Camera paths of other programs, against what these programs make of the same file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import IdfError
from idf_helpers.data.camera_path import CameraPath, read_camera_path, write_camera_path
from idf_helpers.data.cameras import Camera
from idf_helpers.data.cameras_file import write_cameras
from idf_helpers.data.dataset import Frame

UP = (0, -1, 0)  # of a scene that stands upright in SuperSplat


def path_of(n=8, up=UP, width=160, height=120):
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return CameraPath([Camera.look_at((3 * np.sin(a), 0.4, 3 * np.cos(a)), (0, 0, 0), up, 0.6,
                                      width, height) for a in turn], 24.0)


def written(tmp_path, data, name="path.json"):
    (tmp_path / name).write_text(json.dumps(data))
    return tmp_path / name


def assert_same(ours, theirs, atol=1e-9):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.c2w, b.c2w, atol=atol)
        assert (a.width, a.height) == (b.width, b.height)
        assert a.fx == pytest.approx(b.fx) and a.cy == pytest.approx(b.cy)


@pytest.fixture
def both(tmp_path):
    """A written path, and the two halves of its file."""
    track = path_of()
    write_camera_path(tmp_path / "both.json", track)
    data = json.loads((tmp_path / "both.json").read_text())
    nerfstudio = {k: v for k, v in data.items() if k != "animTracks"}
    return track, nerfstudio, {k: v for k, v in data.items() if k != "camera_path"}


def test_what_is_written_is_read_as_either_program_does(both, tmp_path):
    track, nerfstudio, supersplat = both
    back = read_camera_path(written(tmp_path, nerfstudio))
    assert back.fps == 24
    assert_same(back.cameras, track.cameras)
    theirs = read_camera_path(written(tmp_path, supersplat), 160, 120)
    assert theirs.fps == 24
    assert_same(theirs.cameras, track.cameras)


def test_nerfstudio_counts_the_angle_of_view_from_top_to_bottom(tmp_path):
    row = {"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": 90, "aspect": 2}
    path = written(tmp_path, {"camera_path": [row], "render_width": 200, "render_height": 100})
    camera = read_camera_path(path).cameras[0]
    assert (camera.width, camera.height, camera.fx) == (200, 100, pytest.approx(50))
    with pytest.raises(IdfError, match="pinhole"):
        read_camera_path(written(tmp_path, {"camera_path": [row], "camera_type": "fisheye"}))


def test_supersplats_document_runs_through_its_poses_smoothly(tmp_path):
    poses = [{"name": f"c{i}", "frame": 10 * i, "position": [3 * np.sin(a), 1, 3 * np.cos(a)],
              "target": [0, 0.5, 0], "fov": 50 + 10 * (i == 2)} for i, a in
             enumerate(np.linspace(0, 2 * np.pi, 4, endpoint=False))]
    path = written(tmp_path, {"camera": {"fov": 60}, "timeline": {"frames": 40, "frameRate": 20},
                              "poseSets": [{"name": "set0", "poses": poses}]})
    track = read_camera_path(path, 100, 100)
    assert len(track.cameras) == 40 and track.fps == 20
    for pose in poses:  # half a turn about z between its world and ours
        camera = track.cameras[pose["frame"]]
        np.testing.assert_allclose(camera.position * (-1, -1, 1), pose["position"], atol=1e-9)
        assert np.degrees(camera.fov_x) == pytest.approx(pose["fov"])
        assert camera.up @ UP > 0.9
    # Between two keys of a circle the smooth way keeps its distance, a straight one would not;
    # by hand: half of both keys and an eighth of the difference of their tangents.
    p, t = np.array([q["position"] for q in poses]), 10.0
    m0, m1 = (p[1] - p[3]) / (2 * t), (p[2] - p[0]) / (2 * t)
    want = (p[0] + p[1]) / 2 + t * (m0 - m1) / 8
    np.testing.assert_allclose(track.cameras[5].position * (-1, -1, 1), want, atol=1e-9)


def test_a_turn_of_one_key_a_second_plays_at_a_usual_rate(tmp_path):
    keys = {"times": [0, 5, 10, 15], "values": {
        "position": [0, 0, 3, 3, 0, 0, 0, 0, -3, -3, 0, 0], "target": [0] * 12, "fov": [60] * 4}}
    track = {"name": "rotate", "duration": 20, "frameRate": 1, "loopMode": "repeat",
             "interpolation": "spline", "smoothness": 1, "keyframes": keys}
    path = read_camera_path(written(tmp_path, {"version": 2, "animTracks": [track]}))
    assert len(path.cameras) == 600 and path.fps == 30
    steps = np.linalg.norm(np.diff([c.position for c in path.cameras], axis=0), axis=1)
    assert steps.max() < 3 * steps.min()  # it goes on without a stop or a jump
    assert np.linalg.norm(path.cameras[-1].position - path.cameras[0].position) < 0.1


def test_a_list_of_cameras_is_a_path(tmp_path):
    track = path_of()
    frames = [Frame(str(i), tmp_path, c, "train") for i, c in enumerate(track.cameras)]
    write_cameras(tmp_path / "cameras.json", frames)
    assert_same(read_camera_path(tmp_path / "cameras.json").cameras, track.cameras)


def test_videos_have_even_sides():
    small = path_of(2, width=161, height=121).fitted(101)
    assert {(c.width, c.height) for c in small.cameras} == {(100, 76)}


@pytest.mark.parametrize("data", [
    {}, [], {"camera_path": []}, {"camera_path": [{}]}, {"camera_path": [{"camera_to_world": [1]}]},
    {"camera_path": [{"camera_to_world": [0] * 16, "fov": 50}]},
    {"camera_path": [{"camera_to_world": np.eye(4).ravel().tolist(), "fov": 50}],
     "render_width": 10**9},
    {"animTracks": [{"duration": 1e12, "frameRate": 30, "keyframes": {
        "times": [0], "values": {"position": [0, 0, 1], "target": [0, 0, 0], "fov": [50]}}}]},
    {"animTracks": [{"duration": 1, "frameRate": 30, "keyframes": {
        "times": [0, 5], "values": {"position": [0, 0, 1], "target": [0, 0, 0], "fov": [50]}}}]},
    {"animTracks": [{"duration": 1, "frameRate": 30, "keyframes": {
        "times": [0], "values": {"position": [0, 0, 1], "target": [0, 0, 1], "fov": [50]}}}]},
    {"poseSets": [{"poses": [{"position": [0, 1, 0], "target": [0, 0, 0]}]}]},
    {"poseSets": 3}])
def test_what_is_no_path_is_refused(tmp_path, data):
    with pytest.raises(IdfError):
        read_camera_path(written(tmp_path, data))


KEYS = ["camera_path", "animTracks", "poseSets", "poses", "position", "target", "fov", "keyframes",
        "times", "values", "duration", "frameRate", "camera_to_world", "timeline", "frames"]


@given(st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.sampled_from(KEYS), x, max_size=5),
    max_leaves=12))
def test_any_json_gives_a_path_or_an_error(tmp_path_factory, data):
    path = written(tmp_path_factory.mktemp("any"), data)
    try:
        assert read_camera_path(path).cameras
    except IdfError:
        pass
