"""The panels that train: method, length, resolution; a live preview and a curve."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..catalogue import STAGES
from ..data.cameras import Camera, orbit
from ..data.dataset import Dataset
from ..data.inputs import mount_drive
from ..errors import IdfError
from ..reconstruction import reconstruct
from ..reconstruction.config import CountedConfig, TrainingConfig
from ..reconstruction.trainer import Progress
from ..runtime.files import read_json
from ..runtime.progress import training_text
from ..runtime.registry import Entry
from ..runtime.tables import Table
from ..scene import Scene
from .comparison import HeldOutCurve, plot, run_folder
from .gpu import gpu_hint
from .kept import Kept
from .widgets import BLANK, LABEL, Panel, picture_widget, png

PREVIEW_S = 1.5  # seconds between two previews
PREVIEW_SIZE = 256


class TrainingPanel(Panel):
    """Train on a dataset and watch. Subclasses name the stage and what differs from it.

    dataset: what to train on. out: folder for the runs; each choice has its own run folder in it.
    budget_s or iterations: how long. resolution: longer side of the pictures, pixels.
    backend: "auto", or a method of the stage. config: further settings of that method, e.g. a
    `NerfaceConfig`; length and resolution are those of the controls.

    After `run()`: `scene`, `metrics`, `folder` (the run folder), `curve` ((N, 2) seconds, dB on
    what is trained on).
    """

    action = "Train"
    stage: str
    seconds = 120
    smallest = 64
    pictures = "views"

    def __init__(self, dataset: Dataset, out="runs", budget_s: float | None = None,
                 iterations: int | None = None, resolution: int = 256, backend: str = "auto",
                 config: TrainingConfig | None = None):
        self.data, self.out, self.settings = dataset, mount_drive(out), config
        self.resolution = w.IntSlider(value=resolution, min=self.smallest, max=512, step=16,
                                      description="Resolution", style=LABEL,
                                      layout=w.Layout(width="450px"))
        self.backend = w.Dropdown(options=["auto", *STAGES[self.stage].names()], value=backend,
                                  description="Backend", style=LABEL)
        self.amount = w.BoundedIntText(value=int(iterations or budget_s or self.seconds),
                                       min=1, max=10**7, description="Train for", style=LABEL,
                                       layout=w.Layout(width="230px"))
        self.unit = w.ToggleButtons(options=["seconds", "iterations"],
                                    value="iterations" if iterations else "seconds",
                                    style={"button_width": "100px"})
        self.preview, self.plot = picture_widget(PREVIEW_SIZE), picture_widget(400)
        self.scene: Scene | None = None
        self.metrics: dict = {}
        self.folder: Path | None = None
        self.curve = np.zeros((0, 2))
        super().__init__()
        self.box.children = [*self.box.children, w.HBox([self.preview, self.plot])]
        self._asked = (self.amount.value, self.unit.value)
        self.backend.observe(self._fit_unit, names="value")
        self._fit_unit()
        given = {"amount": self.amount.value, "unit": self.unit.value, "resolution": resolution,
                 "backend": backend}
        Kept(self.out, f"train {self.stage}", given).restore(
            {"backend": self.backend, "unit": self.unit, "amount": self.amount,
             "resolution": self.resolution})

    def controls(self) -> list:
        return [self.backend, *gpu_hint(self.stage), w.HBox([self.amount, self.unit]),
                self.resolution]

    def _fit_unit(self, change=None) -> None:
        """Return iterations for a method that knows no clock, others what was asked for."""
        kind = self._entry()[0].config_type()
        counted = issubclass(kind, CountedConfig)
        if counted and not self.unit.disabled:
            self._asked = (self.amount.value, self.unit.value)
            if self.unit.value == "seconds":
                self.amount.value, self.unit.value = kind.default_iterations, "iterations"
        elif not counted and self.unit.disabled:
            self.amount.value, self.unit.value = self._asked
        self.unit.disabled = counted

    def _entry(self) -> tuple[Entry, str]:
        return STAGES[self.stage].choose(self.backend.value)

    @property
    def config(self) -> TrainingConfig:
        """Settings of the chosen method. IdfError where those given are for another one."""
        entry, amount = self._entry()[0], int(self.amount.value)
        kind = entry.config_type()
        if self.settings is not None and type(self.settings) is not kind:
            raise IdfError(f"The method `{self.stage} {entry.name}` takes other settings",
                           type(self.settings).__name__, f"give a {kind.__name__}")
        length = {"iterations": amount, "budget_s": None} if self.unit.value == "iterations" else \
            {"iterations": None, "budget_s": float(amount)}
        return replace(self.settings or kind(), resolution=self.resolution.value,
                       **length).checked()

    @property
    def method(self) -> str:
        """The chosen method as `compare_methods` takes it, such as "splats:cpu"."""
        return f"{self.stage}:{self._entry()[0].name}"

    def summary(self) -> Table:
        """Return the measures on what was held out, and what they took."""
        m = self.metrics
        row = {"PSNR, dB": round(m["psnr"], 2), "SSIM": round(m["ssim"], 3),
               "Gaussians": m.get("num_gaussians"), "iterations": m["iterations"],
               "seconds": round(m["seconds"])}
        return Table([{k: v for k, v in row.items() if v is not None}])

    def result_key(self) -> object:
        return self.folder

    def view(self) -> tuple[Camera, object]:
        """Return the camera of the preview and its expression."""
        return orbit(self.data.cameras, 1, resolution=PREVIEW_SIZE)[0], None

    def work(self) -> Scene:
        """Train (or read back what is finished); Stop keeps what is there for the next call."""
        (entry, why), config = self._entry(), self.config
        folder = run_folder(self.out, self.data, self.stage, entry.name, config)
        if folder != self.folder:  # a run that is read back draws no curve over the one before
            self.curve, self.preview.value, self.plot.value = np.zeros((0, 2)), BLANK, BLANK
        self.folder = folder
        self._view, self._points, self._shown = self.view(), [], -math.inf
        self.write(f"{why}\nreading pictures, compiling (once a machine, a few seconds) …")
        self.scene = reconstruct(self.data, self.folder, f"{self.stage}:{entry.name}", config,
                                 reporter=self)
        self.metrics = m = read_json(self.folder / "metrics.json", "metrics file")
        if entry.load_unchecked().draws_fast:
            self.preview.value = png(self.scene.render(*self._view))
        size = f"{m['num_gaussians']} Gaussians, " if "num_gaussians" in m else ""
        self.write(f"held-out {self.pictures}: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
                   f"{size}{m['iterations']} iterations in {m['seconds']:.0f} s\n"
                   f"written to {self.folder}")
        return self.scene

    def training(self, progress: Progress) -> None:
        p = progress
        by_loss = math.isnan(p.psnr_train)  # of a program that tells no more
        self._points.append((p.seconds, p.loss if by_loss else p.psnr_train))
        self.step("training", p.fraction,
                  training_text(p, f" on training {self.pictures}"))
        if time.monotonic() - self._shown > PREVIEW_S or p.fraction >= 1:
            self.preview.value = png(p.preview(self._view[0]))
            self.look(p)
            self.curve = np.array(self._points)
            label = "loss" if by_loss else f"PSNR on training {self.pictures}, dB"
            self.plot.value = png(plot({"": self.curve}, label, (4.0, 2.6), 100))
            self._shown = time.monotonic()

    def look(self, progress: Progress) -> None:
        """Take a progress with each preview."""


class SplatPanel(TrainingPanel):
    """Train Gaussian splats and watch, see `TrainingPanel`."""

    stage = "splats"


class NerfPanel(TrainingPanel):
    """Train a radiance field and watch, see `TrainingPanel`.

    After `run()` also `held_out`: (N, 2) seconds, dB on some held-out views.
    """

    stage, seconds, smallest = "nerf", 60, 32
    held_out = np.zeros((0, 2))

    def work(self) -> Scene:
        self._held_out = HeldOutCurve(self.data, self.resolution.value)
        scene = super().work()
        self.held_out = self._held_out.kept(self.folder)
        return scene

    def look(self, progress: Progress) -> None:
        self._held_out.look(progress)


class AvatarPanel(TrainingPanel):
    """Train an avatar on a sequence with poses and expressions and watch, see `TrainingPanel`."""

    stage, seconds, smallest, pictures = "avatar", 180, 32, "frames"

    def view(self) -> tuple[Camera, object]:
        watched = self.data.train[len(self.data.train) // 2]
        return watched.camera.fitted(PREVIEW_SIZE), watched.expression
