"""Settings of training a voxel radiance field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import IdfError
from ...runtime.settings import RECIPE, Annotated, Interval
from ..config import TrainingConfig


@dataclass(frozen=True)
class VoxelConfig(TrainingConfig):
    """Settings of `reconstruction.nerf.train`.

    Raw density and color coefficients have no unit: density is counted in voxels (opacity of a
    length s in voxels: 1 - exp(-s·softplus(raw))), so that the defaults fit a scene of any size.
    """

    grid: Annotated[int | None, Interval(ge=16, le=512)] = None
    """Cells along the longest side of the field in the end, rounded up to a multiple of
    4; None: 0.85 of the pixels that the head covers, 96 to 256."""
    sh_degree: Annotated[int, Interval(ge=0, le=2)] = 1
    """Degree of the view-dependent color; 2 takes twice the memory of 1."""
    rays: Annotated[int, Interval(ge=64, le=10**6)] = 4096
    """Rays of a step."""
    levels: Annotated[tuple[float, float], Interval(ge=0, le=1), RECIPE] = (0.06, 0.25)
    """Parts of the run at which the cells are halved, from 4 times their last length; rising."""
    background: Literal["auto", "random", "white", "black"] = "auto"
    """What lies behind: a new random color for each ray (pictures with alpha only), white or
    black. auto: random with alpha; without it white or black, whichever the pictures' borders are
    nearer."""

    rate: Annotated[float, Interval(ge=1e-6, le=1e3), RECIPE] = 1.0
    """Factor on all learning rates."""
    tv_density: Annotated[float, Interval(ge=0, le=1e6), RECIPE] = 1e-4
    """Weight of the total variation of the raw density, at the vertices that a step touches,
    against the squared error of one ray's color."""
    tv_color: Annotated[float, Interval(ge=0, le=1e6), RECIPE] = 1e-4
    """The same for the color's coefficients."""
    occupancy_every: Annotated[int, Interval(ge=1), RECIPE] = 100
    """Steps between two looks at which cells are empty."""
    max_memory_mb: Annotated[int, Interval(ge=16, le=10**7)] = 900
    """What training may take beside the pictures, in 10^6 bytes: the cells become
    larger where their rows would need more."""

    def _check_together(self) -> None:
        super()._check_together()
        if self.levels[0] > self.levels[1]:
            raise IdfError("The setting `levels` must rise", f"{self.levels}",
                           "give two parts of the run, the smaller first")
