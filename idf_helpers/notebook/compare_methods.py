"""Two reconstructions of the same views side by side: over time, in numbers, and where they err."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..metrics import Target
from ..reconstruction.nerf.config import VoxelConfig
from ..reconstruction.nerf.stage import train
from ..reconstruction.splats.config import SplatConfig
from ..runtime.files import read_json, stable_hash, write_json
from .nerf_panel import HeldOut

LOOK_EVERY_S = 2.0  # between two looks at the held-out views
CURVE = "held_out_curve.json"
ERROR_GAIN = 4.0  # of the difference pictures: a quarter of the range is white


@dataclass(frozen=True)
class Contest:
    """What came of one kind: its scene, curve (N, 2) of seconds and held-out dB, metrics, and
    milliseconds for a render of a held-out view."""

    name: str
    scene: object
    curve: np.ndarray
    metrics: dict
    render_ms: float


def compare_with_splats(dataset: Dataset, runs, config: VoxelConfig) -> list[Contest]:
    """Trains a voxel field and splats on the same views with the same budget and resolution, each
    in its run folder under `runs`; finished runs are read back."""
    splats = SplatConfig(iterations=config.iterations, budget_s=config.budget_s,
                         resolution=config.resolution, seed=config.seed)
    key = stable_hash([dataset.fingerprint(), str(config)])[:8]
    return [_run("NeRF (voxel)", dataset, Path(runs) / f"versus-nerf-{key}", config, train),
            _run("Gaussian splats", dataset, Path(runs) / f"versus-splats-{key}", splats,
                 train_splats)]


def _run(name: str, dataset: Dataset, folder: Path, config, method) -> Contest:
    checked = HeldOut(dataset, config.resolution)
    last = -1e9

    def progress(p) -> None:
        nonlocal last
        if time.monotonic() - last > LOOK_EVERY_S or p.fraction >= 1:
            checked.look(p)
            last = time.monotonic()

    scene = method(dataset, folder, config, progress=progress)
    if len(checked.curve):
        write_json(folder / CURVE, checked.curve)
    curve = np.array(read_json(folder / CURVE, "curve")) if (folder / CURVE).is_file() else \
        np.zeros((0, 2))
    t = checked.targets[0]
    scene.render(t.camera)
    began = time.perf_counter()
    scene.render(t.camera)
    return Contest(name, scene, curve, read_json(folder / "metrics.json", "metrics file"),
                   1000 * (time.perf_counter() - began))


def versus_table(contests: list[Contest]) -> list[dict]:
    """Rows for `widgets.html_table`."""
    return [{"method": c.name, "PSNR, dB": c.metrics["psnr"], "SSIM": c.metrics["ssim"],
             "seconds": c.metrics["seconds"], "render, ms": round(c.render_ms, 1),
             "peak memory, MB": c.metrics["peak_rss_mb"]} for c in contests]


def curves_plot(contests: list[Contest]) -> np.ndarray:
    """uint8 (H, W, 3): PSNR on held-out views over seconds of training."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.2), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for c, color in zip(contests, ("#c2571a", "#3366aa", "#2a8c4a"), strict=False):
        axes.plot(c.curve[:, 0], c.curve[:, 1], "o-", markersize=3, color=color, label=c.name)
    axes.set(xlabel="seconds of training", ylabel="PSNR on held-out views, dB")
    axes.grid(alpha=0.3)
    axes.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def difference_picture(contests: list[Contest], dataset: Dataset, resolution: int | None,
                       views: int = 4, cell: int = 170) -> np.ndarray:
    """uint8 (H, W, 3): one row a held-out view: the picture, then each method's render and its
    error, four times as bright as it is."""
    step = max(1, len(dataset.test) // views)
    pictures, captions = [], []
    for frame in dataset.test[::step][:views]:
        t = Target.of(frame, resolution)
        pictures.append(t.rgb)
        captions.append(Path(frame.name).name)
        for c in contests:
            render = c.scene.render(t.camera, None, t.background)
            pictures += [render, np.clip(ERROR_GAIN * np.abs(render - t.rgb), 0, 1)]
            captions += [c.name, "4 x error"]
    return contact_sheet(pictures, columns=1 + 2 * len(contests), cell=cell, captions=captions)


def geometry_picture(scene, dataset: Dataset, resolution: int | None, views: int = 4,
                     cell: int = 170) -> np.ndarray:
    """uint8 (H, W, 3): renders of held-out views, below them depth (near = bright), below those
    the normals (x, y, z of the world as red, green, blue)."""
    step = max(1, len(dataset.test) // views)
    cameras = [f.camera.fitted(resolution) for f in dataset.test[::step][:views]]
    full = [scene.render_full(c) for c in cameras]
    depths = []
    for r in full:
        near, far = (np.nanmin(r.depth), np.nanmax(r.depth)) if np.isfinite(r.depth).any() \
            else (0, 1)
        gray = np.nan_to_num(1 - 0.9 * (r.depth - near) / max(far - near, 1e-9), nan=0.0)
        depths.append(np.repeat(gray[..., None], 3, axis=2))
    normals = [np.nan_to_num(0.5 + 0.5 * scene.normals(c), nan=1.0) for c in cameras]
    return contact_sheet([*(r.rgb for r in full), *depths, *normals], columns=len(cameras),
                         cell=cell)
