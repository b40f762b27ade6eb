import numpy as np

from idf_helpers.stylization.propagators.patchmatch import Source, synthesize


def scene(h=64, w=64, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / h
    guide = np.stack([y, x], -1).astype(np.float32)
    style = np.stack([np.sin(20 * x) * 0.5 + 0.5, y, rng.random((h, w)) * 0.2], -1)
    return style.astype(np.float32), guide


def test_a_hole_is_filled_where_the_guide_says():
    style, guide = scene()
    known, wanted = style.copy(), np.zeros((64, 64), bool)
    wanted[20:40, 24:44] = True
    known[wanted] = np.nan
    source = Source(style, guide, np.ones((64, 64), bool))
    made = synthesize([source], guide, known, wanted, even=0.0)
    assert np.abs(made - style)[wanted].mean() < 0.04
    np.testing.assert_array_equal(made[~wanted], style[~wanted])
    again = synthesize([source], guide, known, wanted, even=0.0)
    np.testing.assert_array_equal(made, again)


def test_only_the_head_is_a_source():
    style, guide = scene()
    valid = np.zeros((64, 64), bool)
    valid[10:50, 10:50] = True
    style[~valid] = (0, 1, 0)
    known = np.full((64, 64, 3), np.nan, np.float32)
    wanted = np.ones((64, 64), bool)
    made = synthesize([Source(style, guide, valid)], guide, known, wanted)
    assert np.isfinite(made).all()
    assert made.min() >= style[valid].min() - 1e-5
    assert not ((made[..., 1] > 0.95) & (made[..., 0] < 0.05)).any()


def test_using_a_patch_often_has_its_price():
    """The guide is nearest to one spot of a ramp: alone without the price."""
    y, x = np.mgrid[:48, :48] / 48
    style = np.stack([x, y, 0 * x], -1).astype(np.float32)
    guide = (0.2 * np.hypot(x - 0.5, y - 0.5))[..., None].astype(np.float32)
    wanted, known = np.ones((48, 48), bool), np.full((48, 48, 3), np.nan, np.float32)
    spread = [synthesize([Source(style, guide, wanted)], np.zeros_like(guide), known, wanted,
                         even=e).std((0, 1))[:2].mean() for e in (0.0, 0.02)]
    assert spread[1] > 2 * spread[0]


def test_nothing_to_take_or_to_make():
    style, guide = scene(32, 32)
    none = np.zeros((32, 32), bool)
    known = style.copy()
    assert synthesize([Source(style, guide, ~none)], guide, known, none) is known
    wanted = ~none
    np.testing.assert_array_equal(
        synthesize([Source(style, guide, none)], guide, known, wanted), known)
