"""What all methods that train Gaussian splats have in common: where they start, the model on disk.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...data.dataset import Dataset
from ...provenance import Mark, marked
from ...provenance.watermark import bake
from ...runtime.runs import RunFolder
from .. import load
from ..method import Method, background_of
from ..surface import surface_points
from .config import GaussianConfig
from .formats.writing import exporters
from .gaussians import SH_C0
from .model_file import load_scene, read_model
from .model_path import MODEL, ORIGINAL
from .ply import write_ply
from .scene import GaussianScene

AS_POINTS = "started from the places and colors of an earlier model"


class SplatMethod(Method):
    """A trainer of Gaussian splats."""

    stage, made = "splats", "Gaussian splats"
    exporters = exporters()

    def __init__(self, name: str):
        self.name = name

    def watermarked(self, scene: GaussianScene, payload: int) -> GaussianScene:
        original = None if scene.original is None else bake(scene.original, payload)
        # with one payload in both, every mixture of them carries it
        return replace(scene, gaussians=bake(scene.gaussians, payload), original=original)

    def save(self, scene: GaussianScene, run: RunFolder, mark: Mark) -> None:
        for name, gaussians in ((ORIGINAL, scene.original), (MODEL, scene.gaussians)):
            if gaussians is not None:
                with marked(run.path / name, mark) as temporary:
                    write_ply(gaussians, temporary)

    def counts(self, scene: GaussianScene) -> dict[str, int]:
        return {"num_gaussians": len(scene.gaussians)}

    def is_complete(self, folder: Path, config) -> bool:
        return (folder / MODEL).is_file() and (folder / "cameras.json").is_file()

    def load(self, folder: Path, manifest: dict) -> GaussianScene:
        scene = load_scene(folder, background_of(folder, manifest))
        file = folder / ORIGINAL
        return replace(scene, original=read_model(file)) if file.is_file() else scene


def start_points(data: Dataset, config: GaussianConfig, count: int) -> np.ndarray | None:
    """Return where a training starts, (N, 3) positions or (N, 6) with colors; None = anywhere.

    `count` points on the surface of the scene that `config.points` names, else the points that the
    dataset brings.
    """
    if config.points:
        return surface_points(load(config.points), count, seed=config.seed)
    return data.points()


def foreign_start(data: Dataset, config: GaussianConfig, count: int
                  ) -> tuple[np.ndarray | None, list[str]]:
    """Return `start_points` for a trainer that cannot go on from Gaussians, and notes: of an
    earlier model (`config.start`) it takes places and colors alone."""
    if config.start is None:
        return start_points(data, config, count), []
    model = read_model(config.start, [f.camera for f in data.train])
    return np.concatenate([model.means, 0.5 + SH_C0 * model.sh[:, 0]], axis=1), [AS_POINTS]
