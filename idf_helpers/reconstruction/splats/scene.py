"""A trained splat scene: what viewers, exporters and metrics ask for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...data.cameras import Camera, SceneFrame
from ...scene import WHITE, Rendering, StillScene
from .gaussians import Gaussians


@dataclass(eq=False, repr=False)
class GaussianScene(StillScene):
    """Gaussians with a rasterizer.

    cameras: those it was trained on (for orbits); may be empty.
    background: (3,) in [0, 1], behind the picture where a caller names none.
    training: iterations, seconds (of optimization), num_gaussians, rollbacks; empty where loaded.
    frame: where the head is, of a file that came without cameras; `cameras` are then made up.
    of_cameras: whether the axes of `frame` are those of the cameras that it was trained with.
    orbit: limits for a viewer that such a file brought (`formats.splat_model.Orbit`).
    notes: what the user should know of a file that was read.
    """

    gaussians: Gaussians
    rasterizer: object | None = None
    cameras: list[Camera] = field(default_factory=list)
    background: tuple[float, float, float] = WHITE
    training: dict = field(default_factory=dict)
    frame: SceneFrame | None = None
    of_cameras: bool = False
    orbit: object | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        if self.rasterizer is None:
            from .rasterizer import CpuRasterizer  # compiles on import: only when it is needed

            self.rasterizer = CpuRasterizer()

    def __repr__(self) -> str:
        return f"GaussianScene({len(self.gaussians)} Gaussians, {len(self.cameras)} cameras)"

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the same view with alpha and depth (Σ w z / Σ w over the Gaussians of a pixel)."""
        background = np.asarray(self.background if background is None else background, np.float32)
        out = self.rasterizer.forward(self.gaussians, camera, background, train=False)
        rgb = np.ascontiguousarray(np.clip(out.rgb, 0, 1).transpose(1, 2, 0))
        depth = np.where(out.alpha < 0.5, np.nan, out.depth).astype(np.float32)
        return Rendering(rgb, np.clip(out.alpha, 0, 1), depth)
