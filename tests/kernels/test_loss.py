"""The loss against its definition, and its gradient against finite differences."""

import numba
import numpy as np
import pytest

from idf_helpers.kernels.loss import PhotometricLoss
from idf_helpers.kernels.ssim import gaussian_window


def naive_loss(x, y, lam):
    """0.8 L1 + 0.2 (1 - SSIM) in float64, blurred by explicit sums over a zero-padded picture."""
    k = np.exp(-np.arange(-5, 6.0) ** 2 / (2 * 1.5**2))
    k /= k.sum()
    window = np.outer(k, k)

    def blur(a):
        padded = np.pad(a, ((0, 0), (5, 5), (5, 5)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(1, 2))
        return (views * window).sum((-1, -2))

    m, n = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - m * m, blur(y * y) - n * n, blur(x * y) - m * n
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * m * n + c1) * (2 * cov + c2) / ((m * m + n * n + c1) * (vx + vy + c2))
    return (1 - lam) * np.abs(x - y).mean() + lam * (1 - ssim.mean())


@pytest.fixture
def pictures():
    rng = np.random.default_rng(3)
    y = rng.random((3, 19, 23))
    return np.clip(y + rng.normal(0, 0.1, y.shape), 0, 1), y


@pytest.mark.parametrize("lam, lanes", [(0.0, 8), (0.2, 1), (0.2, 8), (0.2, 16), (1.0, 16)])
def test_value_is_the_definition(pictures, lam, lanes):
    x, y = pictures
    got = PhotometricLoss(19, 23, lam, lanes)(x.astype(np.float32), y.astype(np.float32))
    assert got.loss == pytest.approx(naive_loss(x, y, lam), rel=1e-5)
    assert got.mse == pytest.approx(((x - y) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_gradient_is_the_slope(pictures, lanes):
    x, y = pictures
    loss = PhotometricLoss(19, 23, 0.2, lanes)
    gradient = loss(x.astype(np.float32), y.astype(np.float32)).gradient
    rng = np.random.default_rng(0)
    corners = [(0, 0, 0), (1, 18, 22), (2, 0, 22), (0, 9, 0)]  # the padding matters there
    places = corners + [tuple(rng.integers(0, (3, 19, 23))) for _ in range(20)]
    step = 1e-5
    for place in places:
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        slope = (naive_loss(up, y, 0.2) - naive_loss(down, y, 0.2)) / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=2e-3, abs=1e-7)


def test_equal_pictures_have_no_loss_and_no_slope(pictures):
    y = pictures[1].astype(np.float32)
    got = PhotometricLoss(19, 23)(y, y)
    assert got.loss == pytest.approx(0, abs=1e-6)
    assert np.abs(got.gradient).max() < 1e-7


def test_planes_do_not_leak_into_each_other(pictures):
    """They lie stacked in one buffer; a change in one color must not move the others' slopes."""
    x, y = (p.astype(np.float32) for p in pictures)
    loss = PhotometricLoss(19, 23)
    before = loss(x, y).gradient.copy()
    x[1] = 0
    after = loss(x, y).gradient
    assert np.array_equal(before[[0, 2]], after[[0, 2]])
    assert not np.allclose(before[1], after[1])


def test_window():
    k = gaussian_window()
    assert k.shape == (11,) and k.sum() == pytest.approx(1, abs=1e-6) and (k == k[::-1]).all()


def test_wrong_size_is_refused(pictures):
    with pytest.raises(ValueError, match="expected"):
        PhotometricLoss(23, 19)(*(p.astype(np.float32) for p in pictures))


def test_the_number_of_threads_does_not_change_a_bit():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 3, 61, 83), np.float32)
    before = numba.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            value = PhotometricLoss(61, 83)(x, y)
            found.append((value.loss, value.mse, value.gradient.copy()))
    finally:
        numba.set_num_threads(before)
    for other in found[1:]:
        assert other[:2] == found[0][:2]
        np.testing.assert_array_equal(other[2], found[0][2])


@pytest.mark.parametrize("width", [5, 8, 16, 23, 83])
def test_vectors_of_every_width_agree(width):
    rng = np.random.default_rng(2)
    x, y = rng.random((2, 3, 14, width), np.float32)
    one = PhotometricLoss(14, width, lanes=1)(x, y)
    for lanes in (8, 16):
        got = PhotometricLoss(14, width, lanes=lanes)(x, y)
        assert got[:2] == pytest.approx(one[:2], rel=1e-6)
        np.testing.assert_allclose(got.gradient, one.gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_what_is_equal_is_left_out_without_a_difference(lanes, monkeypatch):
    """Two patches of a larger picture differ, one at its edge; around them nothing is computed."""
    rng = np.random.default_rng(4)
    y = rng.random((3, 131, 143), np.float32)
    x = y.copy()
    x[:, 60:75, 70:90] = rng.random((3, 15, 20), np.float32)
    x[1, 125:, :3] = 0.5
    loss = PhotometricLoss(*x.shape[1:], lanes=lanes)
    got = loss(x, y)
    gradient = got.gradient.copy()
    assert (loss._spans[0, :, 0] >= loss._spans[0, :, 1]).sum() == 7, "of 9 strips"

    def everything(spans, width, lanes):
        return (np.broadcast_to([0, width], spans.shape).copy(),) * 2

    monkeypatch.setattr("idf_helpers.kernels.loss.columns_to_do", everything)
    whole = PhotometricLoss(*x.shape[1:], lanes=lanes)(x, y)
    assert got.loss == pytest.approx(whole.loss, rel=1e-6)
    assert got.mse == pytest.approx(whole.mse, rel=1e-6)
    np.testing.assert_allclose(gradient, whole.gradient, atol=1e-6 * np.abs(gradient).max())
    assert (gradient[:, :30] == 0).all() and (gradient[1, 100:] != 0).any()


def test_a_nan_in_the_picture_is_a_nan_in_the_loss(pictures):
    """The trainer goes back to its last good state by it."""
    x, y = (p.astype(np.float32) for p in pictures)
    x[1, 3, 22] = np.nan
    for lanes in (1, 8, 16):
        assert np.isnan(PhotometricLoss(19, 23, lanes=lanes)(x, y).loss)
