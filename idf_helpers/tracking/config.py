"""Settings of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import IdfError


@dataclass(frozen=True)
class TrackConfig:
    """How a video becomes a NeRFace dataset.

    fov: horizontal field of view of the camera in degrees, in (5, 120); 0 estimates it over the
        clip, which one face tells only roughly (a phone held upright: about 50; a webcam: 60).
    size: longer side of the frames written, pixels, in [64, 4096]; 0 keeps the video's.
    every: take every so-many-th frame, at least 1.
    limit: most frames taken, 0 = all.
    val, test: frames of the validation split, and of the test split at the end of the clip;
        test < 0 takes a fifth of the clip, at most 1000.
    smoothing: of poses and expressions over time, frames, in [0, 10]; 0 leaves every frame alone.
    sparsity: how much evidence an expression needs, in [0, 10]; more leaves small ones at 0.
    identity: whether the face's shape is fitted (False: everybody has the mean face).
    brows: whether the brows are followed in the pictures too, of which landmarks see half.
    max_error: frames whose landmarks lie further than this from the model, in % of the face's
        width (median), are left out; in (0, 100].
    overlay: whether overlay.mp4 is written.
    """

    fov: float = 0.0
    size: int = 0
    every: int = 1
    limit: int = 0
    val: int = 5
    test: int = -1
    smoothing: float = 1.0
    sparsity: float = 1.0
    identity: bool = True
    brows: bool = True
    max_error: float = 6.0
    overlay: bool = True

    def checked(self) -> TrackConfig:
        """Itself; IdfError names the first field out of range."""
        for name, ok, want in (
                ("fov", self.fov == 0 or 5 < self.fov < 120, "0, or degrees in (5, 120)"),
                ("size", self.size == 0 or 64 <= self.size <= 4096, "0, or pixels in [64, 4096]"),
                ("every", self.every >= 1, "a whole number of at least 1"),
                ("limit", self.limit >= 0, "0 for all, or a number of frames"),
                ("val", self.val >= 0, "a number of frames"),
                ("smoothing", 0 <= self.smoothing <= 10, "frames in [0, 10]"),
                ("sparsity", 0 <= self.sparsity <= 10, "a number in [0, 10]"),
                ("max_error", 0 < self.max_error <= 100, "per cent in (0, 100]")):
            if not ok:
                raise IdfError(f"The setting `{name}` is out of range", f"{getattr(self, name)}",
                               f"give {want}")
        return self
