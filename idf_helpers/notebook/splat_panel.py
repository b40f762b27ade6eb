"""Notebook 02's panel: backend, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

from ..data.cameras import orbit
from ..reconstruction.splats.config import SplatConfig
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.files import read_json
from .training_panel import PREVIEW_SIZE, TrainingPanel
from .widgets import png


class SplatPanel(TrainingPanel):
    """Train splats on a dataset and watch, see `TrainingPanel`."""

    stage = "splats"
    config_class = SplatConfig

    def run(self) -> GaussianScene:
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        backend, why = self.choose()
        front = orbit(self.data.cameras, 1, resolution=PREVIEW_SIZE)[0]
        self.say(f"{why}\nreading pictures, compiling (once a machine, some seconds) …")
        self.scene = train_splats(self.data, self.folder, self.config, backend=backend,
                                  progress=self.watching(front))
        self.metrics = read_json(self.folder / "metrics.json", "metrics file")
        self.preview.value = png(self.scene.render(front))
        self.tell("held-out views")
        return self.scene
