"""What a notebook starts from where nothing is given: bundled heads, the networks for faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data import samples
from ..data.dataset import Dataset
from ..data.inputs import mount_drive, open_dataset
from ..face.downloads import FACE_LANDMARKS
from ..runtime import download
from ..runtime.progress import Reporter
from ..swapping.dataset import swap_dataset

DEMO_PHOTO = "B"


def fetch_face_models() -> Path:
    """Fetch the three small models that find faces (3.4 MB, once); return their folder."""
    return download.ensure(FACE_LANDMARKS)


def demo_swap(runs: Path, photo: str = DEMO_PHOTO, reporter: Reporter | None = None) -> Dataset:
    """Return the bundled head with a bundled photo's face, swapped now or read back."""
    fetch_face_models()
    return swap_dataset(samples.dataset("head_multiview"), samples.photo(photo),
                        runs / "swap-demo", reporter=reporter)


def talking_frames(where="head_talking", runs="runs") -> Dataset:
    """Return a sequence of a talking head.

    where: a bundled name, folder, .zip or https URL; what is fetched is kept under `runs`.
    """
    return open_dataset(where, mount_drive(runs) / "downloads")


def thinned(data: Dataset, frames: int | None) -> Dataset:
    """Return a dataset with at most so many frames for training and a third of that for the test,
    evenly spread; None = all."""
    if frames is None:
        return data
    splits = {"train": _spread(data.train, frames), "val": (),
              "test": _spread(data.test, max(1, frames // 3))}
    return replace(data, splits=splits)


def _spread(frames: tuple, count: int) -> tuple:
    """At most `count` of the frames, evenly spread, the first included."""
    step = max(1, -(-len(frames) // count))
    return frames[::step]
