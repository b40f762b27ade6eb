"""Settings of training an avatar and of a reenactment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...runtime.settings import RECIPE, Annotated, Interval, check_range
from ..config import TrainingConfig

UNIT = Interval(ge=0, le=1)
POSITIVE = Interval(ge=0)


@dataclass(frozen=True)
class SequenceConfig(TrainingConfig):
    """Settings that all trainings on the sequence of a talking head share."""

    holdout_last: Annotated[int | None, Interval(ge=1)] = None
    """Hold out the last N frames of the sequence for the test; None: the dataset's own test split.
    """
    background: Literal["file", "median", "white", "black"] = "file"
    """What lies behind the head: the picture under bg/, the median of the frames (for a head that
    moves enough), or a plain color. Pictures with alpha need none and are put over it."""


@dataclass(frozen=True)
class AvatarConfig(SequenceConfig):
    """Settings of `reconstruction.avatar.train`.

    Lengths are in scene radii (half the width that the cameras see at the head).
    """

    default_budget_s: ClassVar[float | None] = 180.0

    torso: Literal["auto", "on", "off"] = "auto"
    """A layer of Gaussians that stays in the room while the head turns. auto: where the pictures
    show something in front of the background that does not turn with the head."""
    check_poses: bool = True
    """Before training, see whether a face lies where poses and pictures say (where the landmark
    models are available)."""
    baseline: bool = False
    """Train a model that cannot move as well, equally long, for comparison."""

    head_shape: Annotated[bool, RECIPE] = True
    """Start on the surface of a whole head, fitted to the face and the outlines, and stay near it
    (where the landmark models are available): turned views stay a head."""
    refine_poses: Annotated[bool, RECIPE] = True
    """Align the poses of a tracked video with hair, ears and outline of the whole head, in all
    frames, as a tracker would: those of the face alone are a degree off. Only where the background
    was made of the frames, which is how a tracked video is known."""
    skin_motion: Annotated[bool, RECIPE] = False
    """Measure in the pictures how the skin moves, beside the expressions that the dataset names
    (where the landmark models are available), unless it explains nothing more. Frames of the clip
    itself come out nearer to their pictures; what is driven by names alone, less near."""
    rank: Annotated[int, Interval(ge=0, le=64)] = 24
    """Bases of the expression; 0: a head that does not move."""
    shade_rank: Annotated[Literal[0, 3, 9], RECIPE] = 9
    """How color may follow the head's rotation in a light that stays in the room: 0 not, 3
    linearly, 9 also with its squares and products."""
    initial: Annotated[int, Interval(ge=16)] = 6_000
    """Gaussians at the start, at most max_gaussians."""
    max_gaussians: Annotated[int, Interval(ge=16, le=1_000_000)] = 12_000
    """Gaussians of the head at most; sets time per step, memory and size of the file."""
    sh_degree: Annotated[int, Interval(ge=0, le=1)] = 0
    """Degree of the view-dependent color."""
    lambda_dssim: Annotated[float, UNIT, RECIPE] = 0.2
    """Weight of 1 - SSIM in the loss; the rest is the mean absolute error."""
    lambda_alpha: Annotated[float, POSITIVE, RECIPE] = 0.1
    """Weight of the head's silhouette in the loss: keeps the background out of the head."""
    lambda_opacity: Annotated[float, POSITIVE, RECIPE] = 0.01
    """Weight of the mean opacity in the loss: what no frame shows, inside the head and behind it,
    fades instead of coming out where the head turns a little further."""
    expression_noise: Annotated[float, POSITIVE, RECIPE] = 0.03
    """Standard deviation of the noise added to the expressions in training, in their unit."""
    sparsity: Annotated[float, POSITIVE, RECIPE] = 1e-3
    """Weight of the mean length of the Gaussians' changes, in learning steps, in the loss: a change
    that brings less is not made."""
    still_until: Annotated[float, UNIT, RECIPE] = 0.2
    """Part of the run in which the head is trained as if it had no expression, so that its shape
    comes from the poses; then the parts that move with the expression are released."""
    moving_above: Annotated[float, UNIT, RECIPE] = 0.01
    """Color error that must follow the expression, of 1, for a Gaussian to move; 0: all move."""
    appearance: bool = True
    """Whether each training frame has a brightness and tint of its own (gain and offset by
    channel, of the whole frame, so that they cannot hold an expression)."""
    rate: Annotated[float, Interval(ge=1e-6, le=1e3), RECIPE] = 1.0
    """Factor on all learning rates."""
    densify_every: Annotated[int, Interval(ge=1), RECIPE] = 100
    """Steps between two rounds of relocation and growth."""
    densify_from: Annotated[int, Interval(ge=1), RECIPE] = 300
    """First step with such a round."""

    def _check_together(self) -> None:
        super()._check_together()
        check_range("initial", self.initial, 16, self.max_gaussians)
