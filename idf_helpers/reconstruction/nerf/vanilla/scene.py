"""The paper's NeRF as a scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ....data.cameras import Camera
from ....scene import WHITE, Rendering, StillScene
from ...surface import normals_of_depth
from .network import Field
from .volume import camera_rays, render_rays


@dataclass(eq=False, repr=False)
class VanillaScene(StillScene):
    """A field that renders rays through both of its networks.

    near, far: depths of the samples, world units. offset: where in a pixel its ray passes, see
    `volume.camera_rays`. sampler: takes the place of `volume.render_rays` (nerfacc's). Others as in
    `VoxelScene`.
    """

    field: Field
    near: float
    far: float
    cameras: list[Camera] = field(default_factory=list)
    background: tuple[float, float, float] = WHITE
    training: dict = field(default_factory=dict)
    offset: float = 0.5
    sampler: object | None = None

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.field.parameters())
        return f"VanillaScene({count} parameters, {len(self.cameras)} cameras)"

    @property
    def device(self):
        return next(self.field.parameters()).device

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the same view with alpha and depth (Σ w z / Σ w)."""
        background = np.asarray(self.background if background is None else background, np.float32)
        origin, directions = camera_rays(camera, self.offset)
        flat = directions.reshape(-1, 3)
        rgb, alpha, depth = self._rays(np.broadcast_to(origin, flat.shape), flat)
        rgb = rgb + (1 - alpha[:, None]) * background
        shape = directions.shape[:2]
        depth = np.where(alpha < 0.5, np.nan, depth).astype(np.float32)
        return Rendering(np.clip(rgb, 0, 1).reshape(*shape, 3),
                         np.clip(alpha, 0, 1).reshape(shape), depth.reshape(shape))

    def normals(self, camera: Camera) -> np.ndarray:
        """Return (H, W, 3) float32 unit normals of the depth's surface; NaN where there is none."""
        return normals_of_depth(camera, self.render_full(camera).depth)

    @torch.no_grad()
    def _rays(self, origins, directions):
        """numpy rgb (N, 3) over black, alpha (N,), depth (N,) of rays (N, 3), (N, 3)."""
        chunk, parts = self.field.options.chunk, []
        for k in range(0, len(directions), chunk):
            o, d = (torch.tensor(np.ascontiguousarray(a[k:k + chunk]), device=self.device)
                    for a in (origins, directions))
            r = render_rays(self.field, o, d, self.near, self.far, white=False) \
                if self.sampler is None else \
                self.sampler.render(o, d, self.near, self.far, white=False, training=False)
            parts.append([x.cpu().numpy() for x in (r.rgb, r.alpha, r.depth)])
        return [np.concatenate(p) for p in zip(*parts, strict=True)]
