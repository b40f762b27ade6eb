"""Splats of views, trained as one step of this stage: for their depth, and for the loop's turn."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ..data.dataset import Dataset
from ..reconstruction import choose_method, reconstruct
from ..reconstruction.config import TrainingConfig
from ..reconstruction.splats.model_path import MODEL
from ..runtime.progress import Reporter
from ..runtime.runs import read_manifest
from ..scene import Scene

# Part of a refit from which places and sizes move, too: painted strokes are finer than the splats
# of what was there before, and highlights that wander want room below the surface.
SHAPES_FROM = 0.1


class TrainingStep(Reporter):
    """Shows a training as a step of the stage that it is part of."""

    def __init__(self, reporter: Reporter, step: str):
        self.reporter, self.name = reporter, step

    def training(self, progress) -> None:
        self.reporter.step(self.name, progress.fraction)

    def note(self, text: str) -> None:
        self.reporter.note(text)


def train_splats(data: Dataset, out: Path, config: TrainingConfig, step: str, reporter: Reporter,
                 **settings) -> Scene:
    """Train splats with the best method that runs here; the scene.

    step: its name for the reporter. settings: of the method, beside those in `config`.
    """
    entry, _ = choose_method("splats")
    settings = {"iterations": config.iterations, "budget_s": config.budget_s, "seed": config.seed,
                "resolution": config.resolution} | settings
    return reconstruct(data, out, f"splats:{entry.name}", entry.load().config_from(settings),
                       reporter=TrainingStep(reporter, step))


def refit_splats(data: Dataset, out: Path, start: Path, config: TrainingConfig, reporter: Reporter
                 ) -> Scene:
    """Fit splats to restyled views of what they show, see `refit`; the scene.

    start: their run folder. A method that cannot keep their order trains new ones from their
    places.
    """
    entry, _ = choose_method("splats")
    settings: dict = {"start": start}
    if "refit" in {f.name for f in fields(entry.load().config_type)}:
        settings["refit"] = SHAPES_FROM
    else:
        reporter.note(f"splats {entry.name} keeps no order: the style has no intensity")
    return train_splats(data, out, config, "fitting splats", reporter, **settings)


def finished_model(folder: Path) -> Path | None:
    """Return the folder of splats where it holds finished ones."""
    whole = (folder / "run.json").is_file() and (folder / MODEL).is_file()
    return folder if whole and read_manifest(folder).get("status") == "finished" else None
