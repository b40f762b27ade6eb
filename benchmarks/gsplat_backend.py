"""Our trainer on gsplat against gsplat's own examples/simple_trainer.py, on an NVIDIA GPU.

    python benchmarks/gsplat_backend.py [--iterations 7000] [--upstream FOLDER] [--dataset FOLDER]

Must reach: within 5 % of its time and 0.1 dB of its PSNR on the same scene and settings.

Same scene: the dataset is written as a COLMAP folder with the start's positions as its points, so
that both begin alike; pictures over white. Same settings: the defaults of `GsplatConfig` are those
of simple_trainer.py, and the background is white in both. --upstream is a clone of gsplat with the
packages of examples/requirements.txt installed; without it only ours is measured. Its figures are
of its own metrics. Both hold out every 8th frame. Without a GPU it says so and measures nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.cameras import GL_TO_CV
from idf_helpers.dataset import Dataset
from idf_helpers.evaluate import evaluate_scene
from idf_helpers.media import write_image
from idf_helpers.splats import cuda
from idf_helpers.splats.config import SplatConfig
from idf_helpers.splats.gaussians import SH_C0
from idf_helpers.splats.gsplat_config import GsplatConfig
from idf_helpers.splats.initialise import initial_gaussians
from idf_helpers.splats.views import TrainingViews

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"
WHITE = np.ones(3, np.float32)
HOLD_OUT = 8  # simple_trainer.py's test_every, by file name


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


def write_colmap(folder: Path, dataset: Dataset, initial: int) -> np.ndarray:
    """All frames over white in COLMAP's text form, with points for a start; -> those (N, 6)."""
    frames = sorted(dataset.frames, key=lambda f: f.name)
    views = TrainingViews.load(frames, None)
    g = initial_gaussians(views, initial, 0, np.random.default_rng(0))
    points = np.concatenate([g.means, np.clip(0.5 + SH_C0 * g.sh[:, 0], 0, 1)], axis=1)
    sparse = folder / "sparse/0"
    sparse.mkdir(parents=True)
    c = views.cameras[0]
    (sparse / "cameras.txt").write_text(
        f"1 PINHOLE {c.width} {c.height} {c.fx} {c.fy} {c.cx} {c.cy}\n")
    lines = []
    for i, camera in enumerate(views.cameras):
        picture = views.target(i, WHITE).transpose(1, 2, 0)
        write_image(folder / f"images/{i:05d}.png", np.rint(255 * picture).astype(np.uint8))
        w, x, y, z = quaternion((camera.c2w @ GL_TO_CV)[:3, :3].T)
        t = camera.w2c_cv[:3, 3]
        lines += [f"{i + 1} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 1 {i:05d}.png", ""]
    (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{k + 1} {p[0]} {p[1]} {p[2]} {r} {gr} {b} 0" for k, (p, (r, gr, b)) in enumerate(
        zip(points[:, :3], np.rint(255 * points[:, 3:]).astype(int), strict=True))]
    (sparse / "points3D.txt").write_text("\n".join(rows) + "\n")
    return points


def quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """w, x, y, z of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return w, x, y, z


def ours(folder: Path, points: np.ndarray, options: Options) -> dict:
    from idf_helpers.splats.gsplat_train import fit_gsplat

    data = Dataset.open(folder)
    frames = sorted(data.frames, key=lambda f: f.name)
    split = {"train": tuple(f for i, f in enumerate(frames) if i % HOLD_OUT), "val": (),
             "test": tuple(frames[::HOLD_OUT])}
    data = replace(data, splits=split)
    config = SplatConfig(iterations=options.iterations, resolution=None, sh_degree=3,
                         background="white")
    began = time.perf_counter()
    scene = fit_gsplat(data, config, GsplatConfig(initial=options.initial), points=points)
    wall = time.perf_counter() - began
    metrics = evaluate_scene(scene, data.test)
    return {"seconds": scene.training["seconds"], "wall": wall, "psnr": metrics.summary()["psnr"],
            "ssim": metrics.summary()["ssim"], "gaussians": len(scene.gaussians)}


def upstreams(folder: Path, out: Path, options: Options) -> dict:
    scaler = options.iterations / 30_000
    command = [sys.executable, "simple_trainer.py", "default", "--disable-viewer",
               "--disable-video", "--data-dir", str(folder), "--data-factor", "1",
               "--result-dir", str(out), "--steps-scaler", str(scaler),
               "--no-normalize-world-space", "--eval-steps", "30000", "--save-steps", "30000",
               "--test-every", str(HOLD_OUT)]
    print("$ " + " ".join(command), flush=True)
    subprocess.run(command, cwd=options.upstream / "examples", check=True)
    train = json.loads(sorted((out / "stats").glob("train_step*.json"))[-1].read_text())
    val = json.loads(sorted((out / "stats").glob("val_step*.json"))[-1].read_text())
    return {"seconds": train["ellipse_time"], "wall": train["ellipse_time"], "psnr": val["psnr"],
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
        rows = {"ours": ours(folder, points, options)}
        if options.upstream is not None:
            rows["simple_trainer"] = upstreams(folder, Path(tmp) / "out", options)
    print(f"{'':16}{'train s':>9}{'wall s':>9}{'PSNR dB':>9}{'SSIM':>8}{'Gaussians':>11}")
    for name, r in rows.items():
        print(f"{name:16}{r['seconds']:9.1f}{r['wall']:9.1f}{r['psnr']:9.2f}{r['ssim']:8.4f}"
              f"{r['gaussians']:11d}")
    if "simple_trainer" in rows:
        a, b = rows["ours"], rows["simple_trainer"]
        print(f"time {a['seconds'] / b['seconds'] - 1:+.1%} (must reach: within 5 %), "
              f"PSNR {a['psnr'] - b['psnr']:+.2f} dB (within 0.1)")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
