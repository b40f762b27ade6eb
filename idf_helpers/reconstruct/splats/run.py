"""The splats stage: dataset in, a run folder with a scene out; and scenes read back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import catalogue as backends
from ... import provenance
from ...data.cameras import Camera, look_at_matrix
from ...data.cameras_file import find_cameras, write_cameras
from ...data.contact_sheet import before_after
from ...data.dataset import Dataset
from ...data.media import write_image
from ...errors import IdfError
from ...evaluate import SceneMetrics, Target, evaluate_scene
from ...export.html import guess_frame
from ...runtime.files import sha256_file, write_json
from ...runtime.machine import peak_rss_mb
from ...runtime.runs import RunFolder, read_manifest
from ...scene import WHITE
from .config import SplatConfig
from .gaussians import SH_C0, Gaussians
from .gsplat_config import GsplatConfig
from .model_folder import Tree
from .ply import read_ply, write_ply
from .scene import GaussianScene
from .splat_file import read_splat
from .train import Progress, fit

MODEL = "point_cloud.ply"
KEPT = (MODEL, "metrics.json", "cameras.json")  # what a finished run must still hold
METRICS = ("psnr", "ssim", "views", "num_gaussians", "iterations", "seconds")  # in metrics.json
READERS = {".ply": read_ply, ".splat": read_splat}  # by suffix
SHEET_VIEWS = 8  # held-out views in the comparison picture


def train_splats(dataset: Dataset, out, config: SplatConfig | None = None, *,
                 backend: str = "auto", resume: bool = True,
                 progress: Callable[[Progress], None] | None = None,
                 gsplat: GsplatConfig | None = None, start=None,
                 surface=None) -> GaussianScene:
    """Trains Gaussian splats on `dataset` and leaves in the run folder `out`:

    point_cloud.ply (graphdeco's layout, marked), cameras.json, metrics.json, per_view.json,
    held_out.jpg (pictures above, renders below), consent.json where the dataset has one.

    gsplat: further settings of that backend, not used by others. start: splat run folder or model
    file whose Gaussians the training goes on from (the trainers of other programs begin with
    their places and colors). surface: run folder of a scene, such as a radiance field, on
    whose surface the Gaussians begin. A finished run of the same inputs and settings is read back.
    IdfError: see `fit`, `RunFolder`.
    """
    config = (config or SplatConfig()).checked()
    chosen, why = backends.choose("splats", backend)
    settings, train, own = asdict(config), chosen.load_trainer() or fit, {}
    if chosen.name == "gsplat":
        own = {"options": (gsplat or GsplatConfig()).checked()}
        settings["gsplat"] = asdict(own["options"])
    inputs, points = dataset.fingerprint(), dataset.points()
    if start is not None:
        inputs["start_sha256"] = sha256_file(model_file(start))
        earlier = READERS[model_file(start).suffix.lower()](model_file(start))
        if train is fit:
            own["start"] = earlier
        else:
            points = np.concatenate([earlier.means, 0.5 + SH_C0 * earlier.sh[:, 0]], axis=1)
            why += "; begun with places and colors of an earlier model"
    if surface is not None:
        settings["points"] = read_manifest(surface)["run_id"]
    with RunFolder(out, stage="splats", backend=chosen.name, config=settings,
                   inputs=inputs, resume=resume) as run:
        if run.finished and all((run.path / name).is_file() for name in KEPT):
            return load_scene(run.path)
        if surface is not None:
            points = _points_of(surface, config)
        scene = train(dataset, config, run=run, rasterizer=chosen.load()(), progress=progress,
                      points=points, **own)
        if scene.training.get("halved"):
            why += "; the GPU's memory was full: half the Gaussians, or half the resolution"
        metrics = evaluate_scene(scene, dataset.test, config.resolution)
        what = mark_of(dataset.root, run.run_id, "Gaussian splats")
        with provenance.marked(run.path / MODEL, what) as temporary:
            write_ply(scene.gaussians, temporary)
        write_cameras(run.path / "cameras.json", list(dataset.train))
        copy_consent(dataset.root, run.path)
        write_json(run.path / "per_view.json", [v.row() for v in metrics.views])
        _write_sheet(scene, dataset, config, metrics, run.path / "held_out.jpg", what)
        run.finish(metrics.summary() | {
            "num_gaussians": len(scene.gaussians), "iterations": scene.training["iterations"],
            "seconds": scene.training["seconds"], "peak_rss_mb": round(peak_rss_mb(), 1)},
            why=why, consent=what.consent, made=what.made,
            source_type=what.source_type, background=list(scene.background))
    return scene


def _points_of(path, config: SplatConfig):
    """(N, 6) points on the surface of the scene of a run folder, N as many as a start has."""
    from .. import scenes as reconstructions
    from ..surface import surface_points

    return surface_points(reconstructions.load_scene(path), config.initial, seed=config.seed)


def _write_sheet(scene, dataset, config, metrics: SceneMetrics, path: Path, what) -> None:
    step = max(1, len(dataset.test) // SHEET_VIEWS)
    views = list(zip(dataset.test, metrics.views, strict=True))[::step][:SHEET_VIEWS]
    targets = [Target.of(f, config.resolution) for f, _ in views]
    renders = [scene.render(t.camera, None, t.background) for t in targets]
    captions = [f"{Path(v.name).name} {v.psnr:.1f} dB" for _, v in views]
    sheet = before_after([t.rgb for t in targets], renders, 180, captions)
    with provenance.marked(path, what) as temporary:
        write_image(temporary, sheet)


def mark_of(folder, run_id: str, made: str) -> provenance.Mark:
    """The mark of something made from the pictures of a dataset folder, or from a run on one."""
    if not (Path(folder) / "run.json").is_file():
        return provenance.Mark(run_id, made)
    manifest = read_manifest(folder)  # a damaged one must not lose the consent without a word
    swapped = manifest.get("stage") == "swap"
    return provenance.Mark(run_id, f"{made} of swapped views" if swapped else made,
                           manifest.get("source_type", "compositeSynthetic"),
                           manifest.get("consent", ""))


def copy_consent(source, target) -> None:
    """The consent record travels with what is made of the pictures."""
    record = provenance.Consent.read(source)
    if record is not None:
        record.write(target)


# --- reading back ---------------------------------------------------------------------------------

def model_file(path) -> Path:
    """The `.ply` or `.splat` file itself, or that of a run folder or of a folder that graphdeco's
    trainer left (its newest iteration). IdfError where there is none."""
    path = Path(path)
    if path.is_dir():
        if (path / MODEL).is_file():
            return path / MODEL
        tree = Tree.find(path)
        if tree is None:
            raise IdfError(f"{path} holds no splats", f"no {MODEL}, no point_cloud/iteration_N/",
                           "give the folder named with --out when `idf splat` ran, one of "
                           "graphdeco's train.py, or a .ply or .splat file")
        return tree.model
    if path.suffix.lower() not in READERS:
        raise IdfError(f"{path} is neither a run folder nor a .ply or .splat file",
                       path.suffix or "no suffix", "give a run folder, a .ply or a .splat file")
    return path


def load_scene(path, rasterizer=None) -> GaussianScene:
    """The scene of a splat run folder, a folder of graphdeco's trainer, any 3DGS `.ply` or a
    `.splat`, with cameras for its orbit."""
    path = Path(path)
    run = path / "run.json"
    file = model_file(path)
    background = WHITE
    if run.is_file():
        background = read_manifest(path).get("background", WHITE)
        if not (isinstance(background, (list, tuple)) and len(background) == 3
                and all(isinstance(b, (int, float)) and 0 <= b <= 1 for b in background)):
            raise IdfError(f"The run manifest {run} is damaged", f"background {background!r:.60}",
                           "delete that folder and run the stage again")
    elif path.is_dir():
        background = Tree.find(path).background
    gaussians = READERS[file.suffix.lower()](file)
    return GaussianScene(gaussians, rasterizer, find_cameras(file) or [default_camera(gaussians)],
                         tuple(background))


def default_camera(gaussians: Gaussians, size: int = 512) -> Camera:
    """A camera for a model that comes without any: +z up, seen from -y, the Blender way round."""
    frame = guess_frame(gaussians)
    matrix = look_at_matrix(frame.center + frame.distance * frame.front, frame.center, frame.up)
    return Camera.from_fov(matrix, 2 * math.atan(frame.radius / frame.distance), size, size)


def mark_of_model(path) -> provenance.Mark:
    """The mark for what is exported from a run folder or a model file: it carries on what the run,
    or the file's own comment, says of its making."""
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if (folder / "run.json").is_file():
        manifest = read_manifest(folder)
        if manifest.get("stage") == "splats":
            return provenance.Mark(manifest["run_id"], manifest.get("made", "Gaussian splats"),
                                   manifest.get("source_type", "compositeSynthetic"),
                                   manifest.get("consent", ""))
    said = provenance.verify(model_file(path)).fields
    if said:
        return provenance.Mark(said["run_id"], said["made"], said["source_type"], said["consent"])
    return provenance.Mark("unknown", f"Gaussian splats of {path.name}")


def writers() -> dict[str, Callable]:
    """The export formats of splats, see `reconstructions`."""
    from ...export.splat_formats import WRITERS  # later: it needs what this module offers

    return WRITERS
