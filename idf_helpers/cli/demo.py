"""The main job on the bundled head: swap, splats, view."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..data import samples
from ..exporting.gallery import write_view
from ..exporting.model import ExportConfig
from ..reconstruction import reconstruct
from ..reconstruction.splats.config import SplatConfig
from ..runtime.files import read_record
from ..runtime.machine import peak_rss_mb
from ..runtime.progress import Line
from ..swapping.dataset import swap_dataset


@dataclass(frozen=True)
class DemoResult:
    """files: what to look at, by name. metrics: of the splats on the held-out views.
    seconds: of this call, wall clock. peak_rss_mb: of the whole process."""

    files: dict[str, Path]
    metrics: dict
    seconds: float
    peak_rss_mb: float


def demo(out="runs/demo", *, photo: str = "C", config: SplatConfig | None = None,
         view: ExportConfig | None = None, say=print) -> DemoResult:
    """Swaps a bundled face onto the bundled head, trains splats and exports them.

    out: gets swap/, splats/ and view/; a second call goes on where the first stopped.
    photo: name of a bundled source photo. say: called with lines for people.
    """
    out, line, started = Path(out), Line(), time.perf_counter()
    config, view = config or SplatConfig(), view or ExportConfig(clean=True)
    target = samples.dataset("head_multiview")
    say(f"1/3 swap    photo {photo} onto {target.describe()}")
    swapped = swap_dataset(target, samples.photo(photo), out / "swap", progress=line)
    line.close()
    amount = f"{config.budget:g} seconds" if config.budget else f"{config.iterations} iterations"
    say(f"2/3 splats  {amount} of training at {config.resolution} pixels")
    train_splats(swapped, out / "splats", config, progress=line.training)
    line.close()
    say("3/3 view    video, page and model")
    files = write_view(out / "splats", out / "view", view, swap=(target, swapped), progress=line)
    line.close()
    return DemoResult(files, read_record(out / "splats" / "metrics.json", METRICS, "metrics file"),
                      time.perf_counter() - started, peak_rss_mb())
