"""Times of two checkouts, taken in turns in one run: is the second slower than the first?

    python benchmarks/before_after.py --before CHECKOUT [--after CHECKOUT] [--rounds 5]

Each round runs every job once with each checkout, so that a machine whose speed changes is fair to
both. Printed are medians and the ratio after/before. What a job is timed by: the wall clock for
starting up; for trainings and swaps what the run itself reports, without loading and compiling.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "assets" / "samples"
CONSENT = "Computer-made sample faces, no real person is shown."


def run(tree: Path, *words: str) -> float:
    """Run Python with these words in a checkout; return wall seconds."""
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=tree, env=env, capture_output=True,
                          text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed in {tree}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def idf(tree: Path, out: Path, report: str, *words: str) -> dict:
    """Run a command of `idf` into an empty folder; return the report that it leaves."""
    shutil.rmtree(out, ignore_errors=True)
    run(tree, "-m", "idf_helpers", *words, "--out", str(out))
    return json.loads((out / report).read_text(encoding="utf-8"))


def training(*words: str) -> Callable[[Path, Path], float]:
    """Milliseconds of an iteration."""
    def job(tree: Path, out: Path) -> float:
        m = idf(tree, out, "metrics.json", *words)
        return 1000 * m["seconds"] / m["iterations"]
    return job


def swap(backend: str) -> Callable[[Path, Path], float]:
    """Milliseconds of a frame of the bundled turn, everything included."""
    def job(tree: Path, out: Path) -> float:
        m = idf(tree, out, "swap_report.json", "swap", str(SAMPLES / "head_turntable"),
                "--backend", backend, "--source",
                str(SAMPLES / "source_photos" / "B.png"), "--consent", CONSENT)
        return 1000 * m["seconds"] / sum(m["counts"].values())
    return job


HEAD = str(SAMPLES / "head_multiview")
JOBS: dict[str, Callable[[Path, Path], float]] = {
    "import idf_helpers, ms": lambda tree, out: 1000 * run(tree, "-c", "import idf_helpers"),
    "idf --help, ms": lambda tree, out: 1000 * run(tree, "-m", "idf_helpers", "--help"),
    "splat iteration, 256², 30k, ms": training(
        "splat", HEAD, "--backend", "cpu", "--iterations", "300", "--initial", "30000",
        "--max-gaussians", "30000"),
    "voxel iteration, 128², ms": training(
        "nerf", HEAD, "--backend", "voxel", "--iterations", "200", "--resolution", "128"),
    "avatar iteration, 128², ms": training(
        "avatar", str(SAMPLES / "head_talking"), "--backend", "cpu", "--iterations", "300",
        "--resolution", "128"),
    "uv swap, a frame, ms": swap("uv"),
    "mesh swap, a frame, ms": swap("mesh"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--after", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "after": options.after.resolve()}
    jobs = {n: j for n, j in JOBS.items() if options.only in n}
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="idf-times-") as folder:
        for round_ in range(-1, options.rounds):  # the first compiles and is not counted
            for name, job in jobs.items():
                for which, tree in list(trees.items())[::1 if round_ % 2 else -1]:
                    value = job(tree, Path(folder) / which)
                    if round_ >= 0:
                        found.setdefault((name, which), []).append(value)
    print(f"{'job':34} {'before':>9} {'after':>9} {'ratio':>7}")
    for name in jobs:
        before, after = (statistics.median(found[name, which]) for which in trees)
        print(f"{name:34} {before:9.1f} {after:9.1f} {after / before:7.2f}")


if __name__ == "__main__":
    main()
