"""Splats before and after they were restyled: mixtures of them, and refits that keep the order."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data.cameras import SceneFrame
from idf_helpers.data.media import write_image
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.metrics import evaluate_scene, psnr
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.splats.cleanup import crop
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.model_file import read_model
from idf_helpers.reconstruction.splats.model_path import ORIGINAL
from idf_helpers.reconstruction.splats.ply import write_ply
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.refit import Refit
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.reconstruction.splats.style import mixed
from idf_helpers.reconstruction.splats.warm_start import recolored
from tests.fixtures.datasets import make_dataset
from tests.fixtures.gaussians import assert_equal, random_gaussians, view

TINY = SplatConfig(iterations=40, resolution=24, initial=200, max_gaussians=300)


def restyled(g):
    """The same Gaussians in other colors, some turned the long way round."""
    rng = np.random.default_rng(5)
    sh = g.sh + rng.normal(0, 0.2, g.sh.shape).astype(np.float32)
    side = np.where(np.arange(len(g)) % 2, -3.0, 1.0)[:, None]  # q and -3q are one rotation
    return replace(g, sh=sh, quats=(g.quats * side).astype(np.float32),
                   log_scales=g.log_scales + np.float32(0.1)).checked()


def test_both_ends_are_what_they_were_and_the_middle_lies_between():
    g = random_gaussians(300)
    s, camera = restyled(g), view()
    assert_equal(mixed(g, s, 0.0), g)
    scene = GaussianScene(s, original=g)
    pictures = {b: scene.at_intensity(b).render(camera) for b in (0.0, 0.5, 1.0, 1.5)}
    np.testing.assert_array_equal(pictures[0.0], GaussianScene(g).render(camera))
    np.testing.assert_allclose(pictures[1.0], scene.render(camera), atol=1e-4)
    half = mixed(g, s, 0.5)
    np.testing.assert_allclose(half.sh, (g.sh + s.sh) / 2, atol=1e-6)
    np.testing.assert_allclose(half.quats, g.quats, atol=1e-5)  # not the sum of q and -3q
    beyond = np.abs(pictures[1.5] - pictures[0.0]).mean()
    assert beyond > np.abs(pictures[1.0] - pictures[0.0]).mean() > 0.01


def test_what_is_no_pair_or_no_intensity_is_refused():
    g = random_gaussians(60)
    with pytest.raises(IdfError, match="do not belong together"):
        GaussianScene(g, original=g[:59])
    with pytest.raises(IdfError, match="not of one scene"):
        GaussianScene(g, original=random_gaussians(60, seed=1))
    with pytest.raises(IdfError, match="no style"):
        GaussianScene(g).at_intensity(0.5)
    for wrong in (-0.1, 1.51, float("nan")):
        with pytest.raises(IdfError, match="intensity"):
            GaussianScene(g, original=g).at_intensity(wrong)


def test_a_crop_takes_the_same_of_both():
    g = random_gaussians(80)
    scene = GaussianScene(restyled(g), original=g)
    frame = SceneFrame(np.zeros(3), np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), 4.0, 1.0)
    _, removed = crop(scene.gaussians, frame, (1.5,))
    cut = scene.only(removed.kept)
    assert 0 < len(cut.gaussians) < 80
    np.testing.assert_array_equal(cut.original.means, cut.gaussians.means)


def painted(root, color):
    """A disk of one color from all around."""
    make_dataset(root)
    y, x = np.mgrid[:20, :24]
    disk = np.zeros((20, 24, 4), np.uint8)
    disk[np.hypot(y - 9.5, x - 11.5) < 7] = (*color, 255)
    for file in root.rglob("*.png"):
        write_image(file, disk)
    return Dataset.open(root)


@pytest.fixture(scope="module")
def refitted(tmp_path_factory):
    """(dataset in other colors, folder of the original, folder of the refit)."""
    root = tmp_path_factory.mktemp("refit")
    plain, other = (painted(root / name, color) for name, color in
                    (("plain", (210, 120, 60)), ("other", (40, 90, 200))))
    reconstruct(plain, root / "first", "splats:cpu", TINY)
    reconstruct(other, root / "refit", "splats:cpu",
                replace(TINY, start=root / "first", refit=1.0))
    return other, root / "first", root / "refit"


def test_a_refit_keeps_every_gaussian_in_its_place(refitted):
    data, first, folder = refitted
    before, scene = load(first), load(folder)
    now, old = scene.gaussians, scene.original
    assert len(now) == len(before.gaussians)
    for name in ("means", "log_scales", "quats", "opacity_logits"):
        np.testing.assert_array_equal(getattr(now, name), getattr(before.gaussians, name))
    assert not now.sh[:, 9:].any() and old.sh[:, 9:].any()  # the page need not hold them twice
    camera = data.test[0].camera
    assert psnr(scene.at_intensity(0.0).render(camera), before.render(camera)) > 45
    at = {beta: evaluate_scene(scene.at_intensity(beta), data.train, 24).psnr
          for beta in (0.0, 0.5, 1.0)}
    assert at[1.0] > at[0.5] + 0.5 > at[0.0] + 1.0, at
    np.testing.assert_array_equal(old.means, now.means)


def test_a_refit_of_more_than_a_training_would_make_keeps_them_all(refitted, tmp_path):
    data, first, _ = refitted
    config = replace(TINY, start=first, refit=1.0, iterations=2, initial=16, max_gaussians=50)
    scene = reconstruct(data, tmp_path / "few", "splats:cpu", config)
    assert len(scene.gaussians) == len(scene.original) == len(load(first).gaussians) > 50


def test_an_original_of_another_model_is_told(refitted, tmp_path):
    """Put beside the style by hand, or cut off."""
    folder = shutil.copytree(refitted[2], tmp_path / "model")
    whole = (folder / ORIGINAL).read_bytes()
    write_ply(read_model(folder)[:50], folder / ORIGINAL)
    with pytest.raises(IdfError, match="do not belong together"):
        load(folder)
    (folder / ORIGINAL).write_bytes(whole[:-200])
    with pytest.raises(IdfError):
        load(folder)


def test_a_refit_of_a_refit_keeps_the_first_original(refitted, tmp_path):
    data, _, folder = refitted
    config = replace(TINY, start=folder, refit=0.5, iterations=20)
    scene = reconstruct(data, tmp_path / "again", "splats:cpu", config)
    first = load(folder).original
    for name, array in scene.original.arrays().items():
        np.testing.assert_allclose(array, getattr(first, name), atol=0.05 if name == "sh" else 0)
    assert not np.array_equal(scene.gaussians.means, first.means)  # from half of it on, shapes, too


def test_a_refit_that_was_stopped_ends_as_one_that_was_not(refitted, tmp_path, monkeypatch):
    data, first, _ = refitted
    config = replace(TINY, start=first, refit=0.5, iterations=80)
    whole = reconstruct(data, tmp_path / "whole", "splats:cpu", config)

    def stopped(trainer):
        if trainer.iteration == 61:
            raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(Refit, "_densify_if_due", stopped)
        with pytest.raises(KeyboardInterrupt):
            reconstruct(data, tmp_path / "killed", "splats:cpu", config)
    again = reconstruct(data, tmp_path / "killed", "splats:cpu", config)
    for name in ("means", "log_scales", "quats", "opacity_logits"):  # colors carry the run's mark
        np.testing.assert_array_equal(getattr(again.gaussians, name),
                                      getattr(whole.gaussians, name))
    assert len(again.original) == len(again.gaussians)


def test_a_refit_begins_with_the_colors_of_each_side(tmp_path):
    """A ball that is bright from one side and dark from the other, as a metal is."""
    data = painted(tmp_path / "metal", (0, 0, 0))
    for frame in data.frames:
        picture = frame.image().copy()
        shade = 128 + 100 * frame.camera.position[0] / np.linalg.norm(frame.camera.position)
        picture[picture[..., 3] > 0, :3] = round(float(shade))
        write_image(frame.path, picture)
    views, rasterizer = TrainingViews.load(data.train, 24), CpuRasterizer()
    way = np.random.default_rng(0).normal(size=(500, 3))
    before = Gaussians(0.55 * way / np.linalg.norm(way, axis=1, keepdims=True),
                       np.full((500, 3), np.log(0.1)), np.tile([1.0, 0, 0, 0], (500, 1)),
                       np.full(500, 3.0), np.zeros((500, 9, 3))).checked()
    error = {}
    for degree in (0, 2):
        scene = GaussianScene(recolored(before, views, rasterizer, degree), rasterizer)
        error[degree] = np.mean([np.abs(scene.render(c) - views.target(k, np.ones(3)).transpose(
            1, 2, 0))[6:14, 8:16].mean() for k, c in enumerate(views.cameras)])
    assert error[2] < 0.5 * error[0], error


def test_a_refit_needs_something_to_start_from():
    with pytest.raises(IdfError, match="nothing to refit"):
        SplatConfig(refit=1.0).checked()
