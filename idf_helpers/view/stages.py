"""What a notebook needs from an earlier one: found under the runs folder, or made."""

from __future__ import annotations

from pathlib import Path

from .. import download, samples
from ..dataset import Dataset
from ..inputs import open_dataset
from ..runs import latest_run
from ..swap.run import swap_dataset


def swapped_views(where="", runs="runs", photo: str = "C") -> Dataset:
    """The dataset to reconstruct from.

    where: a bundled name, folder, .zip or https URL; "" = the newest finished swap under `runs`,
    or where there is none the bundled head with the bundled photo's face, swapped now (the face
    models are fetched for that, 36 MB once).
    """
    if str(where).strip():
        return open_dataset(where, Path(runs) / "downloads")
    latest = latest_run(runs, "swap") if Path(runs).is_dir() else None
    if latest is not None:
        return Dataset.open(latest)
    download.ensure("face_landmarks")
    return swap_dataset(samples.dataset("head_multiview"), samples.photo(photo),
                        Path(runs) / "swap-demo")
