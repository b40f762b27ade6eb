import json

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import look_at_matrix
from idf_helpers.data.masks import Mask
from idf_helpers.data.understood import understand

from .colmap_files import Model

W, H = 24, 20
GRAY = np.zeros((H, W), np.uint8)
GRAY[5:15, 6:18] = 255
POSES = [look_at_matrix([3 * np.sin(a), 0.2 * a, 3 * np.cos(a)], [0, 0, 0], [0, 1, 0])
         for a in range(3)]


def gray(values):
    return np.repeat(values[..., None], 3, axis=2)


def pictures(root, names, channels=3):
    for i, name in enumerate(names):
        media.write_image(root / name, np.full((H, W, channels), 80 + i, np.uint8))


def transforms(root, names, change=lambda i, e: e):
    (root / "transforms.json").write_text(json.dumps({"fl_x": 30, "frames": [
        change(i, {"file_path": n, "transform_matrix": m.tolist()})
        for i, (n, m) in enumerate(zip(names, POSES, strict=True))]}))


NAMES = ["images/a.png", "images/b.png", "images/c.png"]


def check(root, masked=3, source="masks"):
    data = Dataset.open(root)
    for f in data.frames:
        image = f.image()
        if f.mask:
            assert (image[..., 3] == GRAY).all() and image[0, 0, 0] >= 80
    assert sum(f.mask is not None for f in data.frames) == masked == understand(data).masks
    assert any("masks" in n and "alpha" in n and source in n for n in data.notes)
    return data


@pytest.mark.parametrize("key", ["mask_path", "fg_mask_path"])
def test_masks_named_by_the_camera_file(tmp_path, key):
    pictures(tmp_path, NAMES)
    for n in "abc":
        media.write_image(tmp_path / f"cut/{n}.png", gray(GRAY))
    transforms(tmp_path, NAMES, lambda i, e: e | {key: f"cut/{'abc'[i]}.png"})
    assert understand(check(tmp_path, source="cut")).mask_source == "named by the camera file"


@pytest.mark.parametrize("place", ["masks/{}.png", "masks/images/{}.png", "images/masks/{}.png",
                                   "masks/{}.png.png", "masks/{}_mask.png", "mask/{}.jpg",
                                   "Masks/{}.PNG"])
def test_masks_in_a_folder_of_their_own(tmp_path, place):
    pictures(tmp_path, NAMES)
    for n in "abc":
        path = tmp_path / place.format(n)
        media.write_image(path.with_suffix(".png"), gray(GRAY))
        if path.suffix != ".png":
            path.with_suffix(".png").rename(path)
    transforms(tmp_path, NAMES)
    check(tmp_path, source=place.split("/")[0] if place[0] in "mM" else "images/masks")


def test_colmap_masks_and_a_picture_without(tmp_path):
    pictures(tmp_path / "images", ["s/a.jpg", "s/b.jpg", "t/a.jpg"])
    Model({1: ("PINHOLE", W, H, (30.0, 30.0, 12.0, 10.0))},
          [(n, m, 1) for n, m in zip(("s/a.jpg", "s/b.jpg", "t/a.jpg"), POSES, strict=True)],
          np.zeros((0, 6))).write(tmp_path / "sparse/0", text=False)
    for n in ("s/a.jpg.png", "t/a.jpg.png"):
        media.write_image(tmp_path / "masks" / n, gray(GRAY))
    data = check(tmp_path, 2)
    assert "2 of 3 pictures" in " ".join(data.notes)


def test_a_folder_of_masks_for_other_pictures_is_told(tmp_path):
    pictures(tmp_path, NAMES)
    transforms(tmp_path, NAMES)
    media.write_image(tmp_path / "masks/0001.png", gray(GRAY))
    data = Dataset.open(tmp_path)
    assert not any(f.mask for f in data.frames)
    assert any(n.startswith("masks: no file in it is named like a picture") for n in data.notes)
    for n in "abc":
        media.write_image(tmp_path / f"images/masks/{n}.png", gray(GRAY))
    assert any("masks" in n and "alpha in 3" in n for n in Dataset.open(tmp_path).notes)


def test_masks_of_instant_ngp_hide_what_is_set(tmp_path):
    pictures(tmp_path, NAMES)
    for n in "ab":
        media.write_image(tmp_path / f"images/dynamic_mask_{n}.png", gray(255 - GRAY))
    media.write_image(tmp_path / "images/c.png.alpha.png", gray(GRAY))
    transforms(tmp_path, NAMES)
    check(tmp_path, source="images")


def test_masks_of_3dgrut_beside_the_pictures_of_colmap(tmp_path):
    names = ["a.jpg", "b.jpg", "c.jpg"]
    pictures(tmp_path / "images", names)
    for n in "abc":
        media.write_image(tmp_path / f"images/{n}_mask.png", gray(GRAY))
    Model({1: ("PINHOLE", W, H, (30.0, 30.0, 12.0, 10.0))},
          [(n, m, 1) for n, m in zip(names, POSES, strict=True)], np.zeros((0, 6))).write(
        tmp_path / "sparse/0", text=True)
    check(tmp_path, source="images")


def test_forms_of_a_mask(tmp_path):
    soft = GRAY.copy()
    soft[8, 8] = 100
    flat = np.full((H, W, 4), 255, np.uint8)
    flat[..., 3] = GRAY
    for name, image, expected in (
            ("labels", gray(GRAY // 255), GRAY), ("segments", gray(GRAY // 85), GRAY),
            ("colors of segments", (GRAY[..., None] > 0) * np.array([128, 0, 64], np.uint8), GRAY),
            ("soft", gray(soft), soft), ("in its alpha", flat, GRAY),
            ("nothing", gray(0 * GRAY), 0 * GRAY)):
        media.write_image(tmp_path / "m.png", image)
        assert (Mask(tmp_path / "m.png").alpha(W, H) == expected).all(), name
    media.write_image(tmp_path / "m.png", gray(GRAY.repeat(2, 0).repeat(2, 1)))
    assert np.abs(Mask(tmp_path / "m.png").alpha(W, H).astype(int) - GRAY).mean() < 12
    rgba = np.full((H, W, 4), 60, np.uint8)
    media.write_image(tmp_path / "m.png", gray(GRAY))
    assert (Mask(tmp_path / "m.png").apply(rgba)[..., 3] == np.minimum(GRAY, 60)).all()


def test_a_mask_is_bent_as_its_picture(tmp_path):
    pictures(tmp_path, NAMES)
    for n in "abc":
        media.write_image(tmp_path / f"masks/{n}.png", gray(GRAY))
    transforms(tmp_path, NAMES)
    data = json.loads((tmp_path / "transforms.json").read_text()) | {"k1": 0.5}
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    f = Dataset.open(tmp_path).train[0]
    alpha = f.image()[..., 3]
    bent = f.lens.straighten(gray(GRAY), f.camera)
    assert np.abs(alpha.astype(int) - np.where(bent[..., 3] > 0, bent[..., 0], 0)).max() <= 1
    assert (alpha != GRAY).any()


@pytest.mark.parametrize(("make", "words"), [
    (lambda r: transforms(r, NAMES, lambda i, e: e | {"mask_path": "cut/none.png"}), "missing"),
    (lambda r: transforms(r, NAMES, lambda i, e: e | {"mask_path": "../m.png"}), "outside"),
    (lambda r: transforms(r, NAMES, lambda i, e: e | {"mask_path": 3}), "not a path"),
    (lambda r: media.write_image(r / "masks/a.png", gray(GRAY[:, :9])), "another shape")])
def test_masks_that_do_not_fit(tmp_path, make, words):
    pictures(tmp_path, NAMES)
    transforms(tmp_path, NAMES)
    make(tmp_path)
    with pytest.raises(IdfError, match=words) as error:
        Dataset.open(tmp_path)
    assert error.value.found and error.value.do


def test_one_mask_for_two_pictures_is_refused(tmp_path):
    names = ["l/a.png", "r/a.png", "r/b.png"]
    pictures(tmp_path, names)
    transforms(tmp_path, names)
    media.write_image(tmp_path / "masks/a.png", gray(GRAY))
    with pytest.raises(IdfError, match="fits two pictures"):
        Dataset.open(tmp_path)


def test_another_mask_makes_another_dataset(tmp_path):
    pictures(tmp_path, NAMES)
    transforms(tmp_path, NAMES)
    without = Dataset.open(tmp_path).fingerprint()
    media.write_image(tmp_path / "masks/b.png", gray(GRAY))
    first = Dataset.open(tmp_path).fingerprint()
    media.write_image(tmp_path / "masks/b.png", gray(255 - GRAY // 3))
    assert "beside" not in without and first != without
    assert Dataset.open(tmp_path).fingerprint()["beside"] != first["beside"]
