"""The one call for looking around a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ipywidgets import DOMWidget

from ..data.cameras import Camera
from ..exporting.model import Model
from ..scene import Expressive, HasGaussians, Scene
from .orbit_viewer import OrbitViewer


def view(scene: Scene | Model | str | Path, cameras: Sequence[Camera] | None = None,
         **options: Any) -> DOMWidget | OrbitViewer:
    """Return a widget to turn a scene in.

    A `SplatViewer` for splats and avatars, which the browser draws; for others an `OrbitViewer`,
    which the kernel draws.

    scene: a scene; or a `Model`, a run folder or a model file, which know their label and
    resolution. cameras: the dataset's, where the scene does not know them. options: of
    `SplatViewer`; `label` and `size` of `OrbitViewer`. Where anywidget is not installed the kernel
    draws, and a line above the picture names the package.
    """
    if isinstance(scene, (str, Path)):
        scene = Model.open(scene)
    if isinstance(scene, Model):
        options = {"label": scene.corner_label, "note": scene.mark.made,
                   "trained_at": scene.trained_at, "track": scene.track()} | options
        scene = scene.scene
    plain = {name: options[name] for name in ("label", "size") if name in options}
    if not isinstance(scene, (HasGaussians, Expressive)):
        return OrbitViewer(scene, cameras, **plain)
    try:
        from .splat_viewer import SplatViewer
    except ImportError as error:
        if error.name != "anywidget":
            raise
        return OrbitViewer(scene, cameras, **plain, notice="The package anywidget is missing, so "
                           "the kernel draws the pictures. With `pip install anywidget` the "
                           "browser does.")
    options.pop("size", None)
    return SplatViewer(cast(HasGaussians, scene), cameras, **options)
