"""How good an avatar of the bundled talking head gets in how much time, beside its baselines.

    python benchmarks/avatar_training.py [--resolution 128] [--budget-s 180] [--pictures FOLDER]

The static model has the same recipe and budget and cannot move; shuffled: the avatar with other
frames' expressions. What moves: pixels that the avatar changes by more than 0.05 between the
resting face and the frame's expression. For the long run: --resolution 256 --budget-s 900.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data import samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.evaluate import evaluate_avatar
from idf_helpers.reconstruction.avatar.scene import AvatarScene
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.machine import cpu_count, cpu_name, peak_rss_mb


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    resolution: int = 128
    """Side of the pictures."""
    budget_s: float = 180.0
    """Seconds of optimization, for each of the two models."""
    iterations: int | None = None
    """Steps instead of seconds: for a machine that others use, too."""
    dataset: Path | None = None
    """Another sequence than the bundled one."""
    baseline: bool = True
    """Train the static model, too."""
    pictures: Path | None = None
    """Where the run folder is kept."""


def main(options: Options) -> None:
    data = Dataset.open(options.dataset) if options.dataset else samples.dataset("head_talking")
    kept = options.pictures or Path(tempfile.mkdtemp(prefix="idf-avatar-")) / "run"
    amount = {"iterations": options.iterations} if options.iterations else \
        {"budget_s": options.budget_s}
    config = AvatarConfig(resolution=options.resolution, check_poses=False,
                          baseline=options.baseline, **amount)
    cpu, wall = time.process_time(), time.perf_counter()
    scene = reconstruct(data, kept, "avatar:cpu", config)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    m = read_json(kept / "metrics.json")
    noisy = evaluate_avatar(scene, data.test, options.resolution, noise=0.05).summary()
    print(f"{cpu_name()}, {cpu_count()} cores; {options.resolution}², {m['iterations']} iterations "
          f"in {m['seconds']:.0f} s of optimization, {m['num_gaussians']} Gaussians of which "
          f"{m['moving']} move; both models and evaluation: {cpu:.0f} CPU s, {wall:.0f} s wall\n")
    print(f"{'':34s} {'full':>8s} {'head box':>9s} {'moves':>8s}   dB, {m['views']} frames")
    table = {"avatar": m} | {k: m[k] for k in ("static", "shuffled") if k in m} | {
        "avatar, expression noise 0.05": noisy}
    for name, row in table.items():
        print(f"{name:34s} {row['psnr']:8.2f} {row['psnr_head']:9.2f} {row['psnr_moving']:8.2f}")
    print()
    rows = [("PSNR full, dB", m["psnr"], ">= 29.5" if options.resolution == 128 else ">= 29")]
    if options.baseline:
        s = m["static"]
        rows += [("over static, full", m["psnr"] - s["psnr"], ">= 2"),
                 ("over static, head box", m["psnr_head"] - s["psnr_head"], ">= 3"),
                 ("over static, what moves", m["psnr_moving"] - s["psnr_moving"], ">= 5")]
    h = m["shuffled"]
    rows += [("shuffled costs, full", m["psnr"] - h["psnr"], ">= 4"),
             ("shuffled costs, what moves", m["psnr_moving"] - h["psnr_moving"], ""),
             ("expression noise 0.05 costs, full", m["psnr"] - noisy["psnr"], "<= 1.5"),
             ("expression noise 0.05 costs, moves", m["psnr_moving"] - noisy["psnr_moving"], ""),
             ("peak memory, MB", peak_rss_mb(), "<= 1500")]
    rows += [(f"render, frames a second at {r}²", speed(scene, data, r), limit)
             for r, limit in ((128, ">= 30"), (256, ">= 10"))]
    for what, value, limit in rows:
        print(f"{what:36s} {value:9.2f}  {limit}")


def speed(scene: AvatarScene, data: Dataset, resolution: int) -> float:
    """Frames a second, each with its own camera and expression; the median over 60."""
    times = []
    for frame in [*data.test[:60]]:
        camera = frame.camera.fitted(resolution)
        start = time.perf_counter()
        scene.render(camera, frame.expression)
        times.append(time.perf_counter() - start)
    return 1 / float(np.median(times))


if __name__ == "__main__":
    main(tyro.cli(Options))
