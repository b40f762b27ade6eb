"""Training end to end at a tiny size: it learns, it is repeatable, it survives kills and NaN."""

import itertools
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats import train
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.reconstruction.splats.train import SAVE_EVERY, Trainer, fit, start_from
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.ball_scene import BallDataset

SHORT = SplatConfig(iterations=160, resolution=32, initial=150, max_gaussians=300, sh_degree=1)
LONGER = replace(SHORT, iterations=1000, initial=400, max_gaussians=800)


@pytest.fixture(scope="module")
def dataset():
    return BallDataset()


@pytest.fixture(scope="module")
def trained(dataset):
    return fit(dataset, SHORT)


@pytest.fixture(scope="module")
def trained_longer(dataset):
    return fit(dataset, LONGER)


@pytest.fixture
def steps_take(monkeypatch):
    """A made-up clock: each step takes so many seconds."""
    def take(seconds: float) -> None:
        now = itertools.count()
        monkeypatch.setattr(train, "time",
                            SimpleNamespace(perf_counter=lambda: seconds * next(now)))
    return take


def arrays_equal(a: GaussianScene, b: GaussianScene) -> bool:
    a, b = a.gaussians.arrays(), b.gaussians.arrays()
    return all(a[k].shape == b[k].shape and np.array_equal(a[k], b[k]) for k in a)


def psnr(scene, dataset, background):
    out = []
    views = TrainingViews.load(dataset.test, 32)
    for i, camera in enumerate(views.cameras):
        color = np.full(3, background, np.float32)
        truth = views.target(i, color).transpose(1, 2, 0)
        error = ((scene.render(camera, background=color) - truth) ** 2).mean()
        out.append(-10 * np.log10(error))
    return np.mean(out)


# --- it learns ------------------------------------------------------------------------------------

def test_held_out_views_over_any_background(trained_longer, dataset):
    """27 dB is far above what a blurred or shifted ball gets (an empty picture: about 6); the
    trainer reaches 30."""
    scene = trained_longer
    assert psnr(scene, dataset, 1.0) > 27.5
    assert psnr(scene, dataset, 0.0) > 27.5
    assert scene.training["iterations"] == 1000 and scene.training["seconds"] > 0
    assert scene.training["num_gaussians"] == len(scene.gaussians) > LONGER.initial


def test_growth_is_worth_it(trained_longer, dataset):
    fixed = fit(dataset, replace(LONGER, max_gaussians=LONGER.initial))
    assert len(fixed.gaussians) <= LONGER.initial
    assert psnr(trained_longer, dataset, 1.0) > psnr(fixed, dataset, 1.0) + 0.5


def test_number_of_gaussians_grows_to_the_cap(trained):
    assert SHORT.initial < len(trained.gaussians) <= SHORT.max_gaussians


def test_pictures_without_alpha(dataset):
    opaque = BallDataset(alpha=False)
    trainer = Trainer(TrainingViews.load(opaque.train, 32), LONGER)
    assert trainer.background == "white"
    while not trainer.done:
        trainer.step()
    scene = trainer.scene()
    assert scene.background == (1.0, 1.0, 1.0)
    assert psnr(scene, opaque, 1.0) > 25


@pytest.mark.parametrize(("level", "expected"), [(20, "black"), (240, "white")])
def test_background_of_opaque_pictures_is_the_nearer_one(level, expected):
    camera = BallDataset().train[0].camera
    picture = np.full((3, camera.height, camera.width), level, np.uint8)
    picture[:, 10:-10, 10:-10] = 255 - level  # only the border counts
    views = TrainingViews([camera] * 3, [picture] * 3)
    assert Trainer(views, SHORT).background == expected


def test_last_part_is_over_white(dataset):
    trainer = Trainer(TrainingViews.load(dataset.train, 32), SHORT)
    colors = []
    for trainer.iteration in (0, 1, 95, 96, 159):  # white from 60 % of 160 steps
        colors.append(trainer._next_background().tolist())
    assert colors[3:] == [[1, 1, 1]] * 2 and [1, 1, 1] not in colors[:3]
    assert colors[0] != colors[1]


def test_what_neither_picture_shows_is_equal_to_the_bit(trained, dataset):
    """So the loss can leave it out."""
    views, rng = TrainingViews.load(dataset.train, 32), np.random.default_rng(0)
    for index in range(4):
        background = rng.random(3, np.float32)
        made = CpuRasterizer().forward(trained.gaussians, views.cameras[index], background)
        empty = (views.pixels[index][3] == 0) & (made.alpha == 0)
        assert empty.mean() > 0.2
        target = views.target(index, background)
        np.testing.assert_array_equal(made.rgb[:, empty], target[:, empty])


def test_coarse_stages_count_other_pixels_of_the_same_pictures(dataset, monkeypatch):
    """Stages by part of the run, the random pixel repeatable; the full picture is learned."""
    monkeypatch.setattr(train, "COARSE", ((32, 0.25, 4), (16, 0.75, 2)))
    views = TrainingViews.load(dataset.train, 32)

    class Watched(CpuRasterizer):
        sizes = []

        def forward_packed(self, g, camera, background, sh_degree, dilation=0.3):
            self.sizes.append((camera.width, round(0.3 / dilation) ** 0.5))
            return super().forward_packed(g, camera, background, sh_degree, dilation)

    watched = Trainer(views, LONGER, Watched())
    assert watched.every == 4
    while not watched.done:
        watched.step()
    assert Watched.sizes == [(8, 4)] * 250 + [(16, 2)] * 500 + [(32, 1)] * 250
    assert psnr(watched.scene(), dataset, 1.0) > 27
    monkeypatch.setattr(train, "COARSE", ((33, 0.5, 2),))
    assert Trainer(views, LONGER).every == 1, "pictures are too small"


@pytest.mark.parametrize("steps, growth", [(200, 3.0), (700, 0.3), (200, 0.3)])
def test_growth_goes_by_part_of_the_run(dataset, steps_take, steps, growth):
    """On a clock; to its limit, never before its time, and not with next to no steps."""
    steps_take(0.01)
    trainer = Trainer(TrainingViews.load(dataset.train, 32), replace(
        SHORT, iterations=None, budget_s=0.01 * steps, growth=growth))
    counts = {}
    while not trainer.done:
        trainer.step()
        counts[round(trainer.fraction, 2)] = trainer.count
    assert counts[0.02] == SHORT.initial < counts[0.4] < SHORT.max_gaussians
    if steps * growth < 100:
        assert counts[0.75] == counts[1.0] < SHORT.initial * 1.3 ** 1.4 + 8
    else:
        assert counts[0.6] == counts[1.0] == SHORT.max_gaussians


def test_numbers_of_gaussians_go_by_the_size_of_the_pictures():
    numbers = {side: SplatConfig().sized(side) for side in (128, 256, 400, 800, 4096)}
    assert [c.max_gaussians for c in numbers.values()] == [40_000, 40_000, 75_000, 197_000, 500_000]
    assert [c.initial for c in numbers.values()] == [10_000, 10_000, 10_000, 19_700, 50_000]
    given = SplatConfig(max_gaussians=400, initial=390).sized(800)
    assert (given.initial, given.max_gaussians) == (390, 400)
    assert SplatConfig(max_gaussians=400).sized(800).initial == 100
    assert SplatConfig(max_gaussians=20).sized(64).checked().initial == 16
    many = SplatConfig(initial=60_000).sized(256).checked()
    assert many.initial == many.max_gaussians == 60_000


def test_rounds_far_apart_grow_to_the_limit_at_once(dataset):
    """Growth in proportion to that many steps is more than a float holds."""
    trainer = Trainer(TrainingViews.load(dataset.train, 32),
                      replace(SHORT, iterations=60_000, rounds=1, growth=100.0))
    for trainer.iteration in (1300, 30_100):
        trainer.step()
    assert trainer.rounds == 2 and trainer.count == SHORT.max_gaussians


def test_buffers_for_pictures_of_many_sizes_do_not_pile_up(dataset):
    trainer = Trainer(TrainingViews.load(dataset.train, 32), SHORT)
    for width in range(16, 29):
        assert trainer._loss((20, width)).shape == (3, 20, width)
    assert len(trainer._losses) <= train.KEPT_LOSSES < 13


def test_budget_counts_optimization(dataset, steps_take):
    steps_take(0.01)
    seen = []
    scene = fit(dataset, replace(SHORT, iterations=None, budget_s=0.5), progress=seen.append,
                progress_every_s=0)
    assert scene.training["seconds"] == pytest.approx(0.5, abs=0.011)
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    last = seen[-1]
    assert last.fraction == 1 and last.iteration == scene.training["iterations"] in (50, 51)
    assert last.iterations_per_s == pytest.approx(100)
    assert last.memory_mb > 10 and last.psnr_train > 10
    assert last.preview(dataset.test[0].camera).shape == (64, 64, 3)


def test_scene_gives_depth_and_alpha(trained_longer, dataset):
    camera, scene = dataset.test[0].camera, trained_longer
    full = scene.render_full(camera)
    assert full.rgb.shape == (64, 64, 3) and full.rgb.dtype == np.float32
    assert full.rgb.min() >= 0 and full.rgb.max() <= 1
    assert full.alpha[32, 32] > 0.9 and full.alpha[0, 0] < 0.1
    assert np.isnan(full.depth[0, 0])
    assert full.depth[32, 32] == pytest.approx(4 - 0.6, abs=0.2)  # the near side of the ball
    assert np.allclose(scene.render(camera)[0, 0], 1, atol=0.05)  # white by default


# --- it is repeatable -----------------------------------------------------------------------------

def test_same_seed_same_arrays(trained, dataset):
    assert arrays_equal(trained, fit(dataset, SHORT))
    assert not arrays_equal(trained, fit(dataset, replace(SHORT, seed=1)))


def open_run(folder, config=SHORT):
    return RunFolder(folder, stage="splat", backend="cpu", config=config, inputs={})


@pytest.mark.parametrize("stop_at", [20, 75, 110])
def test_interrupted_in_a_coarse_stage_ends_the_same(dataset, tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr(train, "COARSE", ((32, 0.25, 4), (16, 0.6, 2)))
    whole = fit(dataset, SHORT)

    def interrupt(progress):
        if progress.iteration == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_run(tmp_path) as run:
        fit(dataset, SHORT, run=run, progress=interrupt, progress_every_s=0)
    with open_run(tmp_path) as run:
        assert arrays_equal(whole, fit(dataset, SHORT, run=run))


def test_checkpoints_that_know_no_rounds_are_passed_over(dataset):
    trainer = Trainer(TrainingViews.load(dataset.train, 32), SHORT)
    trainer.step()
    state = trainer.state()
    trainer.check(state)
    del state.meta["rounds"]
    with pytest.raises(ValueError, match="`rounds` is None"):
        trainer.check(state)


@pytest.mark.parametrize("stop_at", [1, SAVE_EVERY - 1, SAVE_EVERY + 7, 153])
def test_interrupted_runs_end_the_same(trained, dataset, tmp_path, stop_at):
    def interrupt(progress):
        if progress.iteration == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_run(tmp_path) as run:
        fit(dataset, SHORT, run=run, progress=interrupt, progress_every_s=0)
    with open_run(tmp_path) as run:
        assert run.latest_checkpoint()[1]["iteration"] == stop_at // SAVE_EVERY * SAVE_EVERY
        seen = []
        resumed = fit(dataset, SHORT, run=run, progress=seen.append, progress_every_s=0)
    assert seen[0].iteration == stop_at // SAVE_EVERY * SAVE_EVERY + 1  # went on, not from nothing
    assert arrays_equal(trained, resumed)


def test_killed_process_ends_the_same(trained, dataset, tmp_path):
    """Killed twice, at no chosen moment; checkpoints every 50 steps."""
    script = textwrap.dedent("""
        import sys
        from idf_helpers.runtime import runs
        from tests.reconstruction.splats.test_train import SHORT, BallDataset, fit, open_run
        runs.CHECKPOINT_EVERY_S = 0
        def show(p):
            print(p.iteration, flush=True)
        with open_run(sys.argv[1]) as run:
            fit(BallDataset(), SHORT, run=run, progress=show, progress_every_s=0)
    """)
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    first_steps = []
    for stop_at in (70, 120):
        child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], text=True,
                                 stdout=subprocess.PIPE, env=environment)
        steps = (int(line) for line in child.stdout)
        first_steps.append(next(steps))
        next(step for step in steps if step >= stop_at)
        child.kill()
        child.stdout.close()
        assert child.wait(60) != 0
    assert first_steps[0] == 1 and first_steps[1] > 1  # the second went on from a checkpoint
    with open_run(tmp_path) as run:
        assert run.latest_checkpoint()[1]["iteration"] >= SAVE_EVERY
        resumed = fit(dataset, SHORT, run=run)
    assert arrays_equal(trained, resumed)


def test_a_budget_remembers_its_clock(dataset, tmp_path, steps_take):
    steps_take(0.01)
    config = replace(SHORT, iterations=None, budget_s=1.5)

    def interrupt(progress):
        if progress.fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_run(tmp_path, config) as run:
        fit(dataset, config, run=run, progress=interrupt, progress_every_s=0)
    with open_run(tmp_path, config) as run:
        spent = run.latest_checkpoint()[1]["seconds"]
        seen = []
        scene = fit(dataset, config, run=run, progress=seen.append, progress_every_s=0)
    assert spent == pytest.approx(0.5), "the last state that was kept, 50 steps"
    assert seen[0].seconds == pytest.approx(0.51) and len(seen) in (101, 102)
    assert scene.training["seconds"] == pytest.approx(1.5, abs=0.011)


def test_warm_up_changes_nothing(dataset):
    views = TrainingViews.load(dataset.train, 32)
    a, b = Trainer(views, SHORT), Trainer(views, SHORT)
    b.warm_up()
    for t in (a, b):
        for _ in range(3):
            t.step()
    assert np.array_equal(a.gaussians.means, b.gaussians.means)


# --- broken numbers -------------------------------------------------------------------------------

class Sabotaged(CpuRasterizer):
    """Gives NaN at chosen calls of the forward pass or the step, otherwise the real thing."""

    def __init__(self, bad_forward=(), bad_backward=()):
        super().__init__()
        self.bad_forward, self.bad_backward = set(bad_forward), set(bad_backward)
        self.calls = 0

    def forward_packed(self, g, *args, **kwargs):
        self.calls += 1
        self.moved = g
        rgb = super().forward_packed(g, *args, **kwargs)
        if self.calls in self.bad_forward:
            rgb[0, 0, 0] = np.nan
        return rgb

    def adam_step(self, *args, **kwargs):
        screen, visible = super().adam_step(*args, **kwargs)
        if self.calls in self.bad_backward:
            self.moved.values[:, :3] = np.nan
        return screen, visible


@pytest.mark.parametrize("broken", [{"bad_forward": [75]}, {"bad_backward": [75]}])
def test_nan_rolls_back_and_halves_the_rates(dataset, broken):
    trainer = Trainer(TrainingViews.load(dataset.train, 32), SHORT, Sabotaged(**broken))
    while trainer.iteration < SAVE_EVERY:
        trainer.step()
    psnr_before = psnr(trainer.scene(), dataset, 1.0)
    while not trainer.done:
        trainer.step()
    assert trainer.iteration == 160 and trainer.rollbacks == 1 and trainer.rate_factor == 0.5
    trainer.scene().gaussians.checked()
    assert psnr(trainer.scene(), dataset, 1.0) > psnr_before + 0.3


def test_nan_for_ever_is_an_error(dataset):
    trainer = Trainer(TrainingViews.load(dataset.train, 32), SHORT,
                      Sabotaged(bad_forward=range(60, 10**6)))
    with pytest.raises(IdfError, match="diverged"):
        while not trainer.done:
            trainer.step()
    assert trainer.rollbacks == 3


# --- bad settings ---------------------------------------------------------------------------------

@pytest.mark.parametrize("change", [
    {"budget_s": 3.0}, {"iterations": 0}, {"resolution": 4}, {"seed": -1}, {"sh_degree": 4},
    {"rate": float("nan")}, {"lambda_dssim": 1.5}, {"initial": 500}, {"rounds": -1},
    {"growth": -0.1}, {"background": "blue"}, {"sh_steps": (0.5, 0.1, 0.2)}])
def test_bad_settings(dataset, change):
    with pytest.raises(IdfError):
        fit(dataset, replace(SHORT, **change))


def test_random_background_needs_alpha():
    with pytest.raises(IdfError, match="alpha"):
        fit(BallDataset(alpha=False), replace(SHORT, background="random"))


def test_settings_from_a_command_line():
    import tyro

    config = tyro.cli(SplatConfig, args=["--iterations", "7", "--background", "black",
                                         "--resolution", "None"])
    assert config == SplatConfig(iterations=7, background="black", resolution=None)
    assert SplatConfig().budget == 120 and config.budget is None


def test_a_training_goes_on_from_a_model_on_other_pictures(dataset, trained):
    """The same ball in negative: shape and place are kept, the colors are there at once."""
    class Negative:
        def __init__(self, frame):
            self.camera, self._frame = frame.camera, frame

        def image(self):
            picture = self._frame.image()
            picture[..., :3] = 255 - picture[..., :3]
            return picture

    views = TrainingViews.load([Negative(f) for f in dataset.train], 32)
    later, fresh = Trainer(views, SHORT, start=trained.gaussians), Trainer(views, SHORT)
    kept = start_from(trained.gaussians, SHORT)
    np.testing.assert_array_equal(later.gaussians.means, kept.means)

    def error(g):
        white = np.ones(3, np.float32)
        made = CpuRasterizer().forward(g, views.cameras[0], white).rgb
        return float(((made - views.target(0, white)) ** 2).mean())

    assert error(later.gaussians) < 0.4 * min(error(kept), error(fresh.gaussians))
    few = replace(SHORT, max_gaussians=40, initial=40, sh_degree=0)
    assert start_from(trained.gaussians, few).sh.shape == (40, 1, 3)
    with pytest.raises(IdfError, match="cannot start a training"):
        start_from(trained.gaussians[:5], SHORT)
