"""The radiance field: quality in time, beside a small MLP NeRF, speed, memory, gradients.

    python benchmarks/nerf.py [--scene FOLDER] [--seconds 60] [--pictures FOLDER]

Each part runs in a process of its own, so that its peak memory is its own. --scene: a public scene
of the NeRF kind in Blender's layout (NeRF-synthetic's lego, say; not bundled), at 100². Metrics:
test split (at most 25 views, evenly chosen), RGBA over white, at training resolution.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data.dataset import Dataset
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.runtime.machine import cpu_count, cpu_name, peak_rss_mb
from idf_helpers.runtime.tables import Table

SAMPLE = Path(__file__).resolve().parents[1] / "assets/samples/head_multiview"
VIEWS = 25


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    scene: Path | None = None
    """A public scene of the NeRF kind; left out where there is none."""
    seconds: float = 60.0
    """Budget of the short runs."""
    long: float = 300.0
    """Budget of the long run on `scene`."""
    pictures: Path | None = None
    """Folder for renders beside the truth."""
    part: str = ""
    """For this script's own processes."""


def held_out(data: Dataset):
    return data.test[::max(1, len(data.test) // VIEWS)]


def voxel(dataset: Path, resolution: int, seconds: float, pictures: Path | None = None,
          config: VoxelConfig | None = None) -> dict:
    """A run of the voxel field, looked at after each quarter."""
    from idf_helpers.data.training_views import TrainingViews
    from idf_helpers.reconstruction.nerf.train import Trainer

    data = Dataset.open(dataset)
    views = TrainingViews.load(data.train, resolution)
    config = replace(config or VoxelConfig(), budget_s=seconds, resolution=resolution)
    trainer = Trainer(views, config)
    trainer.warm_up()
    curve = []
    for quarter in (0.25, 0.5, 0.75, 1.0):
        while trainer.seconds < quarter * seconds:
            trainer.step()
        scene = trainer.scene()
        metrics = evaluate_scene(scene, held_out(data), resolution)
        curve.append((round(trainer.seconds, 1), round(metrics.psnr, 2)))
    camera = views.cameras[0].fitted(160)
    scene.render(camera)
    began = time.perf_counter()
    for c in views.cameras[:20]:
        scene.render(c.fitted(160))
    fps = 20 / (time.perf_counter() - began)
    if pictures is not None:
        from idf_helpers.data import media
        from idf_helpers.notebook.comparison import geometry_picture

        media.write_image(pictures / f"nerf_{Path(dataset).name}.png",
                          geometry_picture(scene, data, resolution))
    return {"psnr": metrics.psnr, "ssim": metrics.ssim, "curve": curve, "fps": fps,
            "rays": trainer.iteration * config.rays / trainer.seconds, "steps": trainer.iteration,
            "memory": peak_rss_mb(), "voxels": len(trainer.grid)}


def small_mlp(dataset: Path, resolution: int, seconds: float) -> dict:
    """A NeRF of tiny_nerf's size (8 layers of 128, 6 frequencies, 64 samples, no fine network)."""
    from idf_helpers.data.training_views import TrainingViews
    from idf_helpers.reconstruction.nerf.vanilla.config import VanillaConfig
    from idf_helpers.reconstruction.nerf.vanilla.options import NerfOptions
    from idf_helpers.reconstruction.nerf.vanilla.train import VanillaTrainer

    data = Dataset.open(dataset)
    views = TrainingViews.load(data.train, resolution)
    options = NerfOptions(netdepth=8, netwidth=128, multires=6, N_samples=64, N_rand=1024,
                          white_bkgd=True, dataset_type="blender")
    trainer = VanillaTrainer(views, options, VanillaConfig(
        device="cpu", budget_s=seconds, resolution=resolution))
    while not trainer.done:
        trainer.step()
    metrics = evaluate_scene(trainer.scene(), held_out(data)[::4], resolution)
    return {"psnr": metrics.psnr, "steps": trainer.iteration, "memory": peak_rss_mb(),
            "rays": trainer.iteration * options.N_rand / trainer.seconds}


def splats(dataset: Path, resolution: int, seconds: float) -> dict:
    from idf_helpers.data.training_views import TrainingViews
    from idf_helpers.reconstruction.splats.config import SplatConfig
    from idf_helpers.reconstruction.splats.train import Trainer

    data = Dataset.open(dataset)
    trainer = Trainer(TrainingViews.load(data.train, resolution),
                      SplatConfig(budget_s=seconds, resolution=resolution))
    trainer.warm_up()
    while not trainer.done:
        trainer.step()
    scene = trainer.scene()
    metrics = evaluate_scene(scene, held_out(data), resolution)
    began = time.perf_counter()
    for frame in data.train[:20]:
        scene.render(frame.camera.fitted(160))
    return {"psnr": metrics.psnr, "ssim": metrics.ssim, "memory": peak_rss_mb(),
            "fps": 20 / (time.perf_counter() - began), "steps": trainer.iteration}


def gradients() -> dict:
    """The largest relative error of all gradients against double-precision autograd."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from idf_helpers.data.training_views import TrainingViews
    from idf_helpers.reconstruction.nerf.train import Trainer
    from tests.fixtures.ball_scene import BallDataset
    from tests.reconstruction.nerf import oracle

    trainer = Trainer(TrainingViews.load(BallDataset().train, 32),
                      VoxelConfig(iterations=1, resolution=32, grid=24, rays=256))
    rng, params = np.random.default_rng(0), trainer.grid.params
    params += rng.normal(0, 0.4, params.shape).astype(np.float32)
    params[:, 13:] = 0
    trainer.skip = trainer.grid.skip()
    rays = (*trainer.pixels.draw(rng, 256), rng.random((256, 3), np.float32),
            rng.random(256, np.float32))
    trainer._gradients(*rays)
    exact = torch.tensor(params, dtype=torch.float64, requires_grad=True)
    oracle.batch_loss(exact, trainer.grid.slots, trainer.skip, trainer.poses, *rays).backward()
    truth = exact.grad.numpy()
    return {name: float(np.abs(trainer.gradients[:, lanes] - truth[:, lanes]).max()
                        / np.abs(truth[:, lanes]).max())
            for name, lanes in (("density", slice(0, 1)), ("color", slice(1, 13)))}


def call(options: Options, part: str) -> dict:
    """Runs one part in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--seconds", str(options.seconds),
               "--long", str(options.long)]
    for name in ("scene", "pictures"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_part(o: Options) -> dict:
    parts = {
        "head": lambda: voxel(SAMPLE, 160, o.seconds, o.pictures),
        "head_splats": lambda: splats(SAMPLE, 160, o.seconds),
        "head_mlp": lambda: small_mlp(SAMPLE, 100, o.seconds),
        "head_100": lambda: voxel(SAMPLE, 100, o.seconds),
        "scene": lambda: voxel(o.scene, 100, o.seconds, o.pictures),
        "scene_long": lambda: voxel(o.scene, 100, o.long),
        "scene_splats": lambda: splats(o.scene, 100, o.seconds),
        "scene_mlp": lambda: small_mlp(o.scene, 100, o.seconds),
        "gradients": gradients,
    }
    return parts[o.part]()


def main(o: Options) -> None:
    if o.part:
        print(json.dumps(run_part(o)))
        return
    print(f"{cpu_name()}, {cpu_count()} cores; {o.seconds:g} s a run")
    rows = []

    def row(what, measured, limit=""):
        rows.append({"what": what, "measured": measured, "must reach": limit})

    def shown(r):
        return "  ".join(f"{s:g} s {p:.1f}" for s, p in r["curve"])

    head, head_splats = call(o, "head"), call(o, "head_splats")
    row("head, 160², voxel: held-out PSNR, dB", f"{head['psnr']:.2f}", ">= 32")
    row("  over time", shown(head))
    row("  the same by splats", f"{head_splats['psnr']:.2f}")
    small, mlp = call(o, "head_100"), call(o, "head_mlp")
    row("head, 100²: voxel - small MLP NeRF, dB",
        f"{small['psnr']:.2f} - {mlp['psnr']:.2f} = {small['psnr'] - mlp['psnr']:+.2f}", ">= +5")
    if o.scene is not None:
        scene, longer = call(o, "scene"), call(o, "scene_long")
        name = o.scene.name
        row(f"{name}, 100², voxel: held-out PSNR, dB", f"{scene['psnr']:.2f}", ">= 30")
        row("  over time", shown(scene))
        row(f"{name}, 100², voxel, {o.long:g} s", f"{longer['psnr']:.2f}", ">= 31.5")
        row("  the same as the first by splats", f"{call(o, 'scene_splats')['psnr']:.2f}")
        mlp_scene = call(o, "scene_mlp")
        row(f"{name}: voxel - small MLP NeRF, dB",
            f"{scene['psnr']:.2f} - {mlp_scene['psnr']:.2f} = "
            f"{scene['psnr'] - mlp_scene['psnr']:+.2f}", ">= +5")
    row("render, 160², frames a second: voxel", f"{head['fps']:.1f}", ">= 15")
    row("  splats", f"{head_splats['fps']:.1f}")
    row("training rays a second: voxel, small MLP",
        f"{head['rays']:.0f}, {mlp['rays']:.0f} ({head['rays'] / mlp['rays']:.0f}x)")
    row("peak memory, MB: voxel", f"{head['memory']:.0f}", "<= 1000")
    row("  splats", f"{head_splats['memory']:.0f}")
    for what, error in call(o, "gradients").items():
        row(f"relative error of the gradients, {what}", f"{error:.1e}", "<= 1e-3")
    print(Table(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
