"""The sequence of a talking head that an avatar is trained on; a video is tracked first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.animations import is_animation
from ..data.dataset import Dataset, is_dataset
from ..data.footage import Source
from ..data.inputs import as_dataset
from ..data.media import is_image, is_video
from ..data.moments import told_apart
from ..runtime.progress import Reporter
from ..tracking.config import TrackConfig
from ..tracking.track import track

ENOUGH_FPS = 30.0  # more frames a second show nothing new
MOST_FRAMES = 1200
SIZE = 512  # longer side at which footage is tracked at least, pixels


def as_sequence(data: Dataset | str | Path, folder: Path, resolution: int | None = None, *,
                crop: Sequence[int] = (), resume: bool = True,
                reporter: Reporter | None = None) -> Dataset:
    """Return the dataset of a talking head. A video, or a folder of its frames, is tracked into
    `folder` first: enough frames, and large enough, for a training at `resolution`, since each
    costs time in every stage.

    resolution: longer side of the training pictures, pixels; None: as they are. crop: part of a
    video's frames that is taken, see `TrackConfig`.
    IdfError: as of `track`, or no dataset.
    """
    if isinstance(data, Dataset) or not is_footage(Path(data)):
        return told_apart(as_dataset(data, reporter))
    footage = Source(data)
    every = max(1, round(footage.fps / ENOUGH_FPS), -(-footage.count() // MOST_FRAMES))
    config = TrackConfig(size=max(SIZE, 2 * resolution) if resolution else None, every=every,
                         crop=tuple(crop))
    if reporter:
        reporter.stage(f"tracking the face in {data}; results in {folder}")
        if every > 1:
            reporter.note(f"one frame of {every} is taken: enough for the avatar")
        if crop:
            reporter.note(f"only the part round the head is taken: {crop[2] - crop[0]}x"
                          f"{crop[3] - crop[1]} pixels")
    return track(data, folder, config, resume=resume, reporter=reporter)


def is_footage(path: Path) -> bool:
    """Whether a path is a video, an animation, or a folder of pictures without cameras."""
    if path.is_file():
        return is_video(path) or is_animation(path)
    return path.is_dir() and not is_dataset(path) and any(map(is_image, path.iterdir()))
