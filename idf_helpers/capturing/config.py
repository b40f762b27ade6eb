"""Settings of a capture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..runtime.settings import RECIPE, Annotated, Interval, Settings


@dataclass(frozen=True)
class CaptureConfig(Settings):
    """How a video of a turn round a still head becomes a dataset."""

    frames: Annotated[int, Interval(ge=8, le=400)] = 90
    """Most frames kept; they are chosen by sharpness and even spacing of the view."""
    size: Annotated[int | None, Interval(ge=128, le=2048)] = None
    """Longer side of the pictures, pixels; None keeps the video's, up to 800."""
    moves: Literal["auto", "camera", "head"] = "auto"
    """What moves: the camera round a still head, or the head before a still camera."""
    test_every: Annotated[int, Interval(ge=2), RECIPE] = 8
    """Every how many frames one is held out for testing."""
