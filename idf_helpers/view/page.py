"""The offline page of a model: splats that stand still, or an avatar with its sliders."""

from __future__ import annotations

from pathlib import Path

from ..cameras import scene_frame
from .config import ExportConfig
from .export import Model, corner_label
from .html import write_viewer
from .orbit import turn_limit
from .rig import Track, whole


def write_page(model: Model, path: Path, config: ExportConfig, progress=None,
               track: Track | None = None) -> None:
    """An export format (see `reconstructions`): scenes with `gaussians`, or with an `avatar`
    (`avatar.basis.BlendAvatar`). track: expressions that the page can play."""
    scene = model.scene
    blend = getattr(scene, "avatar", None)
    gaussians, face = whole(blend, track) if blend is not None else (scene.gaussians, None)
    several = len(scene.cameras) > 1
    limit = turn_limit(scene.cameras) if several else None
    write_viewer(gaussians, path, title="3D head",
                 scene_frame=scene_frame(scene.cameras) if several else None,
                 label=corner_label(model.what) if config.label else "", note=model.what.made,
                 trained_at=model.trained_at, turn=limit, face=face)
