"""Settings of an export; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export.

    resolution: longer side of rendered pictures, pixels. frames, fps: of the video's one turn.
    elevation: degrees above the head's middle. label: the visible word in pictures' and the
    viewer's corner; on unless a user turns it off.
    """

    resolution: int = 400
    frames: int = 120
    fps: float = 30.0
    elevation: float = 6.0
    label: bool = True
