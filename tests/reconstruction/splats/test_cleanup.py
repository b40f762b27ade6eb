"""Clean-up and crop: floaters put in by hand go, what is seen stays, held-out PSNR holds."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.splats.cleanup import (
    clean,
    clean_scene,
    contributions,
    crop,
    frayed,
    isolated,
    outside_crop,
    outside_hull,
    unseen,
)
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.train import fit
from tests.fixtures.ball_scene import CENTER, RADIUS, BallDataset


def gaussians(means, scale=0.02, opacity=0.9):
    means = np.asarray(means, np.float32).reshape(-1, 3)
    n = len(means)
    quats = np.zeros((n, 4), np.float32)
    quats[:, 0] = 1
    return Gaussians(means, np.full((n, 3), np.log(scale), np.float32), quats,
                     np.full(n, np.log(opacity / (1 - opacity)), np.float32),
                     np.zeros((n, 1, 3), np.float32)).checked()


def joined(*parts):
    return Gaussians(**{k: np.concatenate([p.arrays()[k] for p in parts])
                        for k in parts[0].arrays()})


def shell(n=3000, radius=RADIUS - 0.02):
    d = np.random.default_rng(0).normal(size=(n, 3))
    return gaussians(CENTER + radius * d / np.linalg.norm(d, axis=1, keepdims=True), 0.05, 0.99)


@pytest.fixture(scope="module")
def views():
    return TrainingViews.load(BallDataset().train, None)


def test_contributions_are_the_blending_weights(views):
    """One Gaussian alone: Σ w over a view is its alpha; two of the same opacity in one line: the
    further one gets what the nearer one lets through."""
    raster = CpuRasterizer()
    one = contributions(gaussians(CENTER, 0.05), views, raster)
    black = np.zeros(3, np.float32)
    alphas = [raster.forward(gaussians(CENTER, 0.05), c, black).alpha.sum() for c in views.cameras]
    assert one.pixels[0] == pytest.approx(np.mean(alphas), rel=1e-3)
    assert one.views[0] == pytest.approx(len(views), rel=0.02)  # all at the same distance
    assert one.inside[0] == pytest.approx(1) and one.covered[0] == 1
    camera = views.cameras[0]
    behind = CENTER + 0.1 * camera.forward
    single = replace(views, cameras=[camera], pixels=views.pixels[:1])
    two = contributions(gaussians([CENTER, behind], 0.05), single, raster)
    assert two.pixels[1] < 0.6 * two.pixels[0] and two.views == pytest.approx([1, 1])


def test_what_is_outside_the_silhouettes_goes(views):
    outside = CENTER + np.array([[0, 0, RADIUS + 0.15], [RADIUS + 0.2, 0, 0], [0, -0.9, 0]])
    inside = CENTER + np.array([[0, 0, RADIUS - 0.05], [0.3, 0.2, 0.1], [0, 0, 0]])
    mask = outside_hull(gaussians([*outside, *inside]), views)
    assert mask.tolist() == [True] * 3 + [False] * 3
    opaque = TrainingViews.load(BallDataset(alpha=False).train, None)
    assert not outside_hull(gaussians(outside), opaque).any()


def test_what_nobody_sees_goes(views):
    g = joined(shell(), gaussians(CENTER + [[0, 0, 0], [0.1, 0, 0.1]]),  # hidden in the ball
               gaussians(CENTER + [0, 0, 40]))  # above every picture
    mask = unseen(contributions(g, views, CpuRasterizer()))
    assert mask[-3:].all() and mask[:-3].mean() < 0.02


def test_what_few_views_determine_goes(views):
    camera = views.cameras[3]
    near = camera.position + 0.5 * camera.forward  # a floater right before one camera
    g = joined(shell(), gaussians(near, 0.01))
    c = contributions(g, views, CpuRasterizer())
    mask = frayed(c, len(views))
    assert c.views[-1] < 1.5 and mask[-1] and not mask[:-1].any()


def test_what_hangs_over_the_rim_of_pictures_goes(views):
    camera = views.cameras[3]
    ring = replace(views, cameras=[camera] * 20, pixels=[views.pixels[3]] * 20)
    edge = 4 * np.tan(0.18) * camera.up
    c = contributions(gaussians([CENTER + 1.1 * edge, CENTER + 0.9 * edge], 0.06), ring,
                      CpuRasterizer())
    assert c.inside.tolist() == [0, 1] and (c.pixels > 1).all()
    assert frayed(c, 20).tolist() == [True, False]


def test_faint_and_alone_goes():
    alone = CENTER + [0, 0, 1.0]
    g = joined(shell(), gaussians(alone, opacity=0.1), gaussians(-alone, opacity=0.9))
    mask = isolated(g, 0.72)
    assert mask.tolist() == [False] * 3000 + [True, False]


def test_clean_counts_each_gaussian_once_and_keeps_the_order(views):
    ball = shell()
    floaters = gaussians(CENTER + [[0, 0, 1.0], [0, 0, 40.0]], opacity=0.1)
    g, removed = clean(joined(floaters, ball), views, CpuRasterizer())
    assert removed.total == 3002 and removed.count == 3002 - len(g) < 60
    assert removed.rules["outside the silhouettes"] >= 1 and removed.rules["unseen"] >= 1
    assert set(map(tuple, g.means)) <= set(map(tuple, ball.means))
    assert "of 3002 Gaussians removed" in str(removed)


def test_a_model_of_another_scene_is_refused(views):
    with pytest.raises(IdfError, match="Nothing of the model would be left"):
        clean(gaussians(CENTER + [[0, 0, 50], [0, 50, 0]]), views, CpuRasterizer())


def test_crop_to_a_sphere_and_a_box(views):
    frame = scene_frame(views.cameras)
    axes = np.stack([np.cross(frame.up, frame.front), frame.up, frame.front])
    local = np.array([[0, 0, 0], [0.5, 0, 0], [0, -0.5, 0], [0, 0, 0.5], [0.9, 0.9, 0.9]])
    g = gaussians(frame.center + frame.radius * local @ axes)
    assert outside_crop(g, frame, (0.6,)).tolist() == [False] * 4 + [True]
    assert outside_crop(g, frame, (-1, 1, -0.4, 1, -1, 1)).tolist() == [False, False, True, False,
                                                                       False]
    assert len(crop(g, frame, (0.1,))[0]) == 1
    for wrong in ((), (0,), (-1,), (1, 2), (1, -1, -1, 1, -1, 1), (np.nan,), (1, np.inf) * 3):
        with pytest.raises(IdfError, match="not a crop"):
            outside_crop(g, frame, wrong)


def test_held_out_psnr_of_the_sample_does_not_fall():
    data = samples.dataset("head_multiview")
    config = SplatConfig(iterations=250, resolution=64, initial=1500, max_gaussians=3000)
    few = replace(data, splits={**data.splits, "train": data.train[::2]})
    scene = fit(few, config)
    cleaned, removed = clean_scene(scene, few.train)
    test = data.test[::2]
    before, after = (evaluate_scene(s, test, 64).psnr for s in (scene, cleaned))
    assert removed.count > 20 and before > 20
    assert after > before - 0.1
