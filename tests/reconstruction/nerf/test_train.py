"""Training end to end at a tiny size: it learns, it is repeatable, it survives stops and NaN."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.metrics import psnr
from idf_helpers.reconstruction.nerf import train
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.nerf.train import Trainer, fit
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.ball_scene import BallDataset

SHORT = VoxelConfig(iterations=90, resolution=32, grid=32, rays=512, occupancy_every=20)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 20)


@pytest.fixture(scope="module")
def dataset():
    return BallDataset()


@pytest.fixture(scope="module")
def trained(dataset):
    old, train.SAVE_EVERY = train.SAVE_EVERY, 20
    scene = fit(dataset, SHORT)
    train.SAVE_EVERY = old
    return scene


def equal(a, b) -> bool:
    return a.grid.params.shape == b.grid.params.shape and \
        np.array_equal(a.grid.params, b.grid.params) and \
        np.array_equal(a.grid.vertices, b.grid.vertices)


def held_out(scene, dataset, background=1.0):
    views = TrainingViews.load(dataset.test, 32)
    color = np.full(3, background, np.float32)
    return np.mean([psnr(scene.render(c, background=color),
                         views.target(i, color).transpose(1, 2, 0))
                    for i, c in enumerate(views.cameras)])


def test_it_learns_color_alpha_and_depth(trained, dataset):
    assert held_out(trained, dataset) > 25 and held_out(trained, dataset, 0.0) > 24
    camera = dataset.test[0].camera
    full = trained.render_full(camera)
    assert full.alpha[32, 32] > 0.9 and full.alpha[0, 0] < 0.05 and np.isnan(full.depth[0, 0])
    assert full.depth[32, 32] == pytest.approx(4 - 0.6, abs=0.2)
    normal = trained.normals(camera)[32, 32]
    assert normal @ -camera.forward > 0.95


def test_opaque_pictures_are_learned_too():
    data = BallDataset(alpha=False)
    scene = fit(data, replace(SHORT, iterations=120))
    assert scene.background == (1.0, 1.0, 1.0) and held_out(scene, data) > 22


def test_same_seed_same_arrays(trained, dataset):
    assert equal(trained, fit(dataset, SHORT))
    assert not equal(trained, fit(dataset, replace(SHORT, seed=1)))


def open_run(folder, config=SHORT):
    return RunFolder(folder, stage="nerf", backend="voxel", config=config, inputs={})


@pytest.mark.parametrize("stop_at", [1, 19, 47, 88])
def test_interrupted_runs_end_the_same(trained, dataset, tmp_path, stop_at):
    def interrupt(progress):
        if progress.iteration == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_run(tmp_path) as run:
        fit(dataset, SHORT, run=run, progress=interrupt, progress_every_s=0)
    with open_run(tmp_path) as run:
        assert run.latest_checkpoint()[1]["iteration"] == stop_at // 20 * 20
        resumed = fit(dataset, SHORT, run=run)
    assert equal(trained, resumed)


def test_a_killed_process_ends_the_same(trained, dataset, tmp_path):
    script = textwrap.dedent("""
        import sys
        from idf_helpers.runtime import runs
        from tests.reconstruction.nerf.test_train import SHORT, BallDataset, fit, open_run, train
        runs.CHECKPOINT_EVERY_S, train.SAVE_EVERY = 0, 20
        with open_run(sys.argv[1]) as run:
            fit(BallDataset(), SHORT, run=run, progress=lambda p: print(p.iteration, flush=True),
                progress_every_s=0)
    """)
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], text=True,
                             stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)})
    next(line for line in child.stdout if int(line) >= 50)
    child.kill()
    child.stdout.close()
    assert child.wait(60) != 0
    with open_run(tmp_path) as run:
        assert run.latest_checkpoint()[1]["iteration"] >= 20
        resumed = fit(dataset, SHORT, run=run)
    assert equal(trained, resumed)


def test_a_budget_remembers_its_clock(dataset, tmp_path):
    config = replace(SHORT, iterations=None, budget_s=1.0)

    def interrupt(progress):
        if progress.fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_run(tmp_path, config) as run:
        fit(dataset, config, run=run, progress=interrupt, progress_every_s=0)
    with open_run(tmp_path, config) as run:
        spent = run.latest_checkpoint()[1]["seconds"]
        scene = fit(dataset, config, run=run)
    assert 0 <= spent < 1 and 1.0 <= scene.training["seconds"] < 2.5


def test_nan_rolls_back_and_for_ever_is_an_error(dataset, monkeypatch):
    views = TrainingViews.load(dataset.train, 32)
    trainer = Trainer(views, SHORT)
    real, bad = Trainer._gradients, {75}
    calls = []

    def sabotaged(self, *args):
        calls.append(1)
        return float("nan") if len(calls) in bad else real(self, *args)

    monkeypatch.setattr(Trainer, "_gradients", sabotaged)
    while not trainer.done:
        trainer.step()
    assert trainer.rollbacks == 1 and trainer.rate_factor == 0.5 and trainer.iteration == 90
    assert held_out(trainer.scene(), dataset) > 24
    bad = set(range(1, 10**5))
    calls.clear()
    trainer = Trainer(views, SHORT)
    with pytest.raises(IdfError, match="diverged"):
        while not trainer.done:
            trainer.step()


def test_memory_limits_the_cells(dataset):
    views = TrainingViews.load(dataset.train, 32)
    trainer = Trainer(views, replace(SHORT, grid=96, max_memory_mb=16, levels=(0.0, 0.0),
                                     iterations=3))
    trainer.step()
    assert 7 * trainer.grid.params.nbytes < 16e6 and max(trainer.grid.slots.shape) < 96
