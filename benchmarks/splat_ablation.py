"""What each part of the training recipe brings at a fixed budget of processor time.

    python benchmarks/splat_ablation.py [--dataset FOLDER] [--budget 20] [--only NAME ...]

Every row changes one thing of the default recipe. The trainer's clock is replaced by the processor
time of all threads over the number of threads, so that other programs on the machine do not decide
the outcome. Alternatives that are not part of the library (3DGS's densification by thresholds,
3DGS-MCMC, an image pyramid, regularizers) are written here, after their papers. Metrics: held-out
views, over white, at training resolution; `far` is the mean alpha that shows outside the head in
views from three times the distance and from above, where floaters would stand (in 1/1000).
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numba
import numpy as np
import tyro

from idf_helpers.data.cameras import Camera
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.splats import initialize, train
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.densify import ScreenStatistics
from idf_helpers.reconstruction.splats.train import Trainer
from idf_helpers.runtime.machine import cpu_count, cpu_name

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"


def clock() -> float:
    """Seconds of processor time a thread."""
    return time.process_time() / numba.get_num_threads()


# --- alternatives ---------------------------------------------------------------------------------

def take(trainer: Trainer, rows: np.ndarray, fresh: np.ndarray) -> None:
    """The Gaussians `rows` with their moments, those of positions `fresh` at zero."""
    trainer.gaussians = trainer.gaussians[rows]
    for table in (trainer.adam.first, trainer.adam.second):
        for name in table:
            table[name] = table[name][rows]
            table[name][fresh] = 0
    trainer.statistics = ScreenStatistics.empty(len(rows))


class ThresholdTrainer(Trainer):
    """Densification of 3DGS (arXiv 2308.04079, section 5.2): where the mean gradient of the screen
    position exceeds a threshold, small Gaussians are cloned and large ones split in two of 1/1.6
    the size; transparent ones go; opacity is reset to 0.01 twice a run."""

    threshold = 2e-4  # in units where the picture is 2 wide, as there
    dense = 0.01  # scene radii, above which one is split and not cloned

    def _densify_if_due(self) -> None:
        c = self.config
        if (self.iteration < 200 or self.iteration % 100
                or self.fraction > train.GROW_UNTIL):
            return
        g, mean = self.gaussians, self.statistics.mean
        camera = self.views.cameras[0]
        wanted = np.flatnonzero(mean * 0.5 * camera.width > self.threshold)
        room = c.max_gaussians - len(g)
        if len(wanted) > room:  # the largest first, where there is a limit
            wanted = wanted[np.argsort(-mean[wanted], kind="stable")[:max(room, 0)]]
        large = np.exp(g.log_scales[wanted]).max(1) > self.dense * self.radius
        n = len(g)
        rows = np.concatenate([np.arange(n), wanted])
        split_old, split_new = wanted[large], n + np.flatnonzero(large)
        take(self, rows, np.concatenate([split_old, n + np.arange(len(wanted))]))
        for part in (split_old, split_new):
            scales = np.exp(self.gaussians.log_scales[part])
            self.gaussians.means[part] += scales * self.rng.standard_normal(scales.shape)
            self.gaussians.log_scales[part] -= np.float32(np.log(1.6))
        keep = np.flatnonzero((self.gaussians.opacities > train.DEAD_OPACITY)
                              & (self.gaussians.log_scales.max(1)
                                 < np.log(train.MAX_SCALE * self.radius)))
        take(self, keep, keep[:0])
        thirds = int(3 * self.fraction / train.GROW_UNTIL)
        if thirds > getattr(self, "_resets", 0):
            self._resets = thirds
            low = np.float32(np.log(0.01 / 0.99))
            self.gaussians.opacity_logits = np.minimum(self.gaussians.opacity_logits, low)
            self.adam.first["opacity_logits"][:] = 0
            self.adam.second["opacity_logits"][:] = 0


class McmcTrainer(Trainer):
    """3DGS-MCMC (arXiv 2404.09591): dead Gaussians move to places drawn in proportion to opacity,
    noise on the means of transparent ones, and pressure on opacity and
    scale."""

    noise, pressure = 5e5, 0.01

    def step(self) -> float:
        loss = super().step()
        start = clock()
        g, rate = self.gaussians, self.learning_rates()["means"]
        gate = 1.0 / (1.0 + np.exp(100.0 * (g.opacities - 0.005)))  # eq. 8
        # The noise has the covariance of the Gaussian: along its axes by s².
        q = g.quats / np.maximum(np.linalg.norm(g.quats, axis=1, keepdims=True), 1e-12)
        e = np.exp(2 * g.log_scales) * self.rng.standard_normal(g.means.shape)
        t = 2 * np.cross(q[:, 1:], e)
        e = e + q[:, :1] * t + np.cross(q[:, 1:], t)
        g.means += (self.noise * rate * gate)[:, None] * e
        self.seconds += clock() - start
        return loss

    def _densify_if_due(self) -> None:
        opacity = self.gaussians.opacities
        self.statistics = ScreenStatistics(opacity.astype(np.float32),
                                           np.ones(len(opacity), np.int32))
        super()._densify_if_due()


class PyramidTrainer(Trainer):
    """Pictures of half the size in the first quarter of the run."""

    half: TrainingViews  # set by `run`

    def step(self) -> float:
        full = self.views
        self.views = self.half if self.fraction < 0.25 else full
        try:
            return super().step()
        finally:
            self.views = full


class RegularizedTrainer(Trainer):
    """Adds weight·mean(opacity) and weight·mean(scale/radius) to the loss."""

    opacity, scale = 0.01, 0.01

    def step(self) -> float:
        rasterizer = self.rasterizer
        if not isinstance(rasterizer, _Pressure):
            self.rasterizer = _Pressure(rasterizer, self)
        return super().step()


class _Pressure:
    """A rasterizer whose gradients carry the regularizers'."""

    def __init__(self, inner, trainer):
        self.inner, self.trainer, self.name = inner, trainer, inner.name

    def forward(self, g, *args, **options):
        self._g = g
        return self.inner.forward(g, *args, **options)

    def backward(self, d_rgb):
        out, g, t = self.inner.backward(d_rgb), self._g, self.trainer
        o = g.opacities
        out.opacity_logits[:] += np.float32(t.opacity / len(g)) * o * (1 - o)
        out.log_scales[:] += np.float32(t.scale / (3 * len(g) * t.radius)) * np.exp(g.log_scales)
        return out


# --- rows -----------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Row:
    """One variant: settings changed, another trainer, a random cube to start from, or other
    constants of `train`."""

    name: str
    changes: dict
    trainer: type[Trainer] = Trainer
    cube: bool = False
    constants: dict = field(default_factory=dict)


def rows() -> list[Row]:
    slower = train.RATES | {n: train.RATES[n] / 3 for n in ("log_scales", "quats",
                                                            "opacity_logits")}
    return [
        Row("the recipe", {}),
        Row("another seed", {"seed": 1}),
        Row("start: random cube", {}, cube=True),
        Row("start: 5 000 Gaussians", {"initial": 5000}),
        Row("start: 20 000 Gaussians", {"initial": 20_000}),
        Row("no growth, no relocation", {"rounds": 0}),
        Row("growth until 35 %", {}, constants={"GROW_UNTIL": 0.35}),
        Row("growth until 70 %", {}, constants={"GROW_UNTIL": 0.7}),
        Row("every pixel throughout", {}, constants={"COARSE": ()}),
        Row("a fourth, then half the pixels of a row", {}, constants={
            "COARSE": ((1, 0.15, 4), (1, 0.6, 2))}),
        Row("thresholds, as 3DGS", {}, ThresholdTrainer),
        Row("MCMC", {}, McmcTrainer),
        Row("color degree 0", {"sh_degree": 0}),
        Row("color degree 3", {"sh_degree": 3}),
        Row("full degree from the start", {"sh_steps": (0.0, 0.0, 0.0)}),
        Row("pyramid: half size first", {}, PyramidTrainer),
        Row("learning rates constant", {}, constants={"FINAL": 1.0}),
        Row("shape and opacity rates / 3", {}, constants={"RATES": slower}),
        Row("opacity and scale pressure", {}, RegularizedTrainer),
        Row("no SSIM", {"lambda_dssim": 0.0}),
        Row("white background throughout", {"background": "white"}),
        Row("random background throughout", {"random_until": 1.0}),
    ]


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    dataset: Path = SAMPLE
    """A dataset folder."""
    budget: float = 20.0
    """Seconds of processor time a thread, per row."""
    resolution: int = 256
    """Longer side, pixels."""
    only: tuple[str, ...] = ()
    """Rows whose name contains one of these words; default: all."""


def outside(scene, views: TrainingViews, test) -> float:
    """Mean alpha, in 1/1000, of pixels beyond the head's surroundings, seen from afar and above."""
    frame, base = views.scene, test[0].camera.fitted(128)
    total = []
    for direction in (3 * frame.front, 3 * frame.up + 0.1 * frame.front, -3 * frame.front):
        camera = Camera.look_at(frame.center + frame.distance * direction, frame.center,
                                frame.up, base.fov_x, base.width, base.height)
        alpha = scene.render_full(camera).alpha
        y, x = np.mgrid[:camera.height, :camera.width]
        # the frame of the training views covers a third of this picture
        far = np.hypot(x - camera.cx, y - camera.cy) > 0.3 * camera.width
        total.append(alpha[far].mean())
    return 1e3 * float(np.mean(total))


def run(row: Row, base: SplatConfig, data: Dataset, views: TrainingViews) -> dict:
    config = replace(base, **row.changes)
    points = np.concatenate(initialize.random_cube(
        views, config.initial, np.random.default_rng(config.seed)), axis=1) if row.cube else None
    trainer = row.trainer(views, config, points=points)
    if isinstance(trainer, PyramidTrainer):
        trainer.half = TrainingViews.load(data.train, config.resolution // 2)
    trainer.warm_up()
    while not trainer.done:
        trainer.step()
    if isinstance(trainer.rasterizer, _Pressure):
        trainer.rasterizer = trainer.rasterizer.inner
    scene = trainer.scene()
    metrics = evaluate_scene(scene, data.test, config.resolution)
    return {"psnr": metrics.psnr, "ssim": metrics.ssim, "steps": trainer.iteration,
            "gaussians": len(scene.gaussians), "far": outside(scene, views, data.test)}


def main(options: Options) -> None:
    # The trainer reads its clock as `time.perf_counter`.
    train.time = SimpleNamespace(perf_counter=clock, monotonic=time.monotonic)
    base = SplatConfig(budget_s=options.budget, resolution=options.resolution)
    data = Dataset.open(options.dataset)
    views = TrainingViews.load(data.train, options.resolution)
    print(f"{cpu_name()}, {cpu_count()} cores; {options.budget:g} s a row, {data.describe()}")
    print(f"{'':30} {'PSNR':>6} {'change':>7} {'SSIM':>7} {'steps':>6} {'Gaussians':>9} {'far':>5}")
    reference = None
    for row in rows():
        if options.only and not any(word in row.name for word in options.only):
            continue
        with contextlib.ExitStack() as stack:
            for name, value in row.constants.items():
                stack.enter_context(mock.patch.object(train, name, value))
            got = run(row, base, data, views)
        reference = got["psnr"] if reference is None else reference
        print(f"{row.name:30} {got['psnr']:6.2f} {got['psnr'] - reference:+7.2f} "
              f"{got['ssim']:7.4f} {got['steps']:6d} {got['gaussians']:9d} {got['far']:5.2f}",
              flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
