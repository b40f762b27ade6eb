"""What viewers, exporters and metrics know of a reconstruction: it renders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .data.cameras import Camera

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Rendering:
    """One rendered view.

    rgb:   (H, W, 3) float32 in [0, 1], background included.
    alpha: (H, W) float32 in [0, 1].
    depth: (H, W) float32, world units along the optical axis; NaN where alpha < 0.5.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


class Scene(Protocol):
    """Gaussian splats, a radiance field or an avatar."""

    def render(self, camera: Camera, expression=None, background=None) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]. `expression` only matters to an avatar. background: (3,),
        None = the scene's own (white where it was trained on transparent pictures)."""
        ...

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """The same view with alpha and depth."""
        ...
