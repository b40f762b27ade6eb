"""Where COLMAP and other programs leave reconstructions and pictures, and under which names."""

import shutil
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.inputs import dataset_root
from idf_helpers.data.pictures import Finder

from .colmap_files import SIZE, Model, make, poses


@pytest.mark.parametrize(("sparse", "images"), [
    ("sparse/0", "images"), ("sparse", "images"), ("colmap/sparse/0", "images"),
    ("colmap/sparse/0", "colmap/images"), ("dense/0/sparse", "dense/0/images"),
    ("dense/0", "images"), ("dense/sparse", "dense/images"), ("undistorted/sparse",
                                                             "undistorted/images"),
    ("distorted/sparse/0", "input"), (".", "images"), (".", "."), ("0", "images"),
    ("sparse/0", "images_4"), ("sparse/1", "images"), ("sparse/0", "Images")])
@pytest.mark.parametrize("text", [False, True])
def test_places(tmp_path, sparse, images, text):
    make(tmp_path / "made", text)
    shutil.copytree(tmp_path / "made/images", tmp_path / "data" / images)
    shutil.copytree(tmp_path / "made/sparse/0", tmp_path / "data" / sparse, dirs_exist_ok=True)
    d = Dataset.open(tmp_path / "data")
    assert len(d.frames) == 17 and d.points().shape == (120, 6)
    assert (f"pictures are those of {images}" in " ".join(d.notes)) == (
        images.rpartition("/")[2] != "images")
    assert dataset_root(tmp_path / "data") == tmp_path / "data"


def part(model, which):
    return Model(model.lenses, [model.poses[i] for i in which], model.points)


def test_the_largest_of_several_reconstructions_is_taken_and_told(tmp_path):
    model = make(tmp_path)
    shutil.rmtree(tmp_path / "sparse")
    for number, count in enumerate((3, 9, 5)):
        part(model, range(count)).write(tmp_path / f"sparse/{number}", text=number == 1)
    d = Dataset.open(tmp_path)
    assert len(d.frames) == 9
    note = next(n for n in d.notes if "several" in n)
    assert "sparse/1 with 9" in note and "sparse/0 with 3" in note and "sparse/2 with 5" in note
    part(model, range(9)).write(tmp_path / "sparse/10", text=False)
    assert len(Dataset.open(tmp_path).frames) == 9  # of two equal ones the first


def test_a_damaged_reconstruction_beside_a_whole_one_is_left_and_told(tmp_path):
    model = make(tmp_path, text=False)
    shutil.copytree(tmp_path / "sparse/0", tmp_path / "sparse/1")
    (tmp_path / "sparse/0/images.bin").write_bytes(b"\x05")
    data = Dataset.open(tmp_path)
    assert len(data.frames) == len(model.poses)
    assert any("sparse/0 with none that can be read" in n for n in data.notes)
    (tmp_path / "sparse/1/images.bin").write_bytes(b"\x05")
    with pytest.raises(IdfError, match="truncated"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_rotation_by_exif_that_the_shape_does_not_show_is_told(tmp_path, turn):
    make(tmp_path)
    picture = next((tmp_path / "images").rglob("*.*g"))
    exif = Image.Exif()
    exif[0x0112] = turn
    with Image.open(picture) as image:
        image.copy().save(picture, exif=exif)
    notes = [n for n in Dataset.open(tmp_path).notes if "EXIF" in n]
    assert len(notes) == (turn == 3) and all("1 of 17 frames" in n for n in notes)


def test_images_of_a_text_model_without_lines_of_points(tmp_path):
    make(tmp_path, text=True)
    path = tmp_path / "sparse/0/images.txt"
    rows = [r for r in path.read_text().splitlines() if r.endswith(".png") or r[:1] == "#"]
    path.write_text("\n".join(rows))
    assert len(Dataset.open(tmp_path).frames) == 17


def test_features_without_a_reconstruction_are_told(tmp_path):
    make(tmp_path)
    shutil.rmtree(tmp_path / "sparse")
    (tmp_path / "database.db").write_bytes(b"SQLite format 3")
    with pytest.raises(IdfError, match="no reconstruction") as error:
        Dataset.open(tmp_path)
    assert "colmap mapper" in error.value.do


# --- names ----------------------------------------------------------------------------------------

def renamed(root, change):
    for p in sorted((root / "images/shots").iterdir()):
        p.rename(p.with_name(change(p.name)))
    return Dataset.open(root)


@pytest.mark.parametrize("change", [str.upper, lambda n: n.replace(".png", ".PNG"),
                                    lambda n: n.replace(".png", ".webp"), str.title,
                                    lambda n: n.replace(".png", ".AVIF")])
def test_pictures_under_another_name(tmp_path, change):
    make(tmp_path)
    d = renamed(tmp_path, change)
    assert len(d.frames) == 17 and d.train[0].name == "shots/p 01"
    assert any("17 pictures have another name" in n and "p 00.png" in n for n in d.notes)


def test_accents_in_two_spellings(tmp_path):
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        root = tmp_path / form
        media.write_image(root / unicodedata.normalize(form, "é/ü.png"),
                          np.zeros((4, 4, 3), np.uint8))
        assert Finder(root).find(unicodedata.normalize(other, "é/ü.png"), "x") is not None


def test_a_name_that_could_be_any_of_several_is_refused(tmp_path):
    make(tmp_path)
    for suffix in ("PNG", "Png"):
        shutil.copy(tmp_path / "images/shots/p 03.png", tmp_path / f"images/shots/p 03.{suffix}")
    assert len(Dataset.open(tmp_path).frames) == 17  # the exact one is there
    (tmp_path / "images/shots/p 03.png").unlink()
    with pytest.raises(IdfError, match="could be any of 2 files") as error:
        Dataset.open(tmp_path)
    assert "p 03.PNG" in error.value.found


def test_pictures_that_differ_by_suffix_alone_are_two(tmp_path):
    for name in ("a.jpg", "a.png", "b.png"):
        media.write_image(tmp_path / "images" / name, np.full((*SIZE[::-1], 3), ord(name[-1]),
                                                              np.uint8))
    Model({1: ("PINHOLE", *SIZE, (40.0, 41.0, 15.0, 12.5))},
          [(n, m, 1) for n, m in zip(("a.jpg", "a.png", "b.png"), poses(3), strict=True)],
          np.zeros((0, 6))).write(tmp_path / "sparse/0", False)
    d = Dataset.open(tmp_path)
    assert sorted(f.name for f in d.frames) == ["a_jpg", "a_png", "b"]
    assert len({f.path for f in d.frames}) == 3


@given(name=st.text(alphabet="aA./\\\u0301e\0:é_~ -", max_size=12))
def test_any_name_is_found_inside_or_not_at_all(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp() / "finder"
    if not root.is_dir():
        media.write_image(root / "a/A.png", np.zeros((4, 4, 3), np.uint8))
        media.write_image(root / "é.png", np.zeros((4, 4, 3), np.uint8))
    try:
        found = Finder(root).find(name, "a frame")
    except IdfError as error:
        assert error.what and error.found
    else:
        assert found is None or found.resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize("place", ["before", "after", "xmp", "none"])
def test_the_size_of_a_png_heeds_its_orientation_without_decoding_it(tmp_path, place, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    made = Image.new("RGB", (8, 4))
    info = PngInfo()
    if place == "xmp":
        info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>')
    made.save(tmp_path / "a.png", pnginfo=info, **({"exif": exif} if place == "before" else {}))
    if place == "after":
        data, chunk = (tmp_path / "a.png").read_bytes(), b"eXIf" + exif.tobytes()[6:]
        (tmp_path / "a.png").write_bytes(
            data[:-12] + struct.pack(">I", len(chunk) - 4) + chunk
            + struct.pack(">I", zlib.crc32(chunk)) + data[-12:])
    turned = media.read_image(tmp_path / "a.png").shape[:2] == (8, 4)
    assert turned == (place != "none")
    if place == "none":
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)  # whoever decodes fails
    assert media.image_size(tmp_path / "a.png") == ((4, 8) if turned else (8, 4))
