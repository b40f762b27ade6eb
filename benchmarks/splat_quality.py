"""How good splats get in how much time: PSNR and SSIM on held-out views after 20, 60 and 120 s.

    python benchmarks/splat_quality.py [--dataset FOLDER] [--at 20 60 120] [--pictures FOLDER]

One run with the last time as its budget, looked at on the way (the clock stands still meanwhile;
learning rates go by the whole budget, so the earlier rows are of an unfinished run). With
`--separate`, one run a row, each with its own budget. Metrics: test split, RGBA over white, at
training resolution.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data import media
from idf_helpers.data.cameras import Camera
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.metrics import psnr, ssim
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.train import Trainer
from idf_helpers.runtime.machine import cpu_count, cpu_name, peak_rss_mb

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"
WHITE = np.ones(3, np.float32)


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    dataset: Path = SAMPLE
    """A dataset folder."""
    at: tuple[float, ...] = (20.0, 60.0, 120.0)
    """Seconds of optimization after which to look."""
    separate: bool = False
    """A run for each time instead of one that is looked at on the way."""
    pictures: Path | None = None
    """Folder for renders beside the truth, and for views from afar and above."""
    config: SplatConfig = field(default_factory=SplatConfig)
    """Settings of the training; its budget is replaced."""


def evaluate(trainer: Trainer, test: TrainingViews) -> tuple[float, float, float]:
    """Mean PSNR, lowest PSNR and mean SSIM over `test`, over white."""
    scene = trainer.scene()
    psnrs, ssims = [], []
    for i, camera in enumerate(test.cameras):
        render = scene.render(camera, background=WHITE)
        truth = test.target(i, WHITE).transpose(1, 2, 0)
        psnrs.append(psnr(render, truth))
        ssims.append(ssim(render, truth))
    return float(np.mean(psnrs)), float(np.min(psnrs)), float(np.mean(ssims))


def save_pictures(trainer: Trainer, test: TrainingViews, folder: Path) -> None:
    """Held-out renders over the truth, and strangers' views: from afar, above, below, behind."""
    scene, frame = trainer.scene(), trainer.views.scene
    for i in range(0, len(test), max(1, len(test) // 6)):
        pair = [scene.render(test.cameras[i], background=WHITE),
                test.target(i, WHITE).transpose(1, 2, 0)]
        media.write_image(folder / f"test_{i}.png", media.to_uint8(np.concatenate(pair, axis=1)))
    base = test.cameras[0]
    side = np.cross(frame.up, frame.front)
    places = {"far": 3 * frame.front + 1.5 * side, "top": 1.2 * frame.up + 0.02 * frame.front,
              "below": -1.0 * frame.up + 0.5 * frame.front, "back": 0.3 * frame.up - frame.front,
              "close": 0.45 * frame.front}
    for name, direction in places.items():
        camera = Camera.look_at(frame.center + frame.distance * direction, frame.center, frame.up,
                                base.fov_x, base.width, base.height)
        for shade, value in (("white", 1.0), ("black", 0.0)):
            render = scene.render(camera, background=np.full(3, value, np.float32))
            media.write_image(folder / f"{name}_{shade}.png", media.to_uint8(render))


def main(options: Options) -> None:
    dataset = Dataset.open(options.dataset)
    resolution = options.config.resolution
    views = TrainingViews.load(dataset.train, resolution)
    test = TrainingViews.load(dataset.test, resolution)
    print(f"{cpu_name()}, {cpu_count()} processors; {len(views)} views, {len(test)} held out, "
          f"{test.cameras[0].width}x{test.cameras[0].height}")
    print(f"{'seconds':>8} {'steps':>6} {'steps/s':>8} {'Gaussians':>9} {'PSNR':>6} {'lowest':>6} "
          f"{'SSIM':>7} {'train':>6} {'MB':>5}")
    trainer = None
    for seconds in sorted(options.at):
        if trainer is None or options.separate:
            budget = seconds if options.separate else max(options.at)
            trainer = Trainer(views, replace(options.config, iterations=None, budget_s=budget))
            began = time.perf_counter()
            trainer.warm_up()
            warm_up = time.perf_counter() - began
        while trainer.seconds < seconds:
            trainer.step()
        mean, low, similar = evaluate(trainer, test)
        print(f"{trainer.seconds:8.1f} {trainer.iteration:6d} "
              f"{trainer.iteration / trainer.seconds:8.1f} {len(trainer.gaussians):9d} {mean:6.2f} "
              f"{low:6.2f} {similar:7.4f} {trainer.psnr_train:6.2f} {peak_rss_mb():5.0f}",
              flush=True)
    print(f"compiling or loading the kernels: {warm_up:.1f} s")
    if options.pictures is not None:
        save_pictures(trainer, test, options.pictures)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
