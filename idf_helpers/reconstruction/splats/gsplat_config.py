"""Settings of training Gaussian splats with gsplat on an NVIDIA GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...errors import IdfError
from ...runtime.settings import RECIPE, Annotated, Interval, check_range
from .config import RATE, UNIT, GaussianConfig


@dataclass(frozen=True)
class GsplatConfig(GaussianConfig):
    """Settings of `reconstruction.splats.gsplat_train`.

    The defaults are those of gsplat 1.5.3's own trainer (examples/simple_trainer.py), whose steps
    are counted for 30 000 iterations and go in proportion with another number.
    """

    default_budget_s: ClassVar[float | None] = None

    random_until: Annotated[float, UNIT, RECIPE] = 0.6
    """Part of the run after which white takes the place of the random background."""
    strategy: Literal["default", "mcmc"] = "default"
    """How Gaussians are added and removed: default (3DGS: clone, split, prune, reset opacities) or
    mcmc (arXiv 2404.09591: relocate dead ones, grow by 5 % up to max_gaussians, noise)."""
    packed: Annotated[bool, RECIPE] = False
    """Rasterize only what a camera sees: less memory, a little slower."""
    antialiased: bool = False
    """Opacities compensated for the 0.3 px dilation (Mip-Splatting); viewers that do not
    compensate then show the model too dark."""
    absgrad: Annotated[bool, RECIPE] = False
    """Split by absolute screen gradients (arXiv 2404.10484); default strategy only."""
    initial: Annotated[int, Interval(ge=16)] = 100_000
    """Gaussians at the start, at most max_gaussians."""
    max_gaussians: Annotated[int, Interval(ge=16, le=50_000_000)] = 1_000_000
    """Gaussians at most: mcmc's cap; the default strategy stops growing there."""
    rate: Annotated[float, RATE, RECIPE] = 1.0
    """Factor on all learning rates."""
    opacity_reg: Annotated[float | None, Interval(ge=0), RECIPE] = None
    """Weight of the mean opacity in the loss. None: 0.01 with mcmc, else 0."""
    scale_reg: Annotated[float | None, Interval(ge=0), RECIPE] = None
    """Weight of the mean standard deviation in the loss. None: 0.01 with mcmc, else 0."""

    def regularizers(self) -> tuple[float, float]:
        """Return the weights of (opacity, scale)."""
        default = 0.01 if self.strategy == "mcmc" else 0.0
        return (default if self.opacity_reg is None else self.opacity_reg,
                default if self.scale_reg is None else self.scale_reg)

    def _check_together(self) -> None:
        super()._check_together()
        check_range("initial", self.initial, 16, self.max_gaussians)
        if self.absgrad and self.strategy == "mcmc":
            raise IdfError("Absolute gradients belong to the default strategy", "strategy mcmc",
                           "leave absgrad out")
