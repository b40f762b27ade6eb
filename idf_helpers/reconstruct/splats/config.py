"""What a training run of Gaussian splats is told: one frozen dataclass, checked at the border."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...errors import IdfError
from ...runtime.settings import budget, check_amount, check_ranges

DEFAULT_BUDGET_S = 120.0  # of optimisation, on a CPU


@dataclass(frozen=True)
class SplatConfig:
    """Settings of `idf_helpers.reconstruct.splats.train`.

    Lengths and the learning rate of the means are in scene radii (`cameras.scene_frame`: half the
    width that the cameras see at the centre of the scene), so that the defaults fit a scene of any
    size. "Part of the run" is a fraction in [0, 1] of the iterations or of the budget.
    """

    iterations: int | None = None
    """Training steps, 1 or more; such a run is bit-identical for a seed, also after kills."""
    budget_s: float | None = None
    """Seconds of optimisation (loading, compiling, checkpoints not counted), > 0. Without
    iterations and budget: 120."""
    resolution: int | None = 256
    """Longer side of the training pictures in pixels, 16 or more; None: as they are."""
    seed: int = 0
    """Start of every random draw, 0 or more."""

    initial: int = 10_000
    """Gaussians at the start, 16 to max_gaussians."""
    max_gaussians: int = 40_000
    """Gaussians at most, 16 or more; sets time per step, memory and size of the file."""
    sh_degree: int = 3
    """Degree of the view-dependent colour in the end, 0 to 3."""
    background: Literal["auto", "random", "white", "black"] = "auto"
    """What lies behind: a new random colour each step (pictures with alpha only), white or black.
    auto: random with alpha; without it white or black, whichever the pictures' borders are nearer.
    """
    random_until: float = 0.6
    """Part of the run after which white takes the place of the random background: by then nothing
    floats about that it could hide, and the edges settle for pictures over white."""
    lambda_dssim: float = 0.2
    """Weight of 1 - SSIM in the loss, 0 to 1; the rest is the mean absolute error."""

    lr_means: float = 1.2e-3
    """Adam's learning rate at the start, scene radii per step, > 0; falls by `lr_final`."""
    lr_log_scales: float = 3e-2
    """The same for log-scales, per step, > 0; this one and the following fall by √lr_final."""
    lr_quats: float = 8e-3
    """The same for quaternions."""
    lr_opacity_logits: float = 0.15
    """The same for the logits of opacity."""
    lr_sh: float = 5e-3
    """The same for the colour."""
    lr_final: float = 0.03
    """Factor on the learning rate of the means at the end, exponential on the way, in (0, 1]."""

    sh_steps: tuple[float, float, float] = (0.15, 0.4, 0.7)
    """Parts of the run at which the degree of the colour becomes 1, 2 and 3; rising."""
    densify_every: int = 100
    """Steps between two rounds of relocation and growth, 1 or more."""
    densify_from: int = 200
    """First step with such a round, 1 or more."""
    grow_until: float = 0.7
    """Part of the run until which Gaussians are added."""
    relocate_until: float = 0.85
    """Part of the run until which dead Gaussians are moved, grow_until or more."""
    growth: float = 0.15
    """New Gaussians per round as a share of those there are, 0 to 1."""
    dead_opacity: float = 0.005
    """Opacity below which a Gaussian counts as dead, in (0, 0.5)."""
    max_scale: float = 0.8
    """Standard deviation in scene radii above which a Gaussian counts as dead, > 0."""

    @property
    def budget(self) -> float | None:
        """Seconds, or None for a run that is given in iterations."""
        return budget(self, DEFAULT_BUDGET_S)

    def checked(self) -> SplatConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_amount(self)
        unit = (0.0, 1.0)
        ranges = {
            "resolution": (16, 16384),
            "seed": (0, 2**63 - 1), "max_gaussians": (16, 20_000_000),
            "initial": (16, self.max_gaussians), "sh_degree": (0, 3), "random_until": unit,
            "lambda_dssim": unit,
            "lr_final": (1e-6, 1.0), "densify_every": (1, math.inf), "densify_from": (1, math.inf),
            "grow_until": unit, "relocate_until": (self.grow_until, 1.0), "growth": unit,
            "dead_opacity": (1e-4, 0.5), "max_scale": (1e-3, math.inf),
        }
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
            ranges[f"lr_{name}"] = (1e-9, 10.0)
        check_ranges(self, ranges)
        if self.background not in ("auto", "random", "white", "black"):
            raise IdfError("There is no such background", f"{self.background!r}",
                           "use auto, random, white or black")
        if not 0 <= self.sh_steps[0] <= self.sh_steps[1] <= self.sh_steps[2]:
            raise IdfError("The setting `sh_steps` must rise", f"{self.sh_steps}")
        return self
