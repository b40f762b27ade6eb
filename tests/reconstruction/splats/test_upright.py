"""Files that do not say where up is: by a face in them, by the plane they lie in, by custom."""

import math

import cv2
import numpy as np
import pytest

from idf_helpers.cli.commands import COMMANDS
from idf_helpers.errors import IdfError
from idf_helpers.exporting import render
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.notebook.viewers import view
from idf_helpers.reconstruction.splats import upright
from idf_helpers.reconstruction.splats.formats.axes import BLENDER, COLMAP, GLTF, Axes
from idf_helpers.reconstruction.splats.formats.turn import turned
from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians
from idf_helpers.reconstruction.splats.model_file import load_scene
from idf_helpers.reconstruction.splats.ply import write_ply
from tests.fixtures.gaussians import random_gaussians


def ball(n=800) -> Gaussians:
    """A ball whose half toward -y is red, the other one blue."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(n, 3))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    rgb = np.where(means[:, 1:2] < 0, [0.9, 0.1, 0.1], [0.1, 0.1, 0.9])
    quats = np.tile([1.0, 0, 0, 0], (n, 1))
    return Gaussians(means, np.full((n, 3), math.log(0.08)), quats, np.full(n, 4.0),
                     ((rgb - 0.5) / SH_C0)[:, None]).checked()


def red_is_on_top(picture) -> bool:
    h = len(picture) // 2
    upper, lower = (part.reshape(-1, 3).mean(axis=0) for part in (picture[:h], picture[h:]))
    return upper[0] > lower[0] + 0.1 and upper[2] < lower[2] - 0.1


def test_most_files_have_y_down(tmp_path, monkeypatch):
    monkeypatch.setattr(upright, "_by_faces", lambda *_: None)
    file = write_ply(ball(), tmp_path / "a.ply")
    scene = load_scene(file)
    assert [red_is_on_top(scene.render(c.fitted(64))) for c in scene.cameras] == [True] * 4
    assert "-y is taken as up" in scene.notes[0]
    for up, fits in (("-y", True), ("y", False)):
        scene = load_scene(file, up=up)
        assert scene.notes == []
        assert red_is_on_top(scene.render(scene.cameras[0].fitted(64))) == fits
    with pytest.raises(IdfError, match="no such axis"):
        load_scene(file, up="north")


def test_flags_as_users_type_them():
    rewrite = COMMANDS["render"].rewrite
    assert rewrite(["a.ply", "--up", "-y", "--views", "4"]) == ["a.ply", "--up=-y", "--views", "4"]
    assert rewrite(["--up", "z", "-h"]) == ["--up", "z", "-h"]
    assert rewrite(["--up"]) == ["--up"] and rewrite(["--up=-x"]) == ["--up=-x"]


def test_the_viewer_and_the_pictures_have_the_same_up(tmp_path, monkeypatch):
    monkeypatch.setattr(upright, "_by_faces", lambda *_: None)
    scene = load_scene(write_ply(ball(), tmp_path / "a.ply"))
    frame = ViewerPayload.of_scene(scene).page["frame"]
    assert frame["up"] == [0, -1, 0] and frame["front"] == [0, 0, -1]
    assert frame["turn"] is None  # all around: made-up cameras limit nothing
    widget = view(tmp_path / "a.ply")
    assert widget.page["frame"]["up"] == [0, -1, 0]
    render(tmp_path / "a.ply", tmp_path / "out", views=2, resolution=32)
    assert len(list((tmp_path / "out").glob("view_*.png"))) == 2


class Face:
    def __init__(self, roll, yaw, score=0.9):
        self.roll, self.yaw, self.score = roll, yaw, score


@pytest.mark.parametrize("roll,yaw,up,front", [
    (0, 0, (0, 1, 0), (0, 0, 1)), (4, -9, (0, 1, 0), (0, 0, 1)), (90, 0, (1, 0, 0), (0, 0, 1)),
    (-88, 0, (-1, 0, 0), (0, 0, 1)), (180, 0, (0, -1, 0), (0, 0, 1)),
    (30, 0, (0.5, 3**0.5 / 2, 0), (0, 0, 1)), (0, 90, (0, 1, 0), (1, 0, 0)),
    (180, 40, (0, -1, 0), (-math.sin(math.radians(40)), 0, math.cos(math.radians(40))))])
def test_a_face_says_what_is_up_and_front(roll, yaw, up, front):
    got = upright._axes(Face(roll, yaw), np.array([0.0, 1, 0]), np.array([0.0, 0, 1]), False)
    np.testing.assert_allclose([got.up, got.front], [up, front], atol=1e-8)
    assert np.linalg.det(got.matrix()) == pytest.approx(1)


def test_a_scene_on_a_plane_stands_at_right_angles_to_it():
    g = random_gaussians(2000)
    tilt = np.array([math.sin(0.5), -math.cos(0.5), 0.0])
    g.means -= np.float32(0.95) * (g.means @ tilt)[:, None].astype(np.float32) * tilt.astype(
        np.float32)
    g.opacity_logits[:] = 3
    np.testing.assert_allclose(upright._plane(g), tilt, atol=0.02)
    assert upright._plane(ball()) is None  # lies in no plane
    wall = random_gaussians(2000)
    wall.means[:, 2] *= 0.05  # a face seen from the front: it stands
    wall.opacity_logits[:] = 3
    assert upright._plane(wall) is None


def test_what_the_file_says_is_not_doubted(tmp_path, monkeypatch):
    monkeypatch.setattr(upright, "_by_faces", lambda *_: 1 / 0)
    file = write_ply(ball(), tmp_path / "a.ply", comments=["idf axes 0 0 1 0 -1 0"])
    scene = load_scene(file)
    assert not scene.notes and Axes.of(scene.frame) == BLENDER


def portrait(picture, side=112) -> Gaussians:
    """A picture as Gaussians, a flat disk a pixel, before a gray wall: upright as in `BLENDER`."""
    rgb = cv2.resize(picture[..., :3], (side, side), interpolation=cv2.INTER_AREA) / 255
    row, column = np.divmod(np.arange(side * side), side)
    means = np.stack([2 * column / side - 1, np.zeros(side * side), 1 - 2 * row / side], axis=1)
    rgb = np.concatenate([rgb.reshape(-1, 3), np.full((side * side, 3), 0.5)])
    means = np.concatenate([means, means + [0, 0.1, 0]])
    size = np.log(np.tile([1 / side, 1e-3, 1 / side], (2 * side * side, 1)))
    return Gaussians(means, size, np.tile([1.0, 0, 0, 0], (len(means), 1)),
                     np.full(len(means), 6.0), ((rgb - 0.5) / SH_C0)[:, None]).checked()


@pytest.mark.parametrize("laid_down", [COLMAP, GLTF, Axes((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))])
def test_a_real_face_is_found_and_stands_upright(laid_down, tmp_path, detector, photos):
    """With the detector, in a file that lies anyhow."""
    file = write_ply(turned(portrait(photos["B"]), BLENDER.turn_to(laid_down)), tmp_path / "a.ply")
    scene = load_scene(file)
    np.testing.assert_allclose(scene.frame.up, laid_down.up, atol=0.1)
    assert np.dot(scene.frame.front, laid_down.front) > 0.9
    assert "a face was found" in scene.notes[0]
