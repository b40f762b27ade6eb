"""The view stage: everything a user looks at, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .. import provenance
from ..data.cameras import scene_frame, yaw_pitch
from ..data.contact_sheet import before_after
from ..data.dataset import Dataset, Frame
from ..data.media import write_image
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction.splats.model_path import find_model as model_file
from ..runtime.files import sha256_file
from ..runtime.runs import RunFolder
from .model import ExportConfig, Model, export

SHEET_YAWS = (-90, -60, -30, 0, 30, 60, 90)
FILES = ("avatar.ply", "avatar.png", "viewer.html", "orbit.mp4")


def write_view(splats, out, config: ExportConfig | None = None, *,
               swap: tuple[Dataset, Dataset] | None = None,
               progress: Callable[[str, float], None] = lambda step, fraction: None
               ) -> dict[str, Path]:
    """Exports the scene of a splat run folder (or `.ply`) to avatar.ply, avatar.png, viewer.html
    and orbit.mp4 in `out`, and the pictures before and after the swap to swap.png.

    swap: (unswapped, swapped) datasets with the same frames. Returns name -> path.
    """
    config = (config or ExportConfig()).checked()
    inputs = {"model_sha256": sha256_file(model_file(splats)),
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
            def tell(frames_done, name=name):
                progress(f"writing {name}", frames_done / config.frames)
            export(model, files[name], config=config, progress=tell)
            progress(f"writing {name}", 1.0)
        run.finish({n: f.stat().st_size for n, f in files.items()}, consent=model.what.consent)
    return files


def write_swap_sheet(before: Dataset, after: Dataset, path, run_id: str) -> Path:
    """Frames from the left to the right profile, above as they were, below as they are."""
    names = {f.name for f in after.frames}
    chosen = frames_by_yaw([f for f in before.frames if f.name in names], SHEET_YAWS)
    swapped = {f.name: f for f in after.frames}
    sheet = before_after([f.image() for _, f in chosen],
                         [swapped[f.name].image() for _, f in chosen],
                         cell=200, captions=[f"yaw {yaw:.0f}" for yaw, _ in chosen])
    what = mark_of(after.root, run_id, "face swap, before and after")
    with provenance.marked(path, what) as temporary:
        write_image(temporary, sheet)
    copy_consent(after.root, Path(path).parent)
    return Path(path)


def frames_by_yaw(frames: Sequence[Frame], yaws: Sequence[float]) -> list[tuple[float, Frame]]:
    """For each yaw in degrees the frame nearest to it, at eye level; as (its yaw, frame)."""
    scene = scene_frame([f.camera for f in frames])
    angles = [yaw_pitch(f.camera, scene) for f in frames]
    found: dict[int, tuple[float, Frame]] = {}
    for wanted in yaws:
        i = min(range(len(frames)), key=lambda i: abs(angles[i][0] - wanted)
                + 0.5 * abs(angles[i][1] - 5.0))
        found[i] = (angles[i][0], frames[i])
    return list(found.values())
