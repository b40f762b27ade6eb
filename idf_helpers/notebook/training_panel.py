"""What the panels that train share: the controls, a live preview, a curve."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..catalogue import STAGES
from ..data.cameras import Camera
from ..data.dataset import Dataset
from ..runtime.files import stable_hash
from .widgets import LABEL, Panel, picture_widget, png

PREVIEW_S = 1.5  # seconds between two previews
PREVIEW_SIZE = 256


class TrainingPanel(Panel):
    """Train on a dataset and watch. Subclasses name these and override `run`:

    stage: of `backends`. config_class: has iterations, budget_s and resolution. seconds: budget
    where none is given. smallest: least resolution to choose. trained_on: the pictures, in words.

    dataset: what to train on. out: folder for the runs. budget_s or iterations as in the config.
    After `run()`: `scene`, `metrics`, `folder` (the run folder), `curve` ((N, 2) seconds, dB on
    what is trained on).
    """

    action = "Train"
    stage: str
    config_class: type
    seconds = 120
    smallest = 64
    trained_on = "training views"

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 256, backend: str = "auto"):
        self.data, self.out = dataset, Path(out)
        self.resolution = w.IntSlider(value=resolution, min=self.smallest, max=512, step=32,
                                      description="Resolution", style=LABEL,
                                      layout=w.Layout(width="450px"))
        self.backend = w.Dropdown(options=["auto", *STAGES[self.stage].names()], value=backend,
                                  description="Backend", style=LABEL)
        self.amount_box = self.make_amount(budget_s, iterations)
        self.preview = picture_widget(PREVIEW_SIZE)
        self.plot = picture_widget(400)
        self.scene = None
        self.metrics: dict = {}
        self.folder: Path | None = None
        self.curve = np.zeros((0, 2))
        super().__init__()
        self.box.children = [*self.box.children, w.HBox([self.preview, self.plot])]

    def make_amount(self, budget_s: float | None, iterations: int | None) -> w.Widget:
        """The widget for how long to train; `asked()` reads it."""
        self.amount = w.IntText(value=int(iterations or budget_s or self.seconds),
                                description="Train for", style=LABEL,
                                layout=w.Layout(width="230px"))
        self.unit = w.ToggleButtons(options=["seconds", "iterations"],
                                    value="iterations" if iterations else "seconds",
                                    style={"button_width": "100px"})
        return w.HBox([self.amount, self.unit])

    def asked(self) -> dict:
        """iterations or budget_s, as the config takes them."""
        amount = max(1, int(self.amount.value))
        return {"iterations": amount} if self.unit.value == "iterations" else \
            {"budget_s": float(amount)}

    def controls(self) -> list:
        return [self.backend, self.amount_box, self.resolution]

    @property
    def config(self):
        return self.config_class(resolution=self.resolution.value, **self.asked())

    def choose(self, *more) -> tuple[str, str]:
        """(name of the backend, why it); sets `folder`, one for each choice. more: what else tells
        two runs apart. "auto" is no other run than the backend that it takes."""
        chosen, why = STAGES[self.stage].choose(self.backend.value)
        key = stable_hash([self.data.fingerprint(), str(self.config), chosen.name, *more])[:8]
        self.folder = self.out / f"{self.stage}-{key}"
        return chosen.name, why

    def size(self, p) -> str:
        """Of the model, in words. p: a Progress."""
        return f"{p.num_gaussians} Gaussians"

    def look(self, p) -> None:
        """Called with each preview."""

    def watching(self, camera: Camera) -> Callable:
        """The progress callback of a training, with previews from `camera`."""
        points: list[tuple[float, float]] = []
        shown = -1e9

        def progress(p) -> None:
            nonlocal shown
            points.append((p.seconds, p.psnr_train))
            self.bar.value = float(p.fraction)
            self.say(f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second, "
                     f"{p.psnr_train:.1f} dB on {self.trained_on}, {self.size(p)}, "
                     f"{p.memory_mb:.0f} MB")
            if time.monotonic() - shown > PREVIEW_S or p.fraction >= 1:
                self.preview.value = png(p.preview(camera))
                self.look(p)
                self.curve = np.array(points)
                self.plot.value = png(psnr_plot(self.curve, self.trained_on))
                shown = time.monotonic()
        return progress

    def tell(self, held_out: str) -> None:
        """The last line. held_out: what was measured, in words."""
        m = self.metrics
        size = f"{m['num_gaussians']} Gaussians, " if "num_gaussians" in m else ""
        self.bar.value = 1.0
        self.say(f"{held_out}: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; {size}"
                 f"{m['iterations']} iterations in {m['seconds']:.0f} s\nwritten to {self.folder}")


def psnr_plot(curve: np.ndarray, trained_on: str = "training views") -> np.ndarray:
    """uint8 (H, W, 3) line plot of training PSNR over seconds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    figure = Figure(figsize=(4.0, 2.6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(curve[:, 0], curve[:, 1], color="#3366aa")
    axes.set(xlabel="seconds", ylabel=f"PSNR on {trained_on}, dB")
    axes.grid(alpha=0.3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
