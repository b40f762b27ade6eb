"""The one call of the notebooks that want to look round a scene."""

from __future__ import annotations

from ..scene import Scene


def interactive(scene: Scene, cameras=None, **options):
    """A widget to turn `scene` in: `SplatViewer` for splats and avatars (the browser draws), else
    `OrbitViewer` (the kernel does). cameras: the dataset's, where the scene does not know them.
    options: of `SplatViewer`. Where anywidget is not installed the kernel draws, and says so.
    """
    from .orbit_viewer import OrbitViewer

    label = {"label": options["label"]} if "label" in options else {}
    if not (hasattr(scene, "gaussians") or hasattr(scene, "avatar")):
        return OrbitViewer(scene, cameras, **label)
    try:
        from .splat_viewer import SplatViewer
    except ImportError as error:
        if error.name != "anywidget":
            raise
        return OrbitViewer(scene, cameras, **label, notice="The package anywidget is missing, so "
                           "the kernel draws the pictures. With `pip install anywidget` the "
                           "browser does.")
    return SplatViewer(scene, cameras, **options)
