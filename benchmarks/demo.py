"""The main job from a shell: wall time, peak memory, and that it needs no network.

    python benchmarks/demo.py [--out FOLDER]

Runs `idf demo` in a process of its own in which every socket refuses to connect. The must-reach
column is for two cores with the packages installed and the face models in the cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.machine import machine
from idf_helpers.runtime.tables import Table

CHILD = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("the demo tried to reach the network")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
from idf_helpers.cli.main import main
main(["demo", "--out", sys.argv[1]])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="keep the result here")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as temporary:
        out = out or Path(temporary) / "demo"
        started = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(out)])
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        if status:
            sys.exit(f"the demo failed with status {status}")
        metrics = read_json(out / "splats" / "metrics.json")
        size = sum(p.stat().st_size for p in (out / "view").iterdir()) / 1e6
    rows = [
        {"what": "wall, s", "measured": wall, "must reach": "<= 360"},
        {"what": "CPU, s", "measured": usage.ru_utime + usage.ru_stime, "must reach": ""},
        {"what": "peak memory, MB", "measured": usage.ru_maxrss * 1024 / 1e6,
         "must reach": "<= 1500"},
        {"what": "network", "measured": "not used", "must reach": "none"},
        {"what": "PSNR on the held-out swapped views, dB", "measured": metrics["psnr"],
         "must reach": ">= 33"},
        {"what": "SSIM", "measured": metrics["ssim"], "must reach": ""},
        {"what": "PSNR inside the masks, dB", "measured": metrics["psnr_masked"],
         "must reach": ""},
        {"what": "view folder, MB", "measured": size, "must reach": ""},
    ]
    m = machine()
    print(f"\n{m['processor']}, {m['cpus']} cores, load {os.getloadavg()[0]:.1f}")
    print(Table(rows))


if __name__ == "__main__":
    main()
