"""The export formats of avatars: a model frozen at one expression, the page with sliders, a video.

Each is write(model, path, config, progress); marks and consent are the business of `view.export`.
"""

from __future__ import annotations

from pathlib import Path

from ..reconstruction.avatar.pictures import write_tour
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.splats.ply import write_ply
from ..reconstruction.splats.splat_file import write_splat
from .config import ExportConfig
from .page import recorded, write_page


def frozen(scene: AvatarScene, expression=None):
    """Splats at one expression (None = neutral, a dict of names, or E numbers), torso included."""
    return scene.avatar.frozen(expression)


def _ply(model, path: Path, config: ExportConfig, progress) -> None:
    write_ply(frozen(model.scene), path)


def _splat(model, path: Path, config: ExportConfig, progress) -> None:
    write_splat(frozen(model.scene), path)


def _video(model, path: Path, config: ExportConfig, progress) -> None:
    write_tour(model.scene, path, model.what, frames=config.frames, fps=config.fps,
               resolution=config.resolution, visible_label=config.label, progress=progress)


def _page(model, path: Path, config: ExportConfig, progress) -> None:
    write_page(model, path, config, progress, recorded(model))


WRITERS = {"ply": _ply, "splat": _splat, "html": _page, "mp4": _video}
