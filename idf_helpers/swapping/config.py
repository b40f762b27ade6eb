"""Settings of the swap stage; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..face.smooth import SmoothConfig
from ..runtime.settings import check_ranges


@dataclass(frozen=True)
class SwapConfig:
    """Settings of the swap stage that decide its output.

    backend: "auto", or a name of `idf doctor`: uv (consistent between views), mesh (2D), ghost,
        onnx:NAME or onnx:ROW.json, uv+NAME (a neural swap made consistent).
    face: which face of the source photo, counted from the left from 0; None = there is one.
    target: which faces of a picture: one (the clearest), all, or numbers from the left ("0,2").
    reference: photos of the people to be swapped; the k-th source goes to the k-th.
    similarity: how like a reference a face must be, in [0, 1]; None = as suits what compares them.
    min_face: pixels; smaller faces of a picture are left alone.
    min_confidence: least probability that a face is one, (0, 1).
    pixel_boost: ONNX swappers work on a crop this many times as large, side by side; 1 to 8.
    shape: share of the way that the face's proportions go toward the source's, in [0, 1]; uv only.
    """

    backend: str = "auto"
    face: int | None = None
    target: str = "one"
    reference: tuple[Path, ...] = ()
    similarity: float | None = None
    min_face: float = 0.0
    min_confidence: float = 0.9
    pixel_boost: int = 1
    shape: float = 0.0

    def checked(self) -> SwapConfig:
        """Itself; IdfError where a value is out of its range."""
        check_ranges(self, {"similarity": (0, 1), "min_face": (0, 1e5),
                            "min_confidence": (0.01, 0.999), "pixel_boost": (1, 8),
                            "shape": (0, 1)})
        return self

    @property
    def one_head(self) -> bool:
        """Whether the clearest face of each picture is meant, which is all that `uv` can swap."""
        return self.target == "one" and not self.reference


@dataclass(frozen=True)
class VideoConfig:
    """Settings of the swap of a video, besides `SwapConfig`.

    max_missing: share of frames without a face above which the video is refused, in [0, 1].
    part: frames that are swapped and encoded in one go, 8 to 1000: what a kill can cost.
    crf: H.264 quality, 0 (lossless) to 51.
    label: put the visible label into every frame; the mark in the file stays.
    smooth: of the landmarks, in time.
    """

    max_missing: float = 0.5
    part: int = 60
    crf: int = 18
    label: bool = True
    smooth: SmoothConfig = field(default_factory=SmoothConfig)

    def checked(self) -> VideoConfig:
        """Itself; IdfError where a value is out of its range."""
        check_ranges(self, {"max_missing": (0, 1), "part": (8, 1000), "crf": (0, 51)})
        self.smooth.checked()
        return self
