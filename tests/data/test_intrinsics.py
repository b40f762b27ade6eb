"""Cameras as other programs spell them: all of one and the same camera."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import look_at_matrix
from idf_helpers.data.intrinsics import read_intrinsics
from idf_helpers.data.matrices import rigid_matrix
from idf_helpers.data.remarks import Remarks

W, H = 40, 30
FX, FY, CX, CY = 50.0, 52.0, 19.0, 16.0
ALL = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": W, "h": H}
K = [[FX, 0, CX], [0, FY, CY], [0, 0, 1]]


def read(data, entry=None, size=(W, H)):
    return read_intrinsics(data, entry or {}, *size, "frame 0")


SPELLINGS = {
    "top": (ALL, {}), "frame": ({}, ALL), "frame over top": ({"fl_x": 9.0, "cx": 1.0}, ALL),
    "frame's K over the top's fl_x": ({"fl_x": 9.0, "camera_angle_x": 1.0}, {"K": K}),
    "K": ({"K": K}, {}), "K flat": ({}, {"K": [v for row in K for v in row]}),
    "intrinsic_matrix column by column": ({"intrinsic_matrix": [FX, 0, 0, 0, FY, 0, CX, CY, 1],
                                           "width": W, "height": H}, {}),
    "3x4": ({}, {"intrinsics": [[FX, 0, CX, 0], [0, FY, CY, 0], [0, 0, 1, 0]]}),
    "4x4": ({}, {"intrinsics": [[FX, 0, CX, 0], [0, FY, CY, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}),
    "K of the unit picture": ({}, {"K": [[FX / W, 0, CX / W], [0, FY / H, CY / H], [0, 0, 1]]}),
    "K for another size": ({"w": 2 * W, "h": 2 * H}, {"K": [[2 * FX, 0, 2 * CX],
                                                            [0, 2 * FY, 2 * CY], [0, 0, 1]]}),
    "another size": ({k: 3 * v for k, v in ALL.items()}, {}),
    "angles": ({"camera_angle_x": 2 * math.atan(W / 2 / FX), "cx": CX, "cy": CY,
                "camera_angle_y": 2 * math.atan(H / 2 / FY)}, {}),
    "angles for another size": ({"camera_angle_x": 2 * math.atan(W / 2 / FX), "cx": 2 * CX,
                                 "cy": 2 * CY, "camera_angle_y": 2 * math.atan(H / 2 / FY),
                                 "w": 2 * W, "h": 2 * H}, {}),
    "degrees": ({"x_fov": 2 * math.degrees(math.atan(W / 2 / FX)), "cx": CX, "cy": CY,
                 "y_fov": 2 * math.degrees(math.atan(H / 2 / FY))}, {}),
    "a table": ({"intrinsics": {"fx": FX, "fy": FY, "cx": CX, "cy": CY}}, {}),
    "fx and fy": ({"w": W, "h": H}, {"fx": FX, "fy": FY, "cx": CX, "cy": CY}),
    "center in parts": ({"fl_x": FX, "fl_y": FY, "cx": CX / W, "cy": CY / H}, {}),
    "all in parts": ({"fl_x": FX / W, "fl_y": FY / H, "cx": CX / W, "cy": CY / H}, {}),
    "four numbers in pixels": ({"intrinsics": [FX, FY, CX, CY]}, {}),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_one_camera(name):
    lens = read(*SPELLINGS[name]).lens
    assert np.allclose((lens.fx, lens.fy, lens.cx, lens.cy), (FX, FY, CX, CY)), lens
    assert lens.is_straight and (lens.width, lens.height) == (W, H)


def test_what_is_left_out_is_the_middle_and_square_pixels():
    for data in ({"fl_x": FX}, {"camera_angle_x": 2 * math.atan(W / 2 / FX)}, {"focal": FX},
                 {"x_fov": math.degrees(2 * math.atan(W / 2 / FX))}):
        lens = read(data).lens
        assert np.allclose((lens.fx, lens.fy, lens.cx, lens.cy), (FX, FX, W / 2, H / 2))
    lens = read({"camera_angle_y": 2 * math.atan(H / 2 / FY)}).lens
    assert np.allclose((lens.fx, lens.fy), FY)


def test_a_skewed_matrix_is_straightened():
    lens = read({"K": [[FX, 5, CX], [0, FY, CY], [0, 0, 1]]}).lens
    assert not lens.is_straight
    assert np.allclose(lens.project(0.1, 0.2, 1.0), (FX * 0.1 + 5 * 0.2 + CX, FY * 0.2 + CY))


@pytest.mark.parametrize(("data", "words"), [
    ({"K": [[FX, 0, CX], [3, FY, CY], [0, 0, 1]]}, "no matrix"),
    ({"K": [[-FX, 0, CX], [0, FY, CY], [0, 0, 1]]}, "no positive focal length"),
    ({"K": [FX, FY, CX, CY]}, "no matrix"), ({"K": "x"}, "no matrix"), ({"K": [[0] * 3] * 3}, "no"),
    ({"K": [[1e40, 0, 1], [0, 1, 1], [0, 0, 1]]}, "no matrix"),
    ({"fl_x": 0.5}, "no camera"), ({"fl_x": -3}, "not positive"),
    ({"fl_x": 50, "w": 0, "h": 5}, None),
    ({"fl_x": 50, "w": -4, "h": 5}, "not positive"),
    ({"fl_x": 50, "w": H, "h": W}, "turned on its side"), ({"fl_x": 50, "w": 40, "h": 40}, "shape"),
    ({"x_fov": 190}, "degrees"), ({"camera_angle_x": 50.0}, "radians"), ({"fl_y": 50}, "fl_x"),
    ({"fl_x": 50, "camera_model": 3}, "not a name"),
    ({"fl_x": 50, "distortion_params": [0.1] * 5}, "told apart"),
    ({"fl_x": 50, "dist": [0.1] * 7}, "told apart"),
    ({"fl_x": 50, "camera_model": "THIN_PRISM_FISHEYE"}, "no parameters"),
    ({"fl_x": 50, "camera_model": "FOV"}, "omega"), ({}, "no intrinsics"),
    ({"intrinsics": {"cx": 3}}, "no intrinsics")])
def test_what_is_no_camera_is_named(data, words):
    if words is None:
        assert read(data).lens.fx == 50  # an empty size says nothing
        return
    with pytest.raises(IdfError, match=words) as error:
        read(data)
    assert error.value.found and error.value.do


def test_opencv_lists_keep_opencvs_order():
    lens = read({"fl_x": FX, "dist_coeffs": [[0.1, 0.2, 0.01, 0.02, 0.3]]}).lens
    assert lens.model == "FULL_OPENCV" and lens.parameters[:5] == (0.1, 0.2, 0.01, 0.02, 0.3)
    lens = read({"fl_x": FX, "camera_model": "OPENCV_FISHEYE", "dist": [0.1, 0.2, 0.3, 0.4]}).lens
    assert lens.parameters == (0.1, 0.2, 0.3, 0.4)
    lens = read({"fl_x": FX, "camera_model": "FISHEYE624",
                 "distortion_params": [i / 100 for i in range(12)]}).lens
    assert lens.model == "RAD_TAN_THIN_PRISM_FISHEYE" and lens.parameters[5] == 0.05


def write(root, top, sizes=((W, H),) * 3, change=lambda i, e: e):
    frames = []
    for i, (w, h) in enumerate(sizes):
        media.write_image(root / f"{i}.png", np.full((h, w, 3), 60 + i, np.uint8))
        frames.append(change(i, {"file_path": f"{i}.png", "transform_matrix": look_at_matrix(
            [3 * math.sin(i), 0, 3 * math.cos(i)], [0, 0, 0], [0, 1, 0]).tolist()}))
    (root / "transforms.json").write_text(json.dumps(top | {"frames": frames}))
    return root


MIXED = ((40, 30), (20, 30), (40, 24))


def test_pictures_of_several_sizes_with_cameras_of_their_own(tmp_path):
    data = Dataset.open(write(tmp_path, {"fl_x": 50}, MIXED, lambda i, e: e | {
        "w": MIXED[i][0], "h": MIXED[i][1], "cx": 19.0 - 10 * (i == 1)}))
    by_name = {f.name: f.camera for f in data.frames}
    assert [by_name[str(i)].cx for i in range(3)] == [19, 9, 19]
    assert all(by_name[str(i)].fx == 50 for i in range(3))
    assert any("differ in size" in n for n in data.notes) and "other sizes" in data.describe()


@pytest.mark.parametrize(("top", "sizes", "works"), [
    ({"camera_angle_x": 0.8}, ((40, 30), (20, 15)), True),  # the same view, smaller
    ({"camera_angle_x": 0.8}, ((40, 30), (20, 30)), False),  # cropped: which angle is it?
    ({"fl_x": 50}, ((40, 30), (20, 15)), False),
    ({"fl_x": 50, "w": 40, "h": 30}, ((40, 30), (20, 15)), True)])
def test_one_camera_for_pictures_of_several_sizes(tmp_path, top, sizes, works):
    write(tmp_path, top, sizes)
    if works:
        assert len({c.camera.fov_x for c in Dataset.open(tmp_path).frames}) == 1
        return
    with pytest.raises(IdfError, match="differ in size") as error:
        Dataset.open(tmp_path)
    assert "cx" in error.value.do


def test_smaller_pictures_in_nerfstudios_folders(tmp_path):
    write(tmp_path, {"fl_x": 100, "w": 80, "h": 60}, change=lambda i, e: e | {
        "file_path": f"images/{i}.png"})
    (tmp_path / "images_2").mkdir()
    for i in range(3):
        (tmp_path / f"{i}.png").rename(tmp_path / f"images_2/{i}.png")
    data = Dataset.open(tmp_path)
    assert data.train[0].camera.fx == 50 and data.train[0].name == "images/1"
    assert any("images_2" in n for n in data.notes)
    table = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({k: v for k, v in table.items()
                                                          if k not in ("w", "h")}))
    with pytest.raises(IdfError, match="another size only"):
        Dataset.open(tmp_path)


def test_camera_files_that_are_not_read_are_told(tmp_path):
    write(tmp_path, {"fl_x": 50, "white_transparent": True})
    (tmp_path / "transforms_old.json").write_text("{}")
    notes = " ".join(Dataset.open(tmp_path).notes)
    assert "transforms_old.json beside transforms.json is not read" in notes
    assert "white_transparent" in notes


# --- matrices -------------------------------------------------------------------------------------

RIGID = look_at_matrix([3.0, 1, 2], [0, 0, 0], [0, 1, 0.1])


@pytest.mark.parametrize("written", [
    RIGID, RIGID[:3], RIGID.ravel(), RIGID[:3].ravel(), RIGID.T, RIGID.T.ravel(), 2 * RIGID,
    RIGID @ np.diag([1.3, 1.3, 1.3, 1])])
def test_matrices_that_can_be_mended(written):
    remarks = Remarks()
    assert np.allclose(rigid_matrix(written.tolist(), "frame 0", remarks), RIGID)
    told = remarks.notes(1)
    assert bool(told) == (written.size == 16 and not np.array_equal(written.reshape(4, 4), RIGID)
                          and not np.array_equal(written, 2 * RIGID))


def test_scales_of_many_frames_are_one_note():
    remarks = Remarks()
    for scale in (1.3, 0.7, 2.0):
        rigid_matrix((RIGID @ np.diag([scale, scale, scale, 1])).tolist(), "f", remarks)
    assert remarks.notes(4) == ("matrices are scaled by 0.7 to 2: the scale was divided out, "
                                "positions stay (3 of 4 frames)",)


def test_matrices_that_cannot_be_mended_are_told_apart():
    for change, word in ((np.diag([-1.0, 1, 1, 1]), "left-handed"),
                         (np.diag([-2.0, 2, 2, 1]), "left-handed"),
                         (np.diag([1.0, 1, 2, 1]), "stretched"),
                         (np.array([[1.0, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
                          "sheared"), (np.diag([1.0, 0, 1, 1]), "no length")):
        with pytest.raises(IdfError) as error:
            rigid_matrix((RIGID @ change).tolist(), "frame 7", Remarks())
        assert word in error.value.found and "frame 7" in error.value.what and error.value.do
    with pytest.raises(IdfError, match="last row"):
        rigid_matrix([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], "f", Remarks())


def test_cameras_with_opencvs_axes_are_told(tmp_path):
    def turned(i, e):
        return e | {"transform_matrix": (np.array(e["transform_matrix"])
                                         @ np.diag([1, -1, -1, 1])).tolist()}

    sizes = ((W, H),) * 4
    assert any("OpenCV" in n for n in Dataset.open(write(tmp_path / "a", {"fl_x": 50}, sizes,
                                                         turned)).notes)
    assert not any("OpenCV" in n for n in Dataset.open(write(tmp_path / "b", {"fl_x": 50},
                                                             sizes)).notes)


@pytest.mark.parametrize(("scale", "told"), [(1, False), (0.5, True), (0.2, True), (2, True)])
def test_a_camera_of_no_stated_size_before_scaled_pictures_is_told(scale, told):
    said = {k: v for k, v in ALL.items() if k not in "wh"}
    found = read(said, size=(round(W * scale), round(H * scale)))
    assert any("need `w` and `h`" in r for r in found.remarks) == told
    assert not read(ALL, size=(round(W * scale), round(H * scale))).remarks


@pytest.mark.parametrize("key", ["is_fisheye", "latlong", "equirectangular", "orthographic"])
def test_a_word_is_no_flag(key):
    assert read(ALL | {key: False}).lens.is_straight
    with pytest.raises(IdfError, match="neither true nor false"):
        read(ALL | {key: "false"})


VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.integers(-10**6, 10**6)
                      | st.text(max_size=5), lambda v: st.lists(v, max_size=5), max_leaves=20)
KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "x_fov", "K", "intrinsics",
        "camera_model", "k1", "k4", "distortion_params", "dist", "is_fisheye", "ftheta_p0",
        "ftheta_p1", "fisheye_crop_radius", "latlong", "intrinsic_matrix")


@pytest.mark.filterwarnings("error")
@given(top=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
       entry=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_any_values_are_a_camera_or_an_error_with_words(top, entry):
    try:
        lens = read(top, entry).lens
    except IdfError as error:
        assert error.what and error.found
    else:
        assert np.isfinite((lens.fx, lens.fy, lens.cx, lens.cy)).all()


@pytest.mark.filterwarnings("error")
@given(value=VALUES | st.lists(st.lists(st.floats(), min_size=4, max_size=4), min_size=3,
                               max_size=4))
def test_any_matrix_is_rigid_or_an_error_with_words(value):
    try:
        m = rigid_matrix(value, "frame 0", Remarks())
    except IdfError as error:
        assert error.what and error.found
    else:
        assert np.abs(m[:3, :3].T @ m[:3, :3] - np.eye(3)).max() < 0.02
