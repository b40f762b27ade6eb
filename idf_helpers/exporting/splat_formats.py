"""The export formats of splats: model files, the folder of graphdeco's trainer, the offline page.

Each is write(model, path, config, progress); marks and consent are the business of `view.export`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.dataset import Dataset
from ..data.training_views import TrainingViews
from ..reconstruction.splats.gaussians import SH_C0
from ..reconstruction.splats.initialize import initial_gaussians
from ..reconstruction.splats.model_folder import write_tree
from ..reconstruction.splats.ply import write_ply
from ..reconstruction.splats.splat_file import write_splat
from .config import ExportConfig
from .model import Model
from .page import write_page


def _ply(model: Model, path: Path, config: ExportConfig, progress) -> None:
    write_ply(model.scene.gaussians, path)


def _splat(model: Model, path: Path, config: ExportConfig, progress) -> None:
    write_splat(model.scene.gaussians, path)


def _graphdeco_folder(model: Model, out: Path, config: ExportConfig, progress) -> None:
    data, start = None, None
    if model.source is not None and model.source.is_dir():
        data = Dataset.open(model.source)
        start = _start(model, data)
    write_tree(out, model.scene, model.what, model.iterations, dataset=data,
               resolution=model.trained_at, start=start, progress=progress)


def _start(model: Model, data: Dataset) -> np.ndarray | None:
    """(N, 6) points that the training began with: COLMAP's, or drawn again from the seed."""
    points = data.points()
    if points is not None or "seed" not in model.settings:
        return points
    views = TrainingViews.load(data.train, model.trained_at)
    g = initial_gaussians(views, model.settings["initial"], 0,
                          np.random.default_rng(model.settings["seed"]))
    return np.concatenate([g.means, 0.5 + SH_C0 * g.sh[:, 0]], axis=1)


WRITERS = {"ply": _ply, "splat": _splat, "html": write_page, "graphdeco": _graphdeco_folder}
