"""Growth and relocation: counts, where, what is kept, what may not change."""


import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.kernels.adam import Adam
from idf_helpers.reconstruction.splats.densify import (
    DensifyRules,
    ScreenStatistics,
    _draw,
    _split,
    densify,
    prune_invisible,
)
from idf_helpers.reconstruction.splats.gaussians import Gaussians

RULES = DensifyRules(max_gaussians=130, growth=0.15, dead_opacity=0.005, max_scale=0.8)


def scene(rng, n=100):
    return Gaussians(rng.normal(size=(n, 3)).astype(np.float32),
                     np.full((n, 3), -3, np.float32),
                     rng.normal(size=(n, 4)).astype(np.float32), np.zeros(n, np.float32),
                     rng.normal(size=(n, 9, 3)).astype(np.float32))


def run(g, *, grow=True, hot=slice(0, 50), rules=RULES, seed=0):
    adam = Adam(g)
    for table, value in ((adam.first, 1.0), (adam.second, 2.0)):
        for a in table.values():
            a[:] = value
    statistics = ScreenStatistics.empty(len(g))
    screen = np.zeros(len(g), np.float32)
    screen[hot] = 1
    statistics.add(screen, np.ones(len(g), bool))
    out = densify(g, adam, statistics, rules, 1.0, grow, np.random.default_rng(seed))
    return *out, adam


def test_grows_to_the_cap_and_no_further():
    g = scene(np.random.default_rng(0))
    out, relocated, added, adam = run(g)
    assert (len(out), relocated, added) == (115, 0, 15)
    out, _, added, adam = run(out)
    assert (len(out), added) == (130, 15)
    for table in (adam.first, adam.second):
        assert {len(a) for a in table.values()} == {130}
    out, _, added, _ = run(out)
    assert (len(out), added) == (130, 0)
    out.checked()


def test_dead_and_huge_ones_move_to_where_the_picture_is_wrong():
    g = scene(np.random.default_rng(0))
    g.opacity_logits[60:70] = -8
    g.log_scales[70:75] = 1
    before = g.means.copy()
    out, relocated, added, adam = run(g, grow=False, hot=slice(0, 20))
    assert (relocated, added, len(out)) == (15, 0, 100)
    assert np.array_equal(g.means, before)  # the input is left alone
    distance = np.linalg.norm(out.means[60:75, None] - before[None, :20], axis=2).min(axis=1)
    assert (distance < 0.5).all()
    assert (out.opacities[60:75] > 0.2).all() and (out.log_scales[60:75] < -2.5).all()
    # sources and copies start without momentum, everyone else keeps theirs
    moved = np.flatnonzero((adam.first["means"] == 0).all(axis=1))
    assert len(moved) == 30 and set(range(60, 75)) <= set(moved)
    assert (adam.second["means"] == 2).all()


def test_nothing_to_do_changes_nothing():
    g = scene(np.random.default_rng(0))
    out, relocated, added, _ = run(g, hot=slice(0, 0))
    assert out is g and relocated == added == 0


def test_no_growth_when_growth_is_over():
    out, _, added, _ = run(scene(np.random.default_rng(0)), grow=False)
    assert added == 0 and len(out) == 100


def test_same_seed_same_result():
    g = scene(np.random.default_rng(0))
    a, b, c = (run(g, seed=s)[0] for s in (1, 1, 2))
    assert np.array_equal(a.means, b.means) and not np.array_equal(a.means, c.means)


def test_draw_follows_the_weights():
    rng = np.random.default_rng(0)
    weight = np.array([0.0, 1.0, 3.0, 0.0, 6.0])
    first = [_draw(weight, 1, rng)[0] for _ in range(4000)]
    share = np.bincount(first, minlength=5) / 4000
    np.testing.assert_allclose(share, weight / 10, atol=0.03)
    assert sorted(_draw(weight, 99, rng)) == [1, 2, 4]


@pytest.mark.parametrize("opacity", [0.05, 0.3, 0.9, 0.999])
def test_two_halves_let_through_what_one_did(opacity):
    g = scene(np.random.default_rng(0), 2)
    g.opacity_logits[:] = np.log(opacity / (1 - opacity))
    _split(g, np.array([0]), np.array([1]), np.random.default_rng(0))
    assert np.prod(1 - g.opacities) == pytest.approx(1 - opacity, rel=1e-3)


def test_halves_lie_along_the_rotated_axes():
    """A needle is split along its needle direction."""
    g = scene(np.random.default_rng(0), 2)
    g.log_scales[:] = [-1, -9, -9]
    q = g.quats[0].copy()
    center = g.means[0].copy()
    g.means[1], g.quats[1] = center, q
    _split(g, np.array([0]), np.array([1]), np.random.default_rng(5))
    needle = Rotation.from_quat(q[[1, 2, 3, 0]]).apply([1, 0, 0])
    for row, sign in ((0, -0.5), (1, 1.0)):
        offset = g.means[row] - center
        assert np.linalg.norm(np.cross(offset, needle)) < 1e-3
        assert np.linalg.norm(offset) > 0.01
        assert np.sign(offset @ needle) == np.sign(sign * ((g.means[1] - center) @ needle))


def test_statistics_average_over_the_steps_that_saw_it():
    s = ScreenStatistics.empty(3)
    s.add(np.array([1, 2, 5], np.float32), np.array([True, True, False]))
    s.add(np.array([3, 7, 5], np.float32), np.array([True, False, False]))
    assert s.mean.tolist() == [2, 2, 0]


def test_pruning_keeps_what_can_be_seen():
    g = scene(np.random.default_rng(0), 10)
    g.opacity_logits[:4] = -6  # 0.0025 < 1/255
    assert len(prune_invisible(g)) == 6


def test_config_is_used():
    g = scene(np.random.default_rng(0))
    out, _, added, _ = run(g, rules=RULES._replace(growth=0.02))
    assert added == 2 and len(out) == 102
