"""The loop on the bundled turntable: time of one turn, what it holds together, intensity, kills.

python benchmarks/style_loop.py [OUT]       about seven minutes on two cores

48 views of 256 x 256, 30 s of splats of the first views, then a refit to each style. Looks: bronze,
red hair, a painted front view, and `neural` where its networks are (`idf download neural_style`).
Refit: held-out PSNR by its steps. Intensity: the page with the slider beside the one without, and
its pictures, as the viewer reads them, beside the splats at both ends. Kills: the same command is
killed every few seconds, by SIGKILL, until it is done; no picture may have been made twice but the
one in work.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.data import samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.exporting.html import viewer_html
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.metrics import psnr
from idf_helpers.notebook.stylize_panel import loop_sheet, paint
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.runtime.download import missing
from idf_helpers.runtime.files import read_json
from idf_helpers.stylization.splats import SHAPES_FROM
from idf_helpers.stylization.stylists.neural_files import NEURAL_STYLE
from tests.fixtures.unpack import unpack

LIMITS_S = {"bronze": 60, "red hair": 60, "swirls, neural": 180}
REFITS = (100, 200, 400, 600)
LARGER, SAME_DB = 1.4, 45.0  # page with the slider over the one without; both ends of it
KILL_AFTER_S = (6, 9, 13, 17, 23, 31, 47)
TURNTABLE = samples.path("head_turntable")


def command(out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "idf_helpers", "loop", str(TURNTABLE), "--out", str(out),
            "--end", "1", "--output-resolution", "256", *words]


def run(out: Path, *words: str) -> float:
    """Seconds of one whole call, start of Python and compiling included."""
    started = time.perf_counter()
    subprocess.run(command(out, *words), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def refits(done: Path) -> list[tuple[int, float, float]]:
    """(steps, held-out dB, seconds) of refits to the views that a loop made."""
    data, rows = Dataset.open(done / "frames"), []
    for steps in REFITS:
        with tempfile.TemporaryDirectory() as folder:
            config = SplatConfig(iterations=steps, start=done / "original",
                                 refit=SHAPES_FROM)
            reconstruct(data, Path(folder) / "refit", "splats:cpu", config)
            found = read_json(Path(folder) / "refit" / "metrics.json")
        rows.append((steps, found["psnr"], found["seconds"]))
    return rows


def intensity(model: Path) -> tuple[float, float, float]:
    """Size of the page with the slider over that without; dB of its original and of its style."""
    scene = load(model)
    camera = scene.cameras[0]
    both, plain = (ViewerPayload.of_scene(s, soft_edge=False)
                   for s in (scene, replace(scene, gaussians=scene.original, original=None)))
    sizes = [len(viewer_html(payload, title="")) for payload in (both, plain)]
    ends = [psnr(GaussianScene(unpack(gzip.decompress(both.data), [beta])).render(camera),
                 GaussianScene(g).render(camera))
            for beta, g in ((0.0, scene.original), (1.0, scene.gaussians))]
    return sizes[0] / sizes[1], *ends


def killed(out: Path, *words: str) -> tuple[int, int, int]:
    """Kills, pictures made, pictures made more than once."""
    kills = 0
    while True:
        process = subprocess.Popen(command(out, *words), cwd=ROOT, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            after = KILL_AFTER_S[kills] if kills < len(KILL_AFTER_S) else None
            if process.wait(after) != 0:
                raise SystemExit("the loop failed")
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    events = (out / "iter1" / "frames" / "events.jsonl").read_text().splitlines()
    made = Counter((e["kind"], e["name"]) for e in map(json.loads, events) if "name" in e)
    return kills, len(made), sum(n > 1 for n in made.values())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        painting = paint(samples.dataset("head_turntable"), base)
        looks = {"bronze": ("--stylist", "preset", "--preset", "bronze"),
                 "red hair": ("--stylist", "preset", "--preset", "red_hair"),
                 "painted view": ("--stylist", "exemplar", "--exemplar", str(painting))}
        if not missing(NEURAL_STYLE):
            looks["swirls, neural"] = ("--stylist", "neural", "--style", "swirls")
        seconds, rows = {}, []
        for name, words in looks.items():
            out = base / name.replace(" ", "_")
            seconds[name] = run(out, *words)
            m = json.loads((out / "iter1" / "report.json").read_text())["measures"]
            rows.append((name, seconds[name], m))
            loop_sheet(out, 1)  # both videos can be read
        print("look           seconds  splats dB  neighbors  eighth of a turn  outline  "
              "background")
        for name, s, m in rows:
            def cell(key, width, digits, m=m):
                v = m.get(key)
                return f"{v:{width}.{digits}f}" if isinstance(v, float) else " " * (width - 1) + "-"
            print(f"{name:14s} {s:7.0f}  {cell('splats_psnr', 9, 2)}  "
                  f"{cell('warp_error_neighbors', 10, 2)}  {cell('warp_error_eighth', 16, 2)}  "
                  f"{cell('mask_overlap', 7, 3)}  {m['background_pixels']:10d}")
        print("\nlook            steps of the refit: held-out dB (seconds)")
        for name in looks:
            found = refits(base / name.replace(" ", "_") / "iter1")
            print(f"{name:14s}", *(f"{n:6d}: {db:5.2f} ({s:.1f})" for n, db, s in found))
        print("\nlook            page with slider   original, dB   style, dB")
        for name in looks:
            larger, *ends = intensity(base / name.replace(" ", "_") / "iter1" / "model")
            print(f"{name:14s} {larger:17.3f}   {ends[0]:12.1f}   {ends[1]:9.1f}"
                  f"{'' if larger <= LARGER and ends[0] >= SAME_DB else '   MISSED'}")
        kills, made, twice = killed(base / "killed", *looks["bronze"])
        print("\nwhat                                     measured   limit")
        for what, value, limit in (
                *((f"one loop, {name}, s", seconds[name], limit)
                  for name, limit in LIMITS_S.items() if name in seconds),
                (f"pictures made twice in {kills} kills", twice, kills),
                ("background pixels in the mask", sum(m["background_pixels"] for _, _, m in rows),
                 0)):
            print(f"{what:40s} {value:8.0f}   <= {limit}"
                  f"{'' if value <= limit else '   MISSED'}")
        print(f"({made} pictures)")


if __name__ == "__main__":
    main()
