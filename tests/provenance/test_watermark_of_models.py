"""The watermark in the colors of splat models."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idf_helpers.errors import IdfError
from idf_helpers.provenance import verify
from idf_helpers.provenance.watermark import (
    bake,
    detect_in_gaussians,
    detect_in_model,
    gaussians,
    moved_along,
)
from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians
from idf_helpers.reconstruction.splats.ply import write_ply
from idf_helpers.reconstruction.splats.splat_file import read_splat, write_splat

PAYLOAD = 0xC0FFEE11


@pytest.fixture(scope="module")
def model() -> Gaussians:
    """A head-sized shell of 9000 Gaussians whose color varies from place to place."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(9000, 3))
    means *= 0.5 / np.linalg.norm(means, axis=1, keepdims=True)
    sh = np.zeros((9000, 4, 3), np.float32)
    sh[:, 0] = ((0.15 * np.sin(7 * means) + rng.normal(0, 0.02, means.shape)) / SH_C0)
    return Gaussians(means, np.full((9000, 3), -4.0), np.tile([1.0, 0, 0, 0], (9000, 1)),
                     np.zeros(9000), sh).checked()


@pytest.fixture(scope="module")
def marked(model):
    return bake(model, PAYLOAD)


def _turned(g):
    return replace(g, means=(g.means @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]])))


@pytest.mark.parametrize("change", [
    lambda g: g,
    lambda g: g[np.random.default_rng(1).permutation(len(g))[:6000]],
    lambda g: g.with_bases(1),
    lambda g: replace(g, means=np.round(g.means * 4096) / 4096),
    _turned,
], ids=["none", "a third left out, in another order", "one color", "24 bits a place", "y is up"])
def test_it_survives(marked, change):
    found = detect_in_gaussians(change(marked))
    assert found is not None and found.payload == PAYLOAD and found.probability < 1e-9


def test_it_survives_eight_bits_a_color(marked, tmp_path):
    write_splat(marked, tmp_path / "a.splat")
    assert detect_in_gaussians(read_splat(tmp_path / "a.splat")).payload == PAYLOAD
    assert detect_in_model(tmp_path / "a.splat").payload == PAYLOAD


def test_verify_finds_it_in_files_without_a_header_of_ours(model, marked, tmp_path):
    write_ply(marked, tmp_path / "a.ply")
    write_splat(marked, tmp_path / "b.splat")
    write_ply(model, tmp_path / "c.ply")
    a, b, c = (verify(tmp_path / name) for name in ("a.ply", "b.splat", "c.ply"))
    assert a.watermark.payload == b.watermark.payload == PAYLOAD and a.synthetic and b.synthetic
    assert c.watermark is None and not c.synthetic
    (tmp_path / "d.splat").write_bytes(b"")
    assert detect_in_model(tmp_path / "d.splat") is None


def test_colors_move_by_less_than_two_levels_and_nothing_else_does(model, marked):
    moved = 255 * SH_C0 * (marked.sh - model.sh)
    assert 1 < np.abs(moved[:, 0]).max() < 2 and not moved[:, 1:].any()
    assert abs(moved.mean()) < 0.1
    for name in ("means", "log_scales", "quats", "opacity_logits"):
        assert getattr(marked, name) is getattr(model, name)


def test_a_second_mark_takes_the_place_of_the_first(model, marked):
    again = bake(marked, 7)
    np.testing.assert_allclose(again.sh, bake(model, 7).sh, atol=1e-6)
    assert detect_in_gaussians(again).payload == 7


def test_it_moves_along(model, marked):
    """A model that is turned by any angle on its way out is marked where it then lies."""
    c, s = np.cos(0.3), np.sin(0.3)
    there = marked.means @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    turned = replace(marked, means=there)
    assert detect_in_gaussians(turned) is None
    again = moved_along(marked, turned)
    assert detect_in_gaussians(again).payload == PAYLOAD
    np.testing.assert_allclose(again.sh, bake(replace(model, means=there), PAYLOAD).sh, atol=1e-6)
    assert moved_along(model, replace(model, means=there)).sh is model.sh


def test_nothing_is_found_where_nothing_is(model):
    assert detect_in_gaussians(model) is None
    assert detect_in_gaussians(model[:100]) is None
    assert bake(model[:1999], 1) is not None and detect_in_gaussians(model[:1999]) is None
    with pytest.raises(IdfError, match="32 bits"):
        bake(model, -1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3000), st.integers(0, 2**32 - 1), st.sampled_from([0, 1e-30, 1, 1e30]))
def test_the_detector_never_raises(count, seed, size):
    rng = np.random.default_rng(seed)
    g = Gaussians(rng.normal(size=(count, 3)) * size, *np.zeros((2, count, 3)), np.zeros(count),
                  rng.normal(size=(count, 1, 3)) * size)
    bake(g, 1)
    detect_in_gaussians(g)


def test_a_million_gaussians_at_one_place_are_not_all_read(monkeypatch):
    seen = []
    monkeypatch.setattr(gaussians, "ENOUGH", 1000)
    monkeypatch.setattr(gaussians, "_read", lambda means, *rest: seen.append(len(means)))
    assert gaussians._found(np.zeros((10**5, 3)), np.zeros(10**5)) is None
    assert max(seen) <= 4000
