"""Landmarks in time: still points are averaged, quick ones are left alone."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.face.smooth import noise_level, steady

RNG = np.random.default_rng(0)
N, NOISE = 200, 0.4


@pytest.fixture(scope="module")
def lips():
    """(N, 2, 2): a point at rest and one that jumps by 12 pixels for two frames at a time."""
    clean = np.zeros((N, 2, 2))
    clean[np.arange(N) % 25 < 2, 1, 1] = 12
    return clean, clean + RNG.normal(0, NOISE, clean.shape)


def test_noise_is_measured(lips):
    _, noisy = lips
    level = noise_level(noisy, np.arange(N))
    np.testing.assert_allclose(level, NOISE, rtol=0.35)
    assert (noise_level(noisy, 2 * np.arange(N)) == 0).all()  # no three frames in a row


def test_still_points_are_averaged_and_quick_ones_are_not(lips):
    clean, noisy = lips
    out = steady(noisy, np.arange(N))
    mean = steady(noisy, np.arange(N), reach=1e5)  # GHOST's window

    def error(x, point):
        return np.sqrt(((x - clean)[:, point] ** 2).mean())

    assert error(out, 0) < 0.6 * error(noisy, 0)
    assert error(out, 1) < 1.05 * error(noisy, 1)  # and the jumps stay
    assert error(mean, 1) > 3 * error(out, 1)
    np.testing.assert_allclose(mean[2:-2, 0], np.stack(
        [noisy[t - 2:t + 3, 0].mean(0) for t in range(2, N - 2)]), atol=1e-6)


def test_gaps_do_not_mix_and_unknown_stays_unknown(lips):
    _, noisy = lips
    values = noisy[:8].copy()
    values[4] = np.nan
    times = np.array([0, 1, 2, 3, 4, 100, 101, 102])
    out = steady(values, times, 2, 1e5, noise=np.ones(2))
    assert np.isnan(out[4]).all()
    np.testing.assert_allclose(out[[0, 3, 5, 7]], values[[0, 3, 5, 7]])
    np.testing.assert_allclose(out[1], values[:3].mean(0))
    np.testing.assert_allclose(out[6], values[5:].mean(0))
    np.testing.assert_array_equal(steady(values, np.arange(8), 0), values)


def test_even_motion_is_not_shifted():
    ramp = (np.arange(50.0) * 3)[:, None, None] + RNG.normal(0, 0.2, (50, 4, 2))
    out = steady(ramp, np.arange(50))
    rest = out - (np.arange(50.0) * 3)[:, None, None]
    assert rest[3:-3].std() < 0.13 and abs(rest.mean()) < 0.03


@pytest.mark.parametrize("window, reach, name", [(-1, 2, "window"), (99, 2, "window"),
                                                 (2, 0.0, "reach")])
def test_settings_out_of_range(window, reach, name):
    with pytest.raises(IdfError, match=f"`{name}` is out of range"):
        steady(np.zeros((3, 1, 2)), np.arange(3), window, reach)
