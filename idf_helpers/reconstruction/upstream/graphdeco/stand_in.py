"""A stand-in for a clone of gaussian-splatting that runs on any CPU."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ....data.cameras_file import write_cameras
from ....data.dataset import Dataset
from ....data.media import read_image, to_uint8, write_image
from ....data.training_views import TrainingViews
from ....metrics import psnr, ssim
from ....runtime.files import write_json, write_text
from ...splats.config import SplatConfig
from ...splats.graphdeco_folder import GraphdecoFolder
from ...splats.ply import read_ply, write_ply
from ...splats.rasterizer import CpuRasterizer
from ...splats.train import Trainer
from ..clone import Check
from ..stand_in import TRAINER, bar, load_state, save_state, say, write_scripts
from .clone import GraphdecoClone

MOST = 6_000  # Gaussians: a CPU draws them quickly
SCRIPTS = {"train.py": "train", "render.py": "render", "metrics.py": "metrics"}


class GraphdecoStandIn(GraphdecoClone):
    """Scripts of the same names, which use this project's own trainer."""

    name = "the stand-in for graphdeco"
    license = f"MIT: it is {TRAINER}, nothing of graphdeco's"
    stand_in, initial, parts = True, MOST // 3, 20

    @classmethod
    def write(cls, folder: Path) -> GraphdecoStandIn:
        """Write its scripts to a folder and return it."""
        return cls(write_scripts(Path(folder).resolve(), __name__, SCRIPTS))

    def checks(self) -> Iterator[Check]:
        absent = [n for n in SCRIPTS if self.source is None or not (self.source / n).is_file()]
        yield Check("stand-in", "", f"{', '.join(absent)}: not there" if absent else None)

    def lacks_metrics(self) -> str | None:
        return None


def train() -> None:
    """Do what train.py does, with its arguments and files."""
    a = _train_arguments()
    say(f"Optimizing {a.model_path}")
    model, data = Path(a.model_path), Dataset.open(a.source_path)
    color = "white" if a.white_background else "black"
    views = TrainingViews.load(data.train, max(data.size) // a.resolution)
    config = SplatConfig(
        iterations=a.position_lr_max_steps, resolution=max(data.size) // a.resolution,
        sh_degree=a.sh_degree, lambda_dssim=a.lambda_dssim, background=color,
        initial=MOST // 3, max_gaussians=MOST)
    trainer = Trainer(views, config, points=_some(data.points(), MOST // 3))
    write_text(model / "cfg_args", str(argparse.Namespace(**vars(a) | {"images": "images"})))
    write_cameras(model / "cameras.json", [*data.test, *data.train])
    if a.start_checkpoint:
        load_state(Path(a.start_checkpoint), trainer)
    say(f"{len(views)} pictures, {trainer.count} Gaussians, from step {trainer.iteration}")
    first, began, mean, last = trainer.iteration, time.monotonic(), 0.0, 0
    while trainer.iteration < a.iterations:
        mean = 0.4 * trainer.step() + 0.6 * mean
        n = trainer.iteration
        if n == last:  # it went back to an earlier state
            continue
        last = n
        if n % 10 == 0 or n == a.iterations:
            bar(n, a.iterations, (time.monotonic() - began) * n / (n - first), mean)
        if n in a.save_iterations:
            say(f"\n[ITER {n}] Saving Gaussians")
            write_ply(trainer.scene().gaussians,
                      model / f"point_cloud/iteration_{n}/point_cloud.ply")
        if n in a.checkpoint_iterations:
            say(f"\n[ITER {n}] Saving Checkpoint")
            save_state(model / f"chkpnt{n}.pth", trainer)
    say("\nTraining complete.")


def render() -> None:
    """Do what render.py does: pictures of the test views, and the originals beside them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model_path", required=True)
    for flag in ("--skip_train", "--quiet"):
        parser.add_argument(flag, action="store_true")
    a = parser.parse_args()
    folder = GraphdecoFolder.find(a.model_path)
    if folder is None or folder.source is None:
        raise SystemExit(f"there is no model in {a.model_path}")
    data, rasterizer = Dataset.open(folder.source), CpuRasterizer()
    gaussians = read_ply(folder.model)
    side = folder.resolution(*data.size)
    for split in ("test",) if a.skip_train else ("train", "test"):
        out = folder.root / split / f"ours_{folder.iteration}"
        views = TrainingViews.load(data.splits[split], side)
        behind = np.array(folder.background, np.float32)
        for i, camera in enumerate(views.cameras):
            picture = rasterizer.forward(gaussians, camera, behind).rgb
            for name, rgb in (("renders", picture), ("gt", views.target(i, behind))):
                write_image(out / name / f"{i:05d}.png", to_uint8(rgb.transpose(1, 2, 0)))


def metrics() -> None:
    """Do what metrics.py does, without LPIPS, whose weights would have to be fetched."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model_paths", required=True, nargs="+")
    for model in map(Path, parser.parse_args().model_paths):
        means, views = {}, {}
        for method in sorted((model / "test").glob("ours_*")):
            rows = {p.name: _measure(p, method / "gt" / p.name)
                    for p in sorted((method / "renders").glob("*.png"))}
            kinds = ("SSIM", "PSNR")
            views[method.name] = {k: {n: r[k] for n, r in rows.items()} for k in kinds}
            means[method.name] = {k: float(np.mean([r[k] for r in rows.values()])) for k in kinds}
            say(f"{method.name}: {means[method.name]}")
        write_json(model / "results.json", means)
        write_json(model / "per_view.json", views)


def _measure(picture: Path, original: Path) -> dict[str, float]:
    a, b = (read_image(p)[..., :3].astype(np.float32) / 255 for p in (picture, original))
    return {"SSIM": float(ssim(a, b)), "PSNR": float(psnr(a, b))}


def _some(points: np.ndarray | None, count: int) -> np.ndarray | None:
    """At most so many of the points."""
    return None if points is None else points[::max(1, -(-len(points) // count))]


def _train_arguments() -> argparse.Namespace:
    """Those of train.py that this project gives it, see `program.train_arguments`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", "--source_path", required=True)
    parser.add_argument("-m", "--model_path", required=True)
    parser.add_argument("-r", "--resolution", type=int, default=1)
    for flag in ("--eval", "--disable_viewer", "--white_background"):
        parser.add_argument(flag, action="store_true")
    for flag, value in (("--iterations", 30_000), ("--sh_degree", 3),
                        ("--position_lr_max_steps", 30_000), ("--densify_until_iter", 15_000)):
        parser.add_argument(flag, type=int, default=value)
    parser.add_argument("--lambda_dssim", type=float, default=0.2)
    for flag in ("--test_iterations", "--save_iterations", "--checkpoint_iterations"):
        parser.add_argument(flag, type=int, nargs="+", default=[])
    parser.add_argument("--start_checkpoint", default="")
    return parser.parse_args()
