"""One training iteration of Gaussian splats on a CPU: time of every stage, arithmetic, memory.

    python benchmarks/splat_training.py [--sizes 256:30000 100:10000 …] [--repeats 40]

An iteration is `Trainer.step`: picture over a random background, forward, 0.8·L1 + 0.2·(1 - SSIM),
backward, Adam, statistics; harmonics of degree 2. The scenes are those of a training on the sample
head with the given number of Gaussians from the start: young (30 steps, nearly everything shines
through) and trained. Learning rates are zero meanwhile, so that every repeat does the same work.

1 thread: that thread's CPU time. 2 threads: wall time. In both, the best of the repeats of each
stage, mean over three views. On a machine that others use, 2 threads get two processors at once
only now and then, so that the measured ratio is a lower bound; beside it stands Amdahl's bound,
all / (serial + parallel / 2), from the CPU times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numba
import numpy as np
import tyro
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from idf_helpers.data import training_views as views
from idf_helpers.data.dataset import Dataset
from idf_helpers.kernels import adam, loss
from idf_helpers.kernels.compile import TILE, kernel
from idf_helpers.kernels.simd import Lanes, lanes_tuple
from idf_helpers.kernels.threads import first_item, next_item, run_on_threads
from idf_helpers.reconstruction.splats import densify, rasterizer, train
from idf_helpers.reconstruction.splats.blocks import BLOCK_W, IN_A_ROW
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.screen import A8, B8, C8, T_MIN, U, V
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.runtime.tables import Table

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"
YOUNG_STEPS = 30
VIEWS = (3, 47, 80)  # front, side, back of the sample

# Stage of each kernel; what is not named here is "rest".
STAGES = {"composite": "picture", "project": "project", "depth_order": "order+lists",
          "count_pairs": "order+lists", "start_lists": "order+lists", "fill_lists": "order+lists",
          "draw": "forward", "differences": "loss", "similarity_pass": "loss",
          "gradient_pass": "loss", "blend_backward": "backward",
          "project_backward_adam": "back + Adam", "_add_seen": "back + Adam"}
SERIAL = ("rest", "depth_order", "start_lists")  # what one thread does alone

# Floating-point operations on one lane of a block, counted in raster_forward/_backward: an addition
# or multiplication is 1, a fused pair 2; comparisons, selections, loads, stores are not counted,
# nor what is done once for a Gaussian and tile.
#           dx, dy  t  P(t)  P^8·op  w  T-w  4 sums
FORWARD_FLOPS = 2 + 7 + 8 + 4 + 1 + 1 + 8
#           as forward to w    q   A   T  1-alpha  reciprocal  ds  moments  3 sums
BACKWARD_FLOPS = 2 + 7 + 8 + 4 + 1 + 5 + 2 + 1 + 1 + 6 + 4 + 11 + 6


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    sizes: tuple[str, ...] = ("256:30000", "100:10000", "256:100000", "400:100000")
    """Scenes, each longer side in pixels:number of Gaussians, and where only every so many pixels
    count, as in the coarse stages, :their distance."""
    repeats: int = 40
    """Iterations per view and row; the fastest counts."""
    steps: int = 400
    """Training steps of a scene that counts as trained."""
    dataset: Path = SAMPLE
    """A dataset folder."""
    processes: bool = True
    """Measure memory (Linux) and first calls too (starts three processes)."""


class Stopwatch:
    """Seconds of each kernel of the steps in its `watch`; `clock` tells the time."""

    def __init__(self, clock):
        self.clock, self.seconds = clock, defaultdict(float)

    def _timed(self, function, name=None):
        def run(*args):
            began = self.clock()
            try:
                return function(*args)
            finally:
                self.seconds[name or args[0].__name__] += self.clock() - began
        return run

    @contextmanager
    def watch(self):
        with ExitStack() as patches:
            for module in (views, rasterizer, loss, adam, densify):  # named by their kernels
                patches.enter_context(mock.patch.object(
                    module, "run_on_threads", self._timed(module.run_on_threads)))
            for module, name in ((rasterizer, "depth_order"), (rasterizer, "start_lists")):
                patches.enter_context(mock.patch.object(
                    module, name, self._timed(getattr(module, name), name)))
            yield


def trainer_at(options: Options, pictures, n: int, steps: int) -> train.Trainer:
    """A training of n Gaussians that has done so many steps and stands still from now on."""
    config = SplatConfig(iterations=steps, initial=n, max_gaussians=n)
    trainer = train.Trainer(pictures, config)
    while not trainer.done:
        trainer.step()
    trainer.rate_factor = 0.0
    trainer.config = replace(config, iterations=10**6, sh_steps=(0, 0, 0), rounds=0)
    return trainer


def stage_times(trainer, clocks: dict, repeats: int) -> dict[int, dict[str, float]]:
    """For each number of threads and its clock: milliseconds of each kernel, "rest" and "all"
    (their sum). In turns, so that all see the same machine, whose speed changes."""
    best: dict = defaultdict(lambda: np.inf)
    for _ in range(repeats):
        for threads, clock in clocks.items():
            numba.set_num_threads(threads)
            for view in VIEWS:
                trainer.order[:] = view
                trainer.iteration = train.SAVE_EVERY * len(trainer.views) + 1  # no copy of state
                stopwatch = Stopwatch(clock)
                with stopwatch.watch():
                    began = clock()
                    trainer.step()
                    whole = clock() - began
                seconds = stopwatch.seconds
                seconds["rest"] = whole - sum(seconds.values())
                for name, value in seconds.items():
                    best[threads, name, view] = min(best[threads, name, view], value)
    out = {}
    for threads in clocks:
        names = {name for t, name, _ in best if t == threads}
        one = {name: 1e3 * float(np.mean([best[threads, name, v] for v in VIEWS]))
               for name in names}
        out[threads] = one | {"all": sum(one.values())}
    return out


def by_stage(kernels: dict[str, float]) -> dict[str, float]:
    out: dict = dict.fromkeys([*dict.fromkeys(STAGES.values()), "rest", "all"], 0.0)
    for name, value in kernels.items():
        out[STAGES.get(name, name)] += value
    return out


def amdahl(kernels: dict[str, float]) -> float:
    serial = sum(v for k, v in kernels.items() if STAGES.get(k, k) in SERIAL or k in SERIAL)
    return kernels["all"] / (serial + (kernels["all"] - serial) / 2)


class Work(NamedTuple):
    """pairs: of pixel and Gaussian that the raster loops go through (lanes, empty ones included),
    the same forward and backward. useful: those of alpha >= 1/255."""

    pairs: float
    useful: float


@njit
def count_work(records, ids, starts, stops, masks, tiles_x, lanes):
    pairs, useful = 0, 0
    rows = lanes // BLOCK_W
    for tile in range(len(stops)):
        for k in range(starts[tile], stops[tile]):
            i = ids[k]
            for block in range(TILE * TILE // lanes):
                if masks[k] >> block & 1 == 0:
                    continue
                left = tile % tiles_x * TILE + block % IN_A_ROW * BLOCK_W
                top = tile // tiles_x * TILE + block // IN_A_ROW * rows
                for lane in range(lanes):
                    dx = records[i, U] - np.float32(left + lane % BLOCK_W + 0.5)
                    dy = records[i, V] - np.float32(top + lane // BLOCK_W + 0.5)
                    t = dy * (records[i, B8] * dx + records[i, C8] * dy) + records[i, A8] * dx * dx
                    pairs += 1
                    useful += t >= records[i, T_MIN]
    return pairs, useful


def work(trainer) -> Work:
    """Mean over the views."""
    counts = []
    for view in VIEWS:
        r = trainer.rasterizer
        r.forward(trainer.gaussians, trainer.views.cameras[view], train=True)
        d = r._drawn
        counts.append(count_work(d.records, d.ids, d.starts, d.stops, d.masks, d.tiles_x, r.lanes))
    return Work(*np.mean(counts, axis=0))


CHAINS = 12  # independent sums, more than latency times throughput of any fused unit


@intrinsic
def _fused_chains(typingctx, lanes, out, count):
    """x <- x·a + b in CHAINS vectors, `count` times; the results go to out."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        pointer = context.make_array(signature.args[1])(context, builder, args[1]).data
        chains = [L.accumulator(0.1 * k) for k in range(CHAINS)]
        with L.loop(ir.Constant(args[2].type, 0), args[2]):
            for x in chains:
                x.set(x.get() * 0.999 + 0.001)
        for k, x in enumerate(chains):
            L.store(x.get(), pointer, ir.Constant(ir.IntType(64), k * L.count))
        return context.get_dummy_value()
    return types.void(lanes, out, types.intp), codegen


@njit(fastmath={"contract"}, nogil=True)
def fused_chains(lanes, out, count):
    _fused_chains(lanes, out, count)


def peak_gflops(lanes: int) -> float:
    """Measured peak of fused multiply-adds of one thread, 2 operations each."""
    argument, out, count = lanes_tuple(lanes), np.empty(CHAINS * lanes, np.float32), 2_000_000
    fused_chains(argument, out, 10)
    best = np.inf
    for _ in range(20):
        began = time.thread_time()
        fused_chains(argument, out, count)
        best = min(best, time.thread_time() - began)
    return 2 * CHAINS * lanes * count / best / 1e9


@kernel
def chains_each(lanes, outs, count, counter):
    """`fused_chains` once for each row of outs."""
    item = first_item(counter)
    while item < len(outs):
        _fused_chains(lanes, outs[item], count)
        item = next_item(counter)


def machine_speedup(lanes: int, ms: float = 2.0) -> float:
    """What the machine itself gives from 1 to 2 threads: the same sums of `peak_gflops`, two pieces
    of so many milliseconds, handed over as all kernels are. Best of many."""
    argument, outs = lanes_tuple(lanes), np.empty((2, CHAINS * lanes), np.float32)
    count = int(ms * 1e-3 * peak_gflops(lanes) * 1e9 / (2 * CHAINS * lanes))
    best = {1: np.inf, 2: np.inf}
    before = numba.get_num_threads()
    for _ in range(400):
        for threads in best:
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            began = time.perf_counter()
            run_on_threads(chains_each, argument, outs, count)
            best[threads] = min(best[threads], time.perf_counter() - began)
    numba.set_num_threads(before)
    return best[1] / best[2]


HEADER = ("import sys, time; sys.path[:0] = {path!r}\n"
          "from splat_training import *\n"
          "pictures = views.TrainingViews.load(Dataset.open({dataset!r}).train, {side})\n")
# VmHWM: the peak that getrusage tells starts with that of the process that started this one.
MEMORY = ("import torch\nfrom pathlib import Path\ndef peak():\n"
          "    words = Path('/proc/self/status').read_text().split()\n"
          "    return int(words[words.index('VmHWM:') + 1]) * 1024 / 1e6\nbefore = peak()\n"
          + HEADER + "trainer_at(None, pictures, 40_000, 120)\nprint(peak() - before)")
FIRST = (HEADER + "trainer = train.Trainer(pictures, SplatConfig(initial=1000))\n"
         "w, c = time.perf_counter(), time.process_time()\ntrainer.warm_up()\n"
         "print(time.perf_counter() - w, time.process_time() - c)")


def in_new_process(code: str, options: Options, side: int, **environment) -> list[float]:
    path = [str(Path(__file__).parent), *sys.path]
    code = code.format(path=path, dataset=str(options.dataset), side=side)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, **environment})
    return [float(x) for x in done.stdout.split()]


def main(options: Options) -> None:
    lanes = rasterizer.CpuRasterizer().lanes
    threads = min(2, numba.config.NUMBA_NUM_THREADS)
    peak = peak_gflops(max(lanes, 8))
    print(f"{cpu_name()}, {cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {lanes} lanes; "
          f"measured FP32 peak of a thread {peak:.0f} GFLOP/s (a loop of independent fused "
          f"multiply-adds); two threads of that, in pieces of 2 ms: "
          f"{machine_speedup(max(lanes, 8)):.2f} times one")
    data, limits = Dataset.open(options.dataset), []
    time_rows, work_rows, usual = [], [], train.COARSE
    for size in options.sizes:
        side, n, every = map(int, f"{size}:1".split(":")[:3])
        pictures = views.TrainingViews.load(data.train, side)
        for label, steps in (("young", YOUNG_STEPS), ("trained", options.steps)):
            train.COARSE = usual
            trainer = trainer_at(options, pictures, n, steps)
            train.COARSE = ((0, 1.0, every),)  # from here on; before, as usual
            scene = f"{side}²/{n // 1000}k {label}" + (f", every {every}" if every > 1 else "")
            times = stage_times(trainer, {1: time.thread_time, threads: time.perf_counter},
                                options.repeats)
            one, more = times[1], times[threads]
            for count, kernels in times.items():
                time_rows.append({"scene": scene, "threads": count}
                                 | {k: f"{v:.2f}" for k, v in by_stage(kernels).items()})
            done = work(trainer)
            share = {k: done.pairs * flops / one[k] / 1e6 / peak
                     for k, flops in (("draw", FORWARD_FLOPS), ("blend_backward", BACKWARD_FLOPS))}
            part = done.useful / done.pairs
            work_rows.append({
                "scene": scene, "million lane pairs": f"{done.pairs / 1e6:.2f}",
                "useful": f"{part:.0%}",
                "forward % of peak": f"{100 * share['draw']:.0f}",
                "without masked": f"{100 * share['draw'] * part:.0f}",
                "backward % of peak": f"{100 * share['blend_backward']:.0f}",
                "without masked ": f"{100 * share['blend_backward'] * part:.0f}",
                f"1 -> {threads}, measured": f"{one['all'] / more['all']:.2f}",
                "Amdahl": f"{amdahl(one):.2f}"})
            if size == "256:30000":
                limits += [{"what": f"iteration, {scene}, {threads} threads, ms wall",
                            "measured": f"{more['all']:.1f}", "must reach": "<= 40, stretch 25"},
                           {"what": f"1 -> {threads} threads, {scene}: measured / Amdahl",
                            "measured": f"{one['all'] / more['all']:.2f} / {amdahl(one):.2f}",
                            "must reach": ">= 1.75"}]
            print(f"{scene}: {one['all']:.1f} ms CPU, {more['all']:.1f} ms wall", flush=True)
            del trainer
    print("\nms an iteration (1 thread: CPU time, more: wall time)")
    print(Table(time_rows))
    print(f"\narithmetic: {FORWARD_FLOPS} operations a lane pair forward, {BACKWARD_FLOPS} back "
          "(fused = 2, comparisons and selections 0); shares of the whole stage, its loads, stores "
          "and list walks included")
    print(Table(work_rows))
    if options.processes:
        memory, = in_new_process(MEMORY, options, 256)
        limits.append({"what": "peak memory over Python with torch, 256²/40k, MB",
                       "measured": f"{memory:.0f}", "must reach": "<= 600"})
        with tempfile.TemporaryDirectory() as cache:
            for label, limit in (("nothing cached", "<= 15"), ("cached", "<= 1")):
                wall, cpu = in_new_process(FIRST, options, 64, NUMBA_CACHE_DIR=cache)
                limits.append({"what": f"first call, {label}, s wall (CPU)",
                               "measured": f"{wall:.2f} ({cpu:.2f})", "must reach": limit})
    print("\nAnchors, not measured here: OpenSplat's CPU path takes 944 ms wall at 256²/30k and "
          "115 ms at 100²/10k\non 2 threads of such a machine, idle (L1 + 0.2 SSIM).")
    print(f"load at the end {os.getloadavg()[0]:.1f}\n")
    print(Table(limits))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
