"""A turn round the scene as a video, and how far round there is something to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.cameras import Camera, orbit, scene_frame, yaw_pitch
from ..data.media import video_writer
from ..errors import IdfError
from ..scene import Scene

SEEN_BESIDE = 25.0  # degrees beyond the outermost camera that a viewer may be turned to


def write_orbit(scene: Scene, cameras: list[Camera], path, what: provenance.Mark, *,
                frames: int = 120, fps: float = 30.0, elevation: float = 6.0,
                resolution: int | None = 320, background=None, visible_label: bool = True,
                progress: Callable[[int], None] | None = None) -> Path:
    """Renders one turn starting in front of the head and writes an MP4 with its marks.

    cameras: those of the dataset (they tell where the head is and how far away). resolution: longer
    side, pixels. background: (3,) in [0, 1], the scene's own where None. visible_label: the word
    in the corner; the marks for machines are written without it, too.
    """
    if frames < 1:
        raise IdfError("An orbit needs at least one frame", f"{frames}")
    path = Path(path)
    with video_writer(path, fps, comment=what.text()) as video:
        for i, camera in enumerate(orbit(cameras, frames, elevation, resolution=resolution)):
            picture = scene.render(camera, None, background)
            video.append(provenance.label(picture) if visible_label else picture)
            if progress:
                progress(i + 1)
    return path


def turn_limit(cameras: Sequence[Camera]) -> float | None:
    """Degrees to either side that the cameras say something about, None where they stand all
    round: what nobody saw is not worth a look."""
    frame = scene_frame(cameras)
    yaws = np.sort([yaw_pitch(c, frame)[0] for c in cameras])
    gap = np.max(np.diff(np.append(yaws, yaws[0] + 360)))
    widest = float(np.abs(yaws).max()) + SEEN_BESIDE
    return widest if gap > 120 and widest < 170 else None
