import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.metrics import evaluate_scene, psnr, ssim
from tests.fixtures.datasets import make_dataset


def test_psnr_by_hand():
    a, b = np.zeros((4, 4, 3)), np.full((4, 4, 3), 0.1)
    assert psnr(a, b) == pytest.approx(20.0)
    assert psnr(a, a) == float("inf")
    mask = np.zeros((4, 4), bool)
    assert np.isnan(psnr(a, b, mask))
    mask[0, 0] = True
    b[0, 0] = 0.01
    assert psnr(a, b, mask) == pytest.approx(40.0)


def test_ssim_is_one_for_equal_and_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.random((24, 20, 3)), rng.random((24, 20, 3))
    assert ssim(a, a) == pytest.approx(1.0)
    t = np.arange(11) - 5
    k = np.exp(-t**2 / 4.5)
    k = np.outer(k / k.sum(), k / k.sum())

    def blur(x):
        p = np.pad(x, ((5, 5), (5, 5), (0, 0)))
        w = np.lib.stride_tricks.sliding_window_view(p, (11, 11), axis=(0, 1))
        return (w * k).sum((-2, -1))

    m, n = blur(a), blur(b)
    s = ((2 * m * n + 1e-4) * (2 * (blur(a * b) - m * n) + 9e-4)
         / ((m * m + n * n + 1e-4) * (blur(a * a) - m * m + blur(b * b) - n * n + 9e-4)))
    assert ssim(a, b) == pytest.approx(s.mean(), rel=1e-9)


class Copy:
    """A scene that knows the answer, but for a constant error."""

    def __init__(self, dataset, error):
        self.views = {f.camera.c2w.tobytes(): media.over(f.image()) for f in dataset.frames}
        self.error = error

    def render(self, camera, expression=None, background=None):
        self.asked = background
        return self.views[camera.c2w.tobytes()] + self.error


def test_scene_over_white_full_frame_and_masked(dataset_folder):
    d = Dataset.open(dataset_folder)
    scene = Copy(d, 0.1)
    m = evaluate_scene(scene, d.test)
    assert scene.asked == (1, 1, 1)
    assert m.psnr == pytest.approx(20, abs=1e-4) == pytest.approx(m.psnr_masked, abs=1e-4)
    assert m.summary()["views"] == 2 and 0 < m.ssim < 1
    with pytest.raises(IdfError, match="no views"):
        evaluate_scene(Copy(d, 0), [])


def test_another_measure_of_pictures_is_asked_where_it_is_given(dataset_folder):
    d, asked = Dataset.open(dataset_folder), []

    def lpips(a, b):
        asked.append((a.min(), a.max()))
        return np.nan if len(asked) == 1 else float(np.abs(a - b).max())

    m = evaluate_scene(Copy(d, 0.9), d.test, lpips=lpips)
    assert len(asked) == 2 and min(a for a, _ in asked) >= 0 and max(b for _, b in asked) == 1
    assert m.rows()[0]["lpips"] is None and m.means()["lpips"] == pytest.approx(
        m.views[1].lpips, abs=1e-4)
    assert "lpips" not in evaluate_scene(Copy(d, 0.9), d.test).rows()[0]


def test_pictures_without_alpha_are_compared_over_the_scenes_own_background(tmp_path):
    d = Dataset.open(make_dataset(tmp_path, alpha=False))
    scene = Copy(d, 0.1)
    m = evaluate_scene(scene, d.test)
    assert scene.asked is None and m.summary()["psnr_masked"] is None
