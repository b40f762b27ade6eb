"""The folder that graphdeco's `train.py` leaves, written for its tools.

    cfg_args  cameras.json  input.ply  point_cloud/iteration_N/point_cloud.ply
    test/ours_N/{renders,gt}/00000.png …  results.json  per_view.json

(graphdeco-inria/gaussian-splatting: train.py, render.py, metrics.py, scene/__init__.py.)
"""

from __future__ import annotations

import os
import secrets
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.cameras import Camera, fitted_size
from ..data.cameras_file import write_cameras
from ..data.dataset import Dataset, Frame
from ..data.media import to_uint8, write_image
from ..errors import IdfError
from ..metrics import Target, psnr, ssim
from ..reconstruction.splats.gaussians import SH_C0
from ..reconstruction.splats.ply import write_ply, write_points
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.files import write_error, write_json, write_text
from ..scene import WHITE


def write_graphdeco_folder(out, scene: GaussianScene, what: provenance.Mark, iteration: int, *,
               dataset: Dataset | None = None, resolution: int | None = None, start=None,
               progress: Callable[[int], None] | None = None) -> Path:
    """Writes the folder `out`, whole or not at all; returns it.

    dataset: with it come the renders of its test views, their originals at the training
    resolution, and the metrics (of the 8-bit pictures, as upstream; LPIPS is not measured).
    start: (N, 6) points in world units and RGB in [0, 1] that the training began with; the
    model's own centers where None. IdfError: `out` is not empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise IdfError(f"{out} is not an empty folder", "something is there",
                       "choose another --out, or remove it first")
    part = out.with_name(f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        _write(part, out, scene, what, iteration, dataset, resolution, start, progress)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _write(part, out, scene, what, iteration, dataset, resolution, start, progress) -> None:
    model = part / f"point_cloud/iteration_{iteration}/point_cloud.ply"
    write_ply(scene.gaussians, model)  # degree 3: their load_ply insists on 62 properties
    provenance.mark(model, what)
    if start is None:
        start = np.concatenate([scene.gaussians.means,
                                0.5 + SH_C0 * scene.gaussians.sh[:, 0]], axis=1)
    write_points(part / "input.ply", start)
    frames = [*dataset.test, *dataset.train] if dataset else _nameless(scene.cameras)
    write_cameras(part / "cameras.json", frames)
    width, height = frames[0].camera.width, frames[0].camera.height
    arguments = Namespace(
        sh_degree=3, source_path=str(dataset.root.resolve()) if dataset else "",
        model_path=str(out.resolve()), images="images", depths="",
        resolution=fitted_size(width, height, resolution)[0] if resolution else -1,
        white_background=tuple(scene.background) == WHITE, train_test_exp=False,
        data_device="cuda", eval=True)
    write_text(part / "cfg_args", str(arguments))
    if dataset:
        _write_test_views(part, scene, what, f"ours_{iteration}", dataset, resolution, progress)


def _write_test_views(part, scene, what, method, dataset, resolution, progress) -> None:
    per_view: dict[str, dict[str, float]] = {"SSIM": {}, "PSNR": {}}
    ours = (dataset.root / "run.json").is_file()  # made by us, not photographs: marked too
    for i, frame in enumerate(dataset.test):
        target = Target.of(frame, resolution, scene.background)
        pictures = {"renders": scene.render(target.camera, None, target.background),
                    "gt": target.rgb}
        for name, picture in pictures.items():
            path = part / "test" / method / name / f"{i:05d}.png"
            write_image(path, picture)
            if name == "renders" or ours:
                provenance.mark(path, what if name == "renders" else
                                replace(what, made="test view of the dataset"))
        a, b = (to_uint8(p).astype(np.float32) / 255 for p in pictures.values())
        per_view["SSIM"][f"{i:05d}.png"] = ssim(a, b)
        per_view["PSNR"][f"{i:05d}.png"] = min(psnr(a, b), 100.0)  # equal pictures: JSON knows no ∞
        if progress:
            progress(i + 1)
    mean = {name: float(np.mean(list(values.values()))) for name, values in per_view.items()}
    write_json(part / "results.json", {method: mean})
    write_json(part / "per_view.json", {method: per_view})


def _nameless(cameras: list[Camera]) -> list[Frame]:
    return [Frame(f"{i:05d}", Path(f"{i:05d}"), c, "train") for i, c in enumerate(cameras)]
