"""Arrays in .npz and .npy files: written atomically, read without pickles."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Self

import numpy as np

from ..errors import IdfError
from .files import atomic_write

# what numpy and zipfile raise on a damaged or hostile file
_DAMAGE = (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, struct.error,
           NotImplementedError, RuntimeError, MemoryError)


def read_arrays(path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, that of an .npy file as "". ValueError where the file is
    damaged in any way; OSError where it cannot be read."""
    try:
        data = np.load(path, allow_pickle=False)
        if isinstance(data, np.ndarray):
            return {"": data}
        with data:
            return {name: data[name] for name in data.files}
    except _DAMAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}"[:160]) from error


def save_arrays(path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz file, atomically."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


class ArrayRecord:
    """Base of dataclasses whose fields are arrays or numbers, and which are kept as .npz files."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as arrays; `type(self)(**arrays)` makes an equal object."""
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    def save(self, path) -> None:
        """Write an .npz file, atomically."""
        save_arrays(path, self.arrays())

    @classmethod
    def load(cls, path) -> Self:
        """Return what `save` wrote; IdfError where the file holds something else."""
        try:
            return cls(**read_arrays(path))
        except (OSError, ValueError, TypeError) as error:
            raise IdfError(f"{path} is not a saved {cls.__name__}", str(error),
                           "delete it and run that stage again") from error

    @classmethod
    def load_if_whole(cls, path) -> Self | None:
        """Return what `save` wrote; None where the file is missing or damaged."""
        try:
            return cls.load(path)
        except IdfError:
            return None
