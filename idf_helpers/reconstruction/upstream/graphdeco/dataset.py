"""A dataset as graphdeco's Blender reader wants it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....data.dataset import Dataset
from ....data.media import write_image
from ....data.training_views import TrainingViews
from ....errors import IdfError
from ....runtime.files import write_json
from ...splats.gaussians import SH_C0, Gaussians
from ...splats.ply import write_points

OFF = 5e-3  # by which a camera may differ, as a part of the picture or of the focal length


def check_cameras(data: Dataset) -> None:
    """Raise IdfError for cameras with other focal lengths or principal points than one field of
    view in x allows."""
    first = data.train[0].camera
    for f in (*data.train, *data.test):
        c = f.camera
        off = max(abs(c.cx / c.width - 0.5), abs(c.cy / c.height - 0.5), abs(c.fy / c.fx - 1),
                  abs(c.fov_x - first.fov_x))
        if off > OFF:
            raise IdfError("graphdeco's trainer knows only one centered camera with square pixels",
                           f"fx {c.fx:.1f}, fy {c.fy:.1f}, cx {c.cx:.1f}, cy {c.cy:.1f} of "
                           f"{c.width} x {c.height}", "use the method gsplat or cpu")


def write_blender(folder: Path, data: Dataset, resolution: int | None, color, start: Gaussians
                  ) -> list[str]:
    """Write RGB pictures over `color` (its main of 2024 multiplies by alpha, but does not
    composite), `transforms_{train,test}.json`, and points3d.ply, without which it would start from
    a cube of 1.3 units. Return the names of the files.
    """
    written = ["points3d.ply"]
    colors = 0.5 + SH_C0 * start.sh[:, 0]
    folder.mkdir(parents=True, exist_ok=True)
    write_points(folder / "points3d.ply", np.concatenate([start.means, colors], axis=1))
    for split in ("train", "test"):
        frames = list(data.splits[split])
        names = [f"{split}/{i:05d}" for i in range(len(frames))]
        for frame, name in zip(frames, names, strict=True):
            views = TrainingViews.load([frame], resolution)
            picture = views.target(0, np.array(color, np.float32)).transpose(1, 2, 0)
            write_image(folder / f"{name}.png", np.rint(255 * picture).astype(np.uint8))
        rows = [{"file_path": f"./{n}", "transform_matrix": f.camera.c2w.tolist()}
                for n, f in zip(names, frames, strict=True)]
        write_json(folder / f"transforms_{split}.json",
                   {"camera_angle_x": data.train[0].camera.fov_x, "frames": rows})
        written += [f"transforms_{split}.json", *(f"{n}.png" for n in names)]
    return written
