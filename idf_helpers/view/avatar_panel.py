"""Notebook 04's panel: backend, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

import time
from pathlib import Path

import ipywidgets as w
import numpy as np

from .. import backends
from ..avatar.config import AvatarConfig
from ..avatar.run import read_metrics, train_avatar
from ..dataset import Dataset
from ..files import stable_hash
from .splat_panel import PREVIEW_S, PREVIEW_SIZE, psnr_plot
from .widgets import LABEL, Panel, picture_widget, png


class AvatarPanel(Panel):
    """Train an avatar on a sequence and watch.

    dataset: frames with poses and expressions. out: folder for the runs. budget_s or iterations as
    in AvatarConfig. After `run()`: `scene`, `metrics`, `folder` (the run folder), `curve` ((N, 2)
    seconds, dB).
    """

    action = "Train"

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 256, backend: str = "auto",
                 baseline: bool = False):
        self.data, self.out, self.baseline = dataset, Path(out), baseline
        self.amount = w.IntText(value=int(iterations or budget_s or 180), description="Train for",
                                style=LABEL, layout=w.Layout(width="230px"))
        self.unit = w.ToggleButtons(options=["seconds", "iterations"],
                                    value="iterations" if iterations else "seconds",
                                    style={"button_width": "100px"})
        self.resolution = w.IntSlider(value=resolution, min=32, max=512, step=32,
                                      description="Resolution", style=LABEL,
                                      layout=w.Layout(width="450px"))
        self.backend = w.Dropdown(options=["auto", *backends.names("avatar")], value=backend,
                                  description="Backend", style=LABEL)
        self.preview = picture_widget(PREVIEW_SIZE)
        self.plot = picture_widget(400)
        self.scene = None
        self.metrics: dict = {}
        self.folder: Path | None = None
        self.curve = np.zeros((0, 2))
        super().__init__()
        self.box.children = [*self.box.children, w.HBox([self.preview, self.plot])]

    def controls(self) -> list:
        return [self.backend, w.HBox([self.amount, self.unit]), self.resolution]

    @property
    def config(self) -> AvatarConfig:
        amount = max(1, int(self.amount.value))
        if self.unit.value == "iterations":
            return AvatarConfig(iterations=amount, resolution=self.resolution.value)
        return AvatarConfig(budget_s=float(amount), resolution=self.resolution.value)

    def run(self):
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        config = self.config
        key = stable_hash([self.data.fingerprint(), str(config), self.backend.value,
                           self.baseline])[:8]
        self.folder = self.out / f"avatar-{key}"
        points: list[tuple[float, float]] = []
        watched = self.data.train[len(self.data.train) // 2]
        camera = watched.camera.fitted(PREVIEW_SIZE)
        shown = -1e9

        def progress(p) -> None:
            nonlocal shown
            points.append((p.seconds, p.psnr_train))
            self.bar.value = float(p.fraction)
            self.say(f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second, "
                     f"{p.psnr_train:.1f} dB on training frames, {p.num_gaussians} Gaussians, "
                     f"{p.memory_mb:.0f} MB")
            if time.monotonic() - shown > PREVIEW_S or p.fraction >= 1:
                self.preview.value = png(p.preview(camera))
                self.curve = np.array(points)
                self.plot.value = png(psnr_plot(self.curve))
                shown = time.monotonic()

        self.say("reading frames, compiling (once a machine, some seconds) …")
        self.scene = train_avatar(self.data, self.folder, config, backend=self.backend.value,
                                  baseline=self.baseline, progress=progress, say=self.say)
        self.metrics = read_metrics(self.folder)
        if points:
            self.curve = np.array(points)
        self.preview.value = png(self.scene.render(camera, watched.expression))
        self.bar.value = 1.0
        m = self.metrics
        self.say(f"held-out frames: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
                 f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations in "
                 f"{m['seconds']:.0f} s\nwritten to {self.folder}")
        return self.scene
