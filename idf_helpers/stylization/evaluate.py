"""Measure restyled views: how consistent they are, how sharp, and what encoders say of them.

A run of `idf stylize`, or the folder of `idf loop`, whose splats are measured beside its pictures.
What the views showed before is measured first: no restyling can be more consistent than the depth
that carries one view to another, and the pictures themselves, allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..data.media import compose, image_size
from ..errors import IdfError
from ..perceptual import Lpips
from ..reconstruction import load
from ..runtime.files import read_record
from ..runtime.runs import read_manifest
from ..scene import Scene
from .consistency import RANGES, consistency, near_and_far
from .dataset import GEOMETRY, REPORT, Written
from .encoders import MEASURES, Encoder, encoded
from .measures import sharpness
from .splats import finished_model
from .stylists.preset import PRESETS
from .views import DatasetViews

BEFORE = "as they were"
NO_DEPTH = "not measured: no splats in this run give depth (those of `idf loop` do)"
COLUMNS = {f"{r}_{m}": f"{r} {m.upper()}" for r in RANGES for m in ("lpips", "rmse")} \
    | {"sharpness": "sharpness"}


class Shown:
    """Pictures by view, made once and kept: (H, W, 3) float32 in [0, 1]."""

    def __init__(self, make: Callable[[int], np.ndarray]):
        self._make = lru_cache(64)(make)

    def __getitem__(self, k: int, /) -> np.ndarray:
        return self._make(k)


def restyled(run: Path) -> bool:
    """Return whether a folder is a run of `idf stylize`, an iteration of `idf loop`, or its folder.
    """
    return bool(_runs(run))


def _runs(run: Path) -> list[Path]:
    """Return the run folders of restyled views in a folder, an iteration's after another."""
    found = [run, run / "frames", *sorted(run.glob("iter*/frames"),
                                          key=lambda p: (len(p.parent.name), p.parent.name))]
    return [p for p in found if (p / "run.json").is_file()
            and read_manifest(p).get("stage") == "stylize"]


def evaluate_restyled(run: Path, dataset: Dataset | str | Path | None = None,
                      encoders: Sequence[Encoder] = (), lpips: Lpips | str = "not measured"
                      ) -> list[dict]:
    """Return rows: what the views showed before, restyled, and as splats of them show it, where
    there are such; of each iteration of a loop.

    dataset: the views before; None = those that the run was made from. lpips: the network, or why
    there is none. Each row has `pictures`, what was measured, the keys of `consistency`,
    `sharpness`, the variance of the Laplacian against the views before, and those of `encoded`.
    IdfError: an unfinished run, or the views before are gone.
    """
    kinds = sorted(e.kind for e in encoders)
    if len(set(kinds)) < len(kinds):
        raise IdfError("Two encoders of one kind would fill the same columns", ", ".join(kinds),
                       "name one CLIP and one DINO model, and measure again with the next")
    rows: list[dict] = []
    for folder in _runs(run):
        manifest = read_manifest(folder)
        if manifest.get("status") != "finished":
            raise IdfError(f"The restyling in {folder} is not finished",
                           manifest.get("status", "?"), "run it again; it goes on from there")
        found = _rows(folder, manifest, dataset, encoders, lpips)
        name = f"{folder.parent.name}: " if folder.parent.name.startswith("iter") else ""
        rows += [{"pictures": name + row.pop("pictures")} | row for row in found]
    return rows


def _rows(folder: Path, manifest: dict, dataset, encoders: Sequence[Encoder],
          lpips: Lpips | str) -> list[dict]:
    report = read_record(folder / REPORT, ("depth", "frames"), "report")
    styled = Dataset.open(folder)
    data = as_dataset(manifest["inputs"]["folder"] if dataset is None else dataset)
    width, height = image_size(styled.frames[0].path)
    splats = finished_model(folder.parent / "model")
    scene = _depth(folder, report["depth"], splats)
    views = DatasetViews(data, scene, max(width, height))
    if set(views.names) - {Path(f.name).as_posix() for f in styled.frames}:
        raise IdfError(f"The dataset {data.root} is not what {folder} was made from",
                       "other names of pictures", "name the right one with --dataset")
    views.settle_depth()
    background = np.float32(views.background)
    colors = Written(folder, views, alpha=False)
    kinds = {BEFORE: lambda k: views[k].source(),
             "restyled": lambda k: compose(colors[k], Written(folder, views, alpha=True)[k],
                                           background)}
    if splats is not None:
        turned = load(splats)
        kinds["their splats"] = lambda k: turned.render(views[k].camera, None, views.background)
    pairs = near_and_far([f.camera for f in views.frames])
    wanted = manifest.get("config", {}).get("stylist", {})
    prompt = wanted.get("prompt") or getattr(PRESETS.get(wanted.get("preset")), "summary", "")
    some = sorted({k for pair in pairs["short"] for k in pair})
    before = Shown(kinds[BEFORE])
    sharp = _sharpness(views, before, some)
    rows = []
    for what, make in kinds.items():
        shown = Shown(make)
        row = {"pictures": what} | (consistency(views, shown, lpips, pairs) if scene is not None
                                    else dict.fromkeys(list(COLUMNS)[:4], NO_DEPTH))
        row["sharpness"] = round(_sharpness(views, shown, some) / sharp, 3) if sharp > 0 else None
        if encoders and what != BEFORE:
            row |= encoded(encoders, {k: before[k] for k in some}, {k: shown[k] for k in some},
                           pairs["short"], prompt)
        rows.append(row)
    return rows


def _depth(folder: Path, named: str, splats: Path | None) -> Scene | None:
    """Return what gives depth: the reconstruction that the run was given, its own, or the loop's
    splats of its pictures."""
    if Path(named).exists():  # a run folder or a model file
        return load(named)
    path = finished_model(folder / GEOMETRY) or splats
    return None if path is None else load(path)


def _sharpness(views: DatasetViews, pictures: Shown, some: Sequence[int]) -> float:
    return float(np.nanmean([sharpness(pictures[k], views[k].mask) for k in some]))


def side_by_side(records: Sequence[tuple[str, list[dict]]]) -> tuple[list[dict], list[str]]:
    """Return rows of a table, and the lines beneath it: why a cell is empty. records: name of a
    run, its rows of `evaluate_restyled`."""
    rows, notes = [], {}
    for run, found in records:
        for row in found:
            cells = {"run": run} if len(records) > 1 else {}
            cells["pictures"] = row["pictures"]
            for key, words in (COLUMNS | {k: k.replace("_", " ") for k in MEASURES}).items():
                value = row.get(key)
                if isinstance(value, str):
                    notes.setdefault(value.replace(": ", f": {words}: ", 1), None)
                if key in row:
                    cells[words] = None if isinstance(value, str) else value
            rows.append(cells)
    return rows, list(notes)
