import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import Dataset, IdfError
from idf_helpers.data.frame import Frame
from idf_helpers.data.remarks import Remarks
from idf_helpers.data.split_lists import by_lists
from idf_helpers.data.understood import understand
from tests.fixtures.datasets import make_dataset

from .colmap_files import make as make_colmap


@pytest.fixture
def one_list(tmp_path):
    root = make_dataset(tmp_path / "d", {"train": 12})
    (root / "transforms_train.json").rename(root / "transforms.json")
    return root


def names(frames):
    return [int(f.name.rpartition("_")[2]) for f in frames]


def listed(root, **lists):
    data = json.loads((root / "transforms.json").read_text())
    (root / "transforms.json").write_text(json.dumps(data | lists))
    return Dataset.open(root)


def files(*numbers):
    return [f"train/r_{n}.png" for n in numbers]


def test_lists_of_nerfstudio(one_list):
    d = listed(one_list, train_filenames=files(*range(8)), val_filenames=files(8, 9),
               test_filenames=files(10, 11))
    assert names(d.train) == list(range(8)) and names(d.val) == [8, 9] and names(d.test) == [10, 11]
    assert all(f.split == s for s in d.splits for f in d.splits[s])
    assert any("camera file" in n for n in d.notes) and not any("held out" in n for n in d.notes)
    assert understand(d).splits == {"train": 8, "val": 2, "test": 2}


def test_lists_that_leave_something_open(one_list):
    d = listed(one_list, test_filenames=files(3, 4))  # all others train
    assert names(d.test) == [3, 4] and len(d.train) == 10
    d = listed(one_list, train_filenames=files(*range(9)), test_filenames=None)
    assert names(d.train) == list(range(9)) and names(d.test) == [9, 10, 11]
    d = listed(one_list, train_filenames=files(0, 1, 2, 3), val_filenames=files(5),
               test_filenames=None)
    assert names(d.test) == [5] and "7 frames of no list" in " ".join(d.notes)
    assert "that of validation" in " ".join(d.notes)
    d = listed(one_list, train_filenames=files(0, 1, 2, 5), val_filenames=None,
               test_filenames=[*files(5), "elsewhere/x.png"])
    assert names(d.train) == [0, 1, 2] and names(d.test) == [5]
    assert "several lists" in " ".join(d.notes) and "1 names belong to no" in " ".join(d.notes)
    d = listed(one_list, train_filenames=["x.png"], test_filenames=["y.png"])
    assert "names no picture" in " ".join(d.notes) and "held out" in " ".join(d.notes)
    with pytest.raises(IdfError, match="not a list of names"):
        listed(one_list, test_filenames="r_1.png")


def test_split_of_a_frame(one_list, edit_json):
    def change(data):
        for i, f in enumerate(data["frames"]):
            f["split"] = "test" if i in (2, 7) else "Train"
    edit_json(one_list / "transforms.json", change)
    assert names(Dataset.open(one_list).test) == [2, 7]


@pytest.mark.parametrize(("file", "text"), [
    ("test.txt", "\ufeff# held out\r\nr_2.png\r\n\r\n./train/r_7\r\n"),
    ("test_list.txt", "images/r_2.png\nr_7"),
    ("split.json", json.dumps({"test": ["r_2", "r_7"], "train": files(0, 1, 3, 4)})),
    ("splits.json", json.dumps({"eval": files(2, 7)}))])
def test_lists_in_files_beside_the_camera_file(one_list, file, text):
    (one_list / file).write_text(text, encoding="utf-8")
    d = Dataset.open(one_list)
    assert names(d.test) == [2, 7] and file in " ".join(d.notes)
    assert names(d.train) == ([0, 1, 3, 4] if file == "split.json" else
                              [0, 1, 3, 4, 5, 6, 8, 9, 10, 11])


def test_list_of_3dgs_in_a_colmap_folder(tmp_path):
    make_colmap(tmp_path)
    (tmp_path / "sparse/0/test.txt").write_text("shots/p 03.png\nshots/p 05.png\n")
    d = Dataset.open(tmp_path)
    assert [f.name for f in d.test] == ["shots/p 03", "shots/p 05"] and len(d.train) == 15
    assert any("test.txt" in n for n in d.notes) and not any("every 8th" in n for n in d.notes)


def test_lists_that_leave_no_picture_to_train_on_are_not_used(one_list):
    d = listed(one_list, train_filenames=files(*range(8)), test_filenames=files(*range(12)))
    assert len(d.frames) == 12 and len(d.test) == 2
    assert any("leaves no picture to train on" in n for n in d.notes)
    assert not any("splits are those" in n for n in d.notes)


def test_test_poses_without_pictures_are_left_out_and_told(tmp_path, edit_json):
    root = make_dataset(tmp_path / "d", {"train": 12, "test": 3})
    for p in (root / "test").iterdir():
        p.unlink()
    d = Dataset.open(root)
    assert len(d.train) == 10 and len(d.test) == 2 and understand(d).unpictured == 3
    assert "3 test poses without pictures" in d.notes[0]
    edit_json(root / "transforms_test.json", lambda data: data["frames"][0].update(
        file_path="train/r_1"))  # one there, two missing: that is a damaged set
    with pytest.raises(IdfError, match="2 of 3 pictures"):
        Dataset.open(root)


@given(lists=st.dictionaries(st.sampled_from(["train", "val", "test"]),
                             st.lists(st.sampled_from(["a", "s/b.png", "./c.jpg", "d", "x", "",
                                                       "t/a", "..\\e"]), max_size=6), min_size=1))
def test_every_frame_has_one_place_at_most(lists):
    frames = [Frame(n, None, None, "train") for n in ("a", "s/b", "c", "t/d", "u/d")]
    splits = by_lists(frames, lists, "a list", Remarks())
    if splits is None:
        return
    placed = [f.name for part in splits.values() for f in part]
    assert len(placed) == len(set(placed)) and np.isin(placed, [f.name for f in frames]).all()
    assert "train" in lists or len(placed) == 5
