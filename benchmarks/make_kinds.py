"""`idf make` on each kind of target, from the bundled samples; every page opened in a browser.

    python benchmarks/make_kinds.py --out FOLDER [--only turn talk …] [--budget 60]
    python benchmarks/make_kinds.py --out FOLDER --photo PHOTO --target VIDEO --consent "…"

Makes a video of a turn, a video of a talking head, a folder of photos and a picture of the bundled
heads (FOLDER/targets), runs the command on them and on the bundled dataset (FOLDER/KIND), and opens
each page in a headless Chromium (FOLDER/KIND.png, to look at). The second line does the same on
footage of your own. Seconds are wall time and processor time of the whole command, memory is its
peak. Not for Windows, which does not count the time of other processes.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.cli.doctor import find_chromium
from idf_helpers.data import media, samples
from idf_helpers.data.sequence import natural_key
from idf_helpers.runtime.tables import Table
from tests.browser.conftest import FLAGS

CONSENT = "These are computer-made heads, nobody is shown."
PAGES = {"viewer.html", "avatar.html"}


def targets(folder: Path) -> dict[str, Path | str]:
    """Write the targets; return them by the name of their kind."""
    turn = sorted((samples.path("head_turntable") / "train_main").iterdir(),
                  key=lambda p: natural_key(p.name))
    turn = turn[24:] + turn[:24]  # from behind, so that the face is in the middle of the video
    talk = sorted((samples.path("head_talking") / "train").iterdir())
    front = samples.path("head_multiview") / "train/r_25.png"
    made = {"turn": folder / "turn.mp4", "photos": folder / "photos", "talk": folder / "talk.mp4",
            "picture": folder / "picture.png"}
    if not made["picture"].is_file():
        _video(made["turn"], turn, 4)
        _video(made["talk"], talk, 25)
        for i, path in enumerate(turn):
            media.write_image(made["photos"] / f"IMG_{i:04d}.jpg", _opaque(path))
        media.write_image(made["picture"], _opaque(front))
    return {**made, "views": "head_multiview"}


def _opaque(path: Path) -> np.ndarray:
    return media.over_gray(media.read_image(path))


def _video(path: Path, pictures: list[Path], fps: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with media.video_writer(path, fps, crf=16) as video:
        for picture in pictures:
            video.append(_opaque(picture))


def run(photo, target, out: Path, consent: str, more: list[str]) -> dict:
    """Run the command in a process of its own; return a row of the table."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "idf_helpers", "make", str(photo), str(target), "--out",
             str(out), "--consent", consent, *more]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    out.with_suffix(".log").write_text(done.stdout + done.stderr)
    if done.returncode:
        return {"taken for": "-", "s": round(seconds), "page": done.stderr.strip()[-300:]}
    report = json.loads((out / "make_report.json").read_text())
    stages = [json.loads(p.read_text()) for p in out.glob("*/run.json")]
    page = next((out / p for n, p in report["files"].items() if n in PAGES), None)
    return {"taken for": report["kind"], "s": round(seconds), "CPU s": round(cpu),
            "MB": round(max(s["peak_rss_mb"] for s in stages)),
            "dB": round(report["metrics"]["psnr"], 1) if report["metrics"] else None,
            "page": opens(page, out.with_suffix(".png")) if page else "none",
            "doubts": len(report["doubts"])}


def opens(page: Path, picture: Path) -> str:
    """Open a page; return "opens", or what the browser complains of. Saves what it shows."""
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        tab = browser.new_page(viewport={"width": 640, "height": 640})
        tab.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        tab.on("pageerror", lambda e: complaints.append(str(e)))
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector(".ready", timeout=120_000)
        tab.wait_for_timeout(1500)
        tab.screenshot(path=str(picture))
        browser.close()
    return re.sub(r"\s+", " ", complaints[0])[:80] if complaints else "opens"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--photo", default=str(samples.photo("B")))
    parser.add_argument("--target", type=Path)
    parser.add_argument("--consent", default=CONSENT)
    parser.add_argument("--budget", help="seconds of training; the command's own without")
    parser.add_argument("--iterations", help="in place of seconds")
    parser.add_argument("--resolution")
    a = parser.parse_args()
    more = [x for name in ("budget", "iterations", "resolution") if (v := getattr(a, name))
            for x in (f"--{name}", v)]
    given = {a.target.stem: a.target} if a.target else targets(a.out / "targets")
    rows = []
    for name, target in given.items():
        if a.only and name not in a.only:
            continue
        rows.append({"target": name, **run(a.photo, target, a.out / name, a.consent, more)})
        print(Table(rows), flush=True)


if __name__ == "__main__":
    main()
