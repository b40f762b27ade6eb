"""Measures of pictures, datasets and scenes, as one table.

Scenes are measured on the test split, full frame, at training resolution, RGBA pictures over
white; the masked PSNR beside it counts only pixels where the picture's alpha is above one half.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from .data import media
from .data.cameras import Camera
from .data.dataset import Frame
from .errors import IdfError
from .runtime.settings import check_range
from .scene import WHITE, Scene

# Stages that leave datasets, not scenes; each module offers evaluate(run folder, dataset) -> rows
DATASET_STAGES = {"swap": "idf_helpers.swap.evaluate"}

C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for values in [0, 1] (Wang et al. 2004)


def psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in [0, 1], shape (H, W, C).

    mask: (H, W) bool, the pixels that count. Infinite where they are equal, NaN for an empty mask.
    """
    d = (a.astype(np.float64) - b.astype(np.float64)) ** 2
    if mask is not None:
        d = d[mask]
    if d.size == 0:
        return float("nan")
    mse = d.mean()
    # PSNR = 10 log10(1 / MSE)
    return float("inf") if mse == 0 else float(-10.0 * np.log10(mse))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two (H, W, C) pictures in [0, 1]; window 11, sigma 1.5, zero
    padding, as in 3DGS. 1 where they are equal."""
    import cv2

    def blur(x):
        return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_CONSTANT)

    a, b = a.astype(np.float64), b.astype(np.float64)
    m, n = blur(a), blur(b)
    vx, vy, cov = blur(a * a) - m * m, blur(b * b) - n * n, blur(a * b) - m * n
    # S = (2mn + C1)(2cov + C2) / ((m² + n² + C1)(vx + vy + C2))
    s = (2 * m * n + C1) * (2 * cov + C2) / ((m * m + n * n + C1) * (vx + vy + C2))
    return float(s.mean())


@dataclass(frozen=True)
class ViewMetrics:
    """One view: psnr and psnr_masked in dB, ssim in [-1, 1]. Equal pictures have an infinite psnr;
    psnr_masked is NaN where no pixel lies under the mask."""

    name: str
    psnr: float
    ssim: float
    psnr_masked: float

    def row(self) -> dict:
        """The fields, None for what is not finite: JSON and tables have no place for it."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v
                for k, v in asdict(self).items()}


@dataclass(frozen=True)
class SceneMetrics:
    """Means over the views with a finite value; metrics.json adds what the trainer knows."""

    views: tuple[ViewMetrics, ...]

    def _mean(self, key: str) -> float:
        values = np.array([getattr(v, key) for v in self.views])
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    @property
    def psnr(self) -> float:
        return self._mean("psnr")

    @property
    def ssim(self) -> float:
        return self._mean("ssim")

    @property
    def psnr_masked(self) -> float:
        return self._mean("psnr_masked")

    def summary(self) -> dict:
        """psnr, ssim, psnr_masked, rounded; psnr_masked is None where no picture has alpha."""
        masked = self.psnr_masked
        return {"psnr": round(self.psnr, 3), "ssim": round(self.ssim, 4),
                "psnr_masked": round(masked, 3) if np.isfinite(masked) else None,
                "views": len(self.views)}


@dataclass(frozen=True, eq=False)
class Target:
    """What a render is compared with.

    rgb: (H, W, 3) float32, an RGBA picture over the background. mask: (H, W) bool, alpha above one
    half, empty where the picture has no alpha. camera: at the picture's size.
    background: what to render over, None = the scene's own where there is no alpha.
    """

    rgb: np.ndarray
    mask: np.ndarray
    camera: Camera
    background: tuple[float, float, float] | None

    @classmethod
    def of(cls, frame: Frame, resolution: int | None, background=WHITE) -> Target:
        """resolution: longer side, pixels; None = as the picture is. background: (3,) behind
        pictures with alpha."""
        camera = frame.camera.fitted(resolution)
        image = media.resize_area(frame.image(), camera.width, camera.height)
        alpha = image.shape[2] == 4
        mask = image[..., 3] > 127 if alpha else np.zeros(image.shape[:2], bool)
        return cls(media.over(image, background), mask, camera, background if alpha else None)


def evaluate_scene(scene: Scene, frames: Iterable[Frame], resolution: int | None = None,
                   background=WHITE, progress: Callable[[int], None] | None = None
                   ) -> SceneMetrics:
    """Renders every frame's camera and compares, pictures with alpha over `background` (3,).
    IdfError for no frames."""
    rows = []
    for i, frame in enumerate(frames):
        t = Target.of(frame, resolution, background)
        picture = scene.render(t.camera, frame.expression, t.background)
        rows.append(ViewMetrics(frame.name, psnr(picture, t.rgb), ssim(picture, t.rgb),
                                psnr(picture, t.rgb, t.mask)))
        if progress:
            progress(i + 1)
    if not rows:
        raise IdfError("There are no views to evaluate", "an empty test split",
                       "use a dataset with a test split")
    return SceneMetrics(tuple(rows))


def evaluate_run(model, dataset=None, resolution: int | None = None, **settings) -> list[dict]:
    """Table rows for a run folder of the swap or splats stage, a folder of graphdeco's train.py
    (over its background, at its resolution), or a `.ply` or `.splat` with a dataset.

    dataset: folder or Dataset; for a folder the one it was made from, unless given. settings: for
    the stage's own `evaluate` (a swap's source and arcface). IdfError where it is gone.
    """
    from pathlib import Path

    from .data.dataset import Dataset
    from .export.config import MAX_RESOLUTION
    from .reconstruct import scenes as reconstructions
    from .reconstruct.splats.model_folder import Tree
    from .runtime.runs import read_manifest

    model = Path(model)
    check_range("resolution", resolution, 16, MAX_RESOLUTION)
    if not model.exists():
        raise IdfError(f"{model} does not exist", "no such file or folder",
                       "give a run folder or a .ply file")
    tree = None if (model / "run.json").is_file() else Tree.find(model)
    manifest = read_manifest(model) if model.is_dir() and tree is None else {}
    if manifest.get("stage") == "swap-video":
        from .swap.evaluate import evaluate_video

        if dataset is None:
            raise IdfError(f"{model} is the swap of a video, which it does not keep", "no original",
                           "name the original with --dataset VIDEO")
        return evaluate_video(model, dataset, **settings)
    folder = dataset or (tree.source if tree else manifest.get("inputs", {}).get("folder"))
    if folder is None:
        raise IdfError(f"{model} does not say what to compare it with", "no run folder",
                       "name the dataset with --dataset")
    data = folder if isinstance(folder, Dataset) else Dataset.open(folder)
    if manifest.get("stage") in DATASET_STAGES:
        module = importlib.import_module(DATASET_STAGES[manifest["stage"]])
        return module.evaluate(model, data, **settings)
    module = reconstructions.module_for(model)
    resolution = resolution or manifest.get("config", {}).get("resolution")
    if hasattr(module, "evaluate"):
        return module.evaluate(model, data, resolution)
    scene, background = module.load_scene(model), WHITE
    if tree:  # as its own metrics.py does
        background = tree.background
        resolution = resolution or tree.resolution(*data.size)
    metrics = evaluate_scene(scene, data.test, resolution, background)
    rows = [{"view": v.name, **{k: x for k, x in v.row().items() if k != "name"}}
            for v in metrics.views]
    return [*rows, {"view": "mean", **{k: v for k, v in metrics.summary().items()
                                       if k != "views"}}]


def evaluate_runs(models, dataset=None, resolution: int | None = None, source=None, arcface=None
                  ) -> str:
    """`evaluate_run` of one or several, as text: swaps side by side, of several scenes the means.

    source, arcface: of a swap, see `swap.evaluate.evaluate`. IdfError where swaps and scenes are
    mixed, or a photo or recogniser is given for a scene.
    """
    from .reconstruct.scenes import stage_of

    models = list(models)
    if not models:
        raise IdfError("It is not said what to measure", "no run folder", "idf eval RUN")
    swaps = [m for m in models if stage_of(m) in (*DATASET_STAGES, "swap-video")]
    if swaps and len(swaps) < len(models):
        raise IdfError("Swaps and scenes have no measures in common", f"{len(swaps)} swaps of "
                       f"{len(models)} folders", "give runs of one kind")
    if swaps:
        from .swap.evaluate import side_by_side

        rows = [row for m in models for row in
                evaluate_run(m, dataset, resolution, source=source, arcface=arcface)]
        lines, notes = side_by_side(rows)
        return "\n".join([table(lines), *(f"  {n}" for n in notes)])
    if source is not None or arcface is not None:
        raise IdfError("A source photo and a recogniser are for swaps", str(source or arcface),
                       "leave them out for a trained scene")
    if len(models) == 1:
        return table(evaluate_run(models[0], dataset, resolution))
    return table([{"run": str(m)} | {k: v for k, v in evaluate_run(m, dataset, resolution)[-1]
                                     .items() if k != "view"} for m in models])


def table(rows: list[dict], columns: list[str] | None = None) -> str:
    """Rows of plain values as an aligned text table."""
    columns = columns or list(dict.fromkeys(k for r in rows for k in r))

    def show(v):
        return "" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v)

    cells = [columns] + [[show(r.get(c)) for c in columns] for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
             for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
