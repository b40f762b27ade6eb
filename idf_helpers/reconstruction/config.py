"""Settings of every training: how long, at which resolution, with which seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from ..errors import IdfError
from ..runtime.settings import Annotated, Interval, Settings


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """Settings that all methods share. Each adds its own, and holds only what it reads.

    "Part of the run" is a fraction in [0, 1] of the iterations or of the budget.
    """

    default_budget_s: ClassVar[float | None] = 120.0
    """Seconds where neither iterations nor a budget are given; None: `default_iterations` count."""
    default_iterations: ClassVar[int] = 30_000

    iterations: Annotated[int | None, Interval(ge=1)] = None
    """Training steps; such a run is bit-identical for a seed, also after kills."""
    budget_s: Annotated[float | None, Interval(gt=0, le=1e7)] = None
    """Seconds of optimization (loading, compiling, checkpoints not counted)."""
    resolution: Annotated[int | None, Interval(ge=16, le=16384)] = 256
    """Longer side of the training pictures in pixels; None: as they are."""
    seed: Annotated[int, Interval(ge=0)] = 0
    """Start of every random draw."""

    @property
    def budget(self) -> float | None:
        """Seconds, or None for a run that is given in iterations."""
        if self.iterations is not None:
            return None
        return self.default_budget_s if self.budget_s is None else self.budget_s

    @property
    def steps(self) -> int | None:
        """Iterations, or None for a run that is given in seconds."""
        if self.iterations is None and self.budget is None:
            return self.default_iterations
        return self.iterations

    def describe(self) -> str:
        """Return the amount of training as text."""
        amount = f"{self.budget:g} seconds" if self.budget else f"{self.steps} iterations"
        size = f"{self.resolution} pixels" if self.resolution else "full size"
        return f"{amount} of training at {size}"

    def identity(self) -> dict:
        """Return what identifies a run: every field; files by their content."""
        return asdict(self)

    def _check_together(self) -> None:
        if self.iterations is not None and self.budget_s is not None:
            raise IdfError("A run is given in iterations or in seconds, not in both",
                           f"iterations {self.iterations}, budget_s {self.budget_s}",
                           "leave one of them out")


@dataclass(frozen=True)
class CountedConfig(TrainingConfig):
    """Settings of a method that knows no clock: it counts in iterations."""

    default_budget_s: ClassVar[float | None] = None

    def _check_together(self) -> None:
        super()._check_together()
        if self.budget_s is not None:
            raise IdfError("This method counts in iterations", f"budget_s {self.budget_s}",
                           "give --iterations instead, or choose another method")
