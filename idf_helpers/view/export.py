"""Exports of a trained scene: video, page, and model files, each with its marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import provenance
from ..cameras import orbit, scene_frame
from ..errors import IdfError
from ..media import write_image
from ..runs import read_manifest
from ..splats.ply import write_ply
from ..splats.run import copy_consent, load_scene, mark_of_model, model_file
from ..splats.scene import GaussianScene
from ..splats.splat_file import write_splat
from .config import ExportConfig
from .html import write_viewer
from .orbit import write_orbit

FORMATS = ("ply", "splat", "html", "mp4", "png")


@dataclass(frozen=True)
class Model:
    """A scene, what its exports say of themselves, and the folder with its consent record.

    trained_at: longer side of the training pictures in pixels, None where it is not known.
    """

    scene: GaussianScene
    what: provenance.Mark
    folder: Path
    name: str
    trained_at: int | None

    @classmethod
    def open(cls, path) -> Model:
        """path: a splat run folder or a `.ply`. IdfError where it is neither."""
        path = Path(path)
        file = model_file(path)
        provenance.Consent.read(file.parent)  # a damaged record stops it before anything is written
        run = read_manifest(path) if (path / "run.json").is_file() else {}
        return cls(load_scene(path), mark_of_model(path), file.parent,
                   path.name if path.is_dir() else path.stem,
                   run.get("config", {}).get("resolution"))


def export(model: Model, out, format: str | None = None, config: ExportConfig | None = None,
           progress: Callable[[int], None] | None = None) -> Path:
    """Writes one file and returns its path; format is told by the suffix of `out` where None.

    ply: graphdeco's layout. splat: 32 bytes a Gaussian. html: the offline viewer. mp4: one turn.
    png: the front view. The consent record, if any, is written beside the file.
    """
    config = (config or ExportConfig()).checked()
    out = Path(out)
    format = format or out.suffix.lower().lstrip(".")
    if format not in FORMATS:
        raise IdfError(f"There is no export format `{format}`", str(out),
                       f"one of: {', '.join(FORMATS)}")
    if out.suffix.lower() != f".{format}":
        out = out.with_name(out.name + f".{format}")
    scene, what = model.scene, model.what
    if format == "ply":
        write_ply(scene.gaussians, out)
    elif format == "splat":
        write_splat(scene.gaussians, out)
    elif format == "html":
        write_viewer(scene.gaussians, out, title="3D head",
                     scene_frame=scene_frame(scene.cameras) if len(scene.cameras) > 1 else None,
                     label=_label(what) if config.label else "",
                     note=what.made, trained_at=model.trained_at)
    elif format == "mp4":
        write_orbit(scene, scene.cameras, out, what, frames=config.frames, fps=config.fps,
                    elevation=config.elevation, resolution=config.resolution,
                    visible_label=config.label, progress=progress)
    else:
        camera = orbit(scene.cameras, 1, config.elevation, resolution=config.resolution)[0]
        picture = scene.render(camera)
        write_image(out, provenance.label(picture) if config.label else picture)
    if format != "mp4":  # the video has its mark already, before its first byte was readable
        provenance.mark(out, what)
    copy_consent(model.folder, out.parent)
    return out


def _label(what: provenance.Mark) -> str:
    return "SYNTHETIC · AI-assisted face swap" if what.consent else "SYNTHETIC · rendered by AI"
