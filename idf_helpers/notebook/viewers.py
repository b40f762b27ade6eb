"""The one call to look around a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.cameras import Camera
from ..exporting.model import Model
from ..scene import HasGaussians, Scene
from .orbit_viewer import OrbitViewer
from .splat_viewer import SplatViewer


def view(scene: Scene | Model | str | Path, cameras: Sequence[Camera] | None = None,
         **options: Any) -> SplatViewer | OrbitViewer:
    """Return a widget to turn a scene in.

    A `SplatViewer` for splats and avatars, which the browser draws; for others an `OrbitViewer`,
    which the kernel draws.

    scene: a scene; or a `Model`, a run folder or a model file, which know their label and
    resolution. cameras: the dataset's, where the scene does not know them. options: of
    `SplatViewer`; `label` and `size` of `OrbitViewer`.
    """
    if isinstance(scene, (str, Path)):
        scene = Model.open(scene)
    if isinstance(scene, Model):
        options = {"label": scene.corner_label, "note": scene.mark.made, "mark": scene.mark.text(),
                   "trained_at": scene.trained_at, "track": scene.track()} | options
        scene = scene.scene
    if isinstance(scene, HasGaussians):
        return SplatViewer(scene, cameras, **options)
    return OrbitViewer(scene, cameras, **{name: options[name] for name in ("label", "size")
                                          if name in options})
