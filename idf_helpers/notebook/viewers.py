"""The one call of the notebooks that want to look round a scene."""

from __future__ import annotations

from ..scene import Scene


def interactive(what, cameras=None, **options):
    """A widget to turn a scene in: `SplatViewer` for splats and avatars (the browser draws), else
    `OrbitViewer` (the kernel does).

    what: a `Scene`, or a `view.export.Model`, which knows its label and resolution. cameras: the
    dataset's, where the scene does not know them. options: of `SplatViewer`; `label` and `size`
    of `OrbitViewer`. Where anywidget is not installed the kernel draws, and says so.
    """
    from ..exporting.model import Model, corner_label
    from ..exporting.page import recorded
    from .orbit_viewer import OrbitViewer

    scene: Scene = what
    if isinstance(what, Model):
        scene, mark = what.scene, what.what
        options = {"label": corner_label(mark), "note": mark.made,
                   "trained_at": what.trained_at} | options
        if hasattr(scene, "avatar"):
            options = {"track": recorded(what)} | options
    plain = {name: options[name] for name in ("label", "size") if name in options}
    if not (hasattr(scene, "gaussians") or hasattr(scene, "avatar")):
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
    return SplatViewer(scene, cameras, **options)
