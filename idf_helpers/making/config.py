"""Settings of `make`; a file of its own, so that the command line need not load the stages."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.settings import Annotated, Interval, Settings


@dataclass(frozen=True)
class MakeConfig(Settings):
    """How long the reconstruction is trained, and how fine; None: as suits what is made."""

    budget_s: Annotated[float | None, Interval(gt=0, le=1e7)] = None
    """Seconds of training; more is sharper."""
    iterations: Annotated[int | None, Interval(ge=1)] = None
    """Training steps, in place of seconds."""
    resolution: Annotated[int | None, Interval(ge=16, le=16384)] = None
    """Longer side in pixels of the pictures that are trained on; more is finer, and slower."""

    def given(self) -> dict:
        """Return what was given, as settings of a training."""
        return self.changed()
