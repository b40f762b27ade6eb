"""Measure runs: one as a table of its views, several side by side."""

from __future__ import annotations

import importlib

from .errors import IdfError
from .metrics import evaluate_scene
from .runtime.settings import check_range
from .scene import WHITE

# Stages that leave datasets, not scenes; each module offers evaluate(run folder, dataset) -> rows
DATASET_STAGES = {"swap": "idf_helpers.swapping.evaluate"}


def evaluate_run(model, dataset=None, resolution: int | None = None, **settings) -> list[dict]:
    """Table rows for a run folder of the swap or splats stage, a folder of graphdeco's train.py
    (over its background, at its resolution), or a `.ply` or `.splat` with a dataset.

    dataset: folder or Dataset; for a folder the one it was made from, unless given. settings: for
    the stage's own `evaluate` (a swap's source and arcface). IdfError where it is gone.
    """
    from pathlib import Path

    from .data.dataset import Dataset
    from .exporting.config import MAX_RESOLUTION
    from .reconstruction import scenes as reconstructions
    from .reconstruction.splats.model_folder import Tree
    from .runtime.runs import read_manifest

    model = Path(model)
    check_range("resolution", resolution, 16, MAX_RESOLUTION)
    if not model.exists():
        raise IdfError(f"{model} does not exist", "no such file or folder",
                       "give a run folder or a .ply file")
    tree = None if (model / "run.json").is_file() else Tree.find(model)
    manifest = read_manifest(model) if model.is_dir() and tree is None else {}
    if manifest.get("stage") == "swap-video":
        from .swapping.evaluate import evaluate_video

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
    mixed, or a photo or recognizer is given for a scene.
    """
    from .reconstruction.scenes import stage_of

    models = list(models)
    if not models:
        raise IdfError("It is not said what to measure", "no run folder", "idf eval RUN")
    swaps = [m for m in models if stage_of(m) in (*DATASET_STAGES, "swap-video")]
    if swaps and len(swaps) < len(models):
        raise IdfError("Swaps and scenes have no measures in common", f"{len(swaps)} swaps of "
                       f"{len(models)} folders", "give runs of one kind")
    if swaps:
        from .swapping.evaluate import side_by_side

        rows = [row for m in models for row in
                evaluate_run(m, dataset, resolution, source=source, arcface=arcface)]
        lines, notes = side_by_side(rows)
        return "\n".join([table(lines), *(f"  {n}" for n in notes)])
    if source is not None or arcface is not None:
        raise IdfError("A source photo and a recognizer are for swaps", str(source or arcface),
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
