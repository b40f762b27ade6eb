"""Pictures of one size in a memory-mapped file, in place of memory.

NeRFace's loader holds every frame as floating-point numbers and needs some 9.5 MB of memory a frame
of 512². Here the pictures are decoded once, one at a time, into a file of bytes; steps read the
pages they need, and the system drops pages that nobody needs. Memory does not grow with the number
of frames. A stopped build goes on where it was.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...runtime.files import read_json, write_error, write_json

FLUSH_EVERY = 100  # frames between two notes of how far the cache is


class FrameCache:
    """Pictures of one size as (N, H, W, C) uint8 in a file, read through a memory map.

    folder: where the file lies; it is that of this cache alone. pictures: `len` and
    `picture(i) -> (H, W, C) uint8`. key: identifies content and size.
    """

    def __init__(self, folder, count: int, shape: tuple[int, int, int], key: str):
        self.folder, self.shape, self.key = Path(folder), (count, *shape), key
        self.file = self.folder / "frames.u8"

    def build(self, picture: Callable[[int], np.ndarray],
              progress: Callable[[int], None] | None = None) -> FrameCache:
        """Fill what is missing; picture(i) -> uint8 (H, W, C). IdfError where the disk is short.
        """
        done = self.done
        size = int(np.prod(self.shape, dtype=np.int64))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if done == 0 or not self.file.is_file() or self.file.stat().st_size != size:
                done = 0
                free = shutil.disk_usage(self.folder).free
                if free < size:
                    raise IdfError("The disk is too full for the frames' cache",
                                   f"{size / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free at "
                                   f"{self.folder}", "free some space, train at a lower resolution "
                                   "(--resolution), or choose another --out")
                with open(self.file, "wb") as f:
                    f.truncate(size)
            step = size // max(self.shape[0], 1)
            with open(self.file, "r+b") as f:
                f.seek(done * step)
                for i in range(done, self.shape[0]):
                    image = picture(i)
                    if image.shape != self.shape[1:] or image.dtype != np.uint8:
                        raise IdfError("A frame does not fit the cache",
                                       f"frame {i}: {image.shape}, expected {self.shape[1:]}",
                                       "give the dataset pictures of one size")
                    f.write(np.ascontiguousarray(image).data)
                    if (i + 1) % FLUSH_EVERY == 0:
                        f.flush()
                        self._note(i + 1)
                    if progress:
                        progress(i + 1)
            self._note(self.shape[0])
        except OSError as error:
            raise write_error(self.file, error) from error
        return self

    @property
    def done(self) -> int:
        """How many frames are in the file."""
        note = self.folder / "cache.json"
        with contextlib.suppress(IdfError):
            value = read_json(note, "cache note")
            if isinstance(value, dict) and value.get("key") == self.key:
                return int(value.get("done", 0))
        return 0

    def _note(self, done: int) -> None:
        write_json(self.folder / "cache.json", {"key": self.key, "done": done,
                                                "shape": list(self.shape)})

    def array(self) -> np.ndarray:
        """Return (N, H, W, C) uint8, read-only, in the file's pages."""
        return np.memmap(self.file, np.uint8, "r", shape=self.shape)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
