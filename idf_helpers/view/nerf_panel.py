"""Notebook 03's panel: kind of field, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import ipywidgets as w
import numpy as np

from .. import backends
from ..cameras import orbit
from ..dataset import Dataset
from ..evaluate import Target, psnr
from ..files import read_json, stable_hash
from ..nerf.config import VoxelConfig
from ..nerf.stage import train
from .splat_panel import PREVIEW_S, PREVIEW_SIZE, psnr_plot
from .widgets import LABEL, Panel, picture_widget, png

CHECKED_VIEWS = 3  # held-out views that the curve over time is taken from


class NerfPanel(Panel):
    """Train a radiance field on a dataset and watch.

    dataset: what to train on. out: folder for the runs. budget_s or iterations as in VoxelConfig.
    After `run()`: `scene`, `metrics`, `folder` (the run folder), `curve` ((N, 2) seconds, dB on
    training views), `held_out` ((N, 2) seconds, dB on some held-out views).
    """

    action = "Train"

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 160, backend: str = "auto"):
        self.data, self.out, self.iterations = dataset, Path(out), iterations
        self.budget = w.IntSlider(value=int(budget_s or 60), min=1, max=600,
                                  description="Seconds", style=LABEL,
                                  layout=w.Layout(width="450px"))
        self.resolution = w.IntSlider(value=resolution, min=32, max=512, step=32,
                                      description="Resolution", style=LABEL,
                                      layout=w.Layout(width="450px"))
        self.backend = w.Dropdown(options=["auto", *backends.names("nerf")], value=backend,
                                  description="Backend", style=LABEL)
        self.preview = picture_widget(PREVIEW_SIZE)
        self.plot = picture_widget(400)
        self.scene = None
        self.metrics: dict = {}
        self.folder: Path | None = None
        self.curve = self.held_out = np.zeros((0, 2))
        super().__init__()
        self.box.children = [*self.box.children, w.HBox([self.preview, self.plot])]

    def controls(self) -> list:
        return [self.backend, self.budget, self.resolution]

    @property
    def config(self) -> VoxelConfig:
        config = VoxelConfig(resolution=self.resolution.value)
        if self.iterations:
            return replace(config, iterations=self.iterations)
        return replace(config, budget_s=float(self.budget.value))

    def run(self):
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        config = self.config
        key = stable_hash([self.data.fingerprint(), str(config), self.backend.value])[:8]
        self.folder = self.out / f"nerf-{key}"
        points: list[tuple[float, float]] = []
        checked = HeldOut(self.data, config.resolution)
        front = orbit(self.data.cameras, 1, resolution=PREVIEW_SIZE)[0]
        shown = -1e9

        def progress(p) -> None:
            nonlocal shown
            points.append((p.seconds, p.psnr_train))
            self.bar.value = float(p.fraction)
            self.say(f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second, "
                     f"{p.psnr_train:.1f} dB on training views, {p.size}, {p.memory_mb:.0f} MB")
            if time.monotonic() - shown > PREVIEW_S or p.fraction >= 1:
                self.preview.value = png(p.preview(front))
                checked.look(p)
                self.curve, self.held_out = np.array(points), checked.curve
                self.plot.value = png(psnr_plot(self.curve))
                shown = time.monotonic()

        self.say("reading pictures, compiling (once a machine, some seconds) …")
        self.scene = train(self.data, self.folder, config, backend=self.backend.value,
                           progress=progress)
        self.metrics = read_json(self.folder / "metrics.json", "metrics file")
        if self.backend.value != "vanilla":  # a frame of that takes a CPU minutes
            self.preview.value = png(self.scene.render(front))
        self.bar.value = 1.0
        m = self.metrics
        self.say(f"held-out views: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
                 f"{m['iterations']} iterations in {m['seconds']:.0f} s\nwritten to {self.folder}")
        return self.scene


class HeldOut:
    """PSNR over time on a few held-out views, for a progress callback: `look(progress)`.

    curve: (N, 2) seconds of optimisation, mean dB. The training's clock stands still meanwhile.
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
