"""The method `splats gsplat`: gsplat's kernels and strategies on an NVIDIA GPU."""

from __future__ import annotations

from ...data.dataset import Dataset
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from .gsplat_config import GsplatConfig
from .gsplat_train import fit_gsplat
from .scene import GaussianScene
from .splat_method import SplatMethod, foreign_start


class GsplatSplats(SplatMethod):
    """Training with gsplat."""

    config_type = GsplatConfig

    def fit(self, data: Dataset, config: GsplatConfig, run: RunFolder, reporter: Reporter
            ) -> GaussianScene:
        points, notes = foreign_start(data, config, config.initial)
        scene = fit_gsplat(data, config, run=run, progress=reporter.training, points=points)
        if scene.training["halved"]:
            notes = [*notes, "the GPU's memory was full: trained with half the Gaussians"]
        scene.training["notes"] = notes
        return scene
