"""The frames of a video and the landmarks in them, kept frame by frame on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..data.cameras import fitted_size
from ..data.footage import Source
from ..data.media import over_gray, resize_area, write_image
from ..errors import IdfError
from ..runtime.files import write_error
from ..runtime.progress import Reporter
from .detector import LandmarkDetector
from .topology import POINTS

PICTURES = "frames"
RECORD = POINTS * 3 + 1  # float32 numbers a frame: number in the source, then the points
JUMP = 1.0  # of its size: a face that moves further between frames is another one


def picture_name(number: int) -> str:
    """Return a frame's name in the dataset."""
    return f"{PICTURES}/f_{number:05d}"


def read_landmarks(path) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (N,) int64 and points (N, 468, 3) float32 pixels, NaN where there is no face.
    """
    raw = np.fromfile(path, np.float32) if Path(path).is_file() else np.zeros(0, np.float32)
    raw = raw[:len(raw) // RECORD * RECORD].reshape(-1, RECORD)
    return raw[:, 0].astype(np.int64), raw[:, 1:].reshape(-1, POINTS, 3)


def extract(source: Source, folder: Path, *, size: int | None = None, every: int = 1,
            limit: int | None = None, only: Collection[int] | None = None,
            detector: FrameDetector | None = None,
            reporter: Reporter | None = None) -> tuple[int, int]:
    """Write frames as PNG under `folder` and their landmarks to `folder/landmarks.f32`.

    size: longer side, pixels; None, or one that is not smaller, keeps the frames'. every, limit:
    see `Source.frames`. only: numbers of the frames that are taken, None = all.
    detector: is given the frames in their order; None = the embedded landmark model.

    Goes on after what a killed call left: a frame counts once its record is complete, which is
    after its picture. One frame is in memory at a time.

    Returns the (width, height) of what was written. IdfError where frames differ in size.
    """
    find, reporter = detector or FollowingDetector(), reporter or Reporter()
    store = folder / "landmarks.f32"
    done, points = read_landmarks(store)
    written, total = None, len(only) if only is not None else source.count(every, limit)
    count = -1
    try:
        with open(store, "r+b" if store.exists() else "w+b") as f:
            f.truncate(len(done) * RECORD * 4)  # half a record of a killed process
            f.seek(0, 2)
            for number, picture in source.frames(every, limit):
                if only is not None and number not in only:
                    continue
                count += 1
                rgb = np.ascontiguousarray(over_gray(picture))
                h, w = rgb.shape[:2]
                if size:
                    w, h = fitted_size(w, h, min(size, max(w, h)))
                    rgb = resize_area(rgb, w, h)
                if written not in (None, (w, h)):
                    raise IdfError(f"The frames of {source.path} differ in size",
                                   f"{w}x{h} after {written[0]}x{written[1]}",
                                   "give pictures of one size")
                written = (w, h)
                if count < len(done):
                    if done[count] != number:
                        raise IdfError(f"{store} belongs to another video",
                                       f"frame {done[count]} where {number} is",
                                       "run again with --no-resume")
                    find.follow(points[count])
                    continue
                write_image(folder / f"{picture_name(number)}.png", rgb)
                found = find(rgb)
                row = np.full(RECORD, np.nan, np.float32)
                row[0] = number
                if found is not None:
                    row[1:] = np.asarray(found, np.float32).reshape(-1)
                f.write(row.tobytes())
                f.flush()
                reporter.step("finding the face", min((count + 1) / total, 1.0))
    except OSError as error:
        raise write_error(store, error) from error
    if written is None:
        raise IdfError(f"{source.path} has no frames", "0 frames", "check that it plays")
    return written


class FrameDetector(ABC):
    """Finds the face in frame after frame."""

    @abstractmethod
    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        """Return the points, (468, 3) pixels, or None. rgb: (H, W, 3) uint8."""

    def follow(self, points: np.ndarray) -> None:  # noqa: B027  (most have nothing to do with it)
        """Take the points of a frame that was seen in an earlier try; NaN where there were none."""


class FollowingDetector(FrameDetector):
    """The embedded landmark model on one face: of several, the one nearest to the last."""

    def __init__(self, detector: LandmarkDetector | None = None):
        self.detector = detector or LandmarkDetector()
        self._last: np.ndarray | None = None

    def follow(self, points) -> None:
        if np.isfinite(points).all():
            self._last = np.asarray(points)[:, :2]

    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        faces = self.detector.detect(rgb, max_faces=1 if self._last is None else 4)
        if not faces:
            return None
        best = faces[0]
        if self._last is not None and len(faces) > 1:
            middle, size = self._last.mean(0), np.ptp(self._last, axis=0).max()
            nearest = min(faces, key=lambda f: np.linalg.norm(f.xy.mean(0) - middle))
            if np.linalg.norm(nearest.xy.mean(0) - middle) < JUMP * size:
                best = nearest
        self._last = best.xy
        return best.points
