"""What a user may give as a target, and what is refused."""

import shutil
from pathlib import Path

import pytest

from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.making.target import check_place, open_target
from idf_helpers.runtime.progress import Reporter

from ..fixtures.datasets import make_dataset
from ..fixtures.footage import talk_pictures, write_video


def opened(target):
    return open_target(target, Reporter())


def test_forms(tmp_path):
    assert opened("head_talking").form == "dataset"
    assert opened(samples.dataset("head_turntable")).form == "dataset"
    root = make_dataset(tmp_path / "data")
    assert opened(root).dataset.root == root
    shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    assert opened(tmp_path / "packed.zip").form == "dataset"
    assert opened(samples.photo("B")).form == "picture"
    video = write_video(tmp_path / "clips" / "clip.mp4", talk_pictures(slice(0, 3)))
    assert opened(video).footage.path == video
    shutil.copytree(root / "train", tmp_path / "photos")
    assert len(opened(tmp_path / "photos").footage.pictures) == 6


@pytest.mark.parametrize("name, words", [
    ("nothing.mp4", "does not exist"), ("text.txt", "is no target"), ("empty", "an empty folder"),
    ("clips", "give the video itself"), ("broken.mp4", "no video that can be read"),
    ("broken.jpg", "broken.jpg"), ("", "No dataset is chosen")])
def test_what_is_refused(tmp_path, name, words):
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    write_video(tmp_path / "clips" / "clip.mp4", talk_pictures(slice(0, 2)))
    with pytest.raises(IdfError) as error:
        opened(tmp_path / name if name else "")
    said = error.value
    assert words in f"{said.what} {said.found} {said.do}" and said.found and said.do


def test_a_dataset_without_training_frames(tmp_path):
    empty = Dataset.open(make_dataset(tmp_path / "data"))
    empty.splits["train"] = ()
    with pytest.raises(IdfError, match="no training frames"):
        opened(empty)


def test_results_inside_the_target(tmp_path):
    photos = tmp_path / "photos"
    media.write_image(photos / "a.png", talk_pictures(slice(0, 1))[0])
    target = opened(photos)
    for out in (photos, photos / "out", Path(f"{photos}/../photos/deep/er")):
        with pytest.raises(IdfError, match="inside the target"):
            check_place(out, target)
    check_place(tmp_path / "photos-out", target)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IdfError, match="is a file"):
        check_place(tmp_path / "file", target)
