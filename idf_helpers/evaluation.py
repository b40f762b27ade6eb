"""Measure runs: a scene on the held-out views of its dataset, swaps and restyled views side by
side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .data.dataset import Dataset
from .data.inputs import as_dataset
from .errors import IdfError
from .exporting.config import MAX_RESOLUTION
from .lpips_weights import LPIPS
from .metrics import evaluate_scene
from .perceptual import Lpips, large_enough
from .reconstruction import load, method_of
from .reconstruction.splats.graphdeco_folder import GraphdecoFolder
from .reconstruction.splats.model_file import read_model
from .reconstruction.splats.scene import GaussianScene
from .runtime.download import missing
from .runtime.files import write_json
from .runtime.runs import read_manifest
from .runtime.settings import check_range
from .runtime.tables import Table
from .scene import WHITE
from .stylization.encoders import Encoder
from .stylization.evaluate import evaluate_restyled, restyled
from .stylization.evaluate import side_by_side as restyled_rows
from .swapping import evaluate as swaps
from .swapping.measure_table import side_by_side

SWAPS = ("swap", "swap-video", "swap-image")


def evaluate(runs: str | Path | Sequence[str | Path], dataset: Dataset | str | Path | None = None,
             resolution: int | None = None,
             source: str | Path | Sequence[str | Path] | None = None,
             arcface: str | Path | None = None,
             encoder: str | Path | Sequence[str | Path] | None = None,
             json: str | Path | None = None) -> Table:
    """Measure swaps or restyled views side by side, or scenes on the test views of their datasets.

    Args:
        runs: run folder of a swap, a scene or restyled views, or of a loop, folder of graphdeco's
            train.py, or model file (.ply, .splat); several for one table of all.
        dataset: what to compare with; default: the one that the run was made from, which a model
            file does not know. Of a video's or picture's swap the original file.
        resolution: longer side in pixels; default: as the run was trained.
        source: a swap's source photo, to measure how like it the faces became; all of them, where
            it was made with several.
        arcface: ONNX file of a recognizer; default: the download of that name, where it is there.
        encoder: folder of a CLIP or DINOv2 model in transformers' layout; says how far restyled
            views became what their prompt says (CLIP), and stayed the same thing (DINO).
            One of each kind.
        json: file to write every figure to, also those that the table sums up.

    Returns the table: a scene view by view, several by their means; `Table.records` has what `json`
    is given. IdfError where swaps and scenes are mixed, or what to compare with is gone.
    """
    table = _table(runs, dataset, resolution, source, arcface, encoder)
    if json is not None:
        write_json(Path(json), table.records)
    return table


def _table(runs: str | Path | Sequence[str | Path], dataset: Dataset | str | Path | None,
           resolution: int | None, source: str | Path | Sequence[str | Path] | None,
           arcface: str | Path | None, encoder: str | Path | Sequence[str | Path] | None) -> Table:
    runs = _several(runs)
    if not runs:
        raise IdfError("There is nothing to measure", "no run folder", "idf eval RUN")
    swapped = [r for r in runs if _manifest(r).get("stage") in SWAPS]
    painted = [r for r in runs if restyled(Path(r))]
    if max(len(swapped), len(painted)) not in (0, len(runs)) or (swapped and painted):
        raise IdfError("Swaps, restyled views and scenes have no measures in common",
                       f"{len(swapped)} swaps, {len(painted)} restyled of {len(runs)} folders",
                       "give runs of one kind")
    if not swapped and (source is not None or arcface is not None):
        raise IdfError("A source photo and a recognizer are for swaps", str(source or arcface),
                       "leave them out for a trained scene")
    if encoder is not None and not painted:
        raise IdfError("An encoder is for restyled views", ", ".join(map(str, _several(encoder))),
                       "leave it out for swaps and trained scenes")
    if painted:
        return _restyled_table(runs, dataset, resolution, _several(encoder))
    records = [evaluate_run(r, dataset, resolution, source, arcface) for r in runs]
    lack = missing(LPIPS)
    if swapped:
        rows, notes = side_by_side([row for rows in records for row in rows])
    else:
        notes = [f"not measured: LPIPS: {lack}"] if lack else []
        rows = records[0] if len(runs) == 1 else [
            {"run": str(r)} | {k: v for k, v in rows[-1].items() if k != "view"}
            for r, rows in zip(runs, records, strict=True)]
    return Table(rows, notes=notes, records=[
        {"run": str(r)} | row for r, rows in zip(runs, records, strict=True) for row in rows])


def _restyled_table(runs: Sequence[str | Path], dataset: Dataset | str | Path | None,
                    resolution: int | None, encoders: Sequence[str | Path]) -> Table:
    if resolution is not None:
        raise IdfError("Restyled views are measured at the size they were written at",
                       f"--resolution {resolution}", "leave it out")
    lack = missing(LPIPS)
    lpips = f"not measured: {lack}" if lack else Lpips().open()
    opened = [Encoder(e) for e in encoders]
    found = [(str(r), evaluate_restyled(Path(r), dataset, opened, lpips)) for r in runs]
    rows, notes = restyled_rows(found)
    return Table(rows, notes=notes, records=[{"run": r} | row for r, rows in found for row in rows])


def _several(value: str | Path | Sequence[str | Path] | None) -> list:
    return [] if value is None else [value] if isinstance(value, (str, os.PathLike)) else \
        list(value)


def evaluate_run(run: str | Path, dataset: Dataset | str | Path | None = None,
                 resolution: int | None = None,
                 source: str | Path | Sequence[str | Path] | None = None,
                 arcface: str | Path | None = None) -> list[dict]:
    """Return the rows of one run: of a scene one for each test view and their mean, of a swap one.

    Arguments as of `evaluate`; graphdeco's folder is measured over its own background.
    """
    run, manifest = Path(run), _manifest(run)
    check_range("resolution", resolution, 16, MAX_RESOLUTION)
    if not run.exists():
        raise IdfError(f"{run} does not exist", "no such file or folder",
                       "give a run folder or a .ply file")
    if manifest.get("stage") in ("swap-video", "swap-image"):
        kind = manifest["stage"].removeprefix("swap-").replace("image", "picture")
        if dataset is None:
            raise IdfError(f"{run} is the swap of a {kind}, which it does not keep", "no original",
                           f"name the original with --dataset {kind.upper()}")
        measured = swaps.evaluate_video if kind == "video" else swaps.evaluate_image
        return [measured(run, dataset, source=source, arcface=arcface)]
    graphdeco = GraphdecoFolder.find(run) if run.is_dir() and not manifest else None
    folder = dataset or (graphdeco.source if graphdeco
                         else manifest.get("inputs", {}).get("folder"))
    if folder is None:
        raise IdfError(f"{run} does not name the dataset to compare it with", "no run folder",
                       "name it with --dataset")
    data = as_dataset(folder)
    if manifest.get("stage") == "swap":
        return [swaps.evaluate(run, data, source=source, arcface=arcface)]
    lpips = None if missing(LPIPS) else large_enough(Lpips().open())
    if manifest:
        return method_of(manifest, run).evaluate(
            run, data, resolution or manifest.get("config", {}).get("resolution"), manifest, lpips)
    if graphdeco:  # as its own metrics.py does
        resolution = resolution or graphdeco.resolution(*data.size)
    scene = load(run)
    if isinstance(scene, GaussianScene) and scene.frame is not None:  # a file without cameras
        scene = replace(scene, gaussians=read_model(run, [f.camera for f in data.train]))
    metrics = evaluate_scene(scene, data.test, resolution,
                             graphdeco.background if graphdeco else WHITE, lpips=lpips)
    return [*metrics.rows(), {"view": "mean"} | metrics.means()]


def _manifest(run: str | Path) -> dict:
    return read_manifest(run) if (Path(run) / "run.json").is_file() else {}
