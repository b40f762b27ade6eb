"""The main job on the bundled head."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ..data import samples
from ..exporting.config import ExportConfig
from ..making.make import make
from ..reconstruction.config import TrainingConfig
from ..reconstruction.splats.config import SplatConfig
from ..runtime.machine import peak_rss_mb
from ..runtime.progress import Reporter

BUDGET_S = 60.0  # of training where none is told: with the rest 90 s on two cores


@dataclass(frozen=True)
class DemoResult:
    """files: to look at, by name. metrics: of the splats on the held-out views. seconds: of this
    call, wall clock. peak_rss_mb: of the whole process."""

    files: dict[str, Path]
    metrics: dict
    seconds: float
    peak_rss_mb: float


def demo(out: str | Path = Path("runs/demo"), photo: Literal["B", "C"] = "B",
         amount: TrainingConfig | None = None, *, config: SplatConfig | None = None,
         view: ExportConfig | None = None, reporter: Reporter | None = None) -> DemoResult:
    """Swap a bundled face onto the bundled head, train splats and export them.

    Args:
        out: folder for swap/, splats/ and view/; a second call goes on where the first stopped.
        photo: name of a bundled source photo.
        amount: how long the splats are trained (60 seconds where it does not say), and at which
            resolution.
        config: of the splats, in place of the amount.
        view: of the exports.
        reporter: takes word of the progress.
    """
    started = time.perf_counter()
    amount = amount or TrainingConfig()
    if amount.iterations is None and amount.budget_s is None:
        amount = replace(amount, budget_s=BUDGET_S)
    config = config or SplatConfig(**asdict(amount))
    made = make(samples.photo(photo), samples.dataset("head_multiview"), out, config, view,
                reporter=reporter)
    files = {name: path for name, path in made.files.items() if name != "report.md"}
    return DemoResult(files, made.metrics, time.perf_counter() - started, peak_rss_mb())
