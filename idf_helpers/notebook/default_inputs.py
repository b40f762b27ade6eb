"""What a notebook needs from an earlier one: found under the runs folder, or made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data import samples
from ..data.dataset import Dataset
from ..data.inputs import mount_drive, open_dataset
from ..face.downloads import FACE_LANDMARKS
from ..runtime import download
from ..runtime.files import stable_hash
from ..runtime.progress import Reporter
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset
from .found_runs import VIEWS, found_runs

DEMO_PHOTO = "B"


def fetch_face_models() -> Path:
    """Fetch the three small models that find faces (3.4 MB, once); return their folder."""
    return download.ensure(FACE_LANDMARKS)


def swapped_views(where="", runs="runs", photo: str = DEMO_PHOTO,
                  reporter: Reporter | None = None) -> Dataset:
    """Return the dataset to reconstruct from.

    where: a bundled name, folder, .zip or https URL; "" = the newest finished swap of a head that
    keeps still under `runs`, or where there is none the bundled head with the bundled photo's face,
    swapped now (the face models are fetched for that, 3.4 MB once).
    """
    runs = mount_drive(runs)
    if str(where).strip():
        return open_dataset(where, runs / "downloads")
    for run in found_runs(runs, VIEWS, ("swap",)):
        print(f"{run.label}: the newest swap under {runs}")
        return Dataset.open(run.folder)
    return demo_swap(runs, photo, reporter)


def demo_swap(runs: Path, photo: str = DEMO_PHOTO, reporter: Reporter | None = None) -> Dataset:
    """Return the bundled head with a bundled photo's face, swapped now or read back."""
    fetch_face_models()
    return swap_dataset(samples.dataset("head_multiview"), samples.photo(photo),
                        runs / "swap-demo", reporter=reporter)


def talking_frames(where="head_talking", runs="runs", photo: str = "",
                   frames: int | None = None, reporter: Reporter | None = None) -> Dataset:
    """Return the sequence to make an avatar of; if asked with a bundled face in every frame.

    where: a bundled name, folder, .zip or https URL. photo: a bundled source photo, or "" for the
    sequence as it is (the face models are fetched for a swap, 3.4 MB once). frames: at most so many
    for training and a third of that for the test, evenly spread; None = all.
    """
    runs = mount_drive(runs)
    data = thinned(open_dataset(where, runs / "downloads"), frames)
    if not photo:
        return data
    fetch_face_models()
    key = stable_hash([data.fingerprint(), photo, str(SwapConfig())])[:8]
    return swap_dataset(data, samples.photo(photo), runs / f"swap-talking-{key}",
                        reporter=reporter)


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
