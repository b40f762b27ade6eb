"""What the commands share."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import arg

Flat = arg(name="")  # a config's fields become flags without a prefix


def open_dataset(folder: Path):
    """The dataset in `folder`, or the bundled one of that name where there is no such folder; says
    what it is and what was noticed."""
    from ..data import samples
    from ..data.dataset import Dataset

    bundled = str(folder) in samples.DATASETS and not folder.exists()
    dataset = samples.dataset(str(folder)) if bundled else Dataset.open(folder)
    print(dataset.describe())
    for note in dataset.notes:
        print(f"  note: {note}")
    return dataset
