"""The main job from a shell: wall time, peak memory, where the time goes, no network.

    python benchmarks/demo.py [--out FOLDER] [--budget SECONDS]

Runs `idf demo` in a process of its own in which every socket refuses to connect. The must-reach
column is for two cores with the packages installed and the face models in the cache. The second
table counts each part's wall clock and processor time (all threads, programs that have ended) less
that of the parts inside it; --budget trains for another time than the demo does.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.machine import machine
from idf_helpers.runtime.tables import Table

# What a part is -> where the function that does it is looked up.
PARTS = {
    "photo: face, glasses, light": "swapping.job:load_source",
    "photo and views: identity": "swapping.dataset:SwapJob.of",
    "faces in the views": "swapping.uv_method:find_faces",
    "face mesh of the head": "swapping.uv_method:fit_face",
    "texture": "swapping.uv_method:bake",
    "the source's proportions": "swapping.uv_method:toward_sources",
    "views: read and swapped": "swapping.dataset:_swap_frame",
    "views: PNG": "swapping.dataset:encode_image",
    "views: marks": "provenance:mark_picture_bytes",
    "views: the rest of the stage": "making.make:swap_dataset",
    "views opened for training": "data.training_views:TrainingViews.load",
    "first Gaussians": "reconstruction.splats.train:initial_gaussians",
    "kernels compiled or loaded": "reconstruction.splats.train:Trainer.warm_up",
    "training": "reconstruction.splats.train:Trainer.step",
    "copies of the state": "reconstruction.splats.train:Trainer._save_state",
    "checkpoints": "runtime.runs:RunFolder.save_checkpoint",
    "watermark in the colors": "reconstruction.splats.splat_method:bake",
    "measured on held-out views": "reconstruction.method:evaluate_scene",
    "held-out sheet": "reconstruction.method:held_out_sheet",
    "model written": "reconstruction.splats.splat_method:write_ply",
    "training: the rest of the stage": "making.make:reconstruct",
    "model read back": "exporting.gallery:Model.open",
    "cleaned": "exporting.model:clean_scene",
    "measured before and after": "exporting.model:evaluate_scene",
    "before and after the swap": "exporting.gallery:write_swap_sheet",
    "page: data": "exporting.formats:ViewerPayload.of_scene",
    "page: poster": "exporting.payload:poster_url",
    "page: written": "exporting.formats:write_viewer",
    "splats drawn, all stages": "reconstruction.splats.scene:GaussianScene.render_full",
    "the visible word": "exporting.formats:labeled",
    "watermark in pictures": "provenance.mark_line:Mark.watermarked",
    "video: encoded": "data.media:VideoWriter.append",
    "video: end and check": "data.media:VideoWriter.finish",
    "marks and signatures": "provenance.marks:_put",
    "exports: the rest": "making.make:write_view",
    "report": "making.report:Report.finish",
}


class Profile:
    """Wall clock and processor seconds by part; a part inside another is not counted there."""

    def __init__(self):
        self.spent = defaultdict(lambda: [0.0, 0.0, 0])
        self._open = [["start of the program, the rest", *self._now()]]

    @staticmethod
    def _now() -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), time.process_time() + usage.ru_utime + usage.ru_stime

    def _count(self) -> None:
        part, wall, cpu = self._open[-1]
        now = self._now()
        self.spent[part][0] += now[0] - wall
        self.spent[part][1] += now[1] - cpu

    def _begin(self, part: str) -> None:
        self._count()
        self.spent[part][2] += 1
        self._open.append([part, *self._now()])

    def _end(self) -> None:
        self._count()
        self._open.pop()
        self._open[-1][1:] = self._now()

    def watch(self, part: str, place: str) -> None:
        """Count the calls of a function, by the name it is looked up under."""
        module, _, path = place.partition(":")
        owner = importlib.import_module(f"idf_helpers.{module}")
        *outer, name = path.split(".")
        owner = functools.reduce(getattr, outer, owner)
        bound = isinstance(owner.__dict__[name], classmethod)
        function = owner.__dict__[name].__func__ if bound else getattr(owner, name)

        @functools.wraps(function)
        def counted(*args, **kwargs):
            self._begin(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._end()

        setattr(owner, name, classmethod(counted) if bound else counted)

    def rows(self) -> list[dict]:
        self._count()
        return [{"part": part, "wall s": wall, "CPU s": cpu, "calls": calls}
                for part, (wall, cpu, calls) in self.spent.items()]


def child(out: str, budget: str) -> None:
    """Run the demo in this process, counted, without a network."""
    def refuse(*args, **kwargs):
        raise OSError("the demo tried to reach the network")

    socket.socket.connect = socket.socket.connect_ex = refuse
    socket.create_connection = socket.getaddrinfo = refuse
    profile = Profile()
    import idf_helpers.cli.demo
    import idf_helpers.cli.main
    import idf_helpers.reconstruction.splats.cpu_method

    profile.spent["packages imported"] = [*profile._now(), 0]
    profile.spent["packages imported"][0] -= profile._open[0][1]
    profile._open[0][1:] = profile._now()
    for part, place in PARTS.items():
        profile.watch(part, place)
    idf_helpers.cli.main.main(["demo", "--out", out, *(["--budget-s", budget] if budget else [])])
    Path(out + ".profile").write_text(json.dumps(profile.rows()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="keep the result here")
    parser.add_argument("--budget", default="", help="seconds of training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary) / "demo"
        record = Path(f"{out}.profile")
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, __file__, "--child", str(out),
                                    arguments.budget])
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        if status:
            sys.exit(f"the demo failed with status {status}")
        parts = json.loads(record.read_text())
        record.unlink()
        metrics = read_json(out / "splats" / "metrics.json")
        size = sum(p.stat().st_size for p in (out / "view").iterdir()) / 1e6
    rows = [
        {"what": "wall, s", "measured": wall, "must reach": "<= 90"},
        {"what": "CPU, s", "measured": usage.ru_utime + usage.ru_stime, "must reach": ""},
        {"what": "peak memory, MB", "measured": usage.ru_maxrss * 1024 / 1e6,
         "must reach": "<= 1500"},
        {"what": "network", "measured": "not used", "must reach": "none"},
        {"what": "training, s", "measured": metrics["seconds"], "must reach": ""},
        {"what": "PSNR on the held-out swapped views, dB", "measured": metrics["psnr"],
         "must reach": ">= 39.5"},
        {"what": "SSIM", "measured": metrics["ssim"], "must reach": ""},
        {"what": "PSNR inside the masks, dB", "measured": metrics["psnr_masked"],
         "must reach": ""},
        {"what": "view folder, MB", "measured": size, "must reach": ""},
    ]
    counted = sum(row["wall s"] for row in parts)
    parts.append({"part": "Python itself, its end", "wall s": wall - counted, "CPU s": None,
                  "calls": 1})
    m = machine()
    print(f"\n{m['processor']}, {m['cpus']} cores, load {os.getloadavg()[0]:.1f}")
    print(Table(rows))
    print()
    print(Table([row for row in parts if row["calls"] or row["wall s"] > 0.05]))


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["--child"] else main()
