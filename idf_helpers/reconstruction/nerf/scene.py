"""A trained voxel field: what viewers, exporters and metrics ask for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...data.cameras import Camera
from ...kernels.threads import run_on_threads
from ...scene import WHITE, Rendering, StillScene
from ..surface import normals_of_depth
from .grid import VoxelGrid
from .march import draw

NEAR = 0.02  # nothing nearer to the camera is drawn, in longest sides of the field


@dataclass(eq=False, repr=False)
class VoxelScene(StillScene):
    """A voxel field that renders.

    cameras: those it was trained on (for orbits); may be empty.
    background: (3,) in [0, 1], behind the picture where a caller names none.
    training: iterations, seconds (of optimization), num_voxels, rollbacks; empty where loaded.
    """

    grid: VoxelGrid
    cameras: list[Camera] = field(default_factory=list)
    background: tuple[float, float, float] = WHITE
    training: dict = field(default_factory=dict)

    @cached_property
    def _skip(self) -> np.ndarray:
        return self.grid.skip()

    def __repr__(self) -> str:
        return f"VoxelScene({len(self.grid)} voxels, {len(self.cameras)} cameras)"

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the same view with alpha and depth (Σ w z / Σ w over the samples of a pixel's
        ray)."""
        g = self.grid
        background = np.asarray(self.background if background is None else background, np.float32)
        rgb = np.empty((camera.height, camera.width, 3), np.float32)
        alpha, depth = np.empty(rgb.shape[:2], np.float32), np.empty(rgb.shape[:2], np.float32)
        near = np.float32(NEAR * max(g.slots.shape))
        run_on_threads(draw, g.wide, g.sh_degree, g.params, g.slots, self._skip, g.pose(camera),
                       camera.forward.astype(np.float32), near, background, rgb, alpha, depth)
        return Rendering(np.clip(rgb, 0, 1), np.clip(alpha, 0, 1), depth * np.float32(g.voxel))

    def normals(self, camera: Camera) -> np.ndarray:
        """Return (H, W, 3) float32 unit normals in the world of the surface that the depth shows,
        toward the camera; NaN where alpha < 0.5 and at the rim."""
        return normals_of_depth(camera, self.render_full(camera).depth)
