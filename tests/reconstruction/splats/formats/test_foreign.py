"""Files as other programs write them, byte by byte, and dirty ones."""

import gzip

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.formats.axes import COLMAP, GLTF, Axes
from idf_helpers.reconstruction.splats.formats.registry import read
from idf_helpers.reconstruction.splats.formats.spz import _axes
from idf_helpers.reconstruction.splats.gaussians import SH_C0
from tests.fixtures.gaussians import random_gaussians
from tests.fixtures.splat_files import columns_of, ksplat, old_sog, old_spz, plain_ply, unit


def gentle(n=300, degree=3):
    g = random_gaussians(n, degree)
    g.sh[:] = np.clip(g.sh, -0.9, 0.9)
    return g


def alike(got, want, places, scales, opacity, color, rest, rotation=1e-3):
    """Both hold the same Gaussians in the same order, within these errors."""
    assert np.abs(got.means - want.means).max() <= places
    assert np.abs(got.log_scales - want.log_scales).max() <= scales
    assert np.abs(got.opacities - want.opacities).max() <= opacity
    assert np.abs(got.sh[:, 0] - want.sh[:, 0]).max() <= color
    bases = got.sh.shape[1]
    assert np.abs(got.sh[:, 1:] - want.sh[:, 1:bases]).max(initial=0) <= rest
    assert 1 - np.abs((unit(got.quats) * unit(want.quats)).sum(axis=1)).min() < rotation


@pytest.mark.parametrize("version,degree", [(2, 0), (2, 3), (3, 1)])
def test_spz_of_older_versions(version, degree, tmp_path):
    g = gentle()
    (tmp_path / "a.spz").write_bytes(old_spz(g, version, degree))
    model = read(tmp_path / "a.spz")
    assert model.gaussians.sh_degree == degree and model.axes is None
    alike(model.gaussians, g, 1.3e-4, 0.032, 3e-3, 0.014, 5e-3, 5e-3 if version == 2 else 1e-4)
    assert not model.notes
    flagged = bytearray(gzip.decompress(old_spz(g, version, degree)))
    flagged[14] = 1
    (tmp_path / "b.spz").write_bytes(gzip.compress(flagged))
    assert "antialiasing" in read(tmp_path / "b.spz").notes[0]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ksplat_of_every_compression(level, tmp_path):
    g = gentle(333)
    (tmp_path / "a.ksplat").write_bytes(ksplat(g, level))
    got = read(tmp_path / "a.ksplat").gaussians
    assert got.sh_degree == 1
    alike(got, g, 1e-6 if level == 0 else 1e-3, 1e-3, 3e-3, 8e-3, (1e-6, 1e-3, 7e-3)[level])


def test_an_unpacked_sog_of_version_1(tmp_path):
    g = gentle(200)
    old_sog(tmp_path, g)
    for path in (tmp_path, tmp_path / "meta.json"):
        alike(read(path).gaussians, g, 2e-4, 0.02, 6e-3, 8e-3, 9e-3)


def test_nerfstudio_with_plain_colors(tmp_path):
    g = gentle(50, 0)
    rgb = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.uint8)
    colors = dict(zip(("red", "green", "blue"), rgb.T, strict=True))
    model = read(plain_ply(tmp_path / "a.ply", columns_of(g, color=False) | colors))
    np.testing.assert_allclose(model.gaussians.sh[:, 0], (rgb / 255 - 0.5) / SH_C0, atol=1e-5)
    assert "plain red, green and blue" in model.notes[0]
    points = {n: v for n, v in columns_of(g, color=False).items() if n in "xyz"} | colors
    with pytest.raises(IdfError, match="not a 3DGS splat file") as error:
        read(plain_ply(tmp_path / "b.ply", points))
    assert "point cloud" in error.value.do


def test_2d_gaussians_become_flat_ones(tmp_path):
    g = gentle(50)
    columns = columns_of(g)
    del columns["scale_2"]
    model = read(plain_ply(tmp_path / "a.ply", columns))
    thin = model.gaussians.log_scales
    np.testing.assert_array_equal(thin[:, :2], g.log_scales[:, :2])
    assert (thin[:, 2] < thin[:, :2].min(axis=1) - 5).all()
    assert "2D Gaussians" in model.notes[0]


def test_broken_rows_are_left_out_counted_and_said(tmp_path):
    g = gentle(100)
    columns = columns_of(g)
    columns = {n: v.copy() for n, v in columns.items()}
    columns["x"][3], columns["scale_1"][5], columns["f_dc_0"][7] = np.nan, np.inf, -np.inf
    columns["f_dc_1"][15] = 3e38  # finite, but sums of it are not
    for i in range(4):
        columns[f"rot_{i}"][9] = 0
    columns["opacity"][11], columns["opacity"][12] = np.inf, -np.inf  # fully there, not there
    columns["scale_2"][13] = -np.inf  # flat
    model = read(plain_ply(tmp_path / "a.ply", columns))
    assert len(model.gaussians) == 95 and "5 of 100" in model.notes[0]
    keep = np.delete(np.arange(100), [3, 5, 7, 9, 15])
    np.testing.assert_array_equal(model.gaussians.means, g.means[keep])
    at = {i: int(np.searchsorted(keep, i)) for i in (11, 12, 13)}
    assert model.gaussians.opacities[at[11]] > 0.9999 > 1e-4 > model.gaussians.opacities[at[12]]
    assert np.exp(model.gaussians.log_scales[at[13], 2]) < 1e-6
    for i in range(60):
        columns["y"][i] = np.nan
    with pytest.raises(IdfError, match="most of it"):
        read(plain_ply(tmp_path / "b.ply", columns))


def test_comments_say_where_up_is(tmp_path):
    columns = columns_of(gentle(20))

    def axes(*comments):
        return read(plain_ply(tmp_path / "a.ply", columns, comments)).axes

    assert axes() is None and axes("idf axes 1 2 3", "idf axes 0 0 0 0 0 0") is None
    assert axes("idf axes 0 2 0 0 0 1") == GLTF
    assert axes("synthetic, made with ImplicitDeepfake (idf_helpers): x; run y").up == (0, 0, 1)


def test_axes_of_spz_by_their_numbers():
    # RUB, RDF and RFU of the format's list; LUB is RUB seen in a mirror
    assert _axes(4) == (GLTF, False) and _axes(6) == (COLMAP, False)
    assert _axes(12) == (Axes((0, 0, 1), (0, -1, 0)), False)
    assert _axes(3) == (GLTF, True)
    assert _axes(0) == (None, False) == _axes(17)
