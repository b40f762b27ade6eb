"""The verb: a dataset, a picture or a video in, the same with another face out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.animations import is_animation
from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..data.media import is_image, is_video
from ..errors import IdfError, shorten
from ..runtime.progress import Reporter
from .config import SwapConfig, VideoConfig
from .dataset import swap_dataset
from .image import swap_image
from .video import swap_video


def swap(target: Dataset | str | Path, source: str | Path | bytes | Sequence[str | Path],
         out: str | Path, config: SwapConfig | None = None, video: VideoConfig | None = None, *,
         consent: str = "", engine: str = "auto", workers: int = 2, resume: bool = True,
         reporter: Reporter | None = None) -> Dataset | Path:
    """Swap the face of a photo into every view of a dataset, one picture, or a video.

    Args:
        target: dataset (or its folder, bundled name, .zip or URL), picture or video.
        source: photo with the face to put in; several of one person are merged (uv), or go to
            several targets, the k-th to the k-th.
        out: run folder; for a dataset it is itself a dataset afterwards.
        config: of the swap.
        video: for videos only.
        consent: whose faces these are, and that they agreed; covers source and target.
        engine: serial, threads, process (several on this machine), or the address of a Dask
            scheduler whose workers see the same files, e.g. tcp://10.0.0.5:8786. auto: threads for
            the views of a dataset where the method allows it, else serial.
        workers: threads or processes.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.

    Returns the swapped dataset, or the path of the picture or video. IdfError: no face, no
    consent, bad input or settings, something missing for the method.
    """
    reporter = reporter or Reporter()
    path = None if isinstance(target, Dataset) else Path(target)
    if path is not None and (is_video(path) or is_animation(path)) and not path.is_dir():
        return swap_video(path, source, out, config, video, consent=consent, engine=engine,
                          workers=workers, resume=resume, reporter=reporter)
    if video is not None and video.changed():
        raise IdfError("The settings of a video are given, but the target is no video",
                       shorten(video.changed()), "leave the --video flags out")
    if path is not None and (is_image(path) or path.is_file() and path.suffix.lower() != ".zip"):
        return swap_image(path, source, out, config, consent=consent, resume=resume,
                          reporter=reporter)
    return swap_dataset(as_dataset(target, reporter), source, out, config, consent=consent,
                        engine=engine, workers=workers, resume=resume, reporter=reporter)
