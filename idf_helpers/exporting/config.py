"""Settings of an export; a file of its own, so that the command line need not load the stage."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import IdfError
from ..runtime.settings import Annotated, Interval, Settings

MAX_RESOLUTION = 4096  # of a rendered picture's longer side, pixels: 0.7 GB while it is made


@dataclass(frozen=True)
class ExportConfig(Settings):
    """Settings of an export; a format takes those that concern it."""

    resolution: Annotated[int, Interval(ge=16, le=MAX_RESOLUTION)] = 400
    """Longer side of rendered pictures in pixels."""
    frames: Annotated[int, Interval(ge=1, le=100_000)] = 120
    """Frames of the video's one turn; of an avatar's numbered files at most so many."""
    fps: Annotated[float, Interval(ge=0.1, le=1000)] = 30.0
    """Frames of the video a second."""
    elevation: Annotated[float, Interval(ge=-89, le=89)] = 6.0
    """Degrees above the middle of the head that pictures and video are seen from."""
    label: bool = True
    """The visible word in the corner of pictures and page."""
    intensity: Annotated[float | None, Interval(ge=0, le=1.5)] = None
    """Share of a restyled model's style: 0 = as it was before, 1 = as it became; a page begins
    with it. None: the style, with a slider in the page."""
    up: str = "auto"
    """The axis of a splat file that points up: x, -x, y, -y, z or -z. auto: as the file or its
    cameras.json say, else as faces in it stand, else -y."""
    title: str = ""
    """Of the page; nothing: what it shows."""
    clean: bool = False
    """Remove Gaussians that the training views say nothing about; needs the dataset that the model
    was trained on."""
    crop: tuple[float, ...] = ()
    """Keep a part: the radius of a sphere, or six bounds of a box (right, right, up, up, front,
    front), around the center of the scene, in scene radii (half the width that the cameras see
    there); nothing: all."""

    def _check_together(self) -> None:
        c = self.crop
        if not (len(c) in (0, 1, 6) and all(-1e6 < x < 1e6 for x in c)
                and (len(c) != 1 or c[0] > 0) and all(a < b for a, b in zip(c[::2], c[1::2],
                                                                           strict=False))):
            raise IdfError("The setting `crop` is neither a sphere nor a box", f"{c}",
                           "give one radius, or six bounds: right, right, up, up, front, front "
                           "(lower, upper), in scene radii")


@dataclass(frozen=True)
class ReenactConfig(Settings):
    """Settings of a reenactment."""

    resolution: Annotated[int | None, Interval(ge=16, le=MAX_RESOLUTION)] = None
    """Longer side of the avatar's picture in pixels; None: as it was trained."""
    fps: Annotated[float | None, Interval(ge=0.1, le=240)] = None
    """Frames of the video a second; None: as many as the driver has, 25 where that is unknown."""
    strength: Annotated[float, Interval(ge=0, le=3)] = 1.0
    """Factor on the driver's changes of expression."""
    follow_pose: bool = True
    """Whether the head turns as the driver's does, within the poses it was trained at."""
    frames: Annotated[int | None, Interval(ge=1)] = None
    """Frames of the driver at most; None: all."""
    label: bool = True
    """The visible word in the corner."""
