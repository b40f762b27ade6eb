"""Scenes of model files: any 3DGS `.ply`, a `.splat`, or a folder of graphdeco's trainer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ...data.cameras import Camera, SceneFrame, look_at_matrix
from ...data.cameras_file import find_cameras
from ...provenance import Mark, verify
from ...scene import WHITE
from .gaussians import Gaussians
from .graphdeco_folder import GraphdecoFolder
from .model_path import find_model, is_model
from .ply import read_ply
from .scene import GaussianScene
from .splat_file import read_splat

__all__ = ["find_model", "is_model", "load_scene", "read_model"]

DEFAULT_FOV = math.radians(29)
READERS = {".ply": read_ply, ".splat": read_splat}  # by suffix


def read_model(path) -> Gaussians:
    """Return the Gaussians of a run folder, graphdeco's folder or a model file. IdfError: none."""
    file = find_model(path)
    return READERS[file.suffix.lower()](file)


def load_scene(path, background: tuple[float, float, float] | None = None, rasterizer=None
               ) -> GaussianScene:
    """Return the scene of a model file or folder, with cameras for its orbit.

    background: None = what graphdeco's folder says, else white. rasterizer: None = the CPU's.
    """
    path = Path(path)
    if background is None:
        tree = GraphdecoFolder.find(path) if path.is_dir() else None
        background = tree.background if tree else WHITE
    file = find_model(path)
    gaussians = READERS[file.suffix.lower()](file)
    return GaussianScene(gaussians, rasterizer, find_cameras(file) or [default_camera(gaussians)],
                         tuple(background))


def mark_of_file(path) -> Mark:
    """Return the mark for what is exported from a model file: it carries on what the file's own
    comment says about its origin."""
    path = Path(path)
    fields = verify(find_model(path)).fields
    if fields:
        return Mark(fields["run_id"], fields["made"], fields["source_type"], fields["consent"],
                    int(fields["watermark"] or "0", 16))
    return Mark("unknown", f"Gaussian splats of {path.name}")


def default_camera(gaussians: Gaussians, size: int = 512) -> Camera:
    """Return a camera for a model that comes without any: +z up, seen from -y, as in Blender."""
    frame = guess_frame(gaussians)
    matrix = look_at_matrix(frame.center + frame.distance * frame.front, frame.center, frame.up)
    return Camera.from_fov(matrix, 2 * math.atan(frame.radius / frame.distance), size, size)


def guess_frame(gaussians: Gaussians, up=(0.0, 0.0, 1.0), front=(0.0, -1.0, 0.0),
                fov: float = DEFAULT_FOV) -> SceneFrame:
    """Return a frame around the bulk of the Gaussians, for files that came without cameras.

    The center is the opacity-weighted median; the radius holds 98 % of them, plus a margin.
    """
    means, weights = gaussians.means.astype(np.float64), gaussians.opacities
    keep = weights > 0.1 if (weights > 0.1).any() else np.ones(len(means), bool)
    lo, hi = np.percentile(means[keep], [2, 98], axis=0)
    center = 0.5 * (lo + hi)
    off = np.linalg.norm(means[keep] - center, axis=1)
    radius = max(1.1 * float(np.percentile(off, 98)), 1e-6)
    return SceneFrame(center, np.asarray(up, np.float64), np.asarray(front, np.float64),
                      radius / math.tan(0.5 * fov), radius)
