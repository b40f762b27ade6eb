"""Stable Diffusion with two ControlNets, of random weights: built, loaded by the stylist and run,
in a process of its own that is forbidden to use the network.

    python benchmarks/diffusers_tiny.py

It says what the real loading and sampling code costs besides the weights; nothing of the pictures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S, LIMIT_MB = 30.0, 1000.0
SIZE, STEPS, STRENGTH = 64, 4, 0.5


def child(folder: Path) -> None:
    """Prints: seconds of CPU until built, until the first picture, of the second, of all; peak MB;
    the largest difference of two pictures of the same seed, and the mean one of two seeds."""
    import socket

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    socket.socket.connect = socket.getaddrinfo = refuse
    import numpy as np

    from idf_helpers.runtime.machine import peak_rss_mb
    from idf_helpers.stylization.stylist import View
    from idf_helpers.stylization.stylists.diffusers_stylist import DiffusersConfig, DiffusersStylist
    from tests.stylization.stylists import tiny_models

    model = tiny_models.sd(folder / "sd", "mild")
    nets = tuple(f"{kind}={tiny_models.controlnet(folder / kind, i)}"
                 for i, kind in enumerate(("depth", "canny")))
    built = time.process_time()
    y, x = np.mgrid[:SIZE, :SIZE]
    depth = (4 + 0.001 * ((x - 32) ** 2 + (y - 32) ** 2)).astype(np.float32)
    rgb = np.stack([x * 4, y * 4, 128 + 0 * x], -1).astype(np.uint8)
    view = View(rgb, np.ones((SIZE, SIZE), np.float32), depth, name="view")
    stylist = DiffusersStylist(DiffusersConfig(prompt="x", model=str(model), steps=STEPS,
                                               controlnet=nets))
    first = stylist.stylize(view, "a bronze bust", 7, STRENGTH)
    loaded = time.process_time()
    second = stylist.stylize(view, "a bronze bust", 7, STRENGTH)
    again = time.process_time() - loaded
    other = stylist.stylize(view, "a bronze bust", 8, STRENGTH)
    print("RESULT", built, loaded - built, again, time.process_time(), peak_rss_mb(),
          np.abs(second - first).max(), np.abs(other - first).mean())


def main() -> None:
    import diffusers
    import torch
    import transformers

    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, torch "
          f"{torch.__version__}; {SIZE}², {STEPS} steps at strength {STRENGTH}, 2 ControlNets\n")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, __file__, folder], cwd=ROOT, text=True,
                              capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1",
                                                        "PYTHONPATH": str(ROOT)})
        wall = time.perf_counter() - begun
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))
    built, first, again, whole, peak, same, other = map(float, line.split()[1:])
    print(f"packages imported, models built   {built:8.1f} s CPU")
    print(f"loaded, first picture             {first:8.1f} s CPU")
    print(f"second picture                    {again:8.1f} s CPU")
    print(f"the same seed twice, largest difference {same:g}; another seed, mean difference "
          f"{other:.3f}")
    print(f"wall time {wall:.1f} s, of a machine that others may use\n")
    for what, value, limit in (("whole process, s CPU", whole, LIMIT_S),
                               ("peak memory, MB", peak, LIMIT_MB),
                               ("difference of one seed", same, 0.0)):
        print(f"{what:34}{value:8.1f}   limit <= {limit:g}   "
              f"{'ok' if value <= limit else 'MISSED'}")


if __name__ == "__main__":
    child(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
