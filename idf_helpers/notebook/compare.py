"""Side by side: the backends that this machine has, and a model before and after its clean-up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data.cameras import Camera, scene_frame
from ..data.contact_sheet import before_after
from ..data.dataset import Dataset
from ..reconstruction.methods import SPLATS
from ..reconstruction.splats.config import SplatConfig
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.files import read_json, stable_hash

# Places to look from that no training view has, in distances: (front, up) of the scene's frame.
STRANGE = {"from below": (0.7, -0.75), "from above": (0.7, 0.75), "from afar": (2.6, 0.4)}


def compare_backends(data: Dataset, out, config: SplatConfig,
                     progress: Callable | None = None) -> list[dict]:
    """Table rows: every splat backend that can run here on the same views and settings.

    out: folder of the runs; a backend that has been trained with these settings is read back. The
    test oracle (`reference`) and non-commercial backends are left out; ask for those by name.
    """
    rows = []
    for status in SPLATS.available():
        if status.missing or status.name == "reference" \
                or not SPLATS.find(status.name).commercial:
            continue
        key = stable_hash([data.fingerprint(), str(config), status.name])[:8]
        folder = Path(out) / f"splats-{key}"
        train_splats(data, folder, config, backend=status.name, progress=progress)
        metrics = read_json(folder / "metrics.json", "metrics file")
        rows.append({"backend": status.name, **{k: metrics.get(k) for k in (
            "psnr", "ssim", "num_gaussians", "iterations", "seconds", "peak_rss_mb")}})
    return rows


def cleaned_picture(before: GaussianScene, after: GaussianScene, size: int = 256) -> np.ndarray:
    """uint8 sheet: a scene from below, above and afar, and below each the same after a change."""
    frame, base = scene_frame(before.cameras), before.cameras[0].fitted(size)
    views = []
    for front, up in STRANGE.values():
        place = frame.center + frame.distance * (front * frame.front + up * frame.up)
        views.append(Camera.look_at(place, frame.center, frame.up, base.fov_x, base.width,
                                    base.height))
    return before_after([before.render(v) for v in views], [after.render(v) for v in views], size,
                        list(STRANGE))
