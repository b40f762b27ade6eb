"""Landmarks in time: still points are averaged, quick ones are left alone."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.swap.smooth import SmoothConfig, bilateral, frame_times, noise_level

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
    out = bilateral(noisy, np.arange(N))
    mean = bilateral(noisy, np.arange(N), SmoothConfig(reach=1e5))  # GHOST's window

    def error(x, point):
        return np.sqrt(((x - clean)[:, point] ** 2).mean())

    assert error(out, 0) < 0.6 * error(noisy, 0)
    assert error(out, 1) < error(noisy, 1)  # and the jumps stay
    assert error(mean, 1) > 6 * error(out, 1)
    np.testing.assert_allclose(mean[2:-2, 0], np.stack(
        [noisy[t - 2:t + 3, 0].mean(0) for t in range(2, N - 2)]), atol=1e-6)


def test_gaps_do_not_mix_and_unknown_stays_unknown(lips):
    _, noisy = lips
    values = noisy[:6].copy()
    values[2] = np.nan
    times = np.array([0, 1, 2, 3, 100, 101])
    out = bilateral(values, times, SmoothConfig(1, 1e5), noise=np.ones(2))
    assert np.isnan(out[2]).all()
    np.testing.assert_allclose(out[0], values[:2].mean(0))
    np.testing.assert_allclose(out[1], values[:2].mean(0))
    np.testing.assert_allclose(out[3], values[3])
    np.testing.assert_allclose(out[4], values[4:].mean(0))
    np.testing.assert_array_equal(bilateral(values, np.arange(6), SmoothConfig(0)), values)


def test_times_come_from_the_names():
    assert frame_times(["train/f_0002", "val/f_0010", "train/f_0001"]).tolist() == [2, 10, 1]
    t = frame_times(["train/f_0001", "train/f_0000", "test/f_0001"])
    assert t[0] - t[1] == 1 and abs(t[2] - t[0]) > 100
    assert frame_times(["a", "b"]).tolist() == [0, 1]
    assert len(frame_times([])) == 0


@pytest.mark.parametrize("wrong", [SmoothConfig(-1), SmoothConfig(99), SmoothConfig(2, 0.0)])
def test_settings_out_of_range(wrong):
    with pytest.raises(IdfError, match="smoothing is out of range"):
        bilateral(np.zeros((3, 1, 2)), np.arange(3), wrong)
