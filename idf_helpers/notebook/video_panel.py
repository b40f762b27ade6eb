"""Notebook 01's video: one of your own, or a few seconds of the bundled talking head."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data import samples
from ..data.clips import index_video, read_frames
from ..data.contact_sheet import before_after
from ..data.inputs import mount_drive, open_photo
from ..data.media import read_image, video_writer
from ..data.sequence import frame_times
from ..runtime.files import atomic_write, sha256_bytes, stable_hash
from ..runtime.progress import Reporter
from ..swapping.config import SwapConfig, VideoConfig
from ..swapping.video import swap_video
from .widgets import fast

BUNDLED = "head_talking"
SYNTHETIC = "The bundled heads are synthetic and show no real person."


def bundled_clip(path, frames: int = 75, fps: float = 25.0) -> Path:
    """Write the first `frames` frames of the bundled talking head as an MP4; return its path."""
    path = Path(path)
    if not path.is_file():
        every = samples.dataset(BUNDLED).frames
        order = np.argsort(frame_times([f.name for f in every]))[:frames]
        with atomic_write(path) as temporary, video_writer(temporary, fps, crf=16) as video:
            for i in order:
                video.append(read_image(every[i].path))
    return path


def swap_clip(video: str, photo, out, backend: str = "auto", consent: str = "",
              reporter: Reporter | None = None) -> tuple[Path, Path]:
    """Swap the face in a video; return the paths of the video as it was and of the swapped one.

    video: a path, or "" for three seconds of the bundled head (one with IDF_FAST). photo: as in
    the swap panel. out: folder for the runs.
    """
    out = mount_drive(out)
    if video:
        clip = mount_drive(video)
    else:
        n = 26 if fast() else 75
        clip = bundled_clip(out / "clips" / f"{BUNDLED}_{n}.mp4", n)
        consent = consent or (SYNTHETIC if samples.is_synthetic(open_photo(photo)) else "")
    source = open_photo(photo)
    who = sha256_bytes(source) if isinstance(source, bytes) else str(source)
    size = clip.stat().st_size if clip.is_file() else 0
    config = SwapConfig(backend)
    key = stable_hash([str(clip), size, who, str(config), consent])[:8]
    result = swap_video(clip, source, out / f"video-{key}", config, VideoConfig(),
                        consent=consent, reporter=reporter)
    return clip, result


def clip_sheet(before, after, columns: int = 6, cell: int = 160) -> np.ndarray:
    """Return frames spread over a video, and the same of another below them: (H, W, 3) uint8."""
    rows = []
    for path in (before, after):
        index = index_video(path)
        numbers = np.linspace(0, len(index) - 1, min(columns, len(index))).astype(int)
        rows.append([next(read_frames(path, index, int(n), int(n) + 1)).copy() for n in numbers])
    return before_after(rows[0], rows[1], cell)
