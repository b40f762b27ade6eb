"""What a training run of an avatar and a reenactment are told, checked at the border."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...errors import IdfError
from ...runtime.settings import budget, check_amount, check_ranges

DEFAULT_BUDGET_S = 180.0  # of optimization, on a CPU


@dataclass(frozen=True)
class AvatarConfig:
    """Settings of `idf_helpers.reconstruction.avatar.train`.

    Lengths are in scene radii (half the width that the cameras see at the head). "Part of the run"
    is a fraction in [0, 1] of the iterations or of the budget.
    """

    iterations: int | None = None
    """Training steps, 1 or more; such a run is bit-identical for a seed, also after kills."""
    budget_s: float | None = None
    """Seconds of optimization (loading, compiling, checkpoints not counted), > 0. Without
    iterations and budget: 180."""
    resolution: int | None = 256
    """Longer side of the training pictures in pixels, 16 or more; None: as they are."""
    seed: int = 0
    """Start of every random draw, 0 or more."""

    holdout_last: int | None = None
    """Hold out the last N frames of the sequence for the test, 1 or more; None: the dataset's own
    test split."""
    background: Literal["file", "median", "white", "black"] = "file"
    """What lies behind the head: the picture under bg/, the median of the frames (for a head that
    moves enough), or a plain color. Pictures with alpha need none and are put over it."""
    torso: Literal["auto", "on", "off"] = "auto"
    """A layer of Gaussians that stays in the room while the head turns. auto: where the pictures
    show something in front of the background that does not turn with the head."""
    smooth: float = 0.0
    """Standard deviation in frames by which the expressions are smoothed in time, 0 to 10; for
    trackers that jitter."""
    check_poses: bool = True
    """Before training, see whether a face lies where poses and pictures say (where the landmark
    models are at hand)."""

    rank: int = 24
    """Bases of the expression, 0 (a head that does not move) to 64."""
    shade_rank: int = 9
    """How color may follow the head's rotation in a light that stays in the room: 0 not, 3
    linearly, 9 also with its squares and products."""
    initial: int = 6_000
    """Gaussians at the start, 16 to max_gaussians."""
    max_gaussians: int = 12_000
    """Gaussians of the head at most, 16 or more; sets time per step, memory and size of the file.
    """
    sh_degree: int = 0
    """Degree of the view-dependent color, 0 or 1."""
    lambda_dssim: float = 0.2
    """Weight of 1 - SSIM in the loss, 0 to 1; the rest is the mean absolute error."""
    lambda_alpha: float = 0.1
    """Weight of the head's silhouette in the loss, 0 or more: keeps the background out of the
    head."""
    lambda_opacity: float = 0.01
    """Weight of the mean opacity in the loss, 0 or more: what no frame shows, inside the head and
    behind it, fades instead of coming out where the head turns a little further."""
    expression_noise: float = 0.03
    """Standard deviation of the noise added to the expressions in training, in their unit, 0 or
    more."""
    expression_dropout: float = 0.0
    """Part of the steps in which one basis of the expression is left out, 0 to 1."""
    decay: float = 1e-4
    """Weight decay of the changes per step, 0 or more."""
    sparsity: float = 1e-3
    """Weight of the mean length of the Gaussians' changes, in learning steps, in the loss, 0 or
    more: a change that brings less is not made."""
    still_until: float = 0.2
    """Part of the run in which the head is trained as if it had no expression, so that its shape
    comes from the poses; then what follows the expression is let loose."""
    moving_above: float = 0.01
    """Color error that must follow the expression, of 1, for a Gaussian to move; 0: all move."""
    appearance: bool = True
    """Whether each training frame has a brightness and tint of its own (gain and offset by
    channel, of the whole frame, so that they cannot hold an expression)."""

    lr_means: float = 1.2e-3
    """Adam's learning rate at the start, scene radii per step, > 0; falls by `lr_final`."""
    lr_log_scales: float = 2e-2
    """The same for log-scales, per step, > 0; this one and the following fall by √lr_final."""
    lr_quats: float = 8e-3
    """The same for quaternions."""
    lr_opacity_logits: float = 0.1
    """The same for the logits of opacity."""
    lr_sh: float = 5e-3
    """The same for the color."""
    lr_deltas: float = 1.0
    """Rates of the changes, as a factor on those above, > 0."""
    lr_shade: float = 0.2
    """The same for the color that follows the pose."""
    lr_weights: float = 0.0
    """Learning rate of the expression's weights, as a part of their size per step, 0 (they stay at
    the principal directions of the training expressions) or more."""
    lr_final: float = 0.03
    """Factor on the learning rate of the means at the end, exponential on the way, in (0, 1]."""

    densify_every: int = 100
    """Steps between two rounds of relocation and growth, 1 or more."""
    densify_from: int = 300
    """First step with such a round, 1 or more."""
    densify_moving: float = 1.0
    """How much more often Gaussians that move are split, 0 or more."""
    grow_until: float = 0.6
    """Part of the run until which Gaussians are added."""
    relocate_until: float = 0.8
    """Part of the run until which dead Gaussians are moved, grow_until or more."""
    growth: float = 0.1
    """New Gaussians per round as a share of those there are, 0 to 1."""
    dead_opacity: float = 0.005
    """Opacity below which a Gaussian counts as dead, in (0, 0.5)."""
    max_scale: float = 0.5
    """Standard deviation in scene radii above which a Gaussian counts as dead, > 0."""

    @property
    def budget(self) -> float | None:
        """Seconds, or None for a run that is given in iterations."""
        return budget(self, DEFAULT_BUDGET_S)

    def checked(self) -> AvatarConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_amount(self)
        unit, more = (0.0, 1.0), (0.0, math.inf)
        ranges = {
            "resolution": (16, 4096),
            "seed": (0, 2**63 - 1), "holdout_last": (1, math.inf), "smooth": (0.0, 10.0),
            "rank": (0, 64), "max_gaussians": (16, 1_000_000), "initial": (16, self.max_gaussians),
            "sh_degree": (0, 1), "lambda_dssim": unit, "lambda_alpha": more, "lambda_opacity": more,
            "expression_noise": more, "expression_dropout": unit, "decay": (0.0, 0.1),
            "sparsity": more, "still_until": unit,
            "moving_above": unit, "lr_final": (1e-6, 1.0), "lr_weights": (0.0, 0.1),
            "densify_every": (1, math.inf), "densify_from": (1, math.inf), "densify_moving": more,
            "grow_until": unit, "relocate_until": (self.grow_until, 1.0), "growth": unit,
            "dead_opacity": (1e-4, 0.5), "max_scale": (1e-3, math.inf),
        }
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh", "deltas", "shade"):
            ranges[f"lr_{name}"] = (1e-9, 10.0)
        check_ranges(self, ranges)
        for name, allowed in (("background", ("file", "median", "white", "black")),
                              ("torso", ("auto", "on", "off")), ("shade_rank", (0, 3, 9))):
            if getattr(self, name) not in allowed:
                raise IdfError(f"The setting `{name}` is unknown", f"{getattr(self, name)!r}",
                               f"use one of: {', '.join(map(str, allowed))}")
        return self


@dataclass(frozen=True)
class ReenactConfig:
    """Settings of a reenactment."""

    resolution: int | None = None
    """Height of the avatar's picture in pixels, 16 to 4096; None: as it was trained."""
    fps: float = 25.0
    """Frames a second, above 0 to 240."""
    strength: float = 1.0
    """Factor on the driver's changes of expression, 0 to 3."""
    follow_pose: bool = True
    """Whether the head turns as the driver's does, within the poses it was trained at."""
    frames: int | None = None
    """At most so many frames of the driver, 1 or more; None: all."""
    neutral_frame: str = ""
    """Name of the driver's frame that shows its resting face; "": the one of the smallest
    expression."""
    label: bool = True
    """The word in the corner; marks for machines are written without it, too."""

    def checked(self) -> ReenactConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"resolution": (16, 4096), "fps": (0.1, 240), "strength": (0, 3),
                            "frames": (1, 1e9)})
        return self


@dataclass(frozen=True)
class NerfaceConfig:
    """Settings of NeRFace's own trainer, for the backend nerface only; defaults as published."""

    rays: int = 2048
    """Rays of one frame a step, 1 to 65536."""
    coarse: int = 64
    """Samples of a ray for the coarse network, 2 to 1024."""
    fine: int = 64
    """Further samples for the fine network, 1 to 1024."""
    near: float = 0.2
    """Nearest depth, in the unit of the cameras (NeRFace puts the head at 0.5), > 0."""
    far: float = 0.8
    """Furthest depth, above `near`."""

    def checked(self) -> NerfaceConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"rays": (1, 65536), "coarse": (2, 1024), "fine": (1, 1024),
                            "near": (1e-6, 1e6), "far": (self.near, 1e7)})
        return self
