"""All results to look at, in one folder: the last stage of the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.contact_sheet import before_after
from ..data.dataset import Dataset
from ..data.frame import Frame
from ..data.media import write_image
from ..data.sequence import frames_by_yaw, in_time
from ..provenance import marked
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction.splats.model_path import find_model
from ..runtime.files import sha256_file
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder, read_manifest
from .config import ExportConfig
from .formats import export
from .model import Model

SHEET_YAWS = (-90, -60, -30, 0, 30, 60, 90)
FILES = ("avatar.ply", "avatar.png", "viewer.html", "orbit.mp4")
AVATAR_FILES = ("avatar.html", "avatar.mp4", "avatar.png")


def write_view(splats, out, config: ExportConfig | None = None, *,
               swap: tuple[Dataset, Dataset] | None = None, reporter: Reporter | None = None
               ) -> dict[str, Path]:
    """Export the scene of a splat run folder (or `.ply`) to avatar.ply, avatar.png, viewer.html
    and orbit.mp4 in `out`, and the pictures before and after the swap to swap.png.

    swap: (unswapped, swapped) datasets with the same frames. Returns name -> path.
    """
    config, reporter = (config or ExportConfig()).checked(), reporter or Reporter()
    inputs = {"model_sha256": sha256_file(find_model(splats)),
              "swap": swap[1].fingerprint() if swap else None}
    names = [*FILES, *(["swap.png"] if swap else [])]
    with RunFolder(out, stage="view", backend="cpu", config=config, inputs=inputs) as run:
        files = {name: run.path / name for name in names}
        if run.finished and all(f.is_file() for f in files.values()):
            return files
        model = Model.open(splats).trimmed(config)
        if swap:
            write_swap_sheet(*swap, files["swap.png"], run.run_id)
        for name in FILES:
            export(model, files[name], config=config, reporter=reporter)
            reporter.step(f"writing {name}", 1.0)
        run.finish({n: f.stat().st_size for n, f in files.items()}, consent=model.mark.consent)
    return files


def write_avatar_view(run, out, config: ExportConfig | None = None, *,
                      swap: tuple[Dataset, Dataset] | None = None,
                      reporter: Reporter | None = None) -> dict[str, Path]:
    """Export an avatar's run folder to avatar.html, avatar.mp4 and avatar.png in `out`, and frames
    over the sequence's time, before and after the swap, to swap.png.

    swap: (unswapped, swapped) sequences with the same frames. Returns name -> path.
    """
    config, reporter = (config or ExportConfig()).checked(), reporter or Reporter()
    inputs = {"avatar": read_manifest(run)["run_id"], "swap": swap[1].fingerprint() if swap
              else None}
    names = [*AVATAR_FILES, *(["swap.png"] if swap else [])]
    with RunFolder(out, stage="view", backend="cpu", config=config, inputs=inputs) as folder:
        files = {name: folder.path / name for name in names}
        if folder.finished and all(f.is_file() for f in files.values()):
            return files
        if swap:
            before = in_time(swap[0].frames)
            chosen = before[::max(1, len(before) // len(SHEET_YAWS))][:len(SHEET_YAWS)]
            _write_sheet(swap_sheet(*swap, 200, [(f.name.rpartition("/")[2], f) for f in chosen]),
                         swap[1], files["swap.png"], folder.run_id)
        for name in AVATAR_FILES:
            export(run, files[name], config=config, reporter=reporter)
            reporter.step(f"writing {name}", 1.0)
        folder.finish({n: f.stat().st_size for n, f in files.items()},
                      consent=read_manifest(run).get("consent", ""))
    return files


def write_swap_sheet(before: Dataset, after: Dataset, path: Path, run_id: str) -> None:
    """Write frames from the left to the right profile, above as they were, below as they are."""
    _write_sheet(swap_sheet(before, after, 200), after, path, run_id)


def _write_sheet(picture: np.ndarray, after: Dataset, path: Path, run_id: str) -> None:
    mark = mark_of(after, run_id, "face swap, before and after")
    with marked(path, mark) as temporary:
        write_image(temporary, mark.watermarked(picture))
    copy_consent(after.root, path.parent)


def swap_sheet(before: Dataset, after: Dataset, cell: int = 160,
               chosen: Sequence[tuple[str, Frame]] = ()) -> np.ndarray:
    """Return frames before above the same after: (H, W, 3) uint8. chosen: (caption, frame of
    `before`); without, frames from the left to the right profile."""
    swapped = {f.name: f for f in after.frames}
    chosen = chosen or [(f"yaw {yaw:.0f}°", f) for yaw, f in frames_by_yaw(
        [f for f in before.frames if f.name in swapped], SHEET_YAWS)]
    return before_after([f.image() for _, f in chosen],
                        [swapped[f.name].image() for _, f in chosen], cell,
                        [caption for caption, _ in chosen])
