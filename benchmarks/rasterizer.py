"""The CPU rasterizer: exactness, speed, compile time.

    python benchmarks/rasterizer.py [--sizes 100:10000 256:10000 256:30000] [--repeats 30]

1. Relative L2 error of every gradient against the double-precision reference, SH degree 0 to 3.
2. Milliseconds of a forward and a backward pass of a synthetic ball, SH degree 3. With one
   thread: that thread's CPU time (not disturbed by other programs); with more: wall time. The best
   of the repeats.
3. CPU seconds of the first forward and backward in a new process, without and with cached code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import numba
import numpy as np
import torch
import tyro

from idf_helpers.data.cameras import Camera
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.reference import render_reference
from idf_helpers.runtime.machine import cpu_count, cpu_name


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    sizes: tuple[str, ...] = ("100:10000", "256:10000", "256:30000")
    """Scenes, each picture side in pixels:number of Gaussians."""
    repeats: int = 30
    """Passes per row; the fastest counts."""
    lanes: int | None = None
    """Vector width, 16 or 8; default: what suits this CPU."""
    compile_time: bool = True
    """Measure the third table too (starts two processes)."""


def ball(n: int, logit: float, degree: int = 3, seed: int = 0) -> Gaussians:
    """n Gaussians filling the unit ball, sizes in proportion to their distance.

    logit: mean of the opacity logits (deviation 1); -2 = a young scene, all of it shines through;
    2 = a trained one, mostly surface.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n, 3))
    means *= rng.uniform(size=(n, 1)) ** (1 / 3) / np.linalg.norm(means, axis=1, keepdims=True)
    log_scales = np.log(1.1 * n ** (-1 / 3)) + 0.3 * rng.normal(size=(n, 3))
    return Gaussians(means, log_scales, rng.normal(size=(n, 4)), logit + rng.normal(size=n),
                     0.3 * rng.normal(size=(n, (degree + 1) ** 2, 3))).checked()


def camera(width: int, height: int) -> Camera:
    return Camera.look_at((0.0, -4.0, 0.5), (0, 0, 0), (0, 0, 1), 0.6, width, height)


def gradient_errors(degree: int, lanes: int | None) -> list[float]:
    """Largest picture error, then relative L2 errors of the five gradients."""
    rng = np.random.default_rng(degree)
    g, view = ball(300, 0.0, degree), camera(61, 45)
    params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True)
              for k, v in g.arrays().items()}
    rgb, alpha, depth = render_reference(params, view, (0.2, 0.5, 0.9))
    d_rgb, d_alpha, d_depth = (rng.normal(size=x.shape).astype(np.float32)
                               for x in (rgb, alpha, depth))
    solid = ~torch.isnan(depth)
    ((rgb * torch.tensor(d_rgb)).sum() + (alpha * torch.tensor(d_alpha)).sum()
     + (depth[solid] * torch.tensor(d_depth)[solid]).sum()).backward()
    rasterizer = CpuRasterizer(lanes=lanes)
    picture = rasterizer.forward(g, view, (0.2, 0.5, 0.9), train=True)
    found = rasterizer.backward(d_rgb, d_alpha, d_depth).arrays()
    errors = [float(np.abs(picture.rgb - rgb.detach().numpy()).max())]
    for name, gradient in found.items():
        want = params[name].grad.numpy()
        errors.append(float(np.linalg.norm(gradient - want) / np.linalg.norm(want)))
    return errors


def pass_times(side: int, n: int, logit: float, threads: int, options: Options):
    """Milliseconds of a forward for training, a backward, and a forward for the picture alone."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    rng = np.random.default_rng(0)
    g, view = ball(n, logit), camera(side, side)
    d_rgb = rng.normal(size=(3, side, side)).astype(np.float32)
    rasterizer = CpuRasterizer(lanes=options.lanes)
    numba.set_num_threads(threads)
    best = [np.inf] * 3
    for _ in range(options.repeats + 2):
        marks = [clock()]
        rasterizer.forward(g, view, train=True)
        marks.append(clock())
        rasterizer.backward(d_rgb)
        marks.append(clock())
        rasterizer.forward(g, view)
        marks.append(clock())
        best = np.minimum(best, np.diff(marks) * 1e3)
    return best


def first_calls(cache: str, lanes: int | None) -> str:
    """CPU seconds of the first forward and backward in a fresh process."""
    code = (f"import sys, time; sys.path[:0] = {sys.path!r}\n"
            "import numpy as np\nfrom rasterizer import ball, camera, CpuRasterizer\n"
            f"r = CpuRasterizer(lanes={lanes!r}); g = ball(100, 0.0)\n"
            "t = time.process_time(); w = time.perf_counter()\n"
            "p = r.forward(g, camera(64, 64), train=True); r.backward(np.ones_like(p.rgb))\n"
            "print(f'{time.process_time() - t:.2f} CPU s, {time.perf_counter() - w:.2f} s wall')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return done.stdout.strip()


def main(options: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} cores; numba {numba.__version__}, "
          f"{CpuRasterizer(lanes=options.lanes).lanes} lanes\n")
    print("relative gradient error against the double-precision reference (61 x 45, 300 Gaussians)")
    print(f"{'SH degree':>9} {'picture max':>12} {'means':>9} {'scales':>9} {'quats':>9} "
          f"{'opacity':>9} {'SH':>9}")
    for degree in range(4):
        picture, *errors = gradient_errors(degree, options.lanes)
        print(f"{degree:9d} {picture:12.1e} " + " ".join(f"{e:9.1e}" for e in errors))
    print("\nms a pass (1 thread: CPU time, more: wall time)")
    print(f"{'pixels':>9} {'Gaussians':>9} {'opacity':>9} {'threads':>7} {'forward':>8} "
          f"{'backward':>8} {'sum':>8} {'render':>8}")
    for size in options.sizes:
        side, n = map(int, size.split(":"))
        for label, logit in (("young", -2.0), ("trained", 2.0)):
            for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
                forward, backward, render = pass_times(side, n, logit, threads, options)
                print(f"{side:8d}² {n:9d} {label:>9} {threads:7d} {forward:8.1f} {backward:8.1f} "
                      f"{forward + backward:8.1f} {render:8.1f}", flush=True)
    if options.compile_time:
        print("\nfirst forward and backward in a new process")
        with tempfile.TemporaryDirectory() as cache:
            for label in ("nothing cached", "cached"):
                print(f"{label:>15}: {first_calls(cache, options.lanes)}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
