"""The methods `splats cpu` and `splats reference`: our own trainer, on either rasterizer."""

from __future__ import annotations

from pathlib import Path

from ...data.dataset import Dataset
from ...provenance import Mark, marked
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from .. import load
from ..method import Method, background_of
from ..surface import surface_points
from .config import SplatConfig
from .model_file import load_scene, read_model
from .model_path import MODEL
from .ply import write_ply
from .rasterizers import RASTERIZERS
from .scene import GaussianScene
from .splat_file import write_splat
from .train import fit


class SplatMethod(Method):
    """What all trainers of Gaussian splats have in common: the model on disk."""

    stage, made = "splats", "Gaussian splats"
    exporters = {"ply": lambda scene, path: write_ply(scene.gaussians, path),
                 "splat": lambda scene, path: write_splat(scene.gaussians, path)}

    def __init__(self, name: str):
        self.name = name

    def save(self, scene: GaussianScene, run: RunFolder, mark: Mark) -> None:
        with marked(run.path / MODEL, mark) as temporary:
            write_ply(scene.gaussians, temporary)

    def counts(self, scene: GaussianScene) -> dict[str, int]:
        return {"num_gaussians": len(scene.gaussians)}

    def is_complete(self, folder: Path, config) -> bool:
        return (folder / MODEL).is_file() and (folder / "cameras.json").is_file()

    def load(self, folder: Path, manifest: dict) -> GaussianScene:
        return load_scene(folder, background_of(folder, manifest))


class CpuSplats(SplatMethod):
    """Our trainer. name: of the rasterizer, "cpu" or "reference"."""

    config_type = SplatConfig

    def fit(self, data: Dataset, config: SplatConfig, run: RunFolder, reporter: Reporter
            ) -> GaussianScene:
        start = read_model(config.start) if config.start else None
        points = data.points()
        if config.points:
            points = points_of_scene(config.points, config.initial, config.seed)
        return fit(data, config, run=run, rasterizer=RASTERIZERS.load(self.name)(),
                   progress=reporter.training, points=points, start=start)


def points_of_scene(path: Path, count: int, seed: int):
    """Return (N, 6) points on the surface of the scene of a run folder."""
    return surface_points(load(path), count, seed=seed)
