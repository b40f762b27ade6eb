"""A trained scene or a splat file looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.cameras import orbit, scene_frame
from ..data.contact_sheet import contact_sheet
from ..exporting.model import Model
from ..reconstruction.splats.formats.registry import identify
from ..reconstruction.splats.model_path import find_model, is_model
from ..reconstruction.splats.scene import GaussianScene
from ..scene import Expressive, HasGaussians
from .inspection import Inspection

VIEWS, CELL = 8, 220
FAINT = 0.05  # opacity below which a Gaussian hardly shows


def inspect_model(path: Path) -> Inspection:
    """Return what a scene is made of, with views of it from all around."""
    model = Model.open(path)
    scene = model.scene
    rows: list[tuple[str, str]] = [("made", model.mark.made)]
    notes: list[str] = []
    doubts: list[str] = []
    if path.is_file() or is_model(path):
        file = find_model(path)
        format = identify(file)
        rows.append(("file", f"{file.stat().st_size / 1e6:.1f} MB, "
                     + (f"{format.suffix} ({format.what})" if format else file.name)))
    if isinstance(scene, HasGaussians):
        g = scene.gaussians
        rows += [("Gaussians", f"{len(g)}, spherical harmonics of degree {g.sh_degree}"),
                 ("extent", " x ".join(f"{v:.3g}" for v in np.ptp(np.percentile(
                     g.means, [1, 99], axis=0), axis=0)) + " units for 98 % of them")]
        faint = float((g.opacities < FAINT).mean())
        if faint > 0.5:
            doubts.append(f"{100 * faint:.0f} % of the Gaussians hardly show (opacity below "
                          f"{FAINT})")
        if len(g) < 1000:
            doubts.append(f"{len(g)} Gaussians are few for a head")
    if isinstance(scene, Expressive):
        rows.append(("expressions", f"{len(scene.basis.names)} sliders"))
    if isinstance(scene, GaussianScene):
        notes += scene.notes
    frame = scene_frame(scene.cameras)
    rows.append(("up", "(" + ", ".join(f"{x:.3g}" for x in np.round(frame.up, 3) + 0.0) + ")"))
    if model.source is not None:
        rows.append(("trained on", f"{model.source}" + ("" if model.has_dataset else
                                                        " (no longer there)")))
    if model.iterations:
        rows.append(("iterations", str(model.iterations)))

    def sheet() -> np.ndarray:
        cameras = orbit(scene.cameras, VIEWS, resolution=2 * CELL)
        return contact_sheet([scene.render(c) for c in cameras], columns=4, cell=CELL, captions=[
            f"{360 * i // VIEWS}°" for i in range(VIEWS)])

    return Inspection("model", str(path), rows, notes, doubts, {"contact_sheet.png": sheet})
