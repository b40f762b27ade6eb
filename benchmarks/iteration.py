"""One training iteration of splats by stage, of this version and of an earlier one, in turns.

    python benchmarks/iteration.py [--before CHECKOUT] [--sizes 800:80000 256:40000]

A model of so many Gaussians is trained on the dataset at so many pixels (the longer side) by this
version. Then both versions take the same steps from it with learning rates of zero: target, forward
pass, 0.8·L1 + 0.2·(1 - SSIM), backward pass, Adam, statistics; harmonics of degree 3. Each version
has processes of its own, in turns. One thread: that thread's CPU time, two: wall time; best of a
process's repeats, mean over three views, median over the processes. "every 2nd" is a step on every
second pixel across and down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import tyro

from idf_helpers.data import training_views as views
from idf_helpers.data.dataset import Dataset
from idf_helpers.kernels import adam, loss
from idf_helpers.reconstruction.splats import densify, rasterizer
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.runtime.tables import Table

ROOT = Path(__file__).resolve().parents[1]
STAGES = {"composite": "target", "project": "project", "depth_order": "lists",
          "count_pairs": "lists", "start_lists": "lists", "fill_lists": "lists", "draw": "forward",
          "differences": "loss", "similarity_pass": "loss", "gradient_pass": "loss",
          "blend_backward": "backward", "project_backward": "proj. back + Adam",
          "_adam_rows": "proj. back + Adam", "project_backward_adam": "proj. back + Adam",
          "_add_seen": "statistics"}
VIEWS = (0.0, 0.4, 0.8)  # of the order of the training views


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    before: Path | None = None
    """A checkout of an earlier version."""
    sizes: tuple[str, ...] = ("800:80000", "256:40000")
    """Each longer side in pixels:number of Gaussians."""
    dataset: Path = ROOT / "assets/samples/head_multiview"
    """A dataset folder."""
    steps: int = 400
    """Training steps of the models."""
    rounds: int = 3
    """Processes of each version."""
    repeats: int = 8
    """Iterations a process and view."""


# --- in a process of its own, of either version ---------------------------------------------------

def stages(model: str, dataset: str, side: str, every: str, threads: str, repeats: str) -> None:
    """Print milliseconds by stage as JSON."""
    numba.set_num_threads(int(threads))
    clock = time.thread_time if threads == "1" else time.perf_counter
    spent: dict[str, float] = defaultdict(float)

    def timed(function, name=None):
        def run(*args):
            began = clock()
            try:
                return function(*args)
            finally:
                spent[STAGES.get(name or args[0].__name__, "rest")] += clock() - began
        return run

    for module in (views, rasterizer, loss, adam, densify):
        module.run_on_threads = timed(module.run_on_threads)
    for name in ("depth_order", "start_lists"):
        setattr(rasterizer, name, timed(getattr(rasterizer, name), name))
    with np.load(model) as saved:
        g = Gaussians(**saved)
    pictures = views.TrainingViews.load(Dataset.open(dataset).train, int(side))
    step = iteration(g, rasterizer.CpuRasterizer(), int(every))
    best: dict = defaultdict(lambda: np.inf)
    for _ in range(int(repeats) + 1):
        for view in VIEWS:
            spent.clear()
            began = clock()
            step(pictures, int(view * len(pictures)))
            spent["all"] = clock() - began
            spent["rest"] += spent["all"] - sum(v for k, v in spent.items() if k != "all")
            for name, seconds in spent.items():
                best[name, view] = min(best[name, view], seconds)
    print(json.dumps({name: 1e3 * float(np.mean([best[name, v] for v in VIEWS]))
                      for name in dict.fromkeys(name for name, _ in best)}))


def iteration(g: Gaussians, cpu, every: int):
    """A function that takes a step on a view."""
    rates, background = dict.fromkeys(g.arrays(), 0.0), np.float32([0.3, 0.6, 0.9])
    statistics, losses = densify.ScreenStatistics.empty(len(g)), {}

    def compare(rgb, target):
        if rgb.shape not in losses:
            losses[rgb.shape] = loss.PhotometricLoss(*rgb.shape[1:])
        return losses[rgb.shape](rgb, target).gradient

    if hasattr(cpu, "adam_step"):
        from idf_helpers.reconstruction.splats.in_training import GaussiansInTraining

        model = GaussiansInTraining(cpu, g)

        def step(pictures, k):
            if every > 1:
                pictures, k = pictures.every(k, every, 0, 0), 0
            target = pictures.target(k, background)
            rgb = model.forward(pictures.cameras[k], background, 3, 0.3 / every**2)
            statistics.add(*model.step(compare(rgb, target), rates, 1, 3))
    else:
        moments = adam.Adam(g)

        def step(pictures, k):
            target = pictures.target(k, background)
            rgb = cpu.forward(g, pictures.cameras[k], background, train=True).rgb
            found = cpu.backward(compare(rgb, target))
            moments.step(g, found, found.visible, rates, 1, 16)
            statistics.add(found.screen, found.visible)
    return step


# --- the whole ------------------------------------------------------------------------------------

def trained(options: Options, side: int, n: int, path: Path) -> None:
    from idf_helpers.reconstruction.splats.config import SplatConfig
    from idf_helpers.reconstruction.splats.train import Trainer

    pictures = views.TrainingViews.load(Dataset.open(options.dataset).train, side)
    trainer = Trainer(pictures, SplatConfig(iterations=options.steps, initial=n,
                                            max_gaussians=n))
    while not trainer.done:
        trainer.step()
    np.savez(path, **trainer.gaussians.arrays())


def measured(tree: Path, *words) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--stages", *map(str, words)], text=True,
                          capture_output=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(tree)})
    return json.loads(done.stdout)


def main(options: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} processors, load {os.getloadavg()[0]:.1f}; "
          f"{rasterizer.CpuRasterizer().lanes} lanes; ms an iteration (1 thread: CPU time, "
          "2: wall time)")
    trees = {"before": options.before.resolve()} if options.before else {}
    trees["now"] = ROOT
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            side, n = map(int, size.split(":"))
            model = Path(folder) / "model.npz"
            trained(options, side, n, model)
            for every, threads in ((1, 1), (1, 2), (2, 1)):
                found = defaultdict(list)
                for _ in range(options.rounds):
                    for name, tree in trees.items():
                        if every == 1 or name == "now":
                            found[name].append(measured(tree, model, options.dataset, side, every,
                                                        threads, options.repeats))
                for name, runs in found.items():
                    row = {"scene": f"{side}²/{n // 1000}k" + (", every 2nd" if every > 1 else ""),
                           "threads": threads, "version": name}
                    rows.append(row | {k: f"{np.median([r.get(k, 0.0) for r in runs]):.1f}"
                                       for k in [*dict.fromkeys(STAGES.values()), "rest", "all"]})
                    print(rows[-1], flush=True)
    print(Table(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stages"]:
        stages(*sys.argv[2:])
    else:
        main(tyro.cli(Options, description=__doc__))
