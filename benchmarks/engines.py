"""Engines of `pmap` on the swap: same bytes from each, and how much two workers gain.

    python benchmarks/engines.py [--frames 160] [--size 800]

160 frames of 800² (the sample head's views, enlarged) are swapped by uv with two processes: wall
time of everything, finding faces and fitting included. Then views of the sample head by each
engine: serial, two processes, threads, and a Dask cluster of two workers by its address; pictures
must be the same bytes. Gain: tasks of 50 ms of arithmetic, serial against two processes that are
running already. Needs two free cores, and `distributed` for the cluster.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import tyro

from idf_helpers import Dataset
from idf_helpers.data import media, samples
from idf_helpers.runtime.files import sha256_file
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.runtime.parallel import pmap
from idf_helpers.swapping.dataset import swap_dataset


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    frames: int = 160
    """Of the large dataset."""
    size: int = 800
    """Side of its pictures, pixels."""


def copy_views(folder: Path, frames: int, size: int | None) -> Path:
    """The sample head's views, over and over where more are asked for, enlarged."""
    data = samples.dataset("head_multiview")
    rows = []
    (folder / "train").mkdir(parents=True)
    for k in range(frames):
        f = data.frames[k % len(data.frames)]
        image = f.image() if size is None else media.resize_area(f.image(), size, size)
        media.write_image(folder / "train" / f"r_{k}.png", image)
        rows.append({"file_path": f"./train/r_{k}", "transform_matrix": f.camera.c2w.tolist()})
    (folder / "transforms_train.json").write_text(json.dumps(
        {"camera_angle_x": data.train[0].camera.fov_x, "frames": rows}))
    return folder


def burn(seconds: float) -> float:
    """Arithmetic for so many seconds of this process's time."""
    end, x = time.process_time() + seconds, 1.0
    while time.process_time() < end:
        x = (x * 1.0000001) % 7
    return x


def warm(_) -> None:
    time.sleep(0.3)


def main(options: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} cores")
    rows = []
    consent = "The bundled head, enlarged; it shows no real person."
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        big = Dataset.open(copy_views(root / "big", options.frames, options.size))
        start = time.perf_counter()
        swap_dataset(big, samples.photo("C"), root / "big_out", consent=consent, engine="process",
                     workers=2)
        rows.append((f"{options.frames} frames of {options.size}², uv, 2 processes, s wall",
                     time.perf_counter() - start, "<=", 60))
        shutil.rmtree(root / "big_out")
        shutil.rmtree(root / "big")

        some = Dataset.open(copy_views(root / "some", 40, None))
        outputs = {}
        with contextlib.ExitStack() as stack:
            engines = {"serial": "serial", "2 processes": "process",
                       "2 threads": stack.enter_context(ThreadPoolExecutor(2))}
            with contextlib.suppress(ImportError):
                from distributed import LocalCluster
                engines["Dask, 2 workers"] = stack.enter_context(LocalCluster(
                    2, threads_per_worker=1, dashboard_address=None,
                    silence_logs=50)).scheduler_address
            for name, engine in engines.items():
                start = time.perf_counter()
                out = swap_dataset(some, samples.photo("C"), root / name.replace(" ", "_"),
                                   consent=consent, engine=engine, workers=2)
                seconds = time.perf_counter() - start
                # The mark carries the run's own number, so pixels are compared, not files.
                outputs[name] = [samples.pixel_hash(f.image()) for f in out.frames]
                again = {p: sha256_file(p) for p in out.root.rglob("*.png")}
                swap_dataset(some, samples.photo("C"), out.root, consent=consent, engine=engine)
                same = again == {p: sha256_file(p) for p in out.root.rglob("*.png")}
                print(f"{name}: {len(out.frames)} views in {seconds:.1f} s wall; "
                      f"second run changes nothing: {same}")
        alike = [outputs["serial"] == o for o in outputs.values()]
        rows.append((f"engines with the serial one's pictures, of {len(alike)}", sum(alike), ">=",
                     len(alike)))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pmap(warm, range(4), pool))
        start = time.perf_counter()
        list(pmap(burn, [0.05] * 200, "serial"))
        serial = time.perf_counter() - start
        start = time.perf_counter()
        list(pmap(burn, [0.05] * 200, pool, workers=2))
        two = time.perf_counter() - start
    rows.append(("gain of two processes on tasks of 50 ms", serial / two, ">=", 1.7))
    for what, value, sign, limit in rows:
        good = value <= limit if sign == "<=" else value >= limit
        print(f"{what:56} {value:8.2f}  {sign} {limit:g}  {'ok' if good else 'MISSED'}")


if __name__ == "__main__":
    main(tyro.cli(Options))
