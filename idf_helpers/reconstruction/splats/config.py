"""Settings of training Gaussian splats: what all trainers share, and those of our own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...errors import IdfError
from ...runtime.files import sha256_file
from ...runtime.runs import read_manifest
from ...runtime.settings import RECIPE, Annotated, Interval, check_range
from ..config import TrainingConfig
from .model_path import find_model

UNIT = Interval(ge=0, le=1)
RATE = Interval(ge=1e-6, le=1e3)
SIDE, GAUSSIANS, AT_MOST = 256, 40_000, 500_000  # where nobody says how many, see `sized`


@dataclass(frozen=True)
class GaussianConfig(TrainingConfig):
    """Settings that all trainers of Gaussian splats share."""

    sh_degree: Annotated[int, Interval(ge=0, le=3)] = 3
    """Degree of the view-dependent color in the end."""
    background: Literal["auto", "random", "white", "black"] = "auto"
    """What lies behind: a new random color each step (pictures with alpha only), white or black.
    auto: random with alpha; without it white or black, whichever the pictures' borders are nearer.
    """
    lambda_dssim: Annotated[float, UNIT, RECIPE] = 0.2
    """Weight of 1 - SSIM in the loss; the rest is the mean absolute error."""
    start: Path | None = None
    """Splat run folder or model file whose Gaussians the training goes on from."""
    points: Path | None = None
    """Run folder of a scene, such as a radiance field, on whose surface the Gaussians start."""

    def identity(self) -> dict:
        """Return every field; the earlier model and the scene by what they are, not where."""
        return super().identity() | {
            "start": sha256_file(find_model(self.start)) if self.start else None,
            "points": read_manifest(self.points)["run_id"] if self.points else None}


@dataclass(frozen=True)
class SplatConfig(GaussianConfig):
    """Settings of `reconstruction.splats.train`.

    Lengths count in scene radii (`cameras.scene_frame`: half the width that the cameras see at the
    center of the scene), so that the defaults fit a scene of any size.
    """

    initial: Annotated[int | None, Interval(ge=16)] = None
    """Gaussians at the start, at most max_gaussians. None: a tenth to a fourth of those."""
    max_gaussians: Annotated[int | None, Interval(ge=16, le=20_000_000)] = None
    """Gaussians in the end; sets time per step, memory and size of the file. None: by the size of
    the pictures, 40 000 at 256 pixels, 75 000 at 400, 197 000 at 800."""
    random_until: Annotated[float, UNIT, RECIPE] = 0.6
    """Part of the run after which white takes the place of the random background: by then nothing
    floats about that it could hide, and the edges settle for pictures over white."""
    rate: Annotated[float, RATE, RECIPE] = 1.0
    """Factor on all learning rates."""
    sh_steps: Annotated[tuple[float, float, float], UNIT, RECIPE] = (0.15, 0.4, 0.7)
    """Parts of the run at which the degree of the color becomes 1, 2 and 3; rising."""
    rounds: Annotated[int, Interval(ge=0, le=1000), RECIPE] = 16
    """Rounds of growth and relocation in the first half of the run, evenly by the part of it that
    is over; relocation goes on at this pace. 0: neither."""
    growth: Annotated[float, Interval(ge=0, le=100), RECIPE] = 0.3
    """New Gaussians in 100 steps at most, as a share of those there are: a run of few steps, which
    could not teach more of them, ends with fewer than max_gaussians."""
    refit: Annotated[float | None, UNIT, RECIPE] = None
    """Keep the Gaussians of `start`, their number and order, for other pictures of the same scene:
    colors are learned first, from this part of the run on their places and sizes, too; 1: colors
    alone. None: an ordinary training."""

    def sized(self, side: int) -> SplatConfig:
        """Return the settings with both numbers of Gaussians, for pictures whose longer side has
        so many pixels.

        Details of a picture grow with its area, the surface's own ones do not; the power between
        the two is where 256² and 800² both gain from more Gaussians at equal time.
        """
        scale = (max(side, SIDE) / SIDE) ** 1.4
        most = self.max_gaussians or max(min(1000 * round(GAUSSIANS / 1000 * scale), AT_MOST),
                                         self.initial or 0)
        first = max(16, min(max(GAUSSIANS // 4, most // 10), most // 4))
        return replace(self, max_gaussians=most, initial=self.initial or first)

    def _check_together(self) -> None:
        super()._check_together()
        if self.max_gaussians is not None:
            check_range("initial", self.initial, 16, self.max_gaussians)
        if self.refit is not None and self.start is None:
            raise IdfError("There is nothing to refit", "`refit` without `start`",
                           "give `start`, the splats whose colors are to change")
        if not self.sh_steps[0] <= self.sh_steps[1] <= self.sh_steps[2]:
            raise IdfError("The setting `sh_steps` must rise", f"{self.sh_steps}",
                           "give three parts of the run, the smallest first")
