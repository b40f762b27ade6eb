"""Settings of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.settings import RECIPE, Annotated, Interval, Settings


@dataclass(frozen=True)
class TrackConfig(Settings):
    """How a video becomes a NeRFace dataset."""

    fov: Annotated[float | None, Interval(gt=5, lt=120)] = None
    """Horizontal field of view of the camera, degrees; None estimates it over the clip, which one
    face shows only roughly (a phone held upright: about 50; a webcam: 60)."""
    size: Annotated[int | None, Interval(ge=64, le=4096)] = None
    """Longer side of the frames written, pixels; None keeps the video's."""
    every: Annotated[int, Interval(ge=1)] = 1
    """Take every N-th frame."""
    limit: Annotated[int | None, Interval(ge=1)] = None
    """Most frames taken; None = all."""
    crop: Annotated[tuple[int, ...], Interval(ge=0), RECIPE] = ()
    """Part of the frames that is taken: x0, y0, x1, y1 in pixels; nothing: all. Give it near the
    middle: the lens is taken to look at the middle of what is left."""
    val: Annotated[int, Interval(ge=0)] = 5
    """Frames of the validation split."""
    test: Annotated[int | None, Interval(ge=0)] = None
    """Frames of the test split at the end of the clip; None = a fifth of it, at most 1000."""
    smoothing: Annotated[float, Interval(ge=0, le=10)] = 1.0
    """Of poses and expressions over time, frames; 0 leaves every frame alone."""
    identity: Annotated[bool, RECIPE] = True
    """Fit the face's shape; without, everybody has the mean face."""
    brows: bool = True
    """Follow the brows in the pictures too, of which landmarks see half."""
    max_error: Annotated[float, Interval(gt=0, le=100), RECIPE] = 6.0
    """Frames whose landmarks lie further than this from the model (median, % of the face's width)
    are left out."""
    overlay: bool = True
    """Write overlay.mp4, every frame with the fitted mesh."""
