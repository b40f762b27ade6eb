"""The .ply and .splat files: layout, round trips, agreement with plyfile, and bad files."""

import numpy as np
import plyfile
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.gaussians import SH_C0
from idf_helpers.reconstruction.splats.ply import (
    REQUIRED,
    property_names,
    read_header,
    read_ply,
    write_ply,
)
from idf_helpers.reconstruction.splats.splat_file import read_splat, write_splat
from tests.fixtures.gaussians import assert_equal, random_gaussians


def test_the_layout_is_graphdecos_as_an_independent_reader_sees_it(tmp_path):
    g = random_gaussians()
    path = write_ply(g, tmp_path / "a.ply", comments=["synthetic"])
    data = plyfile.PlyData.read(path)
    vertex = data["vertex"]
    names = [p.name for p in vertex.properties]
    assert len(names) == 62 and names == property_names()
    assert data.byte_order == "<" and data.comments == ["synthetic"]
    assert {str(vertex[n].dtype) for n in names} == {"float32"}
    np.testing.assert_array_equal(vertex["x"], g.means[:, 0])
    np.testing.assert_array_equal(vertex["rot_3"], g.quats[:, 3])
    np.testing.assert_array_equal(vertex["f_dc_1"], g.sh[:, 0, 1])
    # f_rest is channel-major: 15 coefficients of red, then of green, then of blue.
    for channel in range(3):
        for k in range(15):
            np.testing.assert_array_equal(vertex[f"f_rest_{15 * channel + k}"],
                                          g.sh[:, 1 + k, channel])
    assert not any(vertex[n].any() for n in ("nx", "ny", "nz"))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_comes_back(tmp_path, degree):
    g = random_gaussians(degree=degree)
    assert_equal(read_ply(write_ply(g, tmp_path / "own.ply", sh_degree=None)), g)
    padded = read_ply(write_ply(g, tmp_path / "full.ply"))
    k = (degree + 1) ** 2
    assert padded.sh_degree == 3
    np.testing.assert_array_equal(padded.sh[:, :k], g.sh)
    assert not padded.sh[:, k:].any()


def test_a_lower_degree_is_cut_only_when_asked(tmp_path):
    g = random_gaussians(degree=3)
    low = read_ply(write_ply(g, tmp_path / "low.ply", sh_degree=1))
    np.testing.assert_array_equal(low.sh, g.sh[:, :4])
    with pytest.raises(IdfError, match="degree"):
        write_ply(g, tmp_path / "x.ply", sh_degree=4)


def test_comments_come_back_and_cannot_break_the_header(tmp_path):
    said = ["synthetic, made with a tool", 'idf {"run": "ab12", "n": 3}', "end_header", "",
            "line\nbreak\r\nelement vertex 7", "na\u00efve"]
    path = write_ply(random_gaussians(3), tmp_path / "c.ply", comments=said)
    assert list(read_header(path).comments) == [said[0], said[1], "end_header", "",
                                                "line break element vertex 7", "na\\xefve"]
    assert len(read_ply(path)) == 3


@pytest.mark.parametrize("byte_order,text", [("<", False), (">", False), ("=", True)])
def test_shuffled_foreign_files_are_read(tmp_path, byte_order, text):
    """Any order, other types, further properties and elements, as other programs write them."""
    g = random_gaussians(20, degree=1)
    columns = {"x": g.means[:, 0], "y": g.means[:, 1], "z": g.means[:, 2],
               "opacity": g.opacity_logits, "confidence": np.arange(20.0)}
    columns |= {f"scale_{i}": g.log_scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": g.quats[:, i] for i in range(4)}
    columns |= {f"f_dc_{i}": g.sh[:, 0, i] for i in range(3)}
    columns |= {f"f_rest_{i}": g.sh[:, 1 + i % 3, i // 3] for i in range(9)}
    names = list(np.random.default_rng(1).permutation(list(columns)))
    table = np.zeros(20, [(n, "f8" if n == "x" else "f4") for n in names] + [("label", "u1")])
    for n in names:
        table[n] = columns[n]
    elements = [plyfile.PlyElement.describe(table, "vertex")]
    if not text:  # elements on both sides of `vertex`
        extra = np.zeros(3, [("fx", "f8"), ("id", "u2")])
        elements = [plyfile.PlyElement.describe(extra, "camera"), *elements,
                    plyfile.PlyElement.describe(extra, "frame")]
    path = tmp_path / "foreign.ply"
    plyfile.PlyData(elements, text=text, byte_order=byte_order).write(path)
    back = read_ply(path)
    for name, array in g.arrays().items():
        np.testing.assert_allclose(getattr(back, name), array, rtol=1e-6, err_msg=name)


def test_every_truncation_is_refused_before_memory_is_taken(tmp_path):
    whole = write_ply(random_gaussians(4), tmp_path / "a.ply").read_bytes()
    bad = tmp_path / "cut.ply"
    for length in [0, 3, 40, 300, *range(len(whole) - 300, len(whole), 37), len(whole) - 1]:
        bad.write_bytes(whole[:length])
        with pytest.raises(IdfError):
            read_ply(bad)


@pytest.mark.parametrize("count", ["-1", "0", "999999999999", "9" * 5000, "1e3", "4294967296", ""])
def test_absurd_counts_are_refused(tmp_path, count):
    whole = write_ply(random_gaussians(4), tmp_path / "a.ply").read_bytes()
    bad = tmp_path / "bad.ply"
    bad.write_bytes(whole.replace(b"element vertex 4", b"element vertex " + count.encode()))
    with pytest.raises(IdfError):
        read_ply(bad)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_property_is_named(tmp_path, name):
    path = write_ply(random_gaussians(4), tmp_path / "a.ply")
    path.write_bytes(path.read_bytes().replace(f"property float {name}\n".encode(),
                                               b"property float other\n"))
    with pytest.raises(IdfError, match=rf"no property {name}\b"):
        read_ply(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 8, 20, 54, 56, 61])
def test_nan_and_infinity_are_counted(tmp_path, value, column):
    path = write_ply(random_gaussians(10), tmp_path / "a.ply")
    data = bytearray(path.read_bytes())
    table = np.frombuffer(data, "<f4", offset=read_header(path).length).reshape(10, 62)
    table[[2, 5, 7], column] = value
    path.write_bytes(data)
    with pytest.raises(IdfError, match="3 of 10 Gaussians, the first is number 2"):
        read_ply(path)


def test_what_is_no_splat_file_is_told_apart(tmp_path):
    path = tmp_path / "a.ply"
    for content, words in [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a .ply"),
        (b"ply\nformat binary_little_endian 1.0\nend_header\n", "no element `vertex`"),
        (b"ply\nformat binary_middle_endian 1.0\nend_header\n", "malformed"),
        (b"ply\nelement vertex 1\nproperty float x\nend_header\n1234", "names no format"),
        (b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\nx\n",
         "damaged at vertex 1"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\n"
         b"property float x\nend_header\n12345678", "malformed"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n"
         b"property list uchar int i\nend_header\n12345678", "not a mesh"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty uint packed_position\n"
         b"end_header\n1234", "compressed"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty uchar red\n"
         b"end_header\n1", "point cloud"),
        (b"ply\n" + b"comment x\n" * 40000, "does not end"),
    ]:
        path.write_bytes(content)
        with pytest.raises(IdfError, match=words):
            read_ply(path)
    with pytest.raises(IdfError, match="does not exist"):
        read_ply(tmp_path / "none.ply")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = write_ply(random_gaussians(4), tmp_path / "a.ply")
    before = path.read_bytes()
    broken = random_gaussians(4)
    broken.means[1] = np.nan
    with pytest.raises(IdfError, match="1 of 4"):
        write_ply(broken, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_splat_file_round_trip(tmp_path):
    g = random_gaussians(200, degree=0)
    g.sh[:] = np.random.default_rng(3).uniform(-0.5, 0.5, g.sh.shape) / SH_C0
    path = write_splat(g, tmp_path / "a.splat")
    assert path.stat().st_size == 32 * 200
    back = read_splat(path)
    order = np.argsort(-g.opacities * np.exp(g.log_scales).prod(1), kind="stable")
    np.testing.assert_array_equal(back.means, g.means[order])
    np.testing.assert_allclose(back.log_scales, g.log_scales[order], atol=1e-5)
    np.testing.assert_allclose(back.opacities, g.opacities[order], atol=0.5001 / 255)
    np.testing.assert_allclose(back.sh, g.sh[order], atol=0.501 / 255 / SH_C0)
    q = g.quats[order] / np.linalg.norm(g.quats[order], axis=1, keepdims=True)
    np.testing.assert_allclose(back.quats, q, atol=1 / 128)


def test_bad_splat_files_are_refused(tmp_path):
    good = write_splat(random_gaussians(4), tmp_path / "a.splat").read_bytes()
    path = tmp_path / "bad.splat"
    nan = np.float32(np.nan).tobytes()
    for content in [b"", good[:-1], good + b"x", nan + good[4:], good[:12] + bytes(4) + good[16:],
                    good[:28] + b"\x80\x80\x80\x80" + good[32:]]:
        path.write_bytes(content)
        with pytest.raises(IdfError):
            read_splat(path)
