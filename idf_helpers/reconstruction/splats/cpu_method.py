"""The methods `splats cpu` and `splats reference`: our own trainer, on either rasterizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...data.dataset import Dataset
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from .config import SplatConfig
from .memory import memory_note
from .model_file import read_model
from .model_path import ORIGINAL
from .rasterizers import RASTERIZERS
from .refit import Refit
from .scene import GaussianScene
from .splat_method import SplatMethod, start_points
from .train import Trainer, fit


class CpuSplats(SplatMethod):
    """Our trainer. name: of the rasterizer, "cpu" or "reference"."""

    config_type = SplatConfig

    def fit(self, data: Dataset, config: SplatConfig, run: RunFolder, reporter: Reporter
            ) -> GaussianScene:
        cameras = [f.camera.fitted(config.resolution) for f in data.train]
        config = config.sized(max((max(c.width, c.height) for c in cameras), default=0))
        start = None if config.start is None else read_model(config.start,
                                                             [f.camera for f in data.train])
        most = config.max_gaussians
        trainer: Callable[..., Trainer] = Trainer
        if config.start is not None and config.refit is not None:
            most, before = len(start), config.start / ORIGINAL
            trainer = partial(Refit, original=read_model(before) if before.is_file() else None)
        if cameras and (note := memory_note(cameras, most, config.sh_degree)):
            reporter.note(note)
        return fit(data, config, run=run, rasterizer=RASTERIZERS.load(self.name)(),
                   progress=reporter.training, points=start_points(data, config, config.initial),
                   start=start, trainer=trainer)
