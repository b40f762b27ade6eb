"""Settings of the swap stage; a file of its own: the command line need not load the stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError
from ..runtime.settings import RECIPE, Annotated, Interval, Settings

COMMON = frozenset({"backend", "face"})  # of `SwapConfig`, read by the stage itself


@dataclass(frozen=True)
class SwapConfig(Settings):
    """Settings of the swap stage that decide its output. Not every method reads all of them: one
    that is not read must have its default."""

    backend: str = "auto"
    """auto, or a name of `idf doctor`: uv (consistent between views), mesh (2D), ghost, onnx:NAME
    or onnx:ROW.json, uv+NAME (a neural swap made consistent)."""
    face: int | None = None
    """Which face of the source photo, counted from the left from 0; None = there is one."""
    target: str = "one"
    """Which faces of a picture: one (the clearest), all, or numbers from the left ("0,2")."""
    reference: tuple[Path, ...] = ()
    """Photos of the people to be swapped; the k-th source goes to the k-th."""
    similarity: Annotated[float | None, Interval(ge=0, le=1)] = None
    """How like a reference a face must be; None = as suits what compares them."""
    min_face: Annotated[float, Interval(ge=0, le=1e5)] = 0.0
    """Pixels; smaller faces of a picture are left alone."""
    min_confidence: Annotated[float, Interval(ge=0.01, le=0.999)] = 0.9
    """Least probability that a face is one."""
    pixel_boost: Annotated[int, Interval(ge=1, le=8)] = 1
    """Enlarge the crop N times for a finer face, which takes N * N passes of the network (onnx)."""
    shape: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """Share of the way that the face's proportions go toward the source's; 0 = the target's."""

    @property
    def one_head(self) -> bool:
        """Whether the clearest face of each picture is meant, which is all that `uv` can swap."""
        return self.target == "one" and not self.reference

    def _check_together(self) -> None:
        if self.similarity is not None and not self.reference:
            raise IdfError("--similarity is of faces and reference photos, and there are none",
                           f"similarity {self.similarity:g}",
                           "leave it out, or give --reference PHOTO")


@dataclass(frozen=True)
class VideoConfig(Settings):
    """Settings of the swap of a video, besides `SwapConfig`."""

    max_missing: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """Share of frames without a face above which the video is refused."""
    part: Annotated[int, Interval(ge=8, le=1000), RECIPE] = 60
    """Frames that are swapped and encoded in one go: what a kill can cost."""
    crf: Annotated[int, Interval(ge=0, le=51)] = 18
    """H.264 quality, 0 = lossless."""
    label: bool = True
    """Put the visible label into every frame; the mark in the file stays."""
    smooth: Annotated[int, Interval(ge=0, le=30)] = 2
    """Frames on either side over which landmarks are smoothed in time; 0 leaves them alone."""
