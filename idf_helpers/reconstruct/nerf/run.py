"""The nerf stage: dataset in, a run folder with a scene out; and scenes read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ... import catalogue as backends
from ... import provenance
from ...data.cameras_file import find_cameras, write_cameras
from ...data.contact_sheet import before_after
from ...data.dataset import Dataset
from ...data.media import write_image
from ...errors import IdfError
from ...evaluate import SceneMetrics, Target, evaluate_scene
from ...runtime.files import write_json
from ...runtime.machine import peak_rss_mb
from ...runtime.runs import RunFolder, read_manifest
from ..splats.run import copy_consent, mark_of
from .config import VoxelConfig
from .field_file import read_field, write_field
from .scene import VoxelScene
from .train import Progress, fit

FIELD = "field.npz"
KEPT = (FIELD, "metrics.json", "cameras.json")  # what a finished run must still hold
METRICS = ("psnr", "ssim", "views", "num_voxels", "iterations", "seconds")  # in metrics.json
SHEET_VIEWS = 8  # held-out views in the comparison picture
MADE = "radiance field"


def train_nerf(dataset: Dataset, out, config: VoxelConfig | None = None, *,
               resume: bool = True,
               progress: Callable[[Progress], None] | None = None) -> VoxelScene:
    """Trains a voxel field on `dataset` and leaves in the run folder `out`:

    field.npz (marked beside), cameras.json, metrics.json, per_view.json, held_out.jpg (pictures
    above, renders below, then depth and normals), consent.json where the dataset has one.

    A finished run of the same inputs and settings is read back. IdfError: see `fit`, `RunFolder`.
    """
    config = (config or VoxelConfig()).checked()
    chosen, why = backends.choose("nerf", "voxel")
    with RunFolder(out, stage="nerf", backend=chosen.name, config=asdict(config),
                   inputs=dataset.fingerprint(), resume=resume) as run:
        if run.finished and all((run.path / name).is_file() for name in KEPT):
            return load_scene(run.path)
        scene = fit(dataset, config, run=run, progress=progress)
        metrics = evaluate_scene(scene, dataset.test, config.resolution)
        what = mark_of(dataset.root, run.run_id, MADE)
        with provenance.marked(run.path / FIELD, what) as temporary:
            write_field(scene.grid, temporary)
        finish(run, scene, dataset, config.resolution, metrics, what, why,
               {"num_voxels": len(scene.grid)})
    return scene


def finish(run: RunFolder, scene, dataset: Dataset, resolution: int | None, metrics: SceneMetrics,
           what: provenance.Mark, why: str, counted: dict) -> None:
    """Cameras, consent, per-view metrics, comparison picture and manifest of a finished run.

    counted: what the model consists of, for metrics.json."""
    write_cameras(run.path / "cameras.json", list(dataset.train))
    copy_consent(dataset.root, run.path)
    write_json(run.path / "per_view.json", [v.row() for v in metrics.views])
    _write_sheet(scene, dataset, resolution, metrics, run.path / "held_out.jpg", what)
    run.finish(metrics.summary() | counted | {
        "iterations": scene.training["iterations"], "seconds": scene.training["seconds"],
        "peak_rss_mb": round(peak_rss_mb(), 1)},
        why=why, consent=what.consent, made=what.made, source_type=what.source_type,
        background=list(scene.background))


def _write_sheet(scene, dataset: Dataset, resolution, metrics, path: Path, what) -> None:
    step = max(1, len(dataset.test) // SHEET_VIEWS)
    views = list(zip(dataset.test, metrics.views, strict=True))[::step][:SHEET_VIEWS]
    targets = [Target.of(f, resolution) for f, _ in views]
    renders = [scene.render(t.camera, None, t.background) for t in targets]
    captions = [f"{Path(v.name).name} {v.psnr:.1f} dB" if v.psnr < 1e3 else Path(v.name).name
                for _, v in views]
    with provenance.marked(path, what) as temporary:
        write_image(temporary, before_after([t.rgb for t in targets], renders, 180, captions))


# --- reading back ---------------------------------------------------------------------------------

def load_scene(path):
    """The scene of a run folder of this stage, or of a field.npz in one. IdfError where there is
    none."""
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    manifest = read_manifest(folder)
    if manifest.get("backend") == "vanilla":
        from .vanilla.run import load_vanilla

        return load_vanilla(folder, manifest)
    return VoxelScene(read_field(folder / FIELD), find_cameras(folder / FIELD),
                      background_of(folder, manifest))


def background_of(folder: Path, manifest: dict) -> tuple[float, float, float]:
    value = manifest.get("background", [1.0, 1.0, 1.0])
    if not (isinstance(value, (list, tuple)) and len(value) == 3
            and all(isinstance(b, (int, float)) and 0 <= b <= 1 for b in value)):
        raise IdfError(f"The run manifest {folder / 'run.json'} is damaged",
                       f"background {value!r:.60}", "delete that folder and run the stage again")
    return tuple(value)


def mark_of_model(path) -> provenance.Mark:
    """The mark for what is exported from a run folder of this stage."""
    path = Path(path)
    manifest = read_manifest(path if path.is_dir() else path.parent)
    return provenance.Mark(manifest["run_id"], manifest.get("made", MADE),
                           manifest.get("source_type", "compositeSynthetic"),
                           manifest.get("consent", ""))


def writers() -> dict[str, Callable]:
    """The export formats of this stage, see `reconstructions`."""
    return {"ply": _write_ply, "glb": _write_glb}


def _write_ply(model, path: Path, config, progress) -> None:
    from ..mesh import extract_mesh
    from ..mesh_files import write_mesh_ply

    write_mesh_ply(extract_mesh(model.scene), path)


def _write_glb(model, path: Path, config, progress) -> None:
    from ...data.cameras import scene_frame
    from ..mesh import extract_mesh
    from ..mesh_files import write_glb

    cameras = model.scene.cameras
    write_glb(extract_mesh(model.scene), path,
              scene_frame(cameras) if len(cameras) > 1 else None)
