"""The methods `splats cpu` and `splats reference`: our own trainer, on either rasterizer."""

from __future__ import annotations

from ...data.dataset import Dataset
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from .config import SplatConfig
from .model_file import read_model
from .rasterizers import RASTERIZERS
from .scene import GaussianScene
from .splat_method import SplatMethod, start_points
from .train import fit


class CpuSplats(SplatMethod):
    """Our trainer. name: of the rasterizer, "cpu" or "reference"."""

    config_type = SplatConfig

    def fit(self, data: Dataset, config: SplatConfig, run: RunFolder, reporter: Reporter
            ) -> GaussianScene:
        config = config.sized(max(max(c.width, c.height) for c in (
            f.camera.fitted(config.resolution) for f in data.train)))
        return fit(data, config, run=run, rasterizer=RASTERIZERS.load(self.name)(),
                   progress=reporter.training, points=start_points(data, config, config.initial),
                   start=read_model(config.start, [f.camera for f in data.train])
                   if config.start else None)
