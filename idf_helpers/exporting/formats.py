"""Writing a scene as a file: the table of formats, and the one function that goes by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.cameras import orbit
from ..data.media import video_writer, write_image
from ..errors import IdfError, nearest
from ..provenance import label, marked
from ..provenance.lineage import copy_consent
from ..reconstruction.avatar.pictures import tour
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.progress import Reporter
from ..runtime.settings import check_range
from ..scene import Expressive, HasGaussians, Scene
from .config import ExportConfig
from .graphdeco_folder import write_graphdeco
from .html import write_viewer
from .model import Model
from .payload import ViewerPayload

Progress = Callable[[float], None]  # takes the part that is done, in [0, 1]


@dataclass(frozen=True)
class Format:
    """One way to write a scene.

    write: (model, path, config, progress). needs: what the scene must be able to do.
    reads: the settings that have an effect. folder: whether it is a folder, not a file.
    """

    write: Callable[[Model, Path, ExportConfig, Progress], object]
    needs: type = Scene
    reads: tuple[str, ...] = ()
    folder: bool = False


def _picture(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    camera = orbit(model.scene.cameras, 1, config.elevation, resolution=config.resolution)[0]
    write_image(path, labeled(model.scene.render(camera), config))


def _video(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    """One turn, starting in front; an avatar sways and goes through its expressions."""
    scene = model.scene
    views = tour(scene, config.frames, config.resolution) if isinstance(scene, Expressive) else (
        (c, None) for c in orbit(scene.cameras, config.frames, config.elevation,
                                 resolution=config.resolution))
    with video_writer(path, config.fps, comment=model.mark.text()) as video:
        for i, (camera, expression) in enumerate(views, 1):
            video.append(labeled(scene.render(camera, expression), config))
            progress(i / config.frames)


def _page(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    payload = ViewerPayload.of_scene(model.scene, trained_at=model.trained_at, track=model.track())
    write_viewer(payload, path, title="3D head", note=model.mark.made,
                 label=model.corner_label if config.label else "")


VIEW = ("resolution", "elevation", "label")
TRIM = ("clean", "crop")
# What scenes can be written as beside the model formats of their own method (`Method.exporters`).
FORMATS = {
    "png": Format(_picture, reads=VIEW),
    "mp4": Format(_video, reads=(*VIEW, "frames", "fps")),
    "html": Format(_page, HasGaussians, ("label",)),
    "graphdeco": Format(write_graphdeco, GaussianScene, folder=True),
}


def formats_of(model: Model) -> dict[str, Format]:
    """Return the formats that a scene can be written in, by name."""
    def of_method(exporter) -> Format:
        return Format(lambda model, path, config, progress: exporter(model.scene, path))
    return {name: f for name, f in FORMATS.items() if isinstance(model.scene, f.needs)} | {
        name: of_method(exporter) for name, exporter in model.exporters.items()}


def export(model, out, format: str | None = None, config: ExportConfig | None = None,
           reporter: Reporter | None = None) -> Path:
    """Write a trained scene as one file (graphdeco: a folder), marked; return its path.

    model: a run folder, a folder of graphdeco's train.py, a .ply or .splat file, or a `Model`,
        which is written as it is: `clean` and `crop` are for `Model.trimmed`.
    out: file to write; its consent record, if any, goes beside it.
    format: None = as the suffix of `out` says. png: the front view. mp4: one turn. html: the
        offline page. graphdeco: the folder that its train.py, render.py and metrics.py leave, with
        test views and metrics where the dataset is still there. Others are model formats: ply
        (graphdeco's layout) and splat (32 bytes a Gaussian) of splats and avatars, ply and glb (a
        mesh) of fields.
    Raises IdfError where the scene has no such format.
    """
    config, reporter = (config or ExportConfig()).checked(), reporter or Reporter()
    if not isinstance(model, Model):
        model = Model.open(model).trimmed(config)
        for line in model.report:
            reporter.note(line)
    out = Path(out)
    chosen, name = find_format(model, out, format)

    def progress(fraction: float) -> None:
        reporter.step(f"writing {out.name}", fraction)

    if chosen.folder:
        chosen.write(model, out, config, progress)
        copy_consent(model.folder, out)
        return out
    if out.suffix.lower() != f".{name}":
        out = out.with_name(f"{out.name}.{name}")
    with marked(out, model.mark) as temporary:
        chosen.write(model, temporary, config, progress)
    copy_consent(model.folder, out.parent)
    return out


def find_format(model: Model, out: Path, name: str | None) -> tuple[Format, str]:
    """Return the format of that name, or of the suffix of `out`, and its name."""
    name, formats = name or out.suffix.lower().lstrip("."), formats_of(model)
    if name not in formats:
        raise IdfError(f"There is no export format `{name}` for {model.name}",
                       f"{out}{nearest(name, formats)}", f"one of: {', '.join(sorted(formats))}")
    return formats[name], name


def write_views(model: Model, out, count: int = 8, config: ExportConfig | None = None) -> Path:
    """Write `count` pictures from all round, view_00.png and so on, marked; return their folder."""
    config, out = (config or ExportConfig()).checked(), Path(out)
    check_range("views", count, 1, 10_000)
    cameras = orbit(model.scene.cameras, count, config.elevation, resolution=config.resolution)
    for i, camera in enumerate(cameras):
        with marked(out / f"view_{i:02d}.png", model.mark) as temporary:
            write_image(temporary, labeled(model.scene.render(camera), config))
    copy_consent(model.folder, out)
    return out


def labeled(picture: np.ndarray, config) -> np.ndarray:
    """Return a picture with the visible word in its corner, where the settings ask for it."""
    return label(picture) if config.label else picture
