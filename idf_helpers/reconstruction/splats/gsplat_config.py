"""Settings of training with gsplat that the CPU's trainer does not have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...errors import IdfError
from ...runtime.settings import check_ranges

ITERATIONS = 30_000  # where SplatConfig names neither iterations nor a budget


@dataclass(frozen=True)
class GsplatConfig:
    """Used by the backend `gsplat` only. The defaults are those of gsplat 1.5.3's own trainer
    (examples/simple_trainer.py), whose steps are counted for 30 000 iterations and go in proportion
    with another number. Of `SplatConfig` it takes iterations (default here 30 000), budget_s,
    resolution, seed, sh_degree, background, random_until and lambda_dssim; the rest of it is tuned
    for the CPU.
    """

    strategy: Literal["default", "mcmc"] = "default"
    """How Gaussians are added and removed: default (3DGS: clone, split, prune, reset opacities) or
    mcmc (arXiv 2404.09591: relocate dead ones, grow by 5 % up to max_gaussians, noise)."""
    packed: bool = False
    """Rasterize only what a camera sees: less memory, a little slower."""
    antialiased: bool = False
    """Opacities compensated for the 0.3 px dilation (Mip-Splatting); viewers that do not
    compensate then show the model too dark."""
    absgrad: bool = False
    """Split by absolute screen gradients (arXiv 2404.10484); default strategy only."""
    initial: int = 100_000
    """Gaussians at the start, 16 or more."""
    max_gaussians: int = 1_000_000
    """Gaussians at most, 16 or more: mcmc's cap; the default strategy stops growing there."""
    lr_means: float = 1.6e-4
    """Adam's learning rate of the means in camera extents per step, > 0; falls to a hundredth."""
    lr_log_scales: float = 5e-3
    """The same for log-scales, per step, > 0; this and the following stay as they are."""
    lr_quats: float = 1e-3
    """The same for quaternions."""
    lr_opacity_logits: float = 5e-2
    """The same for the logits of opacity."""
    lr_sh: float = 2.5e-3
    """The same for the color's base; a twentieth of it for the view-dependent part."""
    opacity_reg: float | None = None
    """Weight of the mean opacity in the loss, 0 or more. None: 0.01 with mcmc, else 0."""
    scale_reg: float | None = None
    """Weight of the mean standard deviation in the loss, 0 or more. None: 0.01 with mcmc, else 0.
    """
    save_every: int = 1000
    """Steps between two copies of the state (in main memory) to go back to on NaN, a full memory,
    a kill or an interrupt, 1 or more."""

    def regularizers(self) -> tuple[float, float]:
        """(opacity, scale) weights."""
        default = 0.01 if self.strategy == "mcmc" else 0.0
        return (default if self.opacity_reg is None else self.opacity_reg,
                default if self.scale_reg is None else self.scale_reg)

    def checked(self) -> GsplatConfig:
        """Self, or IdfError naming the first field that is out of range."""
        if self.strategy not in ("default", "mcmc"):
            raise IdfError("gsplat has no such strategy here", repr(self.strategy),
                           "use default or mcmc")
        if self.absgrad and self.strategy == "mcmc":
            raise IdfError("Absolute gradients belong to the default strategy", "strategy mcmc",
                           "leave absgrad out")
        ranges = {"initial": (16, self.max_gaussians), "max_gaussians": (16, 50_000_000),
                  "opacity_reg": (0, math.inf), "scale_reg": (0, math.inf),
                  "save_every": (1, math.inf)}
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
            ranges[f"lr_{name}"] = (1e-9, 10.0)
        check_ranges(self, ranges)
        return self
