"""Settings of training with NeRFace's own scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ....runtime.settings import RECIPE, Annotated, Interval, check_range
from ...avatar.config import SequenceConfig
from ...config import CountedConfig


@dataclass(frozen=True)
class NerfaceConfig(CountedConfig, SequenceConfig):
    """Settings of NeRFace as published, with its defaults."""

    default_iterations: ClassVar[int] = 400_000

    rays: Annotated[int, Interval(ge=1, le=65536)] = 2048
    """Rays of one frame a step."""
    coarse: Annotated[int, Interval(ge=2, le=1024), RECIPE] = 64
    """Samples of a ray for the coarse network."""
    fine: Annotated[int, Interval(ge=1, le=1024), RECIPE] = 64
    """Further samples for the fine network."""
    near: Annotated[float, Interval(ge=1e-6, le=1e6), RECIPE] = 0.2
    """Nearest depth, in the unit of the cameras (NeRFace puts the head at 0.5)."""
    far: Annotated[float, Interval(le=1e7), RECIPE] = 0.8
    """Furthest depth, above `near`."""

    def _check_together(self) -> None:
        super()._check_together()
        check_range("far", self.far, self.near, 1e7)
