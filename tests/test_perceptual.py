"""LPIPS: its layers, regions, and its file."""

import pickle

import cv2
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from idf_helpers.errors import IdfError
from idf_helpers.lpips_weights import LPIPS
from idf_helpers.perceptual import LEAST, Lpips
from tests.fixtures.lpips import lpips_arrays, write_lpips


def plain_layers(arrays, picture):
    """AlexNet's five layers one after another, in float64, of length 1 at each place."""
    x = (picture.astype(np.float64) / 127.5 - 1 - (-.030, -.088, -.188)) / (.458, .448, .450)
    for k, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))):
        f = arrays["AlexNet_0"][f"Conv_{k}"]
        x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        windows = sliding_window_view(x, f["kernel"].shape[:2], (0, 1))[::stride, ::stride]
        x = np.maximum(np.einsum("yxcij,ijcd->yxd", windows, f["kernel"].astype(np.float64))
                       + f["bias"], 0)
        yield x / np.maximum(np.sqrt((x**2).sum(2, keepdims=True)), 1e-12)
        if k < 2:
            x = sliding_window_view(x, (3, 3), (0, 1))[::2, ::2].max((3, 4))


def plain_maps(arrays, a, b):
    for k, (x, y) in enumerate(zip(plain_layers(arrays, a), plain_layers(arrays, b), strict=True)):
        yield (x - y)**2 @ arrays[f"NetLinLayer_{k}"]["Conv_0"]["kernel"].ravel()


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(5)
    return [cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (97, 71)) for _ in range(2)]


def test_it_is_the_published_sum_in_plain_numpy(tmp_path, pictures):
    arrays, (a, b) = write_lpips(tmp_path), pictures
    lpips = pickle.loads(pickle.dumps(Lpips(tmp_path)))
    maps = list(plain_maps(arrays, a, b))
    wanted = sum(m.mean() for m in maps)
    assert wanted > 0.05
    assert lpips(a, b) == pytest.approx(wanted, rel=1e-4)
    assert lpips(b, a) == pytest.approx(wanted, rel=1e-4)
    assert lpips(a / 255, b / np.float32(255)) == pytest.approx(wanted, rel=1e-4)
    assert lpips(a, a) == 0
    large = sum(cv2.resize(m, (97, 71), interpolation=cv2.INTER_LINEAR) for m in maps)
    assert np.abs(lpips.map(a, b) - large).max() < 1e-3 * large.max()


def test_a_region_is_the_mean_of_the_map_under_it(tmp_path, pictures):
    write_lpips(tmp_path)
    lpips, (a, b) = Lpips(tmp_path), pictures
    seen = lpips.map(a, b)
    assert lpips(a, b, np.ones((71, 97))) == pytest.approx(seen.mean(), rel=1e-5)
    mask = np.zeros((71, 97))
    mask[10:30, 20:60] = 1
    assert lpips(a, b, mask) == lpips(a, b, mask > 0) == pytest.approx(
        seen[10:30, 20:60].mean(), rel=1e-5)
    mask[40:] = 0.25
    by_hand = (seen[10:30, 20:60].sum() + seen[40:].sum() / 4) / (800 + 31 * 97 / 4)
    assert lpips(a, b, mask) == pytest.approx(by_hand, rel=1e-5)
    assert np.isnan(lpips(a, b, 0 * mask))
    changed = b.copy()
    changed[:, :40] = a[:, :40]  # farther from what differs, less is seen
    near, far = np.zeros((71, 97)), np.zeros((71, 97))
    near[:, 60:], far[:, :10] = 1, 1
    assert lpips(a, changed, far) < 0.2 * lpips(a, changed, near)


@pytest.mark.parametrize("change, words", [
    (lambda a, b: (a[:30], b[:30]), "RGB pictures"), (lambda a, b: (a[..., 0], b), "RGB pictures"),
    (lambda a, b: (a, b[:-1]), "one size"), (lambda a, b: (a * 1.0, b), "RGB pictures"),
    (lambda a, b: (a.astype(np.int32), b), "RGB pictures"),
    (lambda a, b: (a, b, np.ones((5, 5))), "weight in"),
    (lambda a, b: (a, b, np.full((71, 97), 255)), "weight in"),
    (lambda a, b: (a, b, np.full((71, 97), np.nan)), "weight in")])
def test_other_arrays_are_refused(tmp_path, pictures, change, words):
    write_lpips(tmp_path)
    with pytest.raises(IdfError, match=words):
        Lpips(tmp_path)(*change(*pictures))


def test_the_smallest_picture(tmp_path, pictures):
    write_lpips(tmp_path)
    small = [p[:LEAST, :LEAST] for p in pictures]
    assert np.isfinite(Lpips(tmp_path)(*small)) and Lpips(tmp_path)(*small) > 0


def without_a_layer():
    arrays = lpips_arrays()
    del arrays["NetLinLayer_3"]
    return arrays


def another_shape():
    arrays = lpips_arrays()
    arrays["AlexNet_0"]["Conv_2"]["kernel"] = np.zeros((3, 3, 5, 12), np.float32)
    return arrays


def not_an_array():
    arrays = lpips_arrays()
    arrays["AlexNet_0"]["Conv_1"]["bias"] = {}
    return arrays


@pytest.mark.parametrize("make", [without_a_layer, another_shape, not_an_array])
def test_files_of_other_networks_are_refused(tmp_path, make):
    write_lpips(tmp_path, make())
    with pytest.raises(IdfError, match="does not hold the weights") as error:
        Lpips(tmp_path).open()
    assert "idf download lpips" in error.value.do


def test_without_the_weights_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    monkeypatch.delenv("IDF_LPIPS", raising=False)
    with pytest.raises(IdfError, match="'lpips' are needed") as error:
        Lpips().open()
    assert "idf download lpips" in error.value.do and "BSD" in error.value.do
    write_lpips(tmp_path / "lpips")
    with pytest.raises(IdfError, match="'lpips' are needed") as error:
        Lpips().open()  # another hash is never used
    assert f"{LPIPS.pins[0].file} has" in error.value.found
