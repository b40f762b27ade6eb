"""Depth, normals and confidence of a scene's surface, view by view: what can carry color."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..data.cameras import Camera
from .surface import normals_of_depth


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """What a camera sees of a surface.

    depth: (H, W) float32 world units along the optical axis, NaN where there is no surface.
    normal: (H, W, 3) float32 unit normals in camera axes (x right, y up, z toward the camera), 0
    where there is no surface. confidence: (H, W) float32 in [0, 1], how far the views agree on the
    place, 0 where there is no surface.
    """

    camera: Camera
    depth: np.ndarray
    normal: np.ndarray
    confidence: np.ndarray


def surface_views(scene, cameras: Iterable[Camera]) -> list[SurfaceView]:
    """Return what each of `cameras` sees of the surface of a scene."""
    out = []
    for camera in cameras:
        depth = scene.render_full(camera).depth
        normal = np.nan_to_num(normals_of_depth(camera, depth) @ camera.c2w[:3, :3])
        out.append(SurfaceView(camera, depth, normal.astype(np.float32),
                               np.isfinite(depth).astype(np.float32)))
    return out
