"""The offline page of a model: splats that stand still, or an avatar with its sliders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.cameras import scene_frame
from ..data.dataset import Dataset
from ..errors import IdfError
from .avatar_payload import Track, whole
from .config import ExportConfig
from .html import write_viewer
from .model import Model, corner_label
from .orbit import turn_limit


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


def recorded(model: Model) -> Track | None:
    """The expressions that an avatar was trained on, in their order, for its Animate button; None
    where the dataset is gone or has other ones by now."""
    basis = model.scene.avatar.basis
    if model.source is None or not model.source.is_dir():
        return None
    try:
        frames = Dataset.open(model.source).train
    except IdfError:  # the page does not need it
        return None
    values = [f.expression for f in frames if f.expression is not None]
    if not values or {len(v) for v in values} != {len(basis.names)}:
        return None
    return Track(np.clip(values, basis.low, basis.high))
