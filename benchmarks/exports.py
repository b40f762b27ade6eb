"""What a trained head takes to be written: a turn as a video, pictures, the page; before and now.

    python benchmarks/exports.py RUN [--before FOLDER] [--rounds 3]

RUN is a run folder of splats. --before names a checkout of an earlier version, which is measured
in turns with this one. Medians of the wall clock and of the processor time of all threads and of
ffmpeg; imports, compiling and a first small export are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from idf_helpers.runtime.machine import machine
from idf_helpers.runtime.tables import Table

CHILD = """
import json, resource, sys, tempfile, time
from pathlib import Path
from idf_helpers.exporting.formats import export, render
from idf_helpers.exporting.model import Model

model = Model.open(sys.argv[1])
out = Path(tempfile.mkdtemp())


def measured(job):
    def now():
        child = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), time.process_time() + child.ru_utime + child.ru_stime
    start = now()
    job()
    return [b - a for a, b in zip(start, now())]


render(model, out / "first.mp4", orbit=True, frames=2, resolution=64)
render(model, out / "first", views=1, resolution=64)
print(json.dumps({
    "orbit, 120 frames at 512\u00b2": measured(
        lambda: render(model, out / "o.mp4", orbit=True, frames=120, resolution=512)),
    "16 pictures at 512\u00b2": measured(lambda: render(model, out / "p", 16, resolution=512)),
    "page": measured(lambda: export(model, out / "page.html")),
    "front view": measured(lambda: export(model, out / "front.png"))}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    trees = {"before": arguments.before, "now": Path(__file__).resolve().parents[1]}
    found: dict[str, dict[str, list]] = {}
    for _ in range(arguments.rounds):
        for name, tree in trees.items():
            if tree is None:
                continue
            done = subprocess.run([sys.executable, "-c", CHILD, str(arguments.run.resolve())],
                                  cwd=tree, env=os.environ | {"PYTHONPATH": str(tree.resolve())},
                                  stdout=subprocess.PIPE, text=True, check=True)
            for what, times in json.loads(done.stdout.splitlines()[-1]).items():
                found.setdefault(what, {}).setdefault(name, []).append(times)
    rows = []
    for what, by_tree in found.items():
        row: dict = {"what": what}
        for k, unit in enumerate(("wall s", "CPU s")):
            of = {name: median(t[k] for t in times) for name, times in by_tree.items()}
            row |= {f"{name}, {unit}": of[name] for name in of}
            if len(of) == 2:
                row[f"ratio, {unit[:-2]}"] = of["before"] / of["now"]
        rows.append(row)
    m = machine()
    print(f"\n{m['processor']}, {m['cpus']} cores, load {os.getloadavg()[0]:.1f}")
    print(Table(rows))


if __name__ == "__main__":
    main()
