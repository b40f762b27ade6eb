"""Twenty kills at random moments, and the model is the same to the bit.

    python benchmarks/resume.py [--kills 20] [--iterations 2500]

Trains the bundled head for the same number of iterations: once left alone, then in processes that
are killed (no clean-up, as by a power cut) after a random time and started again. Compares the
arrays of the models bit by bit. Checkpoints are written every half second here and not every
minute, so that there is something to go on from.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.reconstruction.splats.ply import read_ply
from idf_helpers.runtime.machine import cpu_count, cpu_name

CHILD = """
import sys
from idf_helpers import SplatConfig, reconstruct
from idf_helpers.data import samples
from idf_helpers.runtime import runs
runs.CHECKPOINT_EVERY_S = 0.5
reconstruct(samples.dataset("head_multiview"), sys.argv[1], "splats:cpu",
            SplatConfig(iterations=int(sys.argv[2]), resolution=96, initial=2000,
                        max_gaussians=6000))
"""


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    kills: int = 20
    """How often."""
    iterations: int = 2500
    """Training steps of 96² pixels."""
    seed: int = 0
    """Of the moments."""


def start(out: Path, iterations: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(out), str(iterations)])


def main(options: Options) -> None:
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        begun = time.perf_counter()
        if start(whole, options.iterations).wait():
            sys.exit("the run that was left alone failed")
        alone = time.perf_counter() - begun
        reference = read_ply(whole / "point_cloud.ply").arrays()
        kills, runs, same = 0, 0, True
        while kills < options.kills:  # a run that ends too soon is compared, and another begun
            torn, runs = Path(folder) / f"torn{runs}", runs + 1
            while (code := life(torn, options, rng, alone, kills < options.kills)) is None:
                kills += 1
            if code:
                sys.exit("a resumed run failed")
            arrays = read_ply(torn / "point_cloud.ply").arrays()
            same &= all(np.array_equal(reference[k], arrays[k]) for k in reference)
    print(f"{cpu_name()}, {cpu_count()} cores; {options.iterations} steps, {alone:.1f} s alone")
    print(f"{kills} kills in {runs} run{'s' * (runs > 1)}; equal bit for bit: {same}")
    sys.exit(0 if same else 1)


def life(out: Path, options: Options, rng: random.Random, alone: float, kill: bool) -> int | None:
    """One process: its exit code, or None where it was killed."""
    child = start(out, options.iterations)
    if not kill:
        return child.wait()
    try:  # any moment from the imports to the last writes
        return child.wait(rng.uniform(0.2, 0.45 * alone))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return None


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
