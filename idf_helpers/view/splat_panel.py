"""Notebook 02's panel: backend, budget, resolution; `run()` trains with a live preview."""

from __future__ import annotations

import time
from pathlib import Path

import ipywidgets as w
import numpy as np

from .. import backends
from ..cameras import orbit
from ..dataset import Dataset
from ..files import read_json, stable_hash
from ..splats.config import SplatConfig
from ..splats.run import train_splats
from ..splats.scene import GaussianScene
from .widgets import LABEL, Panel, picture_widget, png

PREVIEW_S = 1.5  # seconds between two previews
PREVIEW_SIZE = 256


class SplatPanel(Panel):
    """Train splats on a dataset and watch.

    dataset: what to train on. out: folder for the runs. budget_s or iterations as in SplatConfig.
    After `run()`: `scene`, `metrics`, `folder` (the run folder), `curve` ((N, 2) seconds, dB).
    """

    action = "Train"

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 256, backend: str = "auto"):
        self.data, self.out = dataset, Path(out)
        self.amount = w.IntText(value=int(iterations or budget_s or 120), description="Train for",
                                style=LABEL, layout=w.Layout(width="230px"))
        self.unit = w.ToggleButtons(options=["seconds", "iterations"],
                                    value="iterations" if iterations else "seconds",
                                    style={"button_width": "100px"})
        self.resolution = w.IntSlider(value=resolution, min=64, max=512, step=32,
                                      description="Resolution", style=LABEL,
                                      layout=w.Layout(width="450px"))
        self.backend = w.Dropdown(options=["auto", *backends.names("splats")], value=backend,
                                  description="Backend", style=LABEL)
        self.preview = picture_widget(PREVIEW_SIZE)
        self.plot = picture_widget(400)
        self.scene: GaussianScene | None = None
        self.metrics: dict = {}
        self.folder: Path | None = None
        self.curve = np.zeros((0, 2))
        super().__init__()
        self.box.children = [*self.box.children, w.HBox([self.preview, self.plot])]

    def controls(self) -> list:
        return [self.backend, w.HBox([self.amount, self.unit]), self.resolution]

    @property
    def config(self) -> SplatConfig:
        amount = max(1, int(self.amount.value))
        if self.unit.value == "iterations":
            return SplatConfig(iterations=amount, resolution=self.resolution.value)
        return SplatConfig(budget_s=float(amount), resolution=self.resolution.value)

    def run(self) -> GaussianScene:
        """Trains (or reads back what is finished); Stop keeps what is there for the next call."""
        config = self.config
        chosen, why = backends.choose("splats", self.backend.value)  # "auto" is no other run
        key = stable_hash([self.data.fingerprint(), str(config), chosen.name])[:8]
        self.folder = self.out / f"splats-{key}"
        points: list[tuple[float, float]] = []
        front = orbit(self.data.cameras, 1, resolution=PREVIEW_SIZE)[0]
        shown = -1e9

        def progress(p) -> None:
            nonlocal shown
            points.append((p.seconds, p.psnr_train))
            self.bar.value = float(p.fraction)
            self.say(f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second, "
                     f"{p.psnr_train:.1f} dB on training views, {p.num_gaussians} Gaussians, "
                     f"{p.memory_mb:.0f} MB")
            if time.monotonic() - shown > PREVIEW_S or p.fraction >= 1:
                self.preview.value = png(p.preview(front))
                self.curve = np.array(points)
                self.plot.value = png(psnr_plot(self.curve))
                shown = time.monotonic()

        self.say(f"{why}\nreading pictures, compiling (once a machine, some seconds) …")
        self.scene = train_splats(self.data, self.folder, config, backend=chosen.name,
                                  progress=progress)
        self.metrics = read_json(self.folder / "metrics.json", "metrics file")
        self.preview.value = png(self.scene.render(front))
        self.bar.value = 1.0
        m = self.metrics
        self.say(f"held-out views: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
                 f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations in "
                 f"{m['seconds']:.0f} s\nwritten to {self.folder}")
        return self.scene


def psnr_plot(curve: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) line plot of training PSNR over seconds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    figure = Figure(figsize=(4.0, 2.6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(curve[:, 0], curve[:, 1], color="#3366aa")
    axes.set(xlabel="seconds", ylabel="PSNR on training views, dB")
    axes.grid(alpha=0.3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
