"""Notebook 04's panel: backend, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

from dataclasses import replace

from ..reconstruction import reconstruct
from ..reconstruction.avatar.config import AvatarConfig
from ..runtime.files import read_json
from ..runtime.progress import Reporter
from .training_panel import PREVIEW_SIZE, TrainingPanel
from .widgets import png


class AvatarPanel(TrainingPanel):
    """Train an avatar on a sequence with poses and expressions and watch, see `TrainingPanel`.

    baseline: train a model that cannot move beside it.
    """

    stage = "avatar"
    config_class = AvatarConfig
    seconds = 180
    smallest = 32
    trained_on = "training frames"

    def __init__(self, *arguments, baseline: bool = False, **settings):
        self.baseline = baseline
        super().__init__(*arguments, **settings)

    def run(self):
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        backend, why = self.choose(self.baseline)
        watched = self.data.train[len(self.data.train) // 2]
        camera = watched.camera.fitted(PREVIEW_SIZE)
        self.say(f"{why}\nreading frames, compiling (once a machine, some seconds) …")
        reporter = Reporter()
        reporter.training, reporter.note = self.watching(camera), self.say
        self.scene = reconstruct(self.data, self.folder, f"avatar:{backend}",
                                 replace(self.config, baseline=self.baseline), reporter=reporter)
        self.metrics = read_json(self.folder / "metrics.json")
        self.preview.value = png(self.scene.render(camera, watched.expression))
        self.tell("held-out frames")
        return self.scene
