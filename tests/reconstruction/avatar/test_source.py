"""The streamed frames, and what is told about a sequence that cannot be trained on."""

import json

import numpy as np
import pytest

from idf_helpers.data import media
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.frame_cache import FrameCache
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.reconstruction.avatar.pose import mean_rotation, pose_features
from idf_helpers.reconstruction.avatar.room import matte
from idf_helpers.reconstruction.avatar.sequence import gaps, hold_out_last
from idf_helpers.runtime.progress import Reporter
from tests.fixtures.avatars import SMALL
from tests.fixtures.talking import NAMES, write_talking


@pytest.fixture
def short(tmp_path):
    return write_talking(tmp_path / "data", train=9, test=3, size=32)


def _train(root, out, **kw):
    return reconstruct(Dataset.open(root), out, "avatar:cpu", AvatarConfig(
        **(SMALL | {"resolution": 32, "iterations": 5} | kw)))


def test_frames_are_those_of_the_files(short, tmp_path):
    data = Dataset.open(short)
    source = FrameSource(data, data.train, tmp_path / "cache")
    assert source.names == NAMES and source.expressions.shape == (9, 3)
    for i in (0, 4, 8):
        assert np.array_equal(source.frame(i), data.train[i].image())
    assert isinstance(source.pictures, np.memmap) and not source.pictures.flags.writeable
    small = FrameSource(data, data.train, tmp_path / "small", 16)
    assert small.frame(0).shape == (16, 16, 3) and small.cameras[0].width == 16


def test_a_stopped_cache_goes_on_and_changed_pictures_begin_anew(short, tmp_path, monkeypatch):
    monkeypatch.setattr("idf_helpers.reconstruction.avatar.frame_cache.FLUSH_EVERY", 2)
    data = Dataset.open(short)
    read = []
    plain = FrameSource._decode

    def decode(self, i):
        if len(read) == 5:
            raise KeyboardInterrupt
        read.append(i)
        return plain(self, i)

    monkeypatch.setattr(FrameSource, "_decode", decode)
    with pytest.raises(KeyboardInterrupt):
        FrameSource(data, data.train, tmp_path / "cache")
    monkeypatch.setattr(FrameSource, "_decode", lambda self, i: (read.append(i), plain(self, i))[1])
    source = FrameSource(data, data.train, tmp_path / "cache")
    assert read == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert np.array_equal(source.frame(8), data.train[8].image())
    media.write_image(data.train[0].path, 255 - data.train[0].image())
    changed = Dataset.open(short)
    again = FrameSource(changed, changed.train, tmp_path / "cache")
    assert np.array_equal(again.frame(0), changed.train[0].image()) and len(read) == 19


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("U", (), {"free": 1000})()
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    cache = FrameCache(tmp_path / "c", 100, (64, 64, 3), "key")
    with pytest.raises(IdfError, match="too full"):
        cache.build(lambda i: np.zeros((64, 64, 3), np.uint8))


def test_temporary_caches_go(short):
    data = Dataset.open(short)
    source = FrameSource(data, data.train)
    folder = source.cache.folder
    assert folder.is_dir()
    source.close()
    assert not folder.exists()


def test_negative_fx_gives_the_same_pictures(short, tmp_path, edit_json):
    """NeRFace's own files: fx < 0, the world mirrored."""
    before = Dataset.open(short)
    for split in ("train", "test"):
        def mirrored(d):
            d["intrinsics"][0] *= -1
            for f in d["frames"]:
                mirror = np.diag([-1, 1, 1, 1])
                f["transform_matrix"] = (mirror @ f["transform_matrix"] @ mirror).tolist()
        edit_json(short / f"transforms_{split}.json", mirrored)
    after = Dataset.open(short)
    rng = np.random.default_rng(0)
    p = rng.normal(0, 0.05, (20, 3))
    np.testing.assert_allclose(before.train[3].camera.project(p)[0],
                               after.train[3].camera.project(p)[0], atol=1e-6)


def test_hold_out_last_takes_the_end_of_the_sequence(short):
    data = hold_out_last(Dataset.open(short), 4)
    assert [f.name for f in data.test] == [
        "train/f_0008", "test/f_0009", "test/f_0010", "test/f_0011"]
    assert len(data.train) == 8 and {f.split for f in data.train} == {"train"}
    with pytest.raises(IdfError, match="held out"):
        hold_out_last(Dataset.open(short), 12)


def test_gaps_are_in_the_middle_of_the_numbers(short):
    frames = list(Dataset.open(short).train)
    far = [f for f in frames if f.name not in ("train/f_0003", "train/f_0005")]
    assert gaps(far) == [(2, 4), (4, 6)] and gaps(frames) == []


def test_matte_fills_the_head_and_ignores_specks():
    room = np.full((64, 64, 3), 120, np.uint8)
    picture = room.copy()
    picture[20:, 20:44] = (200, 150, 130)
    picture[40:46, 28:36] = 120  # a mouth in the color of the wall
    picture[5, 5] = 255
    mask = matte(picture, room)
    assert mask[42, 32] == 255 and mask[30, 30] == 255 and mask[63, 30] == 255
    assert mask[5, 5] == 0 and mask[30, 5] == 0


def test_pose_features_count_from_the_mean(short):
    cameras = [f.camera for f in Dataset.open(short).train]
    reference = mean_rotation(cameras)
    p = np.stack([pose_features(c, reference, 9) for c in cameras])
    assert np.abs(p[:, :3].mean(axis=0)).max() < 0.05
    np.testing.assert_allclose(p[:, 3], p[:, 0] ** 2, rtol=1e-5)
    assert len(pose_features(cameras[0], reference, 0)) == 0


# --- bad input ------------------------------------------------------------------------------------

def test_a_missing_background_says_what_to_do(short, tmp_path):
    (short / "bg" / "00050.png").unlink()
    with pytest.raises(IdfError, match="no background picture") as e:
        _train(short, tmp_path / "run")
    assert "--background median" in e.value.do and not (tmp_path / "run").exists()
    data = Dataset.open(short)
    median = FrameSource(data, data.train, tmp_path / "c", background="median").background
    assert np.abs(median[0, 0].astype(int) - data.train[0].image()[0, 0]).max() < 12


def test_a_background_of_another_shape(short, tmp_path):
    media.write_image(short / "bg" / "00050.png", np.zeros((20, 40, 3), np.uint8))
    with pytest.raises(IdfError, match="another shape"):
        _train(short, tmp_path / "run")


@pytest.mark.parametrize("kind,match", [
    ("length", "differ in length"), ("nan", "no number|NaN"), ("none", "have no expression"),
    ("still", "never changes"), ("picture", "are missing")])
def test_bad_sequences_are_one_clear_error(short, tmp_path, edit_json, kind, match):
    def change(d):
        frames = d["frames"]
        if kind == "length":
            frames[2]["expression"] = [0.1, 0.2]
        elif kind == "nan":
            frames[2]["expression"][0] = float("nan")
        elif kind == "none":
            del frames[2]["expression"]
        elif kind == "still":
            for f in frames:
                f["expression"] = [0.5, 0.5, 0.0]
        else:
            frames[4]["file_path"] = "./train/f_9999"
    edit_json(short / "transforms_train.json", change)
    with pytest.raises(IdfError, match=match):
        _train(short, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_frames_missing_in_the_middle_are_told_and_the_rest_is_trained(short, tmp_path, edit_json):
    edit_json(short / "transforms_train.json", lambda d: d["frames"].__delitem__(slice(3, 5)))
    notes = []

    class Notes(Reporter):
        def note(self, text):
            notes.append(text)

    reconstruct(Dataset.open(short), tmp_path / "run", "avatar:cpu", AvatarConfig(
        **(SMALL | {"resolution": 32, "iterations": 5})), reporter=Notes())
    assert any("missing in the middle" in n and "3 to 4" in n for n in notes)
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert any("missing in the middle" in n for n in manifest["notes"])


def test_poses_that_do_not_fit_stop_it_before_training(short, tmp_path, monkeypatch):
    from idf_helpers.reconstruction.avatar import method
    from idf_helpers.runtime import download

    monkeypatch.setattr(download, "is_present", lambda name: True)

    class Report:
        def require(self):
            raise IdfError("The dataset's poses do not fit its pictures", "median 9 %")

    monkeypatch.setattr(method, "check_poses", lambda frames: Report())
    with pytest.raises(IdfError, match="do not fit"):
        _train(short, tmp_path / "run", check_poses=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field,value", [
    ("rank", 65), ("budget_s", 0), ("resolution", 8), ("background", "sky"), ("torso", "maybe"),
    ("shade_rank", 4), ("expression_noise", float("nan")), ("rate", 0)])
def test_settings_out_of_range(field, value):
    with pytest.raises(IdfError, match=field):
        AvatarConfig(**{field: value}).checked()
