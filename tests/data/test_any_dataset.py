"""Whatever the files hold: a dataset whose frames can be read, or an error in three parts."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import look_at_matrix
from idf_helpers.data.understood import understand

from .colmap_files import make as make_colmap


def opens_or_says_why(folder):
    try:
        data = Dataset.open(folder)
        data.points()
        understand(data).rows()
        frame = data.train[0]
        assert frame.image().shape[:2] == (frame.camera.height, frame.camera.width)
    except IdfError as error:
        assert error.what and error.found and error.do


@pytest.fixture(scope="module")
def colmap(tmp_path_factory):
    folders = {}
    for text in (False, True):
        root = tmp_path_factory.mktemp("colmap")
        make_colmap(root, text, points=100,
                    lens=("OPENCV", 32, 24, (40.0, 41.0, 15.0, 12.5, 0.1, 0, 0, 0)))
        folders[text] = root, {p: p.read_bytes() for p in sorted((root / "sparse/0").iterdir())}
    return folders


@pytest.mark.filterwarnings("error")
@given(text=st.booleans(), which=st.integers(0, 2), at=st.floats(0, 1), cut=st.integers(0, 40),
       new=st.binary(max_size=24) | st.sampled_from([b"\xff" * 8, b"nan", b" inf ", b"-1", b"\n"]))
def test_damaged_colmap_files(colmap, text, which, at, cut, new):
    root, files = colmap[text]
    path = list(files)[which]
    whole = files[path]
    start = int(at * len(whole))
    try:
        path.write_bytes(whole[:start] + new + whole[start + cut:])
        opens_or_says_why(root)
    finally:
        path.write_bytes(whole)


KEYS = ("fl_x", "camera_angle_x", "cx", "w", "h", "k1", "k3", "p1", "camera_model", "K",
        "intrinsics", "is_fisheye", "ply_file_path", "test_filenames", "train_filenames", "front",
        "fps", "expression_names", "mask_path", "file_path", "transform_matrix", "split", "frames",
        "distortion_params", "time", "expression", "bbox")
WORDS = st.sampled_from(["0.png", "1.png", "p.ply", "m.png", "../x", "test", "OPENCV",
                         "OPENCV_FISHEYE", "EQUIRECTANGULAR", "FOV", "", "é", "/etc/passwd"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | WORDS
    | st.integers(-5, 100), lambda v: st.lists(v, max_size=4)
    | st.dictionaries(st.sampled_from(KEYS), v, max_size=3), max_leaves=12)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    for i in range(3):
        media.write_image(root / f"{i}.png", np.full((6, 12, 3), 50 * i, np.uint8))
    media.write_image(root / "m.png", np.full((6, 12, 3), 255, np.uint8))
    (root / "p.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\n"
                                 b"property float y\nproperty float z\nend_header\n1 2 3\n")
    return root


@pytest.mark.filterwarnings("error")
@given(top=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
       one=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_any_values_in_a_transforms_file(plain, top, one):
    frames = [{"file_path": f"{i}.png", "transform_matrix": look_at_matrix(
        [3 * np.sin(i), 0, 3 * np.cos(i)], [0, 0, 0], [0, 1, 0]).tolist()} for i in range(3)]
    frames[1] |= one
    (plain / "transforms.json").write_text(json.dumps({"fl_x": 10.0, "frames": frames} | top))
    opens_or_says_why(plain)
