"""What a notebook needs from an earlier one: found under the runs folder, or made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data import samples
from ..data.dataset import Dataset
from ..data.inputs import open_dataset
from ..face.downloads import FACE_LANDMARKS
from ..runtime import download
from ..runtime.files import stable_hash
from ..runtime.runs import latest_run
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset


def fetch_face_models() -> Path:
    """Fetch the three small models that find faces (3.4 MB, once); return their folder."""
    return download.ensure(FACE_LANDMARKS)


def swapped_views(where="", runs="runs", photo: str = "B") -> Dataset:
    """Return the dataset to reconstruct from.

    where: a bundled name, folder, .zip or https URL; "" = the newest finished swap under `runs`,
    or where there is none the bundled head with the bundled photo's face, swapped now (the face
    models are fetched for that, 3.4 MB once).
    """
    if str(where).strip():
        return open_dataset(where, Path(runs) / "downloads")
    latest = latest_run(runs, "swap") if Path(runs).is_dir() else None
    if latest is not None:
        return Dataset.open(latest)
    fetch_face_models()
    return swap_dataset(samples.dataset("head_multiview"), samples.photo(photo),
                        Path(runs) / "swap-demo")


def talking_frames(where="head_talking", runs="runs", photo: str = "",
                   frames: int | None = None) -> Dataset:
    """Return the sequence to make an avatar of; if asked with a bundled face in every frame.

    where: a bundled name, folder, .zip or https URL. photo: a bundled source photo, or "" for the
    sequence as it is (the face models are fetched for a swap, 3.4 MB once). frames: at most so many
    for training and a third of that for the test, evenly spread; None = all.
    """
    data = open_dataset(where, Path(runs) / "downloads")
    if frames is not None:
        splits = {"train": _spread(data.train, frames), "val": (),
                  "test": _spread(data.test, max(1, frames // 3))}
        data = replace(data, splits=splits)
    if not photo:
        return data
    fetch_face_models()
    key = stable_hash([data.fingerprint(), photo, str(SwapConfig())])[:8]
    return swap_dataset(data, samples.photo(photo), Path(runs) / f"swap-talking-{key}")


def _spread(frames: tuple, count: int) -> tuple:
    """At most `count` of the frames, evenly spread, the first included."""
    step = max(1, -(-len(frames) // count))
    return frames[::step]
