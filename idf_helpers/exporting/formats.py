"""Write a scene as a file: the table of formats, and the one function that uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from .. import provenance
from ..data.camera_path import CameraPath, read_camera_path, write_camera_path
from ..data.cameras import orbit as turn
from ..data.cameras import round_trip
from ..data.media import to_uint8, video_writer, write_image
from ..errors import IdfError, nearest
from ..provenance import marked
from ..provenance.lineage import copy_consent
from ..reconstruction.avatar.pictures import tour
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.files import atomic_write
from ..runtime.machine import cpu_count
from ..runtime.parallel import pmap
from ..runtime.progress import Reporter
from ..runtime.settings import check_range
from ..scene import Expressive, HasGaussians, Scene
from .config import ExportConfig, ReenactConfig
from .face_mesh import write_face_mesh
from .graphdeco_folder import write_graphdeco
from .html import write_viewer
from .model import Exporter, Model
from .payload import ViewerPayload
from .sequence import write_sequence, write_zip

Progress = Callable[[float], None]  # takes the part that is done, in [0, 1]


@dataclass(frozen=True)
class Format:
    """One way to write a scene.

    write: (model, path, config, progress). needs: what the scene must be able to do.
    reads: the settings that have an effect. folder: whether it is a folder, not a file. alone:
    whether nothing else may lie in that folder. shows: whether it shows or holds what was made, and
    so gets a mark. slider: whether it holds original and style, to be mixed where it is shown.
    """

    write: Callable[[Model, Path, ExportConfig, Progress], object]
    needs: type = Scene
    reads: tuple[str, ...] = ()
    folder: bool = False
    alone: bool = False
    shows: bool = True
    slider: bool = False


def _picture(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    camera = turn(model.scene.cameras, 1, config.elevation, resolution=config.resolution)[0]
    write_image(path, model.mark.watermarked(labeled(model.scene.render(camera), config)))


def _video(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    """One turn, starting in front, or a swing over what was seen; an avatar sways and goes through
    its expressions."""
    scene = model.scene
    views = tour(cast(AvatarScene, scene), config.frames, config.resolution) if isinstance(
        scene, Expressive) else (
        (c, None) for c in round_trip(scene.cameras, config.frames, config.elevation,
                                      config.resolution))
    with video_writer(path, config.fps, comment=model.mark.text()) as video:
        for i, frame in enumerate(_finished(model, config, views), 1):
            video.append(frame)
            progress(i / config.frames)


def _finished(model: Model, config: ExportConfig, views: Iterable) -> Iterator[np.ndarray]:
    """Yield views (camera, expression) labeled and watermarked: while threads do that, the next
    ones are drawn."""
    drawn = (to_uint8(model.scene.render(camera, expression)) for camera, expression in views)
    threads = min(cpu_count(), MOST_THREADS)
    yield from pmap(lambda picture: model.mark.watermarked(labeled(picture, config)), drawn,
                    "threads", threads, window=threads + 1)


def _page(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    scene = cast(HasGaussians, model.scene)  # see `FORMATS`
    payload = ViewerPayload.of_scene(scene, trained_at=model.trained_at, track=model.track(),
                                     intensity=config.intensity)
    write_viewer(payload, path, title=config.title or payload.title, note=model.mark.made,
                 label=model.corner_label if config.label else "", watermark=model.mark.payload)


def _path(model: Model, path: Path, config: ExportConfig, progress: Progress) -> None:
    """Write the way that the video of a still scene goes, for nerfstudio and SuperSplat."""
    write_camera_path(path, CameraPath(round_trip(model.scene.cameras, config.frames,
                                                  config.elevation, config.resolution),
                                       config.fps))


MOST_THREADS = 8  # that finish frames, which wait in memory
VIEW = ("resolution", "elevation", "label")
# What scenes can be written as beside the model formats of their own method (`Method.exporters`).
FORMATS = {
    "png": Format(_picture, reads=VIEW),
    "mp4": Format(_video, reads=(*VIEW, "frames", "fps")),
    "html": Format(_page, HasGaussians, ("label", "title"), slider=True),
    "path.json": Format(_path, reads=("resolution", "elevation", "frames", "fps"),
                        shows=False),
    "graphdeco": Format(write_graphdeco, GaussianScene, folder=True),
    "frames": Format(write_sequence, AvatarScene, ("frames",), folder=True, alone=True),
    "zip": Format(write_zip, AvatarScene, ("frames",)),
    "face.glb": Format(write_face_mesh, AvatarScene, ("frames",)),
}


def formats_of(model: Model) -> dict[str, Format]:
    """Return the formats that a scene can be written in, by name."""
    def of_method(exporter: Exporter) -> Format:
        return Format(lambda model, path, config, progress: exporter(model.scene, path))
    return {name: f for name, f in FORMATS.items() if isinstance(model.scene, f.needs)} | {
        name: of_method(exporter) for name, exporter in model.exporters.items()}


def export(model: Model | str | Path, out: str | Path, format: str | None = None,
           config: ExportConfig | None = None, reporter: Reporter | None = None) -> Path:
    """Write a trained scene as one file, or as the folder of graphdeco's trainer, marked.

    A consent record goes beside it. Formats: png (the front view), mp4 (one turn), html (the
    offline page), path.json (the way of the video's camera, for nerfstudio and SuperSplat),
    graphdeco (what its train.py, render.py and metrics.py leave; test views and metrics where the
    dataset is still there), of an avatar also frames (numbered .ply files in a folder), zip (the
    same in one file) and face.glb (a mesh with blendshapes), and the model formats of the method:
    ply (graphdeco's layout), compressed.ply, splat, spz, sog and glb (KHR_gaussian_splatting) of
    splats and avatars, ply and glb (a mesh) of fields.

    Args:
        model: run folder of a scene or of graphdeco's train.py, or a splat file of any format.
        out: file to write; with the formats graphdeco and frames a new folder.
        format: default: as the suffix of `out` says.
        config: settings; a format takes those that concern it.
        reporter: takes word of the progress.

    Returns the path. A `Model` is written as it is: its `trimmed` cleans and crops. IdfError where
    the scene has no such format.
    """
    config, reporter = (config or ExportConfig()).checked(), reporter or Reporter()
    out = Path(out)
    opened = model if isinstance(model, Model) else Model.open(model, config.up)
    chosen, name = find_format(opened, out, format)
    if opened is not model:
        opened = opened.trimmed(config)
        for line in opened.report:
            reporter.note(line)
    if config.intensity is not None:
        at = opened.at_intensity(config.intensity)
        opened = opened if chosen.slider else at
    if not chosen.folder and not out.name.lower().endswith(f".{name}"):
        out = out.with_name(f"{out.name}.{name}")
    step = f"writing {out.name}"

    def progress(fraction: float) -> None:
        reporter.step(step, fraction)

    if chosen.folder:
        chosen.write(opened, out, config, progress)
        copy_consent(opened.folder, out.parent if chosen.alone else out)
        return out
    if not chosen.shows:
        with atomic_write(out) as temporary:
            chosen.write(opened, temporary, config, progress)
        return out
    with marked(out, opened.mark) as temporary:
        chosen.write(opened, temporary, config, progress)
    copy_consent(opened.folder, out.parent)
    return out


def find_format(model: Model, out: Path, name: str | None) -> tuple[Format, str]:
    """Return the format of that name, or of the suffix of `out`, and its name."""
    formats = formats_of(model)
    if name is None:  # the longest: `x.compressed.ply` is no .ply
        ends = [n for n in formats if out.name.lower().endswith(f".{n}")]
        name = max(ends, key=len, default=out.suffix.lower().lstrip("."))
    if not name:
        raise IdfError("The name of the export does not say its format", f"no suffix: {out}",
                       f"end it in one of: {', '.join(sorted(formats))}")
    if name not in formats:
        raise IdfError(f"There is no export format `{name}` for {model.name}",
                       f"{out}{nearest(name, formats)}", f"one of: {', '.join(sorted(formats))}")
    return formats[name], name


def render(model: Model | str | Path, out: str | Path, views: int = 8, orbit: bool = False,
           frames: int = 120, resolution: int = 400, label: bool = True, up: str = "auto",
           path: str | Path | None = None, reporter: Reporter | None = None) -> Path:
    """Write pictures of a trained scene from all around, or one turn or another way as a video,
    marked.

    Args:
        model: run folder of a scene or of graphdeco's train.py, or a splat file of any format.
        out: folder for the pictures view_00.png and so on; with `orbit` the video or its folder.
        views: pictures, evenly spaced.
        orbit: write a video.
        frames: of the video, for one turn.
        resolution: longer side in pixels.
        label: the visible word in the corner.
        up: the axis of a splat file that points up (x, -x, y, -y, z or -z). auto: as the file or
            its cameras.json say, else as faces in it stand, else -y.
        path: write a video along this camera path: JSON of nerfstudio, of SuperSplat's viewer or
            editor (document.json), or the format `path.json` of `idf export`.
        reporter: takes word of the progress.

    Returns the folder, or the video.
    """
    config = ExportConfig(frames=frames, resolution=resolution, label=label).checked()
    out = Path(out)
    if not isinstance(model, Model):
        model = Model.open(model, up)
        for line in model.report:
            (reporter or Reporter()).note(line)
    if path is not None:
        return _along(model, read_camera_path(path, resolution, resolution).fitted(resolution),
                      out if out.suffix.lower() == ".mp4" else out / "path.mp4", config,
                      reporter or Reporter())
    if orbit:
        return export(model, out if out.suffix.lower() == ".mp4" else out / "orbit.mp4", "mp4",
                      config, reporter)
    check_range("views", views, 1, 10_000)
    cameras = turn(model.scene.cameras, views, config.elevation, resolution=resolution)
    for i, picture in enumerate(_finished(model, config, ((c, None) for c in cameras))):
        with marked(out / f"view_{i:02d}.png", model.mark) as temporary:
            write_image(temporary, picture)
    copy_consent(model.folder, out)
    return out


def _along(model: Model, track: CameraPath, out: Path, config: ExportConfig, reporter: Reporter
           ) -> Path:
    with marked(out, model.mark) as temporary, \
            video_writer(temporary, track.fps, comment=model.mark.text()) as video:
        views = ((camera, None) for camera in track.cameras)
        for i, frame in enumerate(_finished(model, config, views), 1):
            video.append(frame)
            reporter.step(f"writing {out.name}", i / len(track.cameras))
    copy_consent(model.folder, out.parent)
    return out


def labeled(picture: np.ndarray, config: ExportConfig | ReenactConfig) -> np.ndarray:
    """Return a picture with the visible word in its corner, where the settings ask for it."""
    return provenance.label(picture) if config.label else picture
