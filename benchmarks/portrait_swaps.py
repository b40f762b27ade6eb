"""Swap pairs of portraits with whichever version of the library is on the path.

    PYTHONPATH=CHECKOUT python benchmarks/portrait_swaps.py JOBS.json OUT --consent TEXT

A helper of `public_portraits.py`, apart from it because it must run with older versions too: it
uses only what they share. JOBS.json: [{"name", "source", "target"}]. Into OUT go NAME.png (what a
user's call gives), NAME_mask.png and swaps.json: {name: {"status", "reason", "ms"}}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

from idf_helpers.data import media
from idf_helpers.errors import IdfError
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.image import swap_image
from idf_helpers.swapping.methods import choose_swapper
from idf_helpers.swapping.source import load_source

ROUNDS = 3  # timed swaps of a pair, after one that finds the landmarks


class Remembering(LandmarkDetector):
    """Finds the faces of a picture once, so that a swap is timed with landmarks known."""

    def __init__(self, folder=None):
        super().__init__(folder)
        self.seen: dict = {}

    def detect(self, image, *args, **named):
        key = id(image), args, tuple(sorted(named.items()))
        if key not in self.seen:  # the picture is kept, so that its id stays its own
            self.seen[key] = image, super().detect(image, *args, **named)
        return list(self.seen[key][1])


def swap_pair(source: Path, target: Path, out: Path, consent: str) -> tuple[Path, object, float]:
    """Return the file that a user's call writes, the result of the method itself, and the median
    processor time of it in milliseconds, with source and landmarks known."""
    config = SwapConfig(backend="mesh")
    path = swap_image(target, source, out, config, consent=consent, resume=False)
    face, image = load_source(source), media.read_image(target)
    method = choose_swapper(config, frozenset())[0].load()
    swapper = replace(method.prepare([], [face], None, Reporter(), config),
                      detector=Remembering())
    result, times = swapper(image, None), []
    for _ in range(ROUNDS):
        started = time.process_time()
        swapper(image, None)
        times.append(1000 * (time.process_time() - started))
    return path, result, statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("jobs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--consent", required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report = {}
    for job in json.loads(options.jobs.read_text("utf-8")):
        name = job["name"]
        try:
            path, result, ms = swap_pair(Path(job["source"]), Path(job["target"]),
                                         options.out / "runs" / name, options.consent)
        except IdfError as error:
            report[name] = {"status": "refused", "reason": str(error)}
            continue
        (options.out / f"{name}.png").write_bytes(path.read_bytes())  # the mark stays in it
        media.write_image(options.out / f"{name}_mask.png", media.to_uint8(result.mask))
        report[name] = {"status": result.status, "reason": result.reason, "ms": ms}
    (options.out / "swaps.json").write_text(json.dumps(report, indent=1), "utf-8")


if __name__ == "__main__":
    main()
