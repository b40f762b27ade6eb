"""How much memory and time the export of a large model takes, format by format.

    python benchmarks/export_memory.py [--gaussians 5000000] [--degree 0] [--formats ply splat …]

Writes a `.ply` of that many Gaussians, then exports it in a process for each format. "peak" is the
most resident memory of that process (Linux: VmHWM); numba, OpenCV and the program itself are in it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.ply import write_ply

CHILD = """
import sys
from idf_helpers.exporting.formats import export
export(sys.argv[1], sys.argv[2])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def write_model(path: Path, count: int, degree: int) -> None:
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal((count, *shape), np.float32)

    write_ply(Gaussians(draw(3), draw(3) * 0.3 - 5, draw(4), draw(),
                        0.3 * draw((degree + 1) ** 2, 3)), path, sh_degree=degree)


def main() -> int:
    from idf_helpers.exporting.formats import formats_of
    from idf_helpers.exporting.model import Model

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=5_000_000)
    parser.add_argument("--degree", type=int, default=0, choices=(0, 1, 2, 3))
    parser.add_argument("--formats", nargs="*", help="suffixes; all that are models or pages")
    parser.add_argument("--most-mb", type=float, default=2000)
    options = parser.parse_args()
    over = 0
    with tempfile.TemporaryDirectory(prefix="idf-memory-") as folder:
        small, large = Path(folder) / "small.ply", Path(folder) / "large.ply"
        write_model(small, 100, 0)
        names = options.formats or [n for n in formats_of(Model.open(small))
                                    if n not in ("mp4", "frames")]
        write_model(large, options.gaussians, options.degree)
        print(f"{options.gaussians} Gaussians of degree {options.degree}: "
              f"{large.stat().st_size / 1e6:.0f} MB")
        print(f"{'format':16} {'MB':>8} {'s':>7} {'peak MB':>8}", flush=True)
        for name in names:
            out, started = Path(folder) / f"out.{name.lstrip('.')}", time.perf_counter()
            done = subprocess.run([sys.executable, "-c", CHILD, str(large), str(out)], cwd=ROOT,
                                  capture_output=True, text=True)
            took = time.perf_counter() - started
            if done.returncode:
                print(f"{name:16} {(done.stderr.strip().splitlines() or ['failed'])[-1][:80]}")
                over += 1
                continue
            peak = int(done.stdout.split()[-1]) / 1024
            size = out.stat().st_size / 1e6 if out.is_file() else 0
            print(f"{name:16} {size:8.1f} {took:7.1f} {peak:8.0f}", flush=True)
            over += peak > options.most_mb
            shutil.rmtree(out) if out.is_dir() else out.unlink()
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
