"""Methods side by side on the same views: over time, in numbers, and where they err."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..catalogue import STAGES
from ..data.cameras import Camera, scene_frame
from ..data.contact_sheet import BACKGROUND, before_after, contact_sheet
from ..data.dataset import Dataset
from ..data.inputs import mount_drive
from ..metrics import Target, psnr
from ..reconstruction import choose_method, reconstruct
from ..reconstruction.config import TrainingConfig
from ..reconstruction.splats.scene import GaussianScene
from ..reconstruction.trainer import Progress
from ..runtime.files import read_json, stable_hash, write_json
from ..runtime.progress import Reporter
from ..runtime.runs import by_content
from ..runtime.tables import Table
from ..scene import HasNormals, Scene
from .figures.charts import COLORS, picture_of
from .figures.depths import depth_picture

CHECKED_VIEWS = 3  # held-out views that a curve over time is taken from
LOOK_EVERY_S = 2.0  # between two looks at them
CURVE = "held_out_curve.json"
ERROR_GAIN = 4.0  # of the difference pictures: a quarter of the range is white
# Places to look from that no training view has, in distances: (front, up) of the scene's frame.
UNSEEN_PLACES = {"from below": (0.7, -0.75), "from above": (0.7, 0.75), "from afar": (2.6, 0.4)}


def run_folder(out, data: Dataset, stage: str, method: str, config: TrainingConfig) -> Path:
    """Return the run folder under `out` for one choice of data, method and settings."""
    key = stable_hash([by_content(data.fingerprint()), str(config), method])[:8]
    return Path(out) / f"{stage}-{key}"


class HeldOutCurve(Reporter):
    """PSNR over time on a few held-out views; the training's clock stands still meanwhile. Passes
    on what is reported to another reporter."""

    def __init__(self, data: Dataset, resolution: int | None, to: Reporter | None = None):
        self.to = to or Reporter()
        step = max(1, len(data.test) // CHECKED_VIEWS)
        self.targets = [Target.of(f, resolution) for f in data.test[::step][:CHECKED_VIEWS]]
        self.rows: list[tuple[float, float]] = []
        self._looked = -math.inf

    def step(self, what: str, fraction: float, details: str = "") -> None:
        self.to.step(what, fraction, details)

    def stage(self, text: str) -> None:
        self.to.stage(text)

    def note(self, text: str) -> None:
        self.to.note(text)

    def training(self, progress: Progress) -> None:
        self.to.training(progress)
        if time.monotonic() - self._looked > LOOK_EVERY_S or progress.fraction >= 1:
            self.look(progress)
            self._looked = time.monotonic()

    def look(self, progress: Progress) -> None:
        """Measure the state right now."""
        values = [psnr(progress.preview(t.camera, t.background), t.rgb) for t in self.targets]
        self.rows.append((progress.seconds, float(np.mean(values))))

    def kept(self, folder: Path) -> np.ndarray:
        """Keep the curve in a run folder; return it, or the one of an earlier call: (N, 2) seconds
        of optimization, mean dB."""
        if self.rows:
            write_json(folder / CURVE, self.rows)
        rows = read_json(folder / CURVE, "curve") if (folder / CURVE).is_file() else []
        return np.array(rows, float).reshape(-1, 2)


@dataclass(frozen=True)
class MethodResult:
    """The result of one method: its scene, curve (N, 2) of seconds and held-out dB, metrics, and
    milliseconds for a render of a held-out view."""

    name: str
    scene: Scene
    curve: np.ndarray
    metrics: dict
    render_ms: float


def methods_here(stage: str) -> list[str]:
    """Return the methods of a stage that can run here, as "stage:name"; without the test oracle
    (`reference`) and those that are not for every use, which are asked for by name."""
    table = STAGES[stage]
    return [f"{stage}:{s.name}" for s in table.available() if not s.missing
            and s.name != "reference" and table.find(s.name).commercial]


def compare_methods(data: Dataset, out, methods: Sequence[str], config: TrainingConfig,
                    reporter: Reporter | None = None) -> list[MethodResult]:
    """Train the same views with several methods, equally long; read back what is finished.

    out: folder of the runs. methods: such as "splats:cpu"; "splats" takes the best one here.
    config: settings of one of them; the others take its length, resolution and seed.
    """
    return [_result(data, mount_drive(out), method, config, reporter) for method in methods]


def _result(data: Dataset, out, method: str, config: TrainingConfig,
            reporter: Reporter | None) -> MethodResult:
    entry, _ = choose_method(method)
    stage, kind = method.partition(":")[0], entry.config_type()
    own = config if type(config) is kind else kind(
        iterations=config.iterations, budget_s=config.budget_s, resolution=config.resolution,
        seed=config.seed)
    folder = run_folder(out, data, stage, entry.name, own)
    if reporter is not None:
        reporter.stage(f"{stage} {entry.name} …")
    curve = HeldOutCurve(data, own.resolution, reporter)
    scene = reconstruct(data, folder, f"{stage}:{entry.name}", own, reporter=curve)
    camera = curve.targets[0].camera
    scene.render(camera)
    began = time.perf_counter()
    scene.render(camera)
    milliseconds = 1000 * (time.perf_counter() - began)
    return MethodResult(f"{stage} {entry.name}", scene, curve.kept(folder),
                        read_json(folder / "metrics.json", "metrics file"), milliseconds)


def results_table(results: Sequence[MethodResult]) -> Table:
    """Return the measures, a row for each method."""
    return Table([{"method": r.name, "PSNR, dB": r.metrics["psnr"], "SSIM": r.metrics["ssim"],
                   "iterations": r.metrics["iterations"], "seconds": r.metrics["seconds"],
                   "render, ms": round(r.render_ms, 1),
                   "peak memory, MB": r.metrics["peak_rss_mb"]} for r in results])


def curves_plot(results: Sequence[MethodResult]) -> np.ndarray:
    """Return PSNR on held-out views over seconds of training: (H, W, 3) uint8."""
    return plot({r.name: r.curve for r in results}, "PSNR on held-out views, dB", (6.0, 3.2), 110,
                "o-")


def plot(curves: dict[str, np.ndarray], label: str, size: tuple[float, float], dpi: int,
         style: str = "-") -> np.ndarray:
    """Return curves, each (N, 2) of seconds and values, as a picture: (H, W, 3) uint8."""
    from matplotlib.figure import Figure  # not pyplot: nothing global, nothing shown twice

    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    for (name, curve), color in zip(curves.items(), COLORS, strict=False):
        axes.plot(curve[:, 0], curve[:, 1], style, markersize=3, color=color, label=name or None)
    axes.set(xlabel="seconds of training", ylabel=label)
    axes.grid(alpha=0.3)
    if any(curves):
        axes.legend()
    return picture_of(figure)


def difference_picture(results: Sequence[MethodResult], data: Dataset, resolution: int | None,
                       views: int = 4, cell: int = 170) -> np.ndarray:
    """Return a row for each held-out view: the picture, then each method's render and its error,
    four times as bright as it is: (H, W, 3) uint8."""
    step = max(1, len(data.test) // views)
    pictures, captions = [], []
    for frame in data.test[::step][:views]:
        t = Target.of(frame, resolution, BACKGROUND)
        pictures.append(t.rgb)
        captions.append(Path(frame.name).name)
        for r in results:
            render = r.scene.render(t.camera, None, t.background)
            pictures += [render, np.clip(ERROR_GAIN * np.abs(render - t.rgb), 0, 1)]
            captions += [r.name, f"error × {ERROR_GAIN:.0f}"]
    return contact_sheet(pictures, columns=1 + 2 * len(results), cell=cell, captions=captions)


def geometry_picture(scene: Scene, data: Dataset, resolution: int | None, views: int = 4,
                     cell: int = 170) -> np.ndarray:
    """Return renders of held-out views, below them depth (near = bright), and where the scene knows
    its surface the normals (x, y, z of the world as red, green, blue): (H, W, 3) uint8."""
    step = max(1, len(data.test) // views)
    cameras = [f.camera.fitted(resolution) for f in data.test[::step][:views]]
    full = [scene.render_full(c, None, BACKGROUND) for c in cameras]
    depths = [depth_picture(r.depth) for r in full]
    normals = [np.where(np.isfinite(n), 0.5 + 0.5 * n, BACKGROUND)
               for n in map(scene.normals, cameras)] if isinstance(scene, HasNormals) else []
    return contact_sheet([*(r.rgb for r in full), *depths, *normals], columns=len(cameras),
                         cell=cell, rows=["render", "depth: bright is near",
                                          *(["surface normals"] if normals else [])])


def cleaned_picture(before: GaussianScene, after: GaussianScene, size: int = 256) -> np.ndarray:
    """Return a scene from below, above and afar, and below each the same after a change:
    (H, W, 3) uint8."""
    frame, base = scene_frame(before.cameras), before.cameras[0].fitted(size)
    views = []
    for front, up in UNSEEN_PLACES.values():
        place = frame.center + frame.distance * (front * frame.front + up * frame.up)
        views.append(Camera.look_at(place, frame.center, frame.up, base.fov_x, base.width,
                                    base.height))
    return before_after([before.render(v, None, BACKGROUND) for v in views],
                        [after.render(v, None, BACKGROUND) for v in views], size,
                        list(UNSEEN_PLACES), ("as trained", "cleaned up"))
