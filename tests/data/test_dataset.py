import json
import math
import os

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import Camera
from idf_helpers.data.cameras_file import read_cameras, write_cameras
from idf_helpers.data.transforms import write_transforms
from idf_helpers.reconstruction.avatar.basis import camera_from, camera_values
from idf_helpers.runtime.files import read_json
from tests.fixtures.datasets import FOV, make_dataset


def test_blender_layout(dataset_folder):
    d = Dataset.open(dataset_folder)
    assert [len(d.splits[s]) for s in ("train", "val", "test")] == [6, 1, 2]
    f = d.train[0]
    assert f.name == "train/r_0" and f.image().shape == (20, 24, 4)
    assert f.camera.fx == pytest.approx(12 / math.tan(FOV / 2))
    assert (f.camera.cx, f.camera.cy) == (12, 10)


def test_nerfstudio_layout_per_frame_intrinsics_and_scaled_size(dataset_folder, edit_json):
    def change(data):
        del data["camera_angle_x"]
        data |= {"w": 48, "h": 40}
        for i, frame in enumerate(data["frames"]):
            frame |= {"fl_x": 50.0 + i, "fl_y": 60.0, "cx": 25.0, "cy": 19.0}
            frame["file_path"] = frame["file_path"][2:] + ".png"
    edit_json(dataset_folder / "transforms_train.json", change)
    c = Dataset.open(dataset_folder).train[2].camera
    # given for 48x40, pictures are 24x20
    assert (c.fx, c.fy, c.cx, c.cy) == (26, 30, 12.5, 9.5)


def test_lens_distortion_is_undone_when_a_picture_is_read(dataset_folder, edit_json):
    before = Dataset.open(dataset_folder).train[0].image()
    edit_json(dataset_folder / "transforms_train.json",
              lambda d: d.update(fl_x=30, fl_y=30, k1=0.2))
    frame = Dataset.open(dataset_folder).train[0]
    assert frame.distortion == (0.2, 0, 0, 0)
    assert (frame.image() != before).any()


def test_nerface_intrinsics_whole_pixels_and_negative_focal_length(dataset_folder, edit_json):
    """A point seen through NeRFace's own ray formula lands on the pixel that our camera says."""
    def change(data):
        data["intrinsics"] = [-40.0, 42.0, 0.45, 0.55]
        for frame in data["frames"]:
            frame |= {"expression": [0.1, 0.2], "bbox": [0, 1, 0, 1]}
    edit_json(dataset_folder / "transforms_train.json", change)
    raw = np.array(json.loads((dataset_folder / "transforms_train.json").read_text())
                   ["frames"][1]["transform_matrix"])
    frame = Dataset.open(dataset_folder).train[1]
    i, j, depth = 7, 13, 2.5
    # rays ((i - W cx)/fx, -(j - H cy)/fy, -1) of nerf/load_flame.py and get_ray_bundle
    ray = np.array([(i - 24 * 0.45) / -40.0, -(j - 20 * 0.55) / 42.0, -1.0])
    world = raw[:3, :3] @ (depth * ray) + raw[:3, 3]
    mirrored = world * (-1, 1, 1)
    uv, z = frame.camera.project([mirrored])
    assert np.allclose(uv, [[i + 0.5, j + 0.5]]) and z[0] == pytest.approx(depth)
    assert np.linalg.det(frame.camera.c2w[:3, :3]) == pytest.approx(1)
    assert frame.expression.dtype == np.float32


def test_missing_test_split_is_held_out_and_said(tmp_path):
    root = make_dataset(tmp_path / "d", {"train": 17})
    (root / "transforms_train.json").rename(root / "transforms_train_main.json")
    d = Dataset.open(root)
    assert [f.name for f in d.test] == ["train/r_0", "train/r_8", "train/r_16"]
    assert len(d.train) == 14 and "held out" in d.notes[0]


@pytest.mark.parametrize("nerface", [False, True])
def test_write_then_read_gives_the_same_cameras(tmp_path, nerface):
    root = make_dataset(tmp_path / "d", size=(31, 20))
    frames = list(Dataset.open(root).frames)
    odd = Camera(frames[0].camera.c2w, 40, 41, 14.2, 11.7, 31, 20)
    frames = [type(f)(f.name, f.path, odd if f.split == "train" else f.camera, f.split,
                      np.array([0.25, 0.5], np.float32) if nerface else None) for f in frames]
    write_transforms(root, frames, expression_names=("a", "b") if nerface else (),
                     fps=1200.5 if nerface else None)  # so many has a slow motion
    again = Dataset.open(root)
    for a, b in zip(frames, again.frames, strict=True):
        assert a.name == b.name and np.allclose(a.camera.c2w, b.camera.c2w)
        for key in ("fx", "fy", "cx", "cy"):
            assert getattr(a.camera, key) == pytest.approx(getattr(b.camera, key)), key
    assert again.expression_names == (("a", "b") if nerface else ())
    assert again.fps == (1200.5 if nerface else None)


def test_fingerprint_sees_changed_pictures_and_json(dataset_folder, edit_json):
    a = Dataset.open(dataset_folder).fingerprint()
    assert a == Dataset.open(dataset_folder).fingerprint()
    media.write_image(dataset_folder / "train/r_0.png", np.zeros((20, 24, 4), np.uint8))
    b = Dataset.open(dataset_folder).fingerprint()
    edit_json(dataset_folder / "transforms_train.json", lambda d: d.update(camera_angle_x=0.7))
    c = Dataset.open(dataset_folder).fingerprint()
    assert a != b != c and a["json"] == b["json"] != c["json"]


# --- bad input: one clear error each --------------------------------------------------------------

def first(change):
    return lambda data: change(data["frames"][0])


STRETCHED = np.diag([2.0, 2, 1, 1]).tolist()
SHEARED = [[1.0, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
MIRRORED = np.diag([-1.0, 1, 1, 1]).tolist()
BAD = {
    "no frames list": (lambda d: d.pop("frames"), "no list `frames`"),
    "no frames": (lambda d: d["frames"].clear(), "no training frames"),
    "no matrix": (first(lambda f: f.pop("transform_matrix")), "not a 4x4 matrix"),
    "3x3 matrix": (first(lambda f: f.update(transform_matrix=np.eye(3).tolist())), "4x4"),
    "text in matrix": (first(lambda f: f.update(transform_matrix="x")), "4x4"),
    "stretched matrix": (first(lambda f: f.update(transform_matrix=STRETCHED)), "stretched"),
    "sheared matrix": (first(lambda f: f.update(transform_matrix=SHEARED)), "sheared"),
    "mirrored matrix": (first(lambda f: f.update(transform_matrix=MIRRORED)), "left-handed"),
    "no intrinsics": (lambda d: d.pop("camera_angle_x"), "no intrinsics"),
    "angle of zero": (lambda d: d.update(camera_angle_x=0), "camera_angle_x"),
    "angle beyond pi": (lambda d: d.update(camera_angle_x=3.2), "camera_angle_x"),
    "angle as text": (lambda d: d.update(camera_angle_x="wide"), "not a number"),
    "parent folder": (first(lambda f: f.update(file_path="../../etc/passwd")), "outside"),
    "absolute path": (first(lambda f: f.update(file_path="/etc/passwd")), "outside"),
    "drive": (first(lambda f: f.update(file_path="C:\\x\\y")), "outside"),
    "backslash parent": (first(lambda f: f.update(file_path="..\\..\\x")), "outside"),
    "no file_path": (first(lambda f: f.pop("file_path")), "file_path"),
    "missing picture": (first(lambda f: f.update(file_path="./train/none")), "missing"),
    "listed twice": (first(lambda f: f.update(file_path="./train/r_1")), "twice"),
    "bad expression": (first(lambda f: f.update(expression=[[1]])), "expression"),
    "matrix of endless numbers": (first(lambda f: f.update(transform_matrix=[[10**400] * 4] * 4)),
                                  "number that is too large"),
    "angle of endless digits": (lambda d: d.update(camera_angle_x=10**400),
                               "number that is too large"),
    "expression beyond float32": (first(lambda f: f.update(expression=[1e300])), "finite"),
    "expression of endless digits": (first(lambda f: f.update(expression=[10**400])),
                                     "number that is too large"),
    "expressions of two lengths": (lambda d: [f.update(expression=[0.0] * (1 + i)) for i, f in
                                              enumerate(d["frames"])], "differ in length"),
    "focal length of no camera": (lambda d: d.update(fl_x=1e25), "belong to no camera"),
    "name longer than any file's": (first(lambda f: f.update(file_path="a" * 5000)), "looked for"),
    "frame is no object": (lambda d: d["frames"].__setitem__(0, 3), "not an object"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_transforms(dataset_folder, edit_json, name):
    change, words = BAD[name]
    edit_json(dataset_folder / "transforms_train.json", change)
    with pytest.raises(IdfError, match=words):
        Dataset.open(dataset_folder)


@pytest.mark.parametrize("text, words", [
    ("{", "line 1"), ("[1]", "no list"), ('{"camera_angle_x": NaN, "frames": []}', "NaN"),
    ("[" * 100_000, "nested|valid JSON"), ("\ufeff{}", "no list"), ("9" * 5000, "JSON|list"),
])
def test_broken_json(dataset_folder, text, words):
    (dataset_folder / "transforms_train.json").write_text(text, encoding="utf-8")
    with pytest.raises(IdfError, match=words):
        Dataset.open(dataset_folder)


def test_folder_that_is_none(tmp_path):
    with pytest.raises(IdfError, match="does not exist"):
        Dataset.open(tmp_path / "nothing")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(IdfError, match="is no folder") as error:
        Dataset.open(tmp_path / "a.json")
    assert error.value.do == f"give the folder: {tmp_path}"
    with pytest.raises(IdfError, match="not a dataset"):
        Dataset.open(tmp_path)


def test_mixed_sizes(dataset_folder):
    media.write_image(dataset_folder / "train/r_3.png", np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(IdfError, match="differ in size"):
        Dataset.open(dataset_folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_leaving_the_folder(dataset_folder, tmp_path):
    outside = tmp_path / "outside.png"
    media.write_image(outside, np.zeros((20, 24, 4), np.uint8))
    (dataset_folder / "bg").mkdir()
    (dataset_folder / "bg/a.png").symlink_to(outside)
    assert Dataset.open(dataset_folder).background is None
    media.write_image(dataset_folder / "bg/b.png", np.zeros((20, 24, 3), np.uint8))
    assert Dataset.open(dataset_folder).background.name == "b.png"
    (dataset_folder / "train/r_3.png").unlink()
    (dataset_folder / "train/r_3.png").symlink_to(outside)
    with pytest.raises(IdfError, match="outside"):
        Dataset.open(dataset_folder)


def test_unicode_and_spaces_in_paths(tmp_path):
    assert len(Dataset.open(make_dataset(tmp_path / "Köpfe é 1")).frames) == 9


def test_camera_given_for_a_picture_of_less_than_a_pixel(dataset_folder, edit_json):
    """A unit plane instead of pixels: some exporters write intrinsics as parts of the width."""
    edit_json(dataset_folder / "transforms_train.json",
              lambda d: d.update(fl_x=0.3, w=0.24, h=0.2))
    camera = Dataset.open(dataset_folder).train[0].camera
    assert (camera.width, camera.height) == (24, 20) and camera.fx == pytest.approx(30)


def test_folder_name_longer_than_any(tmp_path):
    with pytest.raises(IdfError, match="cannot be read"):
        Dataset.open(tmp_path / ("a" * 300))


def test_where_the_face_looks_is_handed_on(dataset_folder, edit_json, tmp_path):
    """Read, written beside the cameras of a model and of an avatar, and in other datasets."""
    for split in ("train", "val", "test"):
        edit_json(dataset_folder / f"transforms_{split}.json",
                  lambda data: data.update(front=[0, -2, 0]))
    data = Dataset.open(dataset_folder)
    write_transforms(tmp_path, data.frames)
    write_cameras(tmp_path / "cameras.json", list(data.train))
    written = read_json(tmp_path / "transforms_train.json")
    assert written["front"] == [0, -1, 0]
    kept = [data.train[0].camera, read_cameras(tmp_path / "cameras.json")[0],
            camera_from(camera_values(data.train[0].camera))]
    for camera in kept:
        assert camera.front.tolist() == [0, -1, 0]
    for wrong, words in (([0, 0, 0], "no direction"), ([0, 1], "3 finite numbers")):
        edit_json(dataset_folder / "transforms_train.json",
                  lambda data, wrong=wrong: data.update(front=wrong))
        with pytest.raises(IdfError, match=words):
            Dataset.open(dataset_folder)
