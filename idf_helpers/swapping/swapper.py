"""The interface of swap methods: a method prepares a swapper, which is called frame by frame.

To add one: subclass `SwapMethod` in a file of its own and name it in `methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.cameras import Camera
from ..data.dataset import Frame
from ..errors import IdfError
from ..provenance.lineage import COMPOSITE
from ..runtime.progress import Reporter
from .config import SwapConfig
from .result import SwapResult
from .source import SourceFace
from .video_faces import Clip


class Swapper(ABC):
    """A method, prepared for certain faces; picklable, so that worker processes get it as it is.

    name: as in the table of methods. source_type: IPTC digital source type of what it makes.
    note: what the user should know of how it works here; goes into the report. merges: whether
    several source photos are taken as of one person. shared: whether threads may call it at once.
    """

    name: str
    source_type: str = COMPOSITE
    note: str = ""
    merges: bool = False
    shared: bool = False

    def of_frame(self, name: str) -> Swapper:
        """Return the swapper for the frame of that name (of a video: its number)."""
        return self

    @abstractmethod
    def __call__(self, image: np.ndarray, camera: Camera | None) -> SwapResult:
        """Return the frame with its face swapped. image: (H, W, 3|4) uint8."""


class NoFace(Swapper):
    """For a frame that is known to show no face."""

    def __call__(self, image, camera) -> SwapResult:
        return SwapResult.unchanged(image, "no_face", "no face was found")


class SwapMethod(ABC):
    """One way to swap. name: as in the table of methods.

    by_followed_faces: whether it takes a video's faces as they were followed, without looking for
    them again.
    """

    by_followed_faces = False

    def __init__(self, name: str):
        self.name = name

    def identity(self) -> dict:
        """Return what else makes a run another run, such as the hashes of the weights."""
        return {}

    @abstractmethod
    def prepare(self, frames: Sequence[Frame], sources: Sequence[SourceFace], folder: Path | None,
                reporter: Reporter, config: SwapConfig) -> Swapper:
        """Do once what all frames share. folder: where it may keep that for a resumed run."""

    def prepare_video(self, clip: Clip, sources: Sequence[SourceFace], folder: Path,
                      reporter: Reporter, config: SwapConfig) -> Swapper:
        """Do once what all frames of a video share whose face was followed; by default each frame
        is a picture by itself."""
        return self.prepare([], sources, None, reporter, config)


def one_source(method: str, sources: Sequence[SourceFace]) -> None:
    """Raise IdfError where a method that knows one face is given several."""
    if len(sources) > 1:
        raise IdfError(f"The swap method `{method}` takes one source photo",
                       f"{len(sources)} photos", "give one")
