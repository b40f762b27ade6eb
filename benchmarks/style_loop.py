"""The loop on the bundled turntable: time of one turn, what it holds together, kills.

python benchmarks/style_loop.py [OUT]       about eight minutes on two cores

48 views of 256 x 256, 60 s of splats (and as many for the depth where it is needed). Looks: bronze,
red hair, and a painted front view. Kills: the same command is killed every few seconds, by SIGKILL,
until it is done; no picture may have been made twice but the one in work.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.data import samples
from idf_helpers.notebook.stylize_panel import loop_sheet, paint

LIMIT_S = 300
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
        kills, made, twice = killed(base / "killed", *looks["bronze"])
        print("\nwhat                                     measured   limit")
        for what, value, limit in (
                ("one loop with a preset, s", seconds["bronze"], LIMIT_S),
                (f"pictures made twice in {kills} kills", twice, kills),
                ("background pixels in the mask", sum(m["background_pixels"] for _, _, m in rows),
                 0)):
            print(f"{what:40s} {value:8.0f}   <= {limit}"
                  f"{'' if value <= limit else '   MISSED'}")
        print(f"({made} pictures)")


if __name__ == "__main__":
    main()
