"""The folder that graphdeco's `train.py` leaves, written for its tools.

    cfg_args  cameras.json  input.ply  point_cloud/iteration_N/point_cloud.ply
    test/ours_N/{renders,gt}/00000.png …  results.json  per_view.json

(graphdeco-inria/gaussian-splatting: train.py, render.py, metrics.py, scene/__init__.py.)
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.cameras import fitted_size
from ..data.cameras_file import write_cameras
from ..data.dataset import Dataset, Frame
from ..data.media import to_uint8, write_image
from ..data.training_views import TrainingViews
from ..metrics import Target, psnr, ssim
from ..provenance.lineage import origin_of
from ..reconstruction.splats.config import SplatConfig
from ..reconstruction.splats.gaussians import SH_C0, Gaussians
from ..reconstruction.splats.initialize import initial_gaussians
from ..reconstruction.splats.ply import write_ply, write_points
from ..runtime.files import write_json, write_text
from ..runtime.whole_folder import whole_folder
from ..scene import WHITE
from .config import ExportConfig
from .model import Model


def write_graphdeco(model: Model, out, config: ExportConfig | None = None,
                    progress: Callable[[float], None] = lambda fraction: None) -> Path:
    """Write the folder `out`, whole or not at all; return it.

    Where the dataset is still there, the renders of its test views come with it, their originals
    at the training resolution, and the metrics (of the 8-bit pictures, as upstream; LPIPS is not
    measured). config: without effect. IdfError: `out` is not empty.
    """
    out = Path(out)
    data = Dataset.open(model.source) if model.has_dataset else None
    with whole_folder(out) as part:
        _write(part, out, model, data)
        if data is not None:
            _write_test_views(part, model, data, progress)
    return out


def _write(part: Path, out: Path, model: Model, data: Dataset | None) -> None:
    scene = model.scene
    file = part / f"point_cloud/iteration_{model.iterations}/point_cloud.ply"
    write_ply(scene.gaussians, file)  # degree 3: their load_ply insists on 62 properties
    provenance.mark(file, model.mark)
    points = part / "input.ply"
    write_points(points, _start(model, data))
    provenance.mark(points, replace(model.mark, made="first points of a training"))
    frames = [*data.test, *data.train] if data else [
        Frame(f"{i:05d}", Path(f"{i:05d}"), c, "train") for i, c in enumerate(scene.cameras)]
    write_cameras(part / "cameras.json", frames)
    width, height = frames[0].camera.width, frames[0].camera.height
    arguments = Namespace(
        sh_degree=3, source_path=str(data.root.resolve()) if data else "",
        model_path=str(out.resolve()), images="images", depths="",
        resolution=fitted_size(width, height, model.trained_at)[0] if model.trained_at else -1,
        white_background=tuple(scene.background) == WHITE, train_test_exp=False,
        data_device="cuda", eval=True)
    write_text(part / "cfg_args", str(arguments))


def _start(model: Model, data: Dataset | None) -> np.ndarray:
    """Return (N, 6) the points that the training began with, in world units and RGB in [0, 1]:
    COLMAP's, or drawn again from the seed; without a dataset, and of a model that began with
    another one, its own centers."""
    points = data.points() if data else None
    if points is not None:
        return points
    settings = model.settings
    if data is None or "seed" not in settings or settings.get("start"):
        return _points(model.scene.gaussians)
    views = TrainingViews.load(data.train, model.trained_at)
    count = settings["initial"] or SplatConfig(max_gaussians=settings["max_gaussians"]).sized(
        max(max(c.width, c.height) for c in views.cameras)).initial
    return _points(initial_gaussians(views, count, 0, np.random.default_rng(settings["seed"])))


def _points(g: Gaussians) -> np.ndarray:
    return np.concatenate([g.means, 0.5 + SH_C0 * g.sh[:, 0]], axis=1)


def _write_test_views(part: Path, model: Model, data: Dataset,
                      progress: Callable[[float], None]) -> None:
    method, scene = f"ours_{model.iterations}", model.scene
    per_view: dict[str, dict[str, float]] = {"SSIM": {}, "PSNR": {}}
    for i, frame in enumerate(data.test):
        target = Target.of(frame, model.trained_at, scene.background)
        pictures = {"renders": scene.render(target.camera, None, target.background),
                    "gt": target.rgb}
        for name, picture in pictures.items():
            path = part / "test" / method / name / f"{i:05d}.png"
            write_image(path, picture)
            of = model.mark if name == "renders" else \
                origin_of([frame.path]).mark(model.mark.run_id, "test view")
            if of is not None:  # photographs stay what they are
                provenance.mark(path, of, sign=False)  # as the frames of any dataset
        a, b = (to_uint8(p).astype(np.float32) / 255 for p in pictures.values())
        per_view["SSIM"][path.name] = ssim(a, b)
        per_view["PSNR"][path.name] = min(psnr(a, b), 100.0)  # equal pictures: JSON knows no ∞
        progress((i + 1) / len(data.test))
    mean = {name: float(np.mean(list(values.values()))) for name, values in per_view.items()}
    write_json(part / "results.json", {method: mean})
    write_json(part / "per_view.json", {method: per_view})
