"""Reenactment, single expressions and exports of a trained avatar."""

import json
import re

import numpy as np
import pytest

from idf_helpers.cli.main import main
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import read_image, read_video, video_info
from idf_helpers.errors import IdfError
from idf_helpers.exporting import Model, export
from idf_helpers.exporting.config import ExportConfig, ReenactConfig
from idf_helpers.exporting.expression import parse_values, write_expression
from idf_helpers.exporting.reenact import Transfer, reenact, transfer_from
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.avatar.pictures import edit_strip, known_edits, tour
from idf_helpers.reconstruction.splats.ply import read_ply
from tests.fixtures.talking import NAMES, write_talking


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return write_talking(tmp_path_factory.mktemp("driver") / "d", train=10, test=2, size=32, seed=5)


def test_a_driver_at_rest_gives_the_avatar_at_rest_exactly(trained, driver):
    _, scene = trained
    data = Dataset.open(driver)
    transfer = transfer_from(scene, data, ReenactConfig())
    e = transfer.expression(transfer.neutral)
    assert np.array_equal(e, scene.basis.neutral)
    camera = scene.front
    assert np.array_equal(scene.render(camera, e), scene.render(camera))


def test_changes_are_added_and_clamped(trained):
    _, scene = trained
    basis = scene.basis
    neutral = np.array([0.3, 0.4, 0], np.float32)
    t = Transfer(scene, NAMES, neutral, np.eye(3))
    up = t.expression(neutral + [0.2, 0, 0])
    assert up[0] == pytest.approx(basis.neutral[0] + 0.2, abs=1e-6)
    assert up[1] == basis.neutral[1]
    far = t.expression(neutral + [5, -5, 5])
    assert (far <= basis.high).all() and (far >= basis.low).all()
    # values in another order, and further ones that the avatar does not have
    names = ("browInnerUp", "tongueOut", "jawOpen")
    other = Transfer(scene, names, np.zeros(3), np.eye(3))
    assert other.expression([0, 9, 0.2])[0] == pytest.approx(basis.neutral[0] + 0.2, abs=1e-6)
    half = Transfer(scene, NAMES, neutral, np.eye(3), strength=0.5)
    assert half.expression(neutral + [0.2, 0, 0])[0] == pytest.approx(basis.neutral[0] + 0.1,
                                                                      abs=1e-6)


def test_the_head_turns_as_the_drivers_and_no_further_than_trained(trained, driver):
    _, scene = trained
    data = Dataset.open(driver)
    t = transfer_from(scene, data, ReenactConfig())
    place = t.place.center
    for f in data.train:
        c = t.camera(f.camera)
        p = scene._pose(c, 3)
        from idf_helpers.reconstruction.avatar.pose import pose_features
        np.testing.assert_allclose(p, pose_features(c, scene.avatar.extra["reference"], 3),
                                   atol=1e-3)
        distance = np.linalg.norm(c.position - place)
        assert distance == pytest.approx(np.linalg.norm(scene.front.position - place), rel=1e-6)


def test_a_driver_with_other_names_is_one_clear_error(trained, tmp_path):
    out, scene = trained
    root = write_talking(tmp_path / "other", train=4, test=1, size=32, names=("a", "b", "c"))
    with pytest.raises(IdfError, match="other names"):
        reenact(out, Dataset.open(root), tmp_path / "video")
    assert not (tmp_path / "video").exists()
    unnamed = write_talking(tmp_path / "unnamed", train=4, test=1, size=32, names=None)
    with pytest.raises(IdfError, match="other names"):
        transfer_from(scene, Dataset.open(unnamed), ReenactConfig())


def test_video_side_by_side_from_the_shell(trained, driver, tmp_path, capsys):
    out, _ = trained
    main(["reenact", str(out), "--driver", str(driver), "--out", str(tmp_path / "v"),
          "--frames", "4", "--no-label"])
    video = tmp_path / "v" / "reenactment.mp4"
    frames = list(read_video(video))
    assert len(frames) == 4
    head = frames[0].shape[0] - 48  # above the pictures it says which is which
    assert head >= 16 and frames[0].shape[1] == 96
    for half in (frames[0][:head, :48], frames[0][:head, 48:]):
        assert half.max() > 180  # letters, on gray
    left = Dataset.open(driver).train[0].image()
    assert np.abs(frames[0][head + 8:head + 40:4, 8:40:4].astype(int).mean()
                  - left.mean()) < 12
    assert "synthetic" in str(verify(video))
    manifest = json.loads((tmp_path / "v" / "run.json").read_text())
    assert manifest["stage"] == "reenact" and manifest["status"] == "finished"
    capsys.readouterr()
    with pytest.raises(SystemExit) as e:
        main(["reenact", str(tmp_path / "none"), "--driver", str(driver), "--out",
              str(tmp_path / "w")])
    assert e.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_the_video_runs_at_the_drivers_rate(trained, tmp_path):
    out, _ = trained
    root = write_talking(tmp_path / "driver", train=4, test=1, size=32)
    for rate, config, expected in ((None, ReenactConfig(), 25.0), (12.5, ReenactConfig(), 12.5),
                                   (12.5, ReenactConfig(fps=10.0), 10.0)):
        if rate:
            listing = json.loads((root / "transforms_train.json").read_text())
            (root / "transforms_train.json").write_text(json.dumps({**listing, "fps": rate}))
        video = reenact(out, Dataset.open(root), tmp_path / f"{rate}{expected}", config)
        assert video_info(video).fps == pytest.approx(expected)


def test_one_expression_as_picture_and_model(trained, tmp_path, capsys):
    out, scene = trained
    main(["express", str(out), "--out", str(tmp_path / "jaw.ply"), "--set", "jawOpen=0.8"])
    expected = scene.avatar.frozen({"jawOpen": 0.8})
    np.testing.assert_allclose(read_ply(tmp_path / "jaw.ply").means, expected.means)
    write_expression(out, tmp_path / "jaw.png", {"jawOpen": 0.8}, 64)
    assert read_image(tmp_path / "jaw.png").shape == (64, 64, 3)
    assert "synthetic" in str(verify(tmp_path / "jaw.png"))
    with pytest.raises(IdfError, match="no expression"):
        write_expression(out, tmp_path / "x.png", {"noseWiggle": 1})
    with pytest.raises(IdfError, match="not written as"):
        write_expression(out, tmp_path / "x.txt", {})
    assert not list(tmp_path.glob("x.*"))
    for bad in (["jawOpen"], ["jawOpen=wide"], ["=1"]):
        with pytest.raises(IdfError, match="not the value"):
            parse_values(bad)


def test_exports_serve_an_avatar_like_every_scene(trained, tmp_path):
    out, scene = trained
    model = Model.open(out)
    config = ExportConfig(frames=6, resolution=48)
    for name in ("a.ply", "a.splat", "a.png", "a.mp4", "a.html"):
        export(model, tmp_path / name, config=config)
    assert len(list(read_video(tmp_path / "a.mp4"))) == 6
    assert len(read_ply(tmp_path / "a.ply")) == len(scene.avatar.frozen())
    page = (tmp_path / "a.html").read_text()
    rig = json.loads(re.search(r'id="page">(.*?)</script>', page, re.S).group(1))["rig"]
    labels = [slider["label"] for slider in rig["sliders"]]
    assert "Jaw open" in labels and "unused" in rig["names"]
    assert not any("unused" in label.lower() for label in labels)
    with pytest.raises(IdfError, match="no export format"):
        export(model, tmp_path / "a.obj")


def test_edits_and_tour_stay_within_what_was_trained(trained):
    _, scene = trained
    basis = scene.basis
    edits = known_edits(basis)
    assert [label for label, _ in edits] == ["jaw open"]
    for camera, e in tour(scene, 9, 48):
        assert (e <= basis.high + 1e-6).all() and (e >= basis.low - 1e-6).all()
        assert camera.width == 48
    strip = edit_strip(scene, resolution=48, cell=48)
    assert strip.shape[1] == 2 * 48 and strip.dtype == np.uint8
