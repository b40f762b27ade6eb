"""`idf inspect`: what it says of datasets, models, videos and pictures, and what it draws."""

import json

import numpy as np
import pytest

from idf_helpers import inspect
from idf_helpers.cli.main import main
from idf_helpers.data import samples
from idf_helpers.data.cameras import GL_TO_CV
from idf_helpers.data.cameras_picture import COLORS, cameras_picture
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import read_image, video_writer, write_image
from idf_helpers.errors import IdfError
from idf_helpers.inspecting.hull import hull_share
from idf_helpers.reconstruction.splats.ply import write_ply
from tests.fixtures.ball_scene import write_ball
from tests.fixtures.layouts.tracker_rows import vhap_frames, write_vhap
from tests.fixtures.layouts.transforms_rows import PIXELS, plain


@pytest.fixture
def ball(tmp_path):
    return write_ball(tmp_path / "ball", ("train", "test"))


def test_of_a_dataset(ball, tmp_path, capsys):
    main(["inspect", str(ball), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    for words in ("20 train, 0 val, 4 test", "64x64 (24)", "in every picture", "20.6° wide",
                  "all around", "distance"):
        assert words in said, words
    assert "doubt" not in said
    kept = json.loads((tmp_path / "out/inspection.json").read_text())
    assert kept["kind"] == "dataset" and kept["doubts"] == []
    sheet, cameras = (read_image(tmp_path / "out" / n) for n in ("contact_sheet.png",
                                                                 "cameras.png"))
    assert sheet.shape[0] > 300 and cameras.shape == (560, 1120, 3)


def test_nothing_is_written_without_out(ball, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = inspect(ball)
    assert found.kind == "dataset" and sorted(tmp_path.rglob("*")) == before
    assert str(inspect(Dataset.open(ball))) == str(found)


def wrong(root, change) -> list[str]:
    """The doubts on a dataset whose matrices were changed."""
    plain(root, PIXELS, cut_out=True, change=lambda i, e: {
        **e, "transform_matrix": change(np.array(e["transform_matrix"])).tolist()})
    return list(inspect(root).doubts)


def test_matrices_with_other_axes_are_doubted(tmp_path):
    assert wrong(tmp_path / "right", lambda m: m) == []
    for name, change in (("opencv", lambda m: m @ GL_TO_CV), ("w2c", np.linalg.inv)):
        doubts = wrong(tmp_path / name, change)
        assert any("do not fit" in d for d in doubts), (name, doubts)
    assert any("look away" in n for n in inspect(tmp_path / "opencv").notes)


def test_cameras_in_one_place_and_upside_down(tmp_path):
    def still(m):
        m[:3, 3] = [1, 2, 3]
        return m

    assert any("one place" in d for d in wrong(tmp_path / "still", still))
    turns = iter([1, -1, 1, 1, 1, 1, 1, 1])
    doubts = wrong(tmp_path / "up", lambda m: m @ np.diag([s := float(next(turns)), s, 1, 1]))
    assert any("1 of 8 cameras are upside down" in d for d in doubts), doubts


def test_instants_and_expressions_are_told(tmp_path):
    write_vhap(tmp_path, vhap_frames(tmp_path))
    said = str(inspect(tmp_path))
    for words in ("VHAP", "3, 0 to 2", "#time=", "4 cameras", "22 values a frame (flame_0"):
        assert words in said, words
    assert "3 of 3" not in str(inspect(f"{tmp_path}#time=1"))


def test_of_a_model_a_video_and_a_picture(tmp_path):
    write_ply(_gaussians(), tmp_path / "head.ply")
    found = inspect(tmp_path / "head.ply", tmp_path / "out")
    said = str(found)
    assert found.kind == "model" and "400, spherical harmonics" in said
    assert ".ply (" in said and any("up" in note for note in found.notes), said
    assert read_image(tmp_path / "out/contact_sheet.png").shape[1] == 880
    with video_writer(tmp_path / "v.mp4", 10) as video:
        for i in range(20):
            video.append(np.full((240, 320, 3), 12 * i, np.uint8))
    found = inspect(tmp_path / "v.mp4", tmp_path / "v")
    assert "320x240" in str(found) and "20, 10 a second, 2.0 s" in str(found)
    assert len(np.unique(read_image(tmp_path / "v/contact_sheet.png"))) > 20
    found = inspect(samples.photo("B"))
    assert found.kind == "picture" and "pixels wide" in str(found) and not found.doubts
    write_image(tmp_path / "turned.png", np.rot90(read_image(samples.photo("B"))))
    assert "turned by -" in str(inspect(tmp_path / "turned.png"))
    write_image(tmp_path / "plain.png", np.full((64, 64, 3), 90, np.uint8))
    assert any("no face" in d for d in inspect(tmp_path / "plain.png").doubts)


def _gaussians():
    from idf_helpers.reconstruction.splats.gaussians import Gaussians

    rng = np.random.default_rng(0)
    return Gaussians(rng.normal(size=(400, 3)).astype("f4"), np.full((400, 3), -3, "f4"),
                     np.tile(np.array([1, 0, 0, 0], "f4"), (400, 1)), np.full(400, 2, "f4"),
                     rng.normal(size=(400, 1, 3)).astype("f4"))


def test_what_is_nothing_says_what_to_do(tmp_path):
    write_image(tmp_path / "p/1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(IdfError, match="without cameras") as error:
        inspect(tmp_path / "p")
    assert "idf capture" in error.value.do
    with pytest.raises(IdfError, match="does not exist"):
        inspect(tmp_path / "nowhere")


def test_the_picture_shows_every_split_where_its_cameras_stand(ball):
    data = Dataset.open(ball)
    picture = cameras_picture(data.frames, size=400)
    assert picture.shape == (400, 800, 3) and picture.dtype == np.uint8
    for split, near in (("train", True), ("test", True), ("val", False)):
        drawn = (np.abs(picture[40:].astype(int) - COLORS[split]).max(2) < 30).sum()
        assert (drawn > 40) == near, (split, drawn)
    some = cameras_picture(data.frames * 20, size=300)
    assert some.shape == (300, 600, 3)
    points = np.concatenate([np.random.default_rng(0).normal(scale=0.2, size=(500, 3)),
                             np.tile([1.0, 0, 1], (500, 1))], axis=1)
    with_points = cameras_picture(data.frames, points, size=400)
    assert (np.abs(with_points.astype(int) - [255, 0, 255]).max(2) < 40).sum() > 100


def test_hull_needs_alpha(ball):
    frames = Dataset.open(ball).frames
    pictures = [f.image() for f in frames]
    assert hull_share(frames, pictures) > 0.97
    assert hull_share(frames, [p[..., :3] for p in pictures]) is None
