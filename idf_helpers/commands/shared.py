"""What the commands share."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import arg

Flat = arg(name="")  # a config's fields become flags without a prefix


def open_dataset(folder: Path):
    """The dataset in `folder`; says what it is and what was noticed."""
    from ..dataset import Dataset

    dataset = Dataset.open(folder)
    print(dataset.describe())
    for note in dataset.notes:
        print(f"  note: {note}")
    return dataset
