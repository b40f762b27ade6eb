"""Notebook 03's panel: kind of field, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

import ipywidgets as w
import numpy as np

from ..data.cameras import orbit
from ..data.dataset import Dataset
from ..metrics import Target, psnr
from ..reconstruction.nerf.config import VoxelConfig
from ..reconstruction.nerf.stage import train
from ..runtime.files import read_json
from .training_panel import PREVIEW_SIZE, TrainingPanel
from .widgets import LABEL, png

CHECKED_VIEWS = 3  # held-out views that the curve over time is taken from


class NerfPanel(TrainingPanel):
    """Train a radiance field on a dataset and watch, see `TrainingPanel`.

    After `run()` also `held_out`: (N, 2) seconds, dB on some held-out views.
    """

    stage = "nerf"
    config_class = VoxelConfig
    seconds = 60
    smallest = 32

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 160, backend: str = "auto"):
        self.held_out = np.zeros((0, 2))
        super().__init__(dataset, out, budget_s, iterations, resolution, backend)

    def make_amount(self, budget_s: float | None, iterations: int | None) -> w.Widget:
        self.iterations = iterations
        self.budget = w.IntSlider(value=int(budget_s or self.seconds), min=1, max=600,
                                  description="Seconds", style=LABEL,
                                  layout=w.Layout(width="450px"))
        return self.budget

    def asked(self) -> dict:
        return {"iterations": self.iterations} if self.iterations else \
            {"budget_s": float(self.budget.value)}

    def size(self, p) -> str:
        return str(p.size)

    def look(self, p) -> None:
        self._checked.look(p)
        self.held_out = self._checked.curve

    def run(self):
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        backend, why = self.choose()
        self._checked = HeldOut(self.data, self.config.resolution)
        front = orbit(self.data.cameras, 1, resolution=PREVIEW_SIZE)[0]
        self.say(f"{why}\nreading pictures, compiling (once a machine, some seconds) …")
        self.scene = train(self.data, self.folder, self.config, backend=backend,
                           progress=self.watching(front))
        self.metrics = read_json(self.folder / "metrics.json", "metrics file")
        if backend != "vanilla":  # a frame of that takes a CPU minutes
            self.preview.value = png(self.scene.render(front))
        self.tell("held-out views")
        return self.scene


class HeldOut:
    """PSNR over time on a few held-out views, for a progress callback: `look(progress)`.

    curve: (N, 2) seconds of optimization, mean dB. The training's clock stands still meanwhile.
    """

    def __init__(self, dataset: Dataset, resolution: int | None):
        step = max(1, len(dataset.test) // CHECKED_VIEWS)
        self.targets = [Target.of(f, resolution) for f in dataset.test[::step][:CHECKED_VIEWS]]
        self.rows: list[tuple[float, float]] = []

    def look(self, p) -> None:
        """p: a Progress with `seconds` and `preview`."""
        values = [psnr(p.preview(t.camera, t.background), t.rgb) for t in self.targets]
        self.rows.append((p.seconds, float(np.mean(values))))

    @property
    def curve(self) -> np.ndarray:
        return np.array(self.rows).reshape(-1, 2)
