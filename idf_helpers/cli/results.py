"""`idf render`, `export`, `eval` and `verify`: what became of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ..exporting.config import ExportConfig
from ..runtime.settings import check_range
from .shared import Flat


def render(model: Positional[Path], out: Path, orbit: bool = False, views: int = 8,
           config: Annotated[ExportConfig, Flat] = ExportConfig()) -> None:  # noqa: B008
    """Pictures of a trained scene from all round, or with --orbit one turn as a video.

    Args:
        model: run folder of `idf splat` or of graphdeco's train.py, a .ply or a .splat file.
        out: folder for the pictures view_00.png …; with --orbit the video file or its folder.
        orbit: write a video.
        views: pictures, evenly spaced.
    """
    from .. import provenance
    from ..data.cameras import orbit as orbit_path
    from ..data.media import write_image
    from ..exporting.model import Model, export
    from ..provenance.lineage import copy_consent

    config.checked()
    if not orbit:
        check_range("views", views, 1, 10_000)
    opened = _trimmed(Model.open(model), config)
    if orbit:
        path = out if out.suffix.lower() == ".mp4" else out / "orbit.mp4"
        print(f"written: {export(opened, path, 'mp4', config)}")
        return
    cameras = orbit_path(opened.scene.cameras, views, config.elevation,
                         resolution=config.resolution)
    for i, camera in enumerate(cameras):
        picture = opened.scene.render(camera)
        path = out / f"view_{i:02d}.png"
        with provenance.marked(path, opened.what) as temporary:
            write_image(temporary, provenance.label(picture) if config.label else picture)
    copy_consent(opened.folder, out)
    print(f"written: {views} pictures in {out}")


def export(model: Positional[Path], out: Path,
           format: str | None = None,
           config: Annotated[ExportConfig, Flat] = ExportConfig()) -> None:  # noqa: B008
    """Write a trained scene as one file: model, offline page, video or picture; or as the folder
    of graphdeco's trainer.

    Args:
        model: run folder of `idf splat` or of graphdeco's train.py, a .ply or a .splat file.
        out: file to write; with --format graphdeco a new folder.
        format: ply, splat, html, mp4, png or graphdeco; told by the suffix of --out where left out.
    """
    from ..exporting.model import Model, export

    config.checked()
    print(f"written: {export(_trimmed(Model.open(model), config), out, format, config)}")


def eval_(model: Positional[tuple[Path, ...]], dataset: Path | None = None,
          resolution: int | None = None, source: Path | None = None,
          arcface: Path | None = None) -> None:
    """Measure swaps side by side, or a trained scene on the test views of its dataset.

    Args:
        model: run folder of `idf swap`, `idf splat` or graphdeco's train.py, a .ply or .splat file;
            several for one table of all.
        dataset: what to compare with; needed for a file, else the run's own. Of a video's swap the
            original video.
        resolution: longer side in pixels; default: as the run was trained.
        source: a swap's source photo, to measure how like it the faces became.
        arcface: ONNX file of a recognizer; default: the download of that name, where it is there.
    """
    from ..evaluation import evaluate

    print(evaluate(model, dataset, resolution, source, arcface))


def verify(file: Positional[Path]) -> None:
    """What an exported file says of its making.

    Args:
        file: a picture, video, page or model.
    """
    from ..provenance import verify

    print(verify(file))


def _trimmed(model, config: ExportConfig):
    model = model.trimmed(config)
    for line in model.report:
        print(line)
    return model

