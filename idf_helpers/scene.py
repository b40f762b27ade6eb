"""The interface of a reconstruction for viewers, exporters and metrics: it renders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

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


@runtime_checkable
class Scene(Protocol):
    """Gaussian splats, a radiance field or an avatar.

    cameras: some of those it was trained on, for orbits; may be empty. background: (3,) in [0, 1],
    behind the picture where a caller names none. training: iterations, seconds (of optimization)
    and what else its trainer reports; empty where the scene was read from disk.
    """

    cameras: list[Camera]
    background: tuple[float, float, float]
    training: dict

    def render(self, camera: Camera, expression: ArrayLike | None = None,
               background: ArrayLike | None = None) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1].

        expression: only matters to an `Expressive` scene. background: (3,), None = the scene's own
        (white where it was trained on transparent pictures).
        """
        ...

    def render_full(self, camera: Camera, expression: ArrayLike | None = None,
                    background: ArrayLike | None = None) -> Rendering:
        """Return the same view with alpha and depth."""
        ...


class StillScene(ABC):
    """Base of scenes that stand still: an expression changes nothing."""

    def render(self, camera: Camera, expression: ArrayLike | None = None,
               background: ArrayLike | None = None) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1]. background: (3,) in [0, 1], None = the scene's own.

        expression: ignored (it is part of every scene's signature).
        """
        return self.render_full(camera, expression, background).rgb

    @abstractmethod
    def render_full(self, camera: Camera, expression: ArrayLike | None = None,
                    background: ArrayLike | None = None) -> Rendering:
        """Return the same view with alpha and depth."""


@runtime_checkable
class HasGaussians(Protocol):
    """A scene that consists of Gaussians, which a page can draw by itself."""

    @property
    def gaussians(self) -> Any:
        """Return them at rest: `reconstruction.splats.gaussians.Gaussians`."""
        ...


@runtime_checkable
class Expressive(Protocol):
    """A scene whose expression can be changed, by a linear basis with names and ranges."""

    @property
    def basis(self) -> Any:
        """Return `reconstruction.avatar.basis.Basis`."""
        ...

    @property
    def avatar(self) -> Any:
        """Return `reconstruction.avatar.basis.BlendAvatar`: head, bases and torso."""
        ...


@runtime_checkable
class HasNormals(Protocol):
    """A scene that knows its surface."""

    def normals(self, camera: Camera) -> np.ndarray:
        """Return (H, W, 3) float32 unit normals toward the camera; NaN where there is none."""
        ...


@runtime_checkable
class HasFirstCrossing(Protocol):
    """A scene of Gaussians, whose rays meet something translucent first; see `fused_surface`."""

    cameras: list[Camera]

    def first_crossing(self, camera: Camera) -> np.ndarray:
        """Return (H, W) float32 world units along the optical axis, NaN where there is nothing."""
        ...
