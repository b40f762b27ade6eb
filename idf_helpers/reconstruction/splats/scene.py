"""A trained splat scene: what viewers, exporters and metrics ask for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...data.cameras import Camera, SceneFrame
from ...errors import IdfError
from ...scene import WHITE, Rendering, StillScene
from .gaussians import Gaussians
from .style import check_pair, mixed


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
    original: of a restyled scene the Gaussians before, in the same order (`style`); None of others.
    """

    gaussians: Gaussians  # once there is a picture, other arrays take their place or none
    rasterizer: object | None = None
    cameras: list[Camera] = field(default_factory=list)
    background: tuple[float, float, float] = WHITE
    training: dict = field(default_factory=dict)
    frame: SceneFrame | None = None
    of_cameras: bool = False
    orbit: object | None = None
    notes: list[str] = field(default_factory=list)
    original: Gaussians | None = None
    _prepared: tuple | None = field(default=None, init=False)  # of which Gaussians and rasterizer

    def __post_init__(self):
        if self.original is not None:
            check_pair(self.original, self.gaussians)
        if self.rasterizer is None:
            from .rasterizer import CpuRasterizer  # compiles on import: only when it is needed

            self.rasterizer = CpuRasterizer()

    def __repr__(self) -> str:
        return f"GaussianScene({len(self.gaussians)} Gaussians, {len(self.cameras)} cameras)"

    def only(self, kept: np.ndarray) -> GaussianScene:
        """Return the scene with the Gaussians at a mask (N,), of the original, too."""
        return replace(self, gaussians=self.gaussians[kept],
                       original=None if self.original is None else self.original[kept])

    def at_intensity(self, intensity: float) -> GaussianScene:
        """Return a restyled scene at a share of its style in [0, 1.5]: 0 = as it was, 1 = as it
        is. IdfError: another share, or a scene that was not restyled."""
        if self.original is None:
            raise IdfError("This model has no style whose intensity could be set",
                           f"{len(self.gaussians)} splats without those they were made from",
                           "give a model that `idf loop` made, such as OUT/iter1/model")
        return replace(self, gaussians=mixed(self.original, self.gaussians, intensity),
                       original=None)

    def render(self, camera: Camera, expression=None, background=None) -> np.ndarray:
        """Return the colors of `render_full` alone, (H, W, 3) float32 in [0, 1]."""
        if not hasattr(self.rasterizer, "forward_packed"):
            return super().render(camera, expression, background)
        background = np.asarray(self.background if background is None else background, np.float32)
        packed = self._in_a_layout_for_it()
        return _picture(self.rasterizer.forward_packed(packed, camera, background,
                                                       packed.sh_degree))

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the same view with alpha and depth (Σ w z / Σ w over the Gaussians of a pixel)."""
        background = np.asarray(self.background if background is None else background, np.float32)
        out = self.rasterizer.forward(self._in_a_layout_for_it(), camera, background, train=False)
        return Rendering(_picture(out.rgb), np.clip(out.alpha, 0, 1), out.depth)

    def _in_a_layout_for_it(self):
        """Return the Gaussians as the rasterizer likes them, kept for the next picture."""
        if not hasattr(self.rasterizer, "prepared"):
            return self.gaussians
        key = self.gaussians, self.rasterizer
        if self._prepared is None or any(a is not b for a, b in zip(self._prepared, key,
                                                                    strict=False)):
            self._prepared = *key, self.rasterizer.prepared(self.gaussians)
        return self._prepared[2]

    def first_crossing(self, camera: Camera) -> np.ndarray:
        """Return (H, W) float32: the depth at which rays first meet something, NaN for nothing."""
        from .rasterizer import CpuRasterizer

        mine = self.rasterizer if isinstance(self.rasterizer, CpuRasterizer) else CpuRasterizer()
        return mine.first_crossing(self.gaussians, camera)[1]


def _picture(rgb: np.ndarray) -> np.ndarray:
    """Return (3, H, W) as (H, W, 3) in [0, 1]."""
    out = np.empty((*rgb.shape[1:], 3), np.float32)
    for k in range(3):  # faster than all at once, turned about
        np.clip(rgb[k], 0, 1, out=out[..., k])
    return out
