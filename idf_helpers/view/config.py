"""Settings of an export; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import IdfError

MAX_RESOLUTION = 4096  # of a rendered picture's longer side, pixels: 0.7 GB while it is made


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export.

    resolution: longer side of rendered pictures, pixels, 16 to 4096. frames, fps: of the video's
    one turn; 1 to 100000, and 0.1 to 1000. elevation: degrees above the head's middle, -89 to 89.
    label: the visible word in pictures' and the viewer's corner; on unless a user turns it off.
    """

    resolution: int = 400
    frames: int = 120
    fps: float = 30.0
    elevation: float = 6.0
    label: bool = True

    def checked(self) -> ExportConfig:
        """Self, or IdfError naming the first field that is out of range."""
        for name, low, high in (("resolution", 16, MAX_RESOLUTION), ("frames", 1, 100_000),
                                ("fps", 0.1, 1000), ("elevation", -89, 89)):
            value = getattr(self, name)
            if not low <= value <= high:  # NaN fails too
                raise IdfError(f"The setting `{name}` is out of range", f"{value}",
                               f"give a value in [{low:g}, {high:g}]")
        return self
