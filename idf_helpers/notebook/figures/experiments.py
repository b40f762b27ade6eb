"""Small trainings with one thing changed, side by side: what the "Try this" cells call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.contact_sheet import BACKGROUND, contact_sheet
from ...data.dataset import Dataset
from ...data.training_views import TrainingViews
from ...errors import IdfError
from ...metrics import Target, psnr
from ...reconstruction.nerf.config import VoxelConfig
from ...reconstruction.splats.config import SplatConfig
from ...runtime.progress import Reporter
from ..bar import Bar
from ..widgets import fast

RESOLUTION, COLUMNS = 112, 4  # pixels of the pictures; held-out views that are shown
FAST = 30  # iterations at most with IDF_FAST

Variants = Mapping[str, Mapping[str, Any]]


def try_splats(data: Dataset, variants: Variants, iterations: int = 300,
               reporter: Reporter | None = None) -> np.ndarray:
    """Train Gaussians on the same views in several ways, and return held-out views: a row of
    pictures, and a row of renders for each way: (H, W, 3) uint8.

    variants: label -> what differs: `views` (how many to train on, spread evenly), `iterations`,
    or any field of `SplatConfig`. iterations: of those that do not say. IdfError: no such setting.
    """
    from ...reconstruction.splats.train import Trainer

    base = {"initial": 800, "max_gaussians": 4000, "growth": 3.0}
    return _side_by_side(data, variants, iterations, SplatConfig, base, Trainer, reporter)


def try_fields(data: Dataset, variants: Variants, iterations: int = 120,
               reporter: Reporter | None = None) -> np.ndarray:
    """Train radiance fields in several ways, as `try_splats`; with the fields of `VoxelConfig`."""
    from ...reconstruction.nerf.train import Trainer

    base = {"grid": 64, "rays": 2048}
    return _side_by_side(data, variants, iterations, VoxelConfig, base, Trainer, reporter)


def _side_by_side(data, variants, iterations, kind, base, trainer_of, reporter) -> np.ndarray:
    if reporter is None:
        with Bar("training the variants") as bar:
            return _side_by_side(data, variants, iterations, kind, base, trainer_of, bar)
    frames = data.test or data.train
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, min(COLUMNS, len(frames)))
              .round().astype(int)]
    targets = [Target.of(f, RESOLUTION, BACKGROUND) for f in chosen]
    pictures, labels = [t.rgb for t in targets], ["held-out picture"]
    for k, (label, changes) in enumerate(variants.items()):
        settings = {"resolution": RESOLUTION, "iterations": iterations} | base | dict(changes)
        wanted = settings.pop("views", len(data.train))
        if fast():
            settings["iterations"] = min(settings["iterations"], FAST)
        try:
            config = kind(**settings).checked()
        except TypeError as error:
            raise IdfError(f"The variant `{label}` has an unknown setting", str(error),
                           f"use `views`, or fields of {kind.__name__}") from None
        trainer = trainer_of(TrainingViews.load(some(data.train, wanted), config.resolution),
                             config)
        trainer.warm_up()
        while not trainer.done:
            trainer.step()
            reporter.step(f"training: {label}", (k + trainer.fraction) / len(variants))
        scene = trainer.scene()
        renders = [scene.render(t.camera, None, t.background) for t in targets]
        quality = np.mean([psnr(r, t.rgb) for r, t in zip(renders, targets, strict=True)])
        pictures += renders
        labels.append(f"{label}: {quality:.1f}\u00a0dB")
    return contact_sheet(pictures, len(targets), 150, rows=labels)


def some(frames, count: int) -> list:
    """Return `count` of the frames, spread evenly. IdfError for fewer than two or too many."""
    frames = list(frames)
    if not 2 <= count <= len(frames):
        raise IdfError("`views` is not a number of views to train on", f"{count}",
                       f"give 2 to {len(frames)}")
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]
