"""Notebook 04's panel: backend, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

from ..reconstruction.avatar.config import AvatarConfig
from ..reconstruction.avatar.run import read_metrics, train_avatar
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
        self.scene = train_avatar(self.data, self.folder, self.config, backend=backend,
                                  baseline=self.baseline, progress=self.watching(camera),
                                  say=self.say)
        self.metrics = read_metrics(self.folder)
        self.preview.value = png(self.scene.render(camera, watched.expression))
        self.tell("held-out frames")
        return self.scene
