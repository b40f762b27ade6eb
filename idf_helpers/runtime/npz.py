"""Dataclasses of arrays as .npz files."""

from __future__ import annotations

import zipfile

import numpy as np

from ..errors import IdfError
from .files import atomic_write


def save_arrays(path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz file, atomically."""
    with atomic_write(path) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, **arrays)


def load_arrays(cls, path):
    """Return an object of `cls` from the .npz file of its fields; IdfError for another file."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return cls(**{k: data[k] for k in data.files})
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise IdfError(f"{path} is not a saved {cls.__name__}", str(error),
                       "delete it and run the same command again") from error
