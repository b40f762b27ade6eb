"""`cameras.json` as graphdeco's trainer leaves it beside a model; other viewers read it too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..runtime.files import read_json, write_json
from .cameras import GL_TO_CV, Camera
from .dataset import Frame


def write_cameras(path, frames: list[Frame]) -> None:
    """Write one entry a frame: id, img_name, width, height, position (3,), rotation (3, 3) with
    OpenCV axes, fy, fx (pixels); beside these, a key of our own, `front` (3,) where it is known.
    The principal point has no place in this format."""
    rows = []
    for i, frame in enumerate(frames):
        c = frame.camera
        rows.append({"id": i, "img_name": Path(frame.name).name, "width": c.width,
                     "height": c.height, "position": c.position.tolist(),
                     "rotation": (c.c2w @ GL_TO_CV)[:3, :3].tolist(), "fy": c.fy, "fx": c.fx}
                    | ({} if c.front is None else {"front": np.asarray(c.front).tolist()}))
    write_json(path, rows)


def read_cameras(path) -> list[Camera]:
    """Return the cameras of such a file, principal point in the middle; IdfError for others."""
    rows = read_json(path, "camera list")
    cameras = []
    try:
        for row in rows:
            c2w = np.eye(4)
            c2w[:3, :3], c2w[:3, 3] = row["rotation"], row["position"]
            w, h = int(row["width"]), int(row["height"])
            fx, fy = float(row["fx"]), float(row["fy"])
            R = c2w[:3, :3]
            if not (0 < w <= 65536 and 0 < h <= 65536 and 0 < fx < 1e9 and 0 < fy < 1e9
                    and np.abs(c2w).max() < 1e9 and np.abs(R.T @ R - np.eye(3)).max() < 5e-3):
                raise ValueError(f"entry {len(cameras)} is no camera")
            front = row.get("front")
            if front is not None:
                front = np.array(front, np.float64)
                if front.shape != (3,) or not 0.9 < np.linalg.norm(front) < 1.1:
                    raise ValueError(f"the front of entry {len(cameras)} is no direction")
            cameras.append(Camera(c2w @ GL_TO_CV, fx, fy, w / 2, h / 2, w, h, front))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise IdfError(f"{path} is not a camera list as graphdeco writes it",
                       f"{type(error).__name__}: {error}",
                       "delete it, or take it from its model's folder again") from None
    if not cameras:
        raise IdfError(f"{path} lists no camera", "an empty list",
                       "delete it, or take it from its model's folder again")
    return cameras


def find_cameras(model: Path) -> list[Camera]:
    """Return the cameras that belong to a `.ply` file: of the `cameras.json` beside it or up to two
    folders above (graphdeco's `point_cloud/iteration_N/`), else an empty list."""
    for folder in list(model.resolve().parents)[:3]:
        if (folder / "cameras.json").is_file():
            return read_cameras(folder / "cameras.json")
    return []
