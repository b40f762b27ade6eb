"""The kernels against the formulas in double precision; sums that do not depend on threads."""

from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.nerf.grid import VoxelGrid
from idf_helpers.reconstruction.nerf.scene import VoxelScene
from idf_helpers.reconstruction.nerf.train import Trainer
from tests.fixtures.ball_scene import BallDataset

from . import oracle

CONFIG = VoxelConfig(iterations=60, resolution=32, grid=24, rays=256)


@pytest.fixture(scope="module")
def views():
    return TrainingViews.load(BallDataset().train, 32)


def shaken(views, config=CONFIG) -> Trainer:
    """A trainer whose field has a random value in every used lane."""
    trainer = Trainer(views, config)
    p = trainer.grid.params
    p += np.random.default_rng(0).normal(0, 0.4, p.shape).astype(np.float32)
    p[:, 1 + 3 * (config.sh_degree + 1) ** 2:] = 0
    trainer.skip = trainer.grid.skip()
    return trainer


def batch(trainer, n=256):
    rng = np.random.default_rng(1)
    return (*trainer.pixels.draw(rng, n), rng.random((n, 3), np.float32),
            rng.random(n, np.float32))


def test_gradients_agree_with_double_precision_autograd(views):
    trainer = shaken(views)
    rays = batch(trainer)
    loss = trainer._gradients(*rays)
    params = torch.tensor(trainer.grid.params, dtype=torch.float64, requires_grad=True)
    expected = oracle.batch_loss(params, trainer.grid.slots, trainer.skip, trainer.poses, *rays)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for lanes in (slice(0, 1), slice(1, 13)):
        error = np.abs(trainer.gradients[:, lanes] - params.grad.numpy()[:, lanes]).max()
        assert error < 1e-3 * np.abs(params.grad.numpy()[:, lanes]).max()
        assert np.abs(trainer.gradients[:, lanes]).max() > 0
    assert not trainer.gradients[:, 13:].any()


def test_degree_two_agrees_with_finite_differences(views):
    trainer = shaken(views, replace(CONFIG, sh_degree=2))
    rays = batch(trainer)
    trainer._gradients(*rays)
    gradients = trainer.gradients.copy()
    for lane in (0, 3, 9, 14, 27):
        row = int(np.argmax(np.abs(gradients[:, lane])))
        ends = []
        for step in (-0.05, 0.05):
            trainer.grid.params[row, lane] += step
            ends.append(trainer._gradients(*rays))
            trainer.grid.params[row, lane] -= step
        assert (ends[1] - ends[0]) / 0.1 == pytest.approx(gradients[row, lane], rel=0.03, abs=1e-7)


def test_sums_are_the_same_for_any_number_of_threads(views):
    results = []
    for threads in (1, 2, 4):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        trainer = Trainer(views, CONFIG)
        while not trainer.done:
            trainer.step()
        results.append(trainer.grid.params)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_a_small_record_buffer_grows_and_changes_nothing(views):
    a, b = shaken(views), shaken(views)
    b._capacity = 64
    rays = batch(a)
    assert a._gradients(*rays) == b._gradients(*rays)
    assert np.array_equal(a.gradients, b.gradients) and b._capacity > 64


def slab(raw: float, color, n=24) -> VoxelGrid:
    """A plate of constant density, eight voxels thick, across the z axis."""
    mask = np.zeros((n, n, n), bool)
    mask[1:-1, 1:-1, 8:17] = True
    grid = VoxelGrid.from_mask(mask, np.full(3, -n / 2 + 0.5) * 0.1, 0.1, 1)
    grid.params[:, 0] = raw
    for c in range(3):
        grid.params[:, 1 + 4 * c] = color[c] / oracle.C0
    return grid


def test_a_plate_has_its_opacity_color_and_depth():
    from idf_helpers.data.cameras import Camera

    scene = VoxelScene(slab(-2.0, (0.2, 0.5, 0.9)))
    camera = Camera.look_at([0, 0, 5], [0, 0, 0], [0, 1, 0], 0.2, 9, 9)
    out = scene.render_full(camera, background=(0, 0, 0))
    alpha = 1 - np.exp(-8 * np.log1p(np.exp(-2.0)))  # eight voxels of it
    assert out.alpha[4, 4] == pytest.approx(alpha, abs=0.02)
    assert out.rgb[4, 4] == pytest.approx(alpha * np.array([0.2, 0.5, 0.9]), abs=0.02)
    scene = VoxelScene(slab(8.0, (0.2, 0.5, 0.9)))
    solid = scene.render_full(camera)
    front = scene.grid.to_world([0, 0, 16])[2]  # the plate's near side
    assert solid.depth[4, 4] == pytest.approx(5 - front, abs=0.15)
    assert solid.depth[0, 0] == pytest.approx(solid.depth[4, 4], abs=0.1)  # along the optical axis
    normal = scene.normals(camera)[4, 4]
    assert normal == pytest.approx([0, 0, 1], abs=0.05)


def test_halving_the_cells_keeps_the_picture(views):
    trainer = Trainer(views, replace(CONFIG, iterations=120, levels=(1.0, 1.0)))
    while not trainer.done:
        trainer.step()
    camera = views.cameras[0].resized(64, 64)
    coarse = trainer.scene().render_full(camera)
    fine = VoxelScene(trainer.grid.finer()).render_full(camera)
    assert np.abs(coarse.alpha - fine.alpha).mean() < 0.03
    assert np.abs(coarse.rgb - fine.rgb).mean() < 0.03
