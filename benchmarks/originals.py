"""The originals in steps: seconds of each step, and dB of what their own scripts rendered.

    python benchmarks/originals.py [--graphdeco CLONE] [--nerface CLONE] [--iterations 1000]

Without a clone the stand-in runs, as in the notebooks: this project's own trainer behind the same
command line. On the bundled heads.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data import samples
from idf_helpers.metrics import psnr
from idf_helpers.notebook.originals.training import GraphdecoSteps, NerfaceSteps
from idf_helpers.runtime.machine import cpu_count, cpu_name


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    graphdeco: str = ""
    """A clone of gaussian-splatting."""
    nerface: str = ""
    """A clone of 4D-Facial-Avatars."""
    iterations: int = 0
    """Of each training; 0: those of the notebooks."""
    resolution: int = 128
    """Longer side of the pictures."""


def main(o: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} cores\n")
    print("| program | runs | iterations | prepare, s | first half, s | second half, s "
          "| render, s | dB |\n" + "| --- " * 8 + "|")
    for kind, data, clone in ((GraphdecoSteps, "head_multiview", o.graphdeco),
                              (NerfaceSteps, "head_talking", o.nerface)):
        with tempfile.TemporaryDirectory() as folder:
            steps = kind(samples.dataset(data), Path(folder), clone, o.iterations, o.resolution)
            p, seconds = steps.program, []
            for step in (p.prepare, lambda p=p, n=steps.total: p.train(n // 2), p.train, p.render):
                began = time.perf_counter()
                step()
                seconds.append(f"{time.perf_counter() - began:.1f}")
            values = [psnr(picture, original) for original, picture in steps.pairs()]
            runs = "stand-in" if steps.stand_in else "clone"
            print(f"| {p.clone.name} | {runs} | {steps.total} | {' | '.join(seconds)} "
                  f"| {np.mean(values):.2f} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
