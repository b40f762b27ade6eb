"""The pack: what quantizing keeps, what it leaves out, and that nothing else moves."""

import json

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.exporting.pack import CHUNK, pack, pack_quats
from idf_helpers.reconstruction.splats.formats.order import morton_order
from tests.fixtures.gaussians import visible
from tests.fixtures.unpack import unpack, unpack_quats


@pytest.mark.parametrize("n", [1, 3, 255, 256, 257, 1000])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_values_come_back_within_half_a_step(n, degree):
    g = visible(n, degree)
    back = unpack(pack(g))
    g = g[morton_order(g.means)]
    starts = np.arange(0, n, CHUNK)

    def steps(values, bits):  # of each chunk and column, for every row
        flat = values.reshape(n, -1)
        span = np.maximum.reduceat(flat, starts) - np.minimum.reduceat(flat, starts)
        return (span / (2**bits - 1))[np.arange(n) // CHUNK].reshape(values.shape)

    for name, bits in (("means", 16), ("log_scales", 8)):
        a, b = getattr(g, name), getattr(back, name)
        assert (np.abs(a - b) <= 0.501 * steps(a, bits) + 1e-6).all(), name
    for columns, bits in ((slice(0, 1), 8), (slice(1, None), 6)):  # the higher ones have 64 steps
        a, b = g.sh[:, columns], back.sh[:, columns]
        if a.size:
            assert (np.abs(a - b) <= 0.501 * steps(a, bits) + 1e-6).all()
    assert (np.abs(g.opacities - back.opacities) <= 0.501 * steps(g.opacities, 8) + 2e-6).all()


def test_quaternions_turn_by_less_than_a_quarter_of_a_degree():
    q = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    q = np.concatenate([q, np.eye(4), -np.eye(4), np.ones((1, 4)), -np.ones((1, 4)) * 0.01])
    back = unpack_quats(pack_quats(q))
    unit = q / np.linalg.norm(q, axis=1, keepdims=True)
    dot = np.clip(np.abs((unit * back).sum(axis=1)), 0, 1)
    assert np.degrees(2 * np.arccos(dot)).max() < 0.25
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)


def test_the_invisible_is_left_out_and_an_outlier_harms_only_its_neighbors():
    g = visible(2000)
    g.opacity_logits[:500] = -9
    g.means[700] = [1e4, 0, 0]
    back = unpack(pack(g))
    assert len(back) == 1500
    g = g[500:]
    g = g[morton_order(g.means)]
    off = np.linalg.norm(g.means - back.means, axis=1)
    assert np.median(off) < 1e-4 and (off > 0.01).sum() <= CHUNK


def test_size_and_bad_input():
    assert len(pack(visible(20000))) < 66 * 20000
    assert len(pack(visible(20000), sh_degree=0)) < 18 * 20000
    assert unpack(pack(visible(100), sh_degree=1)).sh_degree == 1
    g = visible(4)
    g.opacity_logits[:] = -20
    with pytest.raises(IdfError, match="nothing to show"):
        pack(g)
    g = visible(4)
    g.means[2, 1] = np.nan
    with pytest.raises(IdfError, match="1 of 4"):
        pack(g)


def test_an_avatars_bases_move_what_they_should_and_nothing_else():
    from idf_helpers.exporting.avatar_payload import largest_weights, rig_of
    from tests.fixtures.talking_ball import at, talking_ball

    avatar = talking_ball(n=900, still=100)
    g, rig = rig_of(avatar)
    most = largest_weights(avatar.basis)
    data = pack(g, 3, rig.deltas, most)
    still = unpack(data)
    assert len(still) == 1000
    head = json.loads(data[12:12 + int.from_bytes(data[8:12], "little")])
    assert head["bases"] == 5 and 200 < head["moving"] < 900
    moved = unpack(data, [1, 0, 0, 0, 0])
    same = np.all(still.means == moved.means, axis=1)
    assert same[head["moving"]:].all() and not same[:head["moving"]].all()
    for w in ([1, 0.5, 0, 1, 0], [0, 0, 0, 0, 1.0]):
        e = avatar.basis.neutral + np.linalg.lstsq(avatar.basis.weights.T, w, rcond=None)[0]
        wanted, got = at(avatar, e), unpack(data, w)
        # the same Gaussians in another order: each has its partner by the neutral position
        order = np.argsort(still.means @ [1, 10, 100.0])
        partner = np.argsort(g.means @ [1, 10, 100.0])
        off = np.linalg.norm(got.means[order] - wanted.means[partner], axis=1)
        assert np.quantile(off, 0.98) < 2e-3
        alpha = np.abs(got.opacities[order] - wanted.opacities[partner])
        assert np.quantile(alpha, 0.98) < 0.02


def test_what_only_an_expression_shows_is_kept():
    g = visible(50)
    g.opacity_logits[:10] = -9
    zeros = {"means": np.zeros((1, 50, 3)), "log_scales": np.zeros((1, 50, 3)),
             "quats": np.zeros((1, 50, 4)), "opacity_logits": np.zeros((1, 50)),
             "sh": np.zeros((1, 50, 3))}
    assert len(unpack(pack(g, 3, zeros))) == 40
    zeros["opacity_logits"][0, :5] = 9
    data = pack(g, 3, zeros)
    assert len(unpack(data)) == 45
    assert unpack(data, [1.0]).opacities[:5] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("spoil, words", [
    (lambda d: d.pop("quats"), "needs a delta for every property"),
    (lambda d: d.update(means=np.zeros((2, 49, 3))), "wrong `means`"),
    (lambda d: d.update(sh=np.full((2, 50, 3), np.nan)), "NaN or infinity in `sh`")])
def test_deltas_that_do_not_fit_are_named(spoil, words):
    deltas = {"means": np.zeros((2, 50, 3)), "log_scales": np.zeros((2, 50, 3)),
              "quats": np.zeros((2, 50, 4)), "opacity_logits": np.zeros((2, 50)),
              "sh": np.zeros((2, 50, 3))}
    spoil(deltas)
    with pytest.raises(IdfError, match=words):
        pack(visible(50), 3, deltas)
