"""Every row of the table of layouts (benchmarks/layouts.py): read as it is, or refused by name."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idf_helpers.data.dataset import Dataset
from idf_helpers.data.inputs import dataset_root, open_dataset
from idf_helpers.data.layouts.flame import head_pose
from idf_helpers.data.media import write_image
from idf_helpers.data.moments import check_still, moves, told_apart
from idf_helpers.data.transforms import write_transforms
from idf_helpers.errors import IdfError
from tests.fixtures.layouts.table import ROWS, judge
from tests.fixtures.layouts.tracker_rows import (
    about,
    imavatar,
    nersemble,
    posed,
    vhap_frames,
    write_vhap,
)
from tests.fixtures.layouts.transforms_rows import PIXELS, plain


def test_the_table_is_long_enough():
    names = [r.name for r in ROWS]
    assert len(names) >= 40 and len(set(names)) == len(names)
    assert sum(bool(r.refused) for r in ROWS) >= 15


@pytest.mark.parametrize("row", ROWS, ids=[r.name for r in ROWS])
def test_row(row, tmp_path):
    got = judge(row, tmp_path)
    assert got.outcome == ("refused" if row.refused else "reads"), got.words


def test_flame_turns_about_its_joints():
    p, head = posed(3)
    np.testing.assert_allclose(head_pose(p["rotation"], p["neck_pose"], p["translation"]), head,
                               atol=1e-12)
    np.testing.assert_allclose(head_pose([0, 0, 0]), np.eye(4), atol=1e-12)
    half = head_pose([0, 0.5, 0], scale=4.0)
    np.testing.assert_allclose(half, about(4 * np.array([0, -0.144, -0.083]), [0, 0.5, 0]))


def test_one_instant_reopens_from_its_address(tmp_path):
    write_vhap(tmp_path, vhap_frames(tmp_path))
    data = Dataset.open(tmp_path)
    assert data.times == (0.0, 1.0, 2.0) and data.layout and data.frames[0].camera_id == "22220"
    with pytest.raises(IdfError, match="3 instants") as error:
        check_still(data)
    assert "#time=0" in error.value.do
    one = data.at(1.0)
    check_still(one)
    again = Dataset.open(one.address)
    assert [f.name for f in again.frames] == [f.name for f in one.frames]
    assert one.fingerprint() == again.fingerprint() != data.fingerprint()


def test_a_named_root_reopens_from_its_address(tmp_path):
    write_vhap(tmp_path / "UNION", vhap_frames(tmp_path / "A", "../A/"))
    data = open_dataset(f"{tmp_path / 'UNION'}#root=..")
    assert data.address.endswith("UNION#root=..") and data.train[0].name.startswith("A/images/")
    assert [f.name for f in Dataset.open(data.address).frames] == [f.name for f in data.frames]
    inner = tmp_path / "A"
    plain(inner, PIXELS)  # the root is not kept where it did not count
    assert "#" not in open_dataset(f"{inner}#root=..").address


def test_a_link_out_of_the_root_is_refused(tmp_path):
    plain(tmp_path / "secret", PIXELS)
    plain(tmp_path / "data/A", PIXELS)
    picture = tmp_path / "data/A/images/f_003.png"
    picture.unlink()
    picture.symlink_to(tmp_path / "secret/images/f_003.png")
    frames = json.loads((tmp_path / "data/A/transforms.json").read_text())["frames"]
    (tmp_path / "data/U").mkdir()
    (tmp_path / "data/U/transforms.json").write_text(json.dumps({**PIXELS, "frames": [
        {**e, "file_path": "../A/" + e["file_path"]} for e in frames]}))
    with pytest.raises(IdfError, match="outside"):
        open_dataset(f"{tmp_path / 'data/U'}#root=..")
    with pytest.raises(IdfError, match="outside"):  # and above the root
        (tmp_path / "data/U/transforms.json").write_text(json.dumps({**PIXELS, "frames": [
            {**e, "file_path": "../../secret/" + e["file_path"]} for e in frames]}))
        open_dataset(f"{tmp_path / 'data/U'}#root=..")


def test_a_folder_of_links_is_followed_into_a_named_root(tmp_path):
    plain(tmp_path / "disk", PIXELS)
    (tmp_path / "work").mkdir()
    (tmp_path / "work/transforms.json").write_text((tmp_path / "disk/transforms.json").read_text())
    (tmp_path / "work/images").symlink_to(tmp_path / "disk/images")
    with pytest.raises(IdfError, match="outside") as error:
        open_dataset(tmp_path / "work")
    assert "#root=" in error.value.do
    data = open_dataset(f"{tmp_path / 'work'}#root=..")
    assert len(data.frames) == 8 and data.train[0].name.startswith("images/")
    assert Dataset.open(data.address).fingerprint() == data.fingerprint()


def test_time_stands_in_for_expressions(tmp_path):
    plain(tmp_path, PIXELS, change=lambda i, e: {**e, "time": i / 7})
    data = told_apart(Dataset.open(tmp_path))
    values = np.stack([f.expression for f in sorted(data.frames, key=lambda f: f.time)])
    assert values.shape == (8, 2) and data.expression_names == ("time_1", "time_2")
    assert values[0] == pytest.approx(1) and values[-1] == pytest.approx([-1, 1])
    assert any("stand in" in n for n in data.notes)
    assert told_apart(data) is data  # they have expressions now


def test_instants_outlive_a_swap(tmp_path):
    write_vhap(tmp_path / "in", vhap_frames(tmp_path / "in"))
    data = Dataset.open(tmp_path / "in")
    for f in data.frames:
        write_image(tmp_path / f"out/{f.name}.png", f.image())
    write_transforms(tmp_path / "out", data.frames, expression_names=data.expression_names)
    again = Dataset.open(tmp_path / "out")
    assert again.times == data.times and moves(again.frames) and not moves(again.at(1).frames)
    for a, b in zip(again.frames, data.frames, strict=True):
        assert (a.name, a.time, a.camera_id) == (b.name, b.time, b.camera_id)
        np.testing.assert_allclose(a.camera.c2w, b.camera.c2w, atol=1e-9)
        np.testing.assert_allclose(a.expression, b.expression, atol=1e-5)
    with pytest.raises(IdfError, match="3 instants"):
        check_still(again)


def test_every_frame_of_a_video_is_an_instant(tmp_path):
    for name in ("INSTA (OpenCV axes, expressions in text files)",
                 "IMavatar, train and test folders"):
        row = next(r for r in ROWS if r.name == name)
        (tmp_path / name).mkdir()
        data = Dataset.open(row.make(tmp_path / name).address)
        assert len(data.times) == len(data.frames)  # over the splits too


def test_where_a_dataset_lies(tmp_path):
    assert dataset_root(tmp_path) == tmp_path and dataset_root(tmp_path / "no") == tmp_path / "no"
    plain(tmp_path / "a/b", PIXELS)
    (tmp_path / "__MACOSX/a").mkdir(parents=True)
    (tmp_path / "__MACOSX/a/transforms.json").write_text("x")
    assert dataset_root(tmp_path) == tmp_path / "a/b"


# --- whatever stands in the files -----------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) \
    | st.just([[1e300, 0], [0]]) | st.just("../x") | st.just([0.0] * 50)
VALUES = st.recursive(LEAVES, lambda s: st.lists(s, max_size=3)
                      | st.dictionaries(st.text(max_size=4), s, max_size=3), max_leaves=6)
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def opens_or_says_why(address) -> None:
    try:
        Dataset.open(address)
    except IdfError as error:
        assert error.what and error.found and error.do


@QUIET
@given(key=st.sampled_from(("timestep_index", "time", "camera_id", "flame_param_path",
                            "fg_mask_path", "exp_path", "file_path", "transform_matrix")),
       value=VALUES)
def test_odd_values_of_trackers(key, value, tmp_path):
    root = tmp_path / "v"
    if not root.exists():
        write_vhap(root, vhap_frames(root, steps=3, views=2))
    path = root / "transforms_train.json"
    kept = path.read_text()
    data = json.loads(kept)
    data["frames"][0][key] = value
    try:
        path.write_text(json.dumps(data))
        opens_or_says_why(root)
    finally:
        path.write_text(kept)


@QUIET
@given(key=st.sampled_from(("pose", "expression", "world_mat", "bbox", "file_path", "intrinsics",
                            "frames")), value=VALUES)
def test_odd_values_of_imavatar(key, value, tmp_path):
    root = tmp_path / "i"
    if not root.exists():
        root.mkdir()
        imavatar(root, ".", 3, [-1.5, 2.0, 0.5, 0.5])
    path = root / "flame_params.json"
    kept = path.read_text()
    data = json.loads(kept)
    (data if key in ("intrinsics", "frames") else data["frames"][0])[key] = value
    try:
        path.write_text(json.dumps(data))
        opens_or_says_why(root)
    finally:
        path.write_text(kept)


@QUIET
@given(key=st.sampled_from(("intrinsics", "world_2_cam", "width", "height", "one")), value=VALUES)
def test_odd_values_of_nersemble(key, value, tmp_path):
    if not (tmp_path / "c").exists():
        nersemble(tmp_path, "c/images/..", "c/camera_params.json")
    path = tmp_path / "c/camera_params.json"
    kept = path.read_text()
    data = json.loads(kept)
    if key == "one":
        data["world_2_cam"][next(iter(data["world_2_cam"]))] = value
    else:
        data[key] = value
    try:
        path.write_text(json.dumps(data))
        opens_or_says_why(tmp_path / "c")
    finally:
        path.write_text(kept)


@QUIET
@given(content=st.binary(max_size=300))
def test_odd_files_of_flame(content, tmp_path):
    root = tmp_path / "f"
    if not root.exists():
        plain(root, PIXELS, change=lambda i, e: {**e, "flame_param_path": "p.npz"})
    (root / "p.npz").write_bytes(content)
    opens_or_says_why(root)
