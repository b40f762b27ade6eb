"""Depth, normals and confidence of a scene's surface, view by view: what can carry color."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..data.cameras import Camera
from ..scene import HasFirstCrossing, Scene
from .fused_surface import FusedSurface
from .surface import normals_of_depth

SMOOTH = 1.0  # pixels: blur of the depth before its normals


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


class SceneSurface:
    """The surface of a scene, view by view.

    scene: of Gaussians (`HasFirstCrossing`): its views are fused first, which takes seconds. Any
    other scene gives the depth of its own renders, which is trusted everywhere. cameras: to look
    at Gaussians from that came without any.
    """

    def __init__(self, scene: Scene, cameras: Iterable[Camera] = ()):
        self.scene = scene
        self.fused = FusedSurface.of(scene, list(cameras)) \
            if isinstance(scene, HasFirstCrossing) else None

    def view(self, camera: Camera) -> SurfaceView:
        """Return what a camera sees."""
        if self.fused is None:
            depth = self.scene.render_full(camera).depth
            confidence = np.isfinite(depth).astype(np.float32)
        else:
            depth = self.fused.depth(camera)
            confidence = self.fused.confidence(camera, depth)
        normal = np.nan_to_num(normals_of_depth(camera, depth, SMOOTH) @ camera.c2w[:3, :3])
        return SurfaceView(camera, depth, normal.astype(np.float32), confidence)


def surface_views(scene: Scene, cameras: Iterable[Camera]) -> list[SurfaceView]:
    """Return what each of `cameras` sees of the surface of a scene."""
    cameras = list(cameras)
    surface = SceneSurface(scene, cameras)
    return [surface.view(c) for c in cameras]
