"""What a training run of a voxel field is told: one frozen dataclass, checked at the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import IdfError
from ...runtime.settings import budget, check_amount, check_ranges

DEFAULT_BUDGET_S = 120.0  # of optimization, on a CPU


@dataclass(frozen=True)
class VoxelConfig:
    """Settings of `idf_helpers.reconstruct.nerf.train`.

    "Part of the run" is a fraction in [0, 1] of the iterations or of the budget. Raw density and
    color coefficients have no unit: density is counted in voxels (opacity of a length s in voxels:
    1 - exp(-s·softplus(raw))), so that the defaults fit a scene of any size.
    """

    iterations: int | None = None
    """Training steps, 1 or more; such a run is bit-identical for a seed, also after kills."""
    budget_s: float | None = None
    """Seconds of optimization (loading, compiling, checkpoints not counted), > 0. Without
    iterations and budget: 120."""
    resolution: int | None = 256
    """Longer side of the training pictures in pixels, 16 or more; None: as they are."""
    seed: int = 0
    """Start of every random draw, 0 or more."""

    grid: int | None = None
    """Cells along the longest side of the field in the end, 16 to 512, rounded up to a multiple of
    4; None: 0.85 of the pixels that the head covers, 96 to 256."""
    sh_degree: int = 1
    """Degree of the view-dependent color, 0 to 2; 2 takes twice the memory of 1."""
    rays: int = 4096
    """Rays of a step, 64 or more."""
    levels: tuple[float, float] = (0.06, 0.25)
    """Parts of the run at which the cells are halved, from 4 times their last length; rising."""
    background: Literal["auto", "random", "white", "black"] = "auto"
    """What lies behind: a new random color for each ray (pictures with alpha only), white or
    black. auto: random with alpha; without it white or black, whichever the pictures' borders are
    nearer."""

    lr_density: float = 0.4
    """Adam's learning rate of the raw density at the start, per step, > 0; falls by `lr_final`."""
    lr_color: float = 0.04
    """The same for the color's coefficients."""
    lr_final: float = 0.03
    """Factor on both at the end, exponential on the way, in (0, 1]."""
    tv_density: float = 1e-4
    """Weight of the total variation of the raw density, at the vertices that a step touches,
    against the squared error of one ray's color, 0 or more."""
    tv_color: float = 1e-4
    """The same for the color's coefficients."""
    tv_limit: float = 0.5
    """Difference of two neighbors beyond which their pull no longer grows, > 0."""
    occupancy_every: int = 100
    """Steps between two looks at which cells are empty, 1 or more."""
    max_memory_mb: int = 900
    """What training may take beside the pictures, in 10^6 bytes, 16 or more: the cells become
    larger where their rows would need more."""

    @property
    def budget(self) -> float | None:
        """Seconds, or None for a run that is given in iterations."""
        return budget(self, DEFAULT_BUDGET_S)

    def checked(self) -> VoxelConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_amount(self)
        ranges = {
            "resolution": (16, 16384),
            "seed": (0, 2**63 - 1), "grid": (16, 512), "sh_degree": (0, 2), "rays": (64, 10**6),
            "lr_density": (1e-9, 100.0), "lr_color": (1e-9, 100.0), "lr_final": (1e-6, 1.0),
            "tv_density": (0, 1e6), "tv_color": (0, 1e6), "tv_limit": (1e-9, 1e6),
            "occupancy_every": (1, 1e9), "max_memory_mb": (16, 1e7),
        }
        check_ranges(self, ranges)
        if self.background not in ("auto", "random", "white", "black"):
            raise IdfError("There is no such background", f"{self.background!r}",
                           "use auto, random, white or black")
        if not 0 <= self.levels[0] <= self.levels[1] <= 1:
            raise IdfError("The setting `levels` must rise within [0, 1]", f"{self.levels}")
        return self
