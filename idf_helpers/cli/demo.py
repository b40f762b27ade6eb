"""The main job on the bundled head: swap, splats, view."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..data import samples
from ..exporting.config import ExportConfig
from ..exporting.gallery import write_view
from ..reconstruction import reconstruct
from ..reconstruction.splats.config import SplatConfig
from ..runtime.files import read_record
from ..runtime.machine import peak_rss_mb
from ..runtime.progress import Line, Reporter
from ..swapping.dataset import swap_dataset


@dataclass(frozen=True)
class DemoResult:
    """files: to look at, by name. metrics: of the splats on the held-out views. seconds: of this
    call, wall clock. peak_rss_mb: of the whole process."""

    files: dict[str, Path]
    metrics: dict
    seconds: float
    peak_rss_mb: float


def demo(out: str | Path = Path("runs/demo"), photo: str = "C",
         config: SplatConfig | None = None, *, view: ExportConfig | None = None,
         reporter: Reporter | None = None) -> DemoResult:
    """Swap a bundled face onto the bundled head, train splats and export them.

    Args:
        out: folder for swap/, splats/ and view/; a second call goes on where the first stopped.
        photo: name of a bundled source photo, B or C.
        config: of the splats.
        view: of the exports.
        reporter: takes word of the progress.
    """
    out, reporter, started = Path(out), reporter or Line(), time.perf_counter()
    config, view = config or SplatConfig(), view or ExportConfig(clean=True)
    target = samples.dataset("head_multiview")
    print(f"1/3 swap    photo {photo} onto {target.describe()}")
    swapped = swap_dataset(target, samples.photo(photo), out / "swap", progress=reporter.step)
    amount = f"{config.budget:g} seconds" if config.budget else f"{config.iterations} iterations"
    print(f"2/3 splats  {amount} of training at {config.resolution} pixels")
    reconstruct(swapped, out / "splats", "splats", config, reporter=reporter)
    print("3/3 view    video, page and model")
    files = write_view(out / "splats", out / "view", view, swap=(target, swapped),
                       reporter=reporter)
    metrics = read_record(out / "splats" / "metrics.json",
                          ("psnr", "ssim", "views", "num_gaussians", "iterations", "seconds"),
                          "metrics file")
    return DemoResult(files, metrics, time.perf_counter() - started, peak_rss_mb())
