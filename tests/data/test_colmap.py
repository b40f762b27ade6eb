import json
import struct

import cv2
import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import orbit, scene_frame
from idf_helpers.data.inputs import dataset_root
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.splats.config import SplatConfig

from .colmap_files import SIZE, UP, make


@pytest.mark.parametrize("text", [False, True])
def test_the_same_points_fall_on_the_same_pixels_as_in_a_blender_dataset(tmp_path, text):
    model = make(tmp_path / "a", text)
    dataset = Dataset.open(tmp_path / "a")
    frames = [{"file_path": f"images/{n}", "transform_matrix": m.tolist()}
              for n, m, _ in model.poses]
    (tmp_path / "a/transforms.json").write_text(json.dumps(
        {"fl_x": 40, "fl_y": 41, "cx": 15, "cy": 12.5, "w": 32, "h": 24, "frames": frames}))
    blender = {f.name.removeprefix("images/"): f for f in Dataset.open(tmp_path / "a").frames}
    assert len(dataset.frames) == len(blender) == 17
    for f in dataset.frames:
        uv, z = f.camera.project(model.points[:, :3])
        uv2, z2 = blender[f.name].camera.project(model.points[:, :3])
        assert np.abs(uv - uv2).max() < 1e-6 and np.abs(z - z2).max() < 1e-9
        assert (f.image() == blender[f.name].image()).all()
    assert np.allclose(dataset.points()[:, :3], model.points[:, :3], atol=1e-6)
    assert np.allclose(dataset.points()[:, 3:] * 255, model.points[:, 3:], atol=1e-3)


def test_every_eighth_picture_by_name_is_held_out_and_it_is_said(tmp_path):
    make(tmp_path)
    d = Dataset.open(tmp_path)
    assert [f.name for f in d.test] == ["shots/p 00", "shots/p 08", "shots/p 16"]
    assert len(d.train) == 14 and not d.val and all(f.split == "test" for f in d.test)
    assert "3 of 17" in d.notes[0] and "held out" in d.notes[0]
    assert set(d.fingerprint()["json"]) == {"cameras.bin", "images.bin", "points3D.bin"}


def test_up_and_orbit_in_a_world_whose_y_points_down(tmp_path):
    make(tmp_path)
    cameras = Dataset.open(tmp_path).cameras
    scene = scene_frame(cameras)
    assert scene.up @ UP > 0.999 and np.allclose(scene.center, (1, 2, 3), atol=1e-3)
    for c in orbit(cameras, 8, elevation=20):
        assert c.up @ UP > 0.9 and (c.position - scene.center) @ UP > 0
        assert np.allclose(c.project(scene.center[None])[0], (15, 12.5), atol=1e-6)


@pytest.mark.parametrize(("lens", "focal", "distortion"), [
    (("SIMPLE_PINHOLE", *SIZE, (40.0, 16.0, 12.0)), (40, 40), None),
    (("SIMPLE_RADIAL", *SIZE, (40.0, 16.0, 12.0, 0.3)), (40, 40), (0.3, 0, 0, 0)),
    (("RADIAL", *SIZE, (40.0, 16.0, 12.0, 0.3, -0.1)), (40, 40), (0.3, -0.1, 0, 0)),
    (("OPENCV", *SIZE, (40.0, 42.0, 16.0, 12.0, 0.3, -0.1, 0.01, 0.02)), (40, 42),
     (0.3, -0.1, 0.01, 0.02)),
    (("OPENCV", *SIZE, (40.0, 42.0, 16.0, 12.0, 0.0, 0.0, 0.0, 0.0)), (40, 42), None)])
@pytest.mark.parametrize("text", [False, True])
def test_lens_models(tmp_path, lens, focal, distortion, text):
    make(tmp_path, text, lens)
    d = Dataset.open(tmp_path)
    f = d.train[0]
    assert (f.camera.fx, f.camera.fy) == focal and (f.camera.cx, f.camera.cy) == (16, 12)
    assert f.distortion == distortion
    assert any("distortion" in n for n in d.notes) == (distortion is not None)
    raw, made = media.read_image(f.path), f.image()
    if distortion:
        K = np.array([[focal[0], 0, 15.5], [0, focal[1], 11.5], [0, 0, 1]])
        raw = cv2.undistort(raw, K, np.array(distortion))
        seen = f.seen()
        assert (made[..., 3] == np.where(seen, 255, 0)).all() and 0.5 < seen.mean() < 1
        made, raw = made[..., :3][seen], raw[seen]
    assert (made == raw).all()


def test_smaller_pictures_beside_sparse_without_a_number(tmp_path):
    make(tmp_path, images="images_2", sparse="sparse", scale=2,
         lens=("PINHOLE", 16, 12, (20.0, 20.5, 7.5, 6.25)))
    d = Dataset.open(tmp_path)
    c = d.train[0].camera
    assert (c.fx, c.fy, c.cx, c.cy, c.width, c.height) == (80, 82, 30, 25, 64, 48)
    assert any("images_2" in n for n in d.notes)


def test_few_points_are_told_and_not_used(tmp_path):
    make(tmp_path, points=5)
    d = Dataset.open(tmp_path)
    assert d.points() is None and any("5 points" in n for n in d.notes)


def test_a_training_starts_from_the_points(tmp_path):
    model = make(tmp_path / "data", points=300)
    scene = reconstruct(Dataset.open(tmp_path / "data"), tmp_path / "out", "splats:cpu",
                        SplatConfig(iterations=2, resolution=32, initial=50, max_gaussians=200))
    assert len(scene.gaussians) == 200  # of 300 points, not the 50 that a cube would be filled with
    distance = np.abs(scene.gaussians.means[:, None] - model.points[None, :, :3]).max(2).min(1)
    assert distance.max() < 0.02 * scene_frame(scene.cameras).radius


def test_an_unpacked_archive_is_searched_for_it(tmp_path):
    make(tmp_path / "x/scene")
    assert dataset_root(tmp_path) == tmp_path / "x/scene"


# --- bad input ------------------------------------------------------------------------------------

def fails(root, *words):
    with pytest.raises(IdfError) as error:
        Dataset.open(root).points()
    for word in words:
        assert word in str(error.value)


def test_other_lens_models_are_named_with_the_way_out(tmp_path):
    make(tmp_path, text=True, lens=("ORTHOGRAPHIC", *SIZE, (40.0, 40.0, 16.0, 12.0)))
    fails(tmp_path, "ORTHOGRAPHIC", "image_undistorter")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_truncation_is_an_error(tmp_path, name):
    make(tmp_path)
    path = tmp_path / "sparse/0" / name
    whole = path.read_bytes()
    for length in {0, 7, 8, 20, len(whole) // 3, len(whole) // 2, len(whole) - 5, len(whole) - 1}:
        path.write_bytes(whole[:length])
        fails(tmp_path, name, "damaged or truncated")
    path.write_bytes(whole + b"\0\0")
    fails(tmp_path, name, "longer than it says")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
@pytest.mark.parametrize("count", [2**63, 10**9, 2**64 - 1])
def test_absurd_counts_take_no_memory(tmp_path, name, count):
    make(tmp_path)
    path = tmp_path / "sparse/0" / name
    path.write_bytes(struct.pack("<Q", count) + path.read_bytes()[8:])
    fails(tmp_path, name, "announced")


def test_absurd_lists_inside_an_entry(tmp_path):
    make(tmp_path)
    path = tmp_path / "sparse/0/images.bin"
    data = bytearray(path.read_bytes())
    at = data.index(b"\0", 8 + 64) + 1
    data[at:at + 8] = struct.pack("<Q", 2**62)
    path.write_bytes(data)
    fails(tmp_path, "images.bin", "announced")


@pytest.mark.parametrize(("name", "at", "value", "words"), [
    ("cameras.bin", 8 + 24, struct.pack("<d", np.nan), "NaN"),
    ("cameras.bin", 8 + 24, struct.pack("<d", -40.0), "makes no sense"),
    ("cameras.bin", 8 + 8, struct.pack("<Q", 2**60), "makes no sense"),
    ("cameras.bin", 8 + 4, struct.pack("<i", 99), "number 99"),
    ("cameras.bin", 8, struct.pack("<i", 4), "camera 3"),
    ("images.bin", 8 + 4, struct.pack("<4d", 0, 0, 0, 0), "no pose"),
    ("images.bin", 8 + 4, struct.pack("<d", np.inf), "infinity"),
    ("images.bin", 8 + 36, struct.pack("<d", 1e200), "no pose"),
    ("points3D.bin", 16, struct.pack("<d", np.nan), "NaN"),
    ("points3D.bin", 16, struct.pack("<d", 1e300), "make no sense")])
def test_values_that_make_no_sense(tmp_path, name, at, value, words):
    make(tmp_path)
    path = tmp_path / "sparse/0" / name
    data = bytearray(path.read_bytes())
    data[at:at + len(value)] = value
    path.write_bytes(data)
    fails(tmp_path, words)


@pytest.mark.parametrize(("name", "line", "words"), [
    ("cameras.txt", "3 PINHOLE 32 24 40 41 15", "Line 1"),
    ("cameras.txt", "3 PINHOLE 32 24 40 41 15 nan", "Line 1"),
    ("cameras.txt", "3 KANNALA 32 24 40 41 15 12", "KANNALA"),
    ("images.txt", "1 1 0 0 0 0 0", "Line 1"),
    ("images.txt", "1 1 0 0 0 0 0 inf 3 a.png", "Line 1"),
    ("points3D.txt", "\n".join(["1 0 0 0 0 0 0"] * 110 + ["1 0 0 x 0 0 0"]), "Line 111"),
    ("points3D.txt", "\n".join(["1 0 0 0 0 0 300"] * 110), "110 of 110"),
    ("points3D.txt", "\n".join(["1 0 0 0"] * 110), "Line 1")])
def test_bad_lines_are_named(tmp_path, name, line, words):
    make(tmp_path, text=True)
    (tmp_path / "sparse/0" / name).write_text(line + "\n")
    fails(tmp_path, words)


def test_missing_pictures_and_folders(tmp_path):
    make(tmp_path)
    (tmp_path / "images/shots/p 03.png").unlink()
    fails(tmp_path, "1 of 17 pictures", "p 03")
    (tmp_path / "images").rename(tmp_path / "pictures")
    fails(tmp_path, "no folder `images`")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "C:\\secret.png",
                                  "a/../../b"])
def test_names_that_leave_the_folder(tmp_path, name):
    model = make(tmp_path / "a")
    media.write_image(tmp_path / "a/secret.png", np.zeros((24, 32, 3), np.uint8))
    model.poses[4] = (name, *model.poses[4][1:])
    model.write(tmp_path / "b/sparse/0", False)
    (tmp_path / "a/images").rename(tmp_path / "b/images")
    fails(tmp_path / "b", "outside the dataset folder")


def test_pictures_of_another_shape(tmp_path):
    make(tmp_path, lens=("PINHOLE", 24, 32, (40.0, 41.0, 12.0, 16.0)))
    fails(tmp_path, "32x24", "24x32")


def test_no_pictures_registered(tmp_path):
    model = make(tmp_path / "a")
    model.poses = []
    model.write(tmp_path / "a/b/sparse/0", False)
    (tmp_path / "a/images").rename(tmp_path / "a/b/images")
    fails(tmp_path / "a/b", "0 pictures")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", [False, True])
def test_damaged_files_are_read_or_refused_with_a_word(tmp_path, text):
    make(tmp_path, text)
    rng = np.random.default_rng(5)
    refused = 0
    for path in sorted((tmp_path / "sparse/0").iterdir()):
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            i, n = (int(rng.integers(1, m)) for m in (len(data), 40))
            kind = rng.integers(3)
            if kind == 0:
                del data[i:i + n]
            else:
                data[i:i + n] = bytes([255] * n) if kind == 1 else rng.bytes(n)
            path.write_bytes(data)
            try:
                Dataset.open(tmp_path).points()
            except IdfError:
                refused += 1
        path.write_bytes(whole)
    assert refused > 60
