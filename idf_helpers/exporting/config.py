"""Settings of an export; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import IdfError
from ..runtime.settings import check_ranges

MAX_RESOLUTION = 4096  # of a rendered picture's longer side, pixels: 0.7 GB while it is made


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export.

    resolution: longer side of rendered pictures, pixels, 16 to 4096. frames, fps: of the video's
    one turn; 1 to 100000, and 0.1 to 1000. elevation: degrees above the head's middle, -89 to 89.
    label: the visible word in pictures' and the viewer's corner; on unless a user turns it off.
    clean: take away Gaussians that the training views say nothing about, see `splats.cleanup`; it
    needs the dataset that the model was trained on. crop: nothing, the radius of a sphere, or six
    bounds of a box (right, right, up, up, front, front), round the scene's center in scene radii
    (half the width that the cameras see there).
    """

    resolution: int = 400
    frames: int = 120
    fps: float = 30.0
    elevation: float = 6.0
    label: bool = True
    clean: bool = False
    crop: tuple[float, ...] = ()

    def checked(self) -> ExportConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"resolution": (16, MAX_RESOLUTION), "frames": (1, 100_000),
                            "fps": (0.1, 1000), "elevation": (-89, 89)})
        c = self.crop
        if not (len(c) in (0, 1, 6) and all(-1e6 < x < 1e6 for x in c)
                and (len(c) != 1 or c[0] > 0) and all(a < b for a, b in zip(c[::2], c[1::2],
                                                                           strict=False))):
            raise IdfError("The setting `crop` is no sphere and no box", f"{c}",
                           "give one radius, or six bounds: right, right, up, up, front, front "
                           "(lower, upper), in scene radii")
        return self
