"""Some frames of a clip, looked at again once they are swapped."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.clips import read_frames
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks
from .swapper import Swapper
from .video_faces import Clip, video_camera


class ClipLook:
    """Frames of a clip, by their numbers, kept to be swapped several times."""

    def __init__(self, clip: Clip, numbers: Sequence[int]):
        self.camera, self.detector = video_camera(clip.index), LandmarkDetector()
        self.frames = {n: next(read_frames(clip.video, clip.index, n, n + 1)) for n in numbers}

    def __call__(self, swapper: Swapper) -> list[FaceLandmarks | None]:
        """Return the face that is found in each frame as `swapper` leaves it, None = none."""
        swapped = (swapper.of_frame(str(n))(frame, self.camera).image
                   for n, frame in self.frames.items())
        return [next(iter(self.detector.detect(image)), None) for image in swapped]
