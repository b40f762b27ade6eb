"""The frames of a talking head with their poses and expressions, streamed from a cache on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...data import media
from ...data.dataset import Dataset
from ...face.downloads import PERSON_MASK
from ...runtime import download
from ...runtime.files import content_hash, stable_hash
from .frame_cache import FrameCache
from .room import is_made_of_frames, read_background
from .sequence import check_expressions, expression_names


class FrameSource:
    """A sequence of frames with poses and expressions, at training size.

    frames: N with an expression each. pictures: (N, H, W, 3) uint8. background: (H, W, 3) uint8.
    cameras: N at that size. expressions: (N, E) float32. names: E names. boxes: (N, 4) head box as
    fractions (row0, row1, column0, column1), whole pictures where the dataset has none.
    fps: frames a second, None where it is not known.
    by_person: whether silhouettes are those of the person that a network sees: the background was
    made of the frames, and the model is there.
    """

    def __init__(self, dataset: Dataset, frames, folder=None, resolution: int | None = None, *,
                 background: str = "file",
                 progress: Callable[[int], None] | None = None):
        """folder: for the cache; None = a temporary one, removed by `close`."""
        self.frames = list(frames)
        check_expressions(self.frames)
        self.names, self.fps = expression_names(dataset), dataset.fps
        self.cameras = [f.camera.fitted(resolution) for f in self.frames]
        width, height = self.cameras[0].width, self.cameras[0].height
        self.background = read_background(dataset, width, height, background)
        self.by_person = is_made_of_frames(dataset, background) and \
            download.is_present(PERSON_MASK)
        self.expressions = np.stack([f.expression for f in self.frames])
        whole = np.array([0, 1, 0, 1], np.float32)
        self.boxes = np.stack([whole if f.bbox is None else f.bbox for f in self.frames])
        self._temporary = folder is None
        folder = Path(tempfile.mkdtemp(prefix="idf-frames-")) if folder is None else Path(folder)
        contents = [(f.name, content_hash(f.path)) for f in self.frames]
        key = stable_hash([contents, width, height,
                           stable_hash(self.background[::7, ::7].tolist())])
        self.cache = FrameCache(folder, len(self.frames), (height, width, 3), key)
        self.cache.build(self._decode, progress)
        self.pictures = self.cache.array()

    def _decode(self, i: int) -> np.ndarray:
        image = self.frames[i].image()
        height, width = self.background.shape[:2]
        image = media.resize_area(image, width, height)
        if image.shape[2] == 4:
            return media.to_uint8(media.over(image, self.background / np.float32(255)))
        return image

    def __len__(self) -> int:
        return len(self.frames)

    def close(self) -> None:
        """Drop a temporary cache."""
        if self._temporary:
            self.pictures = None
            self.cache.remove()

    def frame(self, i: int) -> np.ndarray:
        """Return (H, W, 3) uint8."""
        return np.asarray(self.pictures[i])
