"""Our trainer on gsplat against gsplat's own examples/simple_trainer.py, on an NVIDIA GPU.

    python benchmarks/gsplat_backend.py [--iterations 7000] [--upstream FOLDER] [--dataset FOLDER]

Must reach: within 5 % of its time and 0.1 dB of its PSNR on the same scene and settings.

Same scene: the dataset is written as a COLMAP folder with the start's positions as its points, so
that both begin alike; pictures over black, which is what simple_trainer.py draws over. Same
settings: the defaults of `GsplatConfig` are those of simple_trainer.py. --upstream is a clone of
gsplat with the packages of examples/requirements.txt installed; without it only ours is measured.
Its figures are of its own metrics. Both hold out every 8th frame. They take turns, --repeats times
each, after a short training that wakes the GPU; best time, mean PSNR and SSIM. Without a GPU it
says so and measures nothing.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data.cameras import GL_TO_CV
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import write_image
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.splats.gaussians import SH_C0
from idf_helpers.reconstruction.splats.gsplat_config import GsplatConfig
from idf_helpers.reconstruction.splats.initialize import initial_gaussians
from idf_helpers.runtime import cuda

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"
BLACK = np.zeros(3, np.float32)
HOLD_OUT = 8  # simple_trainer.py's test_every, by file name
WARM_UP = 200  # steps before anything is timed


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    iterations: int = 7000
    """Steps of both."""
    dataset: Path = SAMPLE
    """A dataset folder."""
    upstream: Path | None = None
    """A clone of gsplat at the installed version's tag."""
    initial: int = 20_000
    """Gaussians at the start."""
    repeats: int = 2
    """Trainings of each."""


def write_colmap(folder: Path, dataset: Dataset, initial: int) -> np.ndarray:
    """All frames over black in COLMAP's binary form, with points for a start; -> those (N, 6)."""
    frames = sorted(dataset.frames, key=lambda f: f.name)
    views = TrainingViews.load(frames, None)
    g = initial_gaussians(views, initial, 0, np.random.default_rng(0))
    colors = np.rint(255 * np.clip(0.5 + SH_C0 * g.sh[:, 0], 0, 1)).astype(np.uint8)
    sparse = folder / "sparse/0"
    sparse.mkdir(parents=True)
    c = views.cameras[0]
    (sparse / "cameras.bin").write_bytes(struct.pack(
        "<QiiQQ4d", 1, 1, 1, c.width, c.height, c.fx, c.fy, c.cx, c.cy))  # one PINHOLE
    images = struct.pack("<Q", len(views))
    for i, camera in enumerate(views.cameras):
        picture = views.target(i, BLACK).transpose(1, 2, 0)
        write_image(folder / f"images/{i:05d}.png", np.rint(255 * picture).astype(np.uint8))
        turn = quaternion((camera.c2w @ GL_TO_CV)[:3, :3].T)
        images += struct.pack("<i7di", i + 1, *turn, *camera.w2c_cv[:3, 3], 1)
        images += f"{i:05d}.png".encode() + b"\0" + struct.pack("<Q", 0)
    (sparse / "images.bin").write_bytes(images)
    (sparse / "points3D.bin").write_bytes(struct.pack("<Q", len(g)) + b"".join(
        struct.pack("<Q3d3BdQ", k, *map(float, place), *map(int, color), 0.0, 0)
        for k, (place, color) in enumerate(zip(g.means, colors, strict=True))))
    return np.concatenate([g.means, colors / np.float32(255)], axis=1)


def quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """w, x, y, z of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return w, x, y, z


def ours(folder: Path, points: np.ndarray, options: Options) -> dict:
    from idf_helpers.reconstruction.splats.gsplat_train import fit_gsplat

    data = Dataset.open(folder)
    frames = sorted(data.frames, key=lambda f: f.name)
    split = {"train": tuple(f for i, f in enumerate(frames) if i % HOLD_OUT), "val": (),
             "test": tuple(frames[::HOLD_OUT])}
    data = replace(data, splits=split)
    config = GsplatConfig(iterations=options.iterations, resolution=None, sh_degree=3,
                          background="black", initial=options.initial)
    began = time.perf_counter()
    scene = fit_gsplat(data, config, points=points)
    wall = time.perf_counter() - began
    metrics = evaluate_scene(scene, data.test)
    return {"seconds": scene.training["seconds"], "wall": wall, "psnr": metrics.psnr,
            "ssim": metrics.ssim, "gaussians": len(scene.gaussians)}


def upstreams(folder: Path, out: Path, options: Options) -> dict:
    scaler = options.iterations / 30_000
    command = [sys.executable, "simple_trainer.py", "default", "--disable-viewer",
               "--disable-video", "--data-dir", str(folder), "--data-factor", "1",
               "--result-dir", str(out), "--steps-scaler", str(scaler),
               "--no-normalize-world-space", "--eval-steps", "30000", "--save-steps", "30000",
               "--test-every", str(HOLD_OUT)]
    print("$ " + " ".join(command), flush=True)
    began = time.perf_counter()
    subprocess.run(command, cwd=options.upstream / "examples", check=True)
    wall = time.perf_counter() - began
    train = json.loads(sorted((out / "stats").glob("train_step*.json"))[-1].read_text())
    val = json.loads(sorted((out / "stats").glob("val_step*.json"))[-1].read_text())
    return {"seconds": train["ellipse_time"], "wall": wall, "psnr": val["psnr"],
            "ssim": val["ssim"], "gaussians": val["num_GS"]}


def main(options: Options) -> int:
    lack = cuda.lacks_gpu()
    if lack:
        print(f"not measured: no CUDA GPU ({lack})")
        return 0
    lack = cuda.lacks_gsplat()
    if lack:
        print(f"not measured: {lack}")
        return 0
    import gsplat
    import torch

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, gsplat "
          f"{gsplat.__version__}, {options.iterations} steps")
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "scene"
        points = write_colmap(folder, Dataset.open(options.dataset), options.initial)
        ours(folder, points, replace(options, iterations=WARM_UP))
        rows: dict[str, list[dict]] = {}
        print(f"{'':16}{'train s':>9}{'wall s':>9}{'PSNR dB':>9}{'SSIM':>8}{'Gaussians':>11}")
        for k in range(options.repeats):
            show("ours", rows, ours(folder, points, options))
            if options.upstream is not None:
                show("simple_trainer", rows, upstreams(folder, Path(tmp) / f"out{k}", options))
    if "simple_trainer" in rows:
        (best, psnr), (their_best, their_psnr) = (
            (min(r["seconds"] for r in rows[name]), np.mean([r["psnr"] for r in rows[name]]))
            for name in ("ours", "simple_trainer"))
        print(f"time {best / their_best - 1:+.1%} (must reach: within 5 %), "
              f"PSNR {psnr - their_psnr:+.2f} dB (within 0.1)")
    return 0


def show(name: str, rows: dict[str, list[dict]], r: dict) -> None:
    """Prints one training and keeps it."""
    rows.setdefault(name, []).append(r)
    print(f"{name:16}{r['seconds']:9.1f}{r['wall']:9.1f}{r['psnr']:9.2f}{r['ssim']:8.4f}"
          f"{r['gaussians']:11d}", flush=True)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
