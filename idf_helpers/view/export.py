"""Exports of a trained scene: video, page, model files and folders, each with its marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..cameras import orbit, scene_frame
from ..dataset import Dataset
from ..errors import IdfError
from ..evaluate import evaluate_scene
from ..media import write_image
from ..runs import read_manifest
from ..splats.cleanup import clean_scene, crop
from ..splats.gaussians import SH_C0
from ..splats.initialise import initial_gaussians
from ..splats.model_tree import Tree, write_tree
from ..splats.ply import write_ply
from ..splats.run import copy_consent, load_scene, mark_of_model
from ..splats.scene import GaussianScene
from ..splats.splat_file import write_splat
from ..splats.views import TrainingViews
from .config import ExportConfig
from .html import write_viewer
from .orbit import write_orbit

FORMATS = ("ply", "splat", "html", "mp4", "png", "graphdeco")


@dataclass(frozen=True)
class Model:
    """A scene, what its exports say of themselves, and the folder with its consent record.

    trained_at: longer side of the training pictures in pixels, None where it is not known.
    source: folder of the dataset it was trained on, None where it is not known; it may be gone.
    iterations: of its training, 0 where that is not known. settings: those of its run, if any.
    report: lines for people about what was taken away.
    """

    scene: GaussianScene
    what: provenance.Mark
    folder: Path
    name: str
    trained_at: int | None
    source: Path | None = None
    iterations: int = 0
    settings: dict = field(default_factory=dict)
    report: tuple[str, ...] = ()

    @classmethod
    def open(cls, path) -> Model:
        """path: a splat run folder, a folder of graphdeco's train.py, a `.ply` or a `.splat`.
        IdfError where it is none of them."""
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        provenance.Consent.read(folder)  # a damaged record stops it before anything is written
        name = path.name if path.is_dir() else path.stem
        run = read_manifest(path) if (path / "run.json").is_file() else {}
        scene, what = load_scene(path), mark_of_model(path)
        if run or not path.is_dir():
            source = (run.get("inputs") or {}).get("folder")
            settings = run.get("config") or {}
            return cls(scene, what, folder, name, settings.get("resolution"),
                       Path(source) if source else None,
                       int((run.get("metrics") or {}).get("iterations", 0)), settings)
        tree, camera = Tree.find(path), scene.cameras[0]
        return cls(scene, what, folder, name, tree.resolution(camera.width, camera.height),
                   tree.source, tree.iteration)

    def dataset(self, why: str) -> Dataset:
        """The dataset it was trained on. why: what needs it. IdfError where it is gone."""
        if self.source is None or not self.source.is_dir():
            raise IdfError(f"{why} needs the pictures that the model was trained on",
                           f"{self.name} names {self.source or 'no dataset'}",
                           "give the run folder, with its dataset where it was, or leave that out")
        return Dataset.open(self.source)

    def trimmed(self, config: ExportConfig) -> Model:
        """Cropped and cleaned as `config` says, with a report: what went, and how PSNR on the
        held-out views changed where their pictures are known."""
        if not config.clean and not config.crop:
            return self
        data = self.dataset("A clean-up") if config.clean else None
        if data is None and self.source is not None and self.source.is_dir():
            data = Dataset.open(self.source)
        scene, lines = self.scene, []
        if config.clean:
            scene, removed = clean_scene(scene, data.train)
            lines.append(f"clean-up: {removed}")
        if config.crop:
            g, removed = crop(scene.gaussians, scene_frame(scene.cameras), config.crop)
            scene = replace(scene, gaussians=g)
            lines.append(f"crop: {removed}")
        if data is not None:
            before, after = (evaluate_scene(s, data.test, self.trained_at, self.scene.background)
                             .psnr for s in (self.scene, scene))
            lines.append(f"held-out views: {before:.2f} dB before, {after:.2f} dB after")
        return replace(self, scene=scene, report=tuple(lines))


def export(model: Model, out, format: str | None = None, config: ExportConfig | None = None,
           progress: Callable[[int], None] | None = None) -> Path:
    """Writes one file (graphdeco: a folder) and returns its path; format is told by the suffix of
    `out` where None.

    ply: graphdeco's layout. splat: 32 bytes a Gaussian. html: the offline viewer. mp4: one turn.
    png: the front view. graphdeco: the folder that its train.py, render.py and metrics.py leave,
    with test views and metrics where the dataset is still there. config.clean and crop have no
    effect here: see `Model.trimmed`. The consent record, if any, is written beside the file.
    """
    config = (config or ExportConfig()).checked()
    out = Path(out)
    format = format or out.suffix.lower().lstrip(".")
    if format not in FORMATS:
        raise IdfError(f"There is no export format `{format}`", str(out),
                       f"one of: {', '.join(FORMATS)}")
    if format == "graphdeco":
        return _write_graphdeco(model, out, progress)
    if out.suffix.lower() != f".{format}":
        out = out.with_name(out.name + f".{format}")
    scene, what = model.scene, model.what
    with provenance.marked(out, what) as temporary:
        if format == "ply":
            write_ply(scene.gaussians, temporary)
        elif format == "splat":
            write_splat(scene.gaussians, temporary)
        elif format == "html":
            write_viewer(scene.gaussians, temporary, title="3D head",
                         scene_frame=scene_frame(scene.cameras) if len(scene.cameras) > 1 else None,
                         label=_label(what) if config.label else "",
                         note=what.made, trained_at=model.trained_at)
        elif format == "mp4":
            write_orbit(scene, scene.cameras, temporary, what, frames=config.frames,
                        fps=config.fps, elevation=config.elevation, resolution=config.resolution,
                        visible_label=config.label, progress=progress)
        else:
            camera = orbit(scene.cameras, 1, config.elevation, resolution=config.resolution)[0]
            picture = scene.render(camera)
            write_image(temporary, provenance.label(picture) if config.label else picture)
    copy_consent(model.folder, out.parent)
    return out


def _write_graphdeco(model: Model, out: Path, progress) -> Path:
    data, start = None, None
    if model.source is not None and model.source.is_dir():
        data = Dataset.open(model.source)
        start = _start(model, data)
    write_tree(out, model.scene, model.what, model.iterations, dataset=data,
               resolution=model.trained_at, start=start, progress=progress)
    copy_consent(model.folder, out)
    return out


def _start(model: Model, data: Dataset) -> np.ndarray | None:
    """(N, 6) points that the training began with: COLMAP's, or drawn again from the seed."""
    points = data.points()
    if points is not None or "seed" not in model.settings:
        return points
    views = TrainingViews.load(data.train, model.trained_at)
    g = initial_gaussians(views, model.settings["initial"], 0,
                          np.random.default_rng(model.settings["seed"]))
    return np.concatenate([g.means, 0.5 + SH_C0 * g.sh[:, 0]], axis=1)


def _label(what: provenance.Mark) -> str:
    return "SYNTHETIC · AI-assisted face swap" if what.consent else "SYNTHETIC · rendered by AI"
