"""Exports of a trained scene: video, page, model files and folders, each with its marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import provenance
from ..data.cameras import orbit, scene_frame
from ..data.dataset import Dataset
from ..data.media import write_image
from ..errors import IdfError
from ..metrics import evaluate_scene
from ..provenance.lineage import copy_consent
from ..reconstruction import scenes as reconstructions
from ..reconstruction.splats.cleanup import clean_scene, crop
from ..reconstruction.splats.model_folder import Tree
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.runs import read_manifest
from ..scene import Scene
from .config import ExportConfig
from .orbit import write_orbit

FOLDERS = ("graphdeco",)  # formats that are folders, not files


@dataclass(frozen=True)
class Model:
    """A scene, what its exports say of themselves, and the folder with its consent record.

    writers: export formats of its stage, see `reconstructions`.
    trained_at: longer side of the training pictures in pixels, None where it is not known.
    source: folder of the dataset it was trained on, None where it is not known; it may be gone.
    iterations: of its training, 0 where that is not known. settings: those of its run, if any.
    report: lines for people about what was taken away.
    """

    scene: Scene
    what: provenance.Mark
    folder: Path
    name: str
    writers: dict[str, Callable]
    trained_at: int | None
    source: Path | None = None
    iterations: int = 0
    settings: dict = field(default_factory=dict)
    report: tuple[str, ...] = ()

    @classmethod
    def open(cls, path) -> Model:
        """path: a run folder with a scene, a folder of graphdeco's train.py, a `.ply` or a
        `.splat`. IdfError where it is none of them."""
        path = Path(path)
        stage = reconstructions.module_for(path)
        folder = path if path.is_dir() else path.parent
        provenance.Consent.read(folder)  # a damaged record stops it before anything is written
        name = path.name if path.is_dir() else path.stem
        run = read_manifest(path) if (path / "run.json").is_file() else {}
        scene, what, writers = stage.load_scene(path), stage.mark_of_model(path), stage.writers()
        if run or not path.is_dir():
            source = (run.get("inputs") or {}).get("folder")
            settings = run.get("config") or {}
            return cls(scene, what, folder, name, writers, settings.get("resolution"),
                       Path(source) if source else None,
                       int((run.get("metrics") or {}).get("iterations", 0)), settings)
        tree, camera = Tree.find(path), scene.cameras[0]
        return cls(scene, what, folder, name, writers,
                   tree.resolution(camera.width, camera.height), tree.source, tree.iteration)

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
        if not isinstance(self.scene, GaussianScene):
            raise IdfError("Only splats can be cropped and cleaned", f"{self.name} is none",
                           "leave --clean and --crop out")
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

    mp4: one turn. png: the front view. The others are those of the model's stage, see its
    `writers()`; for splats: ply (graphdeco's layout), splat (32 bytes a Gaussian), html (the
    offline viewer) and graphdeco (the folder that its train.py, render.py and metrics.py leave,
    with test views and metrics where the dataset is still there). config.clean and crop have no
    effect here: see `Model.trimmed`. The consent record, if any, is written beside the file.
    """
    config = (config or ExportConfig()).checked()
    out = Path(out)
    format = format or out.suffix.lower().lstrip(".")
    writers = {"mp4": _write_video, "png": _write_picture} | model.writers
    if format not in writers:
        raise IdfError(f"There is no export format `{format}` for {model.name}", str(out),
                       f"one of: {', '.join(sorted(writers))}")
    write = writers[format]
    if format in FOLDERS:
        write(model, out, config, progress)
        copy_consent(model.folder, out)
        return out
    if out.suffix.lower() != f".{format}":
        out = out.with_name(out.name + f".{format}")
    with provenance.marked(out, model.what) as temporary:
        write(model, temporary, config, progress)
    copy_consent(model.folder, out.parent)
    return out


def _write_video(model: Model, path: Path, config: ExportConfig, progress) -> None:
    write_orbit(model.scene, model.scene.cameras, path, model.what, frames=config.frames,
                fps=config.fps, elevation=config.elevation, resolution=config.resolution,
                visible_label=config.label, progress=progress)


def _write_picture(model: Model, path: Path, config: ExportConfig, progress) -> None:
    camera = orbit(model.scene.cameras, 1, config.elevation, resolution=config.resolution)[0]
    picture = model.scene.render(camera)
    write_image(path, provenance.label(picture) if config.label else picture)


def corner_label(what: provenance.Mark) -> str:
    """The visible word of a page."""
    return "SYNTHETIC · AI-assisted face swap" if what.consent else "SYNTHETIC · rendered by AI"
