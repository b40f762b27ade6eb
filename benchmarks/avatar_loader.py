"""Memory of the streaming loader: 6500 frames of 512², as a NeRFace sequence has them.

    python benchmarks/avatar_loader.py [--frames 6500] [--size 512] [--folder DIR]

Makes the data set (flat pictures: their PNGs are small, what is decoded is not), builds the cache,
then draws whole frames. Anonymous memory is what the process cannot give back; the pages
of the cache are the file's. Needs 5 GB of disk; everything made is deleted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import encode_image
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.runtime.machine import cpu_count, cpu_name, peak_rss_mb

LIMIT_MB = 500
UPSTREAM_MB = 9.5  # memory per frame of 512² of NeRFace's own loader, measured


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    frames: int = 6500
    """Frames of the sequence."""
    size: int = 512
    """Side of the square pictures."""
    folder: Path | None = None
    """Where to work; None: a temporary folder."""


def anonymous_mb() -> float:
    """Resident memory that no file backs, MB (10^6 bytes); Linux."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def write_sequence(root: Path, frames: int, size: int) -> None:
    """A NeRFace folder of flat pictures."""
    rng = np.random.default_rng(0)
    for split, count in (("train", frames - frames // 6), ("test", frames // 6)):
        (root / split).mkdir(parents=True)
        entries = []
        for i in range(count):
            color = rng.integers(0, 256, 3, np.uint8)
            picture = np.broadcast_to(color, (size, size, 3))
            (root / split / f"f_{i:04d}.png").write_bytes(
                encode_image(np.ascontiguousarray(picture)))
            c2w = np.eye(4)
            c2w[:3, 3] = rng.normal(0, 0.02, 3) + (0, 0, 0.5)
            entries.append({"file_path": f"./{split}/f_{i:04d}", "transform_matrix": c2w.tolist(),
                            "expression": rng.normal(0, 1, 76).round(4).tolist(),
                            "bbox": [0.1, 0.9, 0.2, 0.8]})
        (root / f"transforms_{split}.json").write_text(json.dumps(
            {"camera_angle_x": 0.35, "intrinsics": [-2.9 * size, 2.9 * size, 0.5, 0.5],
             "frames": entries}))
    (root / "bg").mkdir()
    (root / "bg" / "00050.png").write_bytes(encode_image(np.zeros((size, size, 3), np.uint8)))


def main(options: Options) -> None:
    work = options.folder or Path(tempfile.mkdtemp(prefix="idf-loader-"))
    try:
        write_sequence(work / "data", options.frames, options.size)
        before = anonymous_mb()
        highest = before

        def watch(n):
            nonlocal highest
            if n % 50 == 0:
                highest = max(highest, anonymous_mb())

        start = time.process_time()
        dataset = Dataset.open(work / "data")
        opened = time.process_time() - start
        highest = max(highest, anonymous_mb())
        start = time.process_time()
        source = FrameSource(dataset, dataset.frames, work / "cache", progress=watch)
        built = time.process_time() - start
        rng = np.random.default_rng(0)
        start = time.process_time()
        for i in rng.integers(len(source), size=400):
            source.frame(i).astype(np.float32)
        whole = (time.process_time() - start) / 400
        highest = max(highest, anonymous_mb())
        print(f"{cpu_name()}, {cpu_count()} cores; {len(source)} frames of {options.size}²\n")
        rows = [("anonymous memory, MB", highest, f"<= {LIMIT_MB}"),
                ("  of it before the data set was opened, MB", before, ""),
                ("peak resident memory, pages of the cache included, MB", peak_rss_mb(), ""),
                ("cache on disk, MB", source.cache.file.stat().st_size / 1e6, ""),
                ("opening the data set, CPU s", opened, ""),
                ("building the cache, CPU ms a frame", 1e3 * built / len(source), ""),
                ("a whole random frame as numbers, CPU ms", 1e3 * whole, ""),
                ("upstream's loader at 9.5 MB a frame, MB", UPSTREAM_MB * len(source)
                 * (options.size / 512) ** 2, "")]
        for what, value, limit in rows:
            print(f"{what:55s} {value:10.1f}  {limit}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
