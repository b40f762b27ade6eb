import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import Dataset, IdfError
from idf_helpers.data.points import count_points, read_points
from idf_helpers.data.understood import understand
from tests.fixtures.datasets import make_dataset

from .colmap_files import Model
from .colmap_files import make as make_colmap

XYZ = np.random.default_rng(2).normal(size=(150, 3)).astype(np.float32)
RGB = np.random.default_rng(3).integers(0, 256, (150, 3)).astype(np.uint8)


def ply(order="<", color="uchar", before="", extra=False, count=None, names="red green blue"):
    """A point cloud; order: "<", ">" or "" for text."""
    kind = {"": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = f"ply\nformat {kind} 1.0\ncomment made here\n{before}"
    head += f"element vertex {count or len(XYZ)}\n"
    head += "".join(f"property float {n}\n" for n in ("x", "y", "z"))
    head += "property double confidence\n" * extra
    head += "".join(f"property {color} {n}\n" for n in names.split()) + "end_header\n"
    rgb = {"uchar": RGB, "float": RGB / np.float32(255), "ushort": RGB.astype("u2") * 257}[color]
    if not names:
        rgb = RGB[:, :0]
    if not order:
        rows = [" ".join(f"{v:.9g}" for v in (*p, *([1] * extra), *c))
                for p, c in zip(XYZ.tolist(), rgb.tolist(), strict=True)]
        return (head + "\n".join(rows) + "\n").encode()
    t = {"uchar": "B", "float": "f", "ushort": "H"}[color]
    return head.encode() + b"".join(struct.pack(
        f"{order}3f{'d' * extra}{len(c)}{t}", *p, *([1.0] * extra), *c)
        for p, c in zip(XYZ.tolist(), rgb.tolist(), strict=True))


@pytest.mark.parametrize("order", ["", "<", ">"])
@pytest.mark.parametrize(("color", "extra"), [("uchar", False), ("float", True), ("ushort", False)])
def test_encodings(tmp_path, order, color, extra):
    (tmp_path / "p.ply").write_bytes(ply(order, color, extra=extra))
    points = read_points(tmp_path / "p.ply")
    assert count_points(tmp_path / "p.ply") == 150 and points.dtype == np.float32
    assert np.allclose(points[:, :3], XYZ, atol=1e-6)
    assert np.allclose(points[:, 3:] * 255, RGB, atol=0.01)


def test_other_forms(tmp_path):
    (tmp_path / "p.ply").write_bytes(ply(names=""))
    assert (read_points(tmp_path / "p.ply")[:, 3:] == 0.5).all()
    (tmp_path / "p.ply").write_bytes(ply("<", "float", names="f_dc_0 f_dc_1 f_dc_2"))
    assert np.allclose(read_points(tmp_path / "p.ply")[:, 3:], np.clip(
        0.5 + 0.28209479 * RGB / 255, 0, 1), atol=1e-5)
    before = "element camera 2\nproperty float fx\nproperty uchar kind\n"
    data = ply("<", before=before)
    at = data.index(b"end_header\n") + 11
    (tmp_path / "p.ply").write_bytes(data[:at] + bytes(10) + data[at:])
    assert np.allclose(read_points(tmp_path / "p.ply")[:, :3], XYZ)


@pytest.mark.parametrize(("data", "words"), [
    (ply()[:-1], "truncated"), (ply(count=2**39), "announced"), (ply("", count=10**7), "announced"),
    (b"", "no point file"), (b"ply\n" * 2000, "without an end"),
    (ply().replace(b"float x", b"float w"), "x, y, z"),
    (ply().replace(b"float x", b"half x"), "half"),
    (ply().replace(b"float x", b"list uchar int x"), "lists"),
    (ply().replace(b"property float y", b"property float x"), "two properties"),
    (ply().replace(b"vertex 150", b"vertex -1"), "header"), (ply("").replace(b" ", b" q", 20), "."),
    (ply().replace(b"end_header\n" + struct.pack("<f", XYZ[0, 0]),
                   b"end_header\n" + struct.pack("<f", np.nan)), "make no sense")])
def test_bad_files(tmp_path, data, words):
    (tmp_path / "p.ply").write_bytes(data)
    with pytest.raises(IdfError, match=words) as error:
        read_points(tmp_path / "p.ply")
    assert error.value.found and error.value.do


@given(st.data())
def test_damaged_bytes_are_points_or_an_error_with_words(tmp_path_factory, data):
    whole = ply(data.draw(st.sampled_from(["", "<", ">"])))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, 60))
    whole = whole[:at] + data.draw(st.binary(max_size=30)) + whole[at + cut:]
    path = tmp_path_factory.mktemp("ply") / "p.ply"
    path.write_bytes(whole)
    try:
        points = read_points(path)
    except IdfError as error:
        assert error.what and error.found
    else:
        assert points.shape[1] == 6 and np.isfinite(points).all()


def with_points(root, name, data=None):
    table = json.loads((root / "transforms_train.json").read_text())
    (root / "transforms_train.json").write_text(json.dumps(table | {"ply_file_path": name}))
    if data:
        (root / name).write_bytes(data)
    return Dataset.open(root)


def test_points_that_the_camera_file_names(tmp_path):
    d = with_points(make_dataset(tmp_path / "d"), "sparse_pc.ply", ply())
    assert np.allclose(d.points()[:, :3], XYZ) and understand(d).points == 150
    assert understand(d).points_file.name == "sparse_pc.ply"
    d = with_points(d.root, "./few.ply", ply().replace(b"vertex 150", b"vertex 9"))
    assert d.points() is None and any("9 points of few.ply" in n for n in d.notes)
    d = with_points(d.root, "none.ply")
    assert d.points() is None and any("none.ply, which is missing" in n for n in d.notes)
    (tmp_path / "out.ply").write_bytes(ply())
    with pytest.raises(IdfError, match="outside"):
        with_points(d.root, "../out.ply")


@pytest.mark.parametrize("suffix", [".txt", ".ply"])
def test_points_of_another_kind_beside_binary_cameras(tmp_path, suffix):
    model = make_colmap(tmp_path)
    (tmp_path / "sparse/0/points3D.bin").unlink()
    if suffix == ".ply":
        (tmp_path / "sparse/0/points3D.ply").write_bytes(ply())
        expected = XYZ
    else:
        Model({}, [], model.points).write(tmp_path / "other", True)
        (tmp_path / "other/points3D.txt").rename(tmp_path / "sparse/0/points3D.txt")
        expected = model.points[:, :3]
    assert np.allclose(Dataset.open(tmp_path).points()[:, :3], expected, atol=1e-5)


def beside(root, model, change):
    """A transforms.json whose cameras are those of the reconstruction in colmap/, changed."""
    make_colmap(root, images="images", sparse="colmap/sparse/0")
    frames = [{"file_path": f"images/{n}", "transform_matrix": change(m).tolist()}
              for n, m, _ in model.poses]
    (root / "transforms.json").write_text(json.dumps(
        {"fl_x": 40, "fl_y": 41, "cx": 15, "cy": 12.5, "w": 32, "h": 24, "frames": frames}))
    return Dataset.open(root)


def test_points_of_the_reconstruction_beside_the_camera_file(tmp_path):
    """As nerfstudio writes it: its `applied_transform` swaps x and y and turns z."""
    model = make_colmap(tmp_path / "model")
    world = np.array([[0, 1, 0, 0.2], [1, 0, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1.0]])

    def turned(m):
        out = world @ m
        out[:3, 3] *= 2.5
        return out

    d = beside(tmp_path / "d", model, turned)
    expected = 2.5 * (model.points[:, :3] @ world[:3, :3].T + world[:3, 3])
    assert np.allclose(d.points()[:, :3], expected, atol=1e-4)
    assert any("brought into" in n for n in d.notes)
    d = beside(tmp_path / "e", model,
               lambda m: m + np.outer([0, 0, 1, 0], [0, 0, 0, m[0, 3] ** 2]))
    assert d.points() is None and any("not those of the camera file" in n for n in d.notes)
