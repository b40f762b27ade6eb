"""A video of one's own: made into a dataset, and the face of a photo put into one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..capturing.capture import capture
from ..data.dataset import Dataset
from ..data.footage import Source
from ..data.media import read_image
from ..making.probe import look_at
from ..reconstruction.sequence_of import as_sequence
from ..runtime.files import read_json, sha256_bytes, stable_hash
from ..runtime.progress import Reporter
from ..runtime.runs import by_content
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset
from ..swapping.job import photo_bytes
from .default_inputs import fetch_face_models
from .found_runs import VIEWS

STAGES = {VIEWS: "capture", "talking": "track"}


@dataclass(frozen=True, eq=False)
class Filmed:
    """A dataset of a video; doubts: what to know of it; overlay: a picture of what was found."""

    data: Dataset
    doubts: tuple[str, ...]
    overlay: np.ndarray | None


def dataset_of_video(video: Path, kind: str, out: Path, resolution: int | None,
                     reporter: Reporter) -> Filmed:
    """Find the cameras of a video round a still head (kind "views"), or track a talking head
    ("talking"); read back what is finished.

    video: a file, or a folder of pictures. out: folder of the runs. resolution: longer side at
    which an avatar will be trained, pixels. IdfError as `capture` and `track`.
    """
    fetch_face_models()
    stage = STAGES[kind]
    key = stable_hash([by_content(Source(video).fingerprint()), resolution])[:8]
    folder = out / f"{stage}-{key}"
    look, _ = look_at(Source(video), "turn" if kind == VIEWS else "talk", reporter)
    data = capture(video, folder, reporter=reporter) if kind == VIEWS else \
        as_sequence(video, folder, resolution, crop=look.crop, reporter=reporter)
    report = read_json(folder / f"{stage}_report.json", "report")
    overlay = folder / "overlay.jpg"
    return Filmed(data, (*look.doubts, *report.get("doubts", ())),
                  read_image(overlay) if overlay.is_file() else None)


def put_in(data: Dataset, photo: bytes | Path, out: Path, consent: str, prefix: str,
           reporter: Reporter) -> Dataset:
    """Swap the face of a photo into a dataset, in a folder `out`/`prefix`-… of these inputs."""
    fetch_face_models()
    config = SwapConfig()
    key = stable_hash([by_content(data.fingerprint()),
                       sha256_bytes(photo_bytes(photo)), str(config),
                       consent])[:8]
    return swap_dataset(data, photo, out / f"{prefix}-{key}", config, consent=consent,
                        reporter=reporter)
