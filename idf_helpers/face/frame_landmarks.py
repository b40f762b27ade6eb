"""The frames of a video and the landmarks in them, kept frame by frame on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..data.cameras import fitted_size
from ..data.footage import Source
from ..data.media import encode_image, over_gray, resize_area
from ..errors import IdfError
from ..provenance import Mark, mark_picture_bytes
from ..runtime.files import write_bytes, write_error
from ..runtime.progress import Reporter
from .detector import LandmarkDetector
from .topology import IRIS_POINTS, POINTS

PICTURES = "frames"
RECORD = POINTS * 3 + 1  # float32 numbers a frame: number in the source, then the points
MORE = IRIS_POINTS * 3 + 2  # the irises, other faces, change of the picture
JUMP = 1.0  # of its size: a face that moves further between frames is another one
PATIENCE = 25  # frames for which a lost face is waited for where another one is seen
THUMBNAIL = 32  # px, longer side: pictures are compared at this size
CUT = 22.0  # gray levels that a picture changes by, mean, from which a face may be anywhere


def picture_name(number: int) -> str:
    """Return a frame's name in the dataset."""
    return f"{PICTURES}/f_{number:05d}"


def read_landmarks(path) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (N,) int64 and points (N, 468, 3) float32 pixels, NaN where there is no face.
    """
    raw = np.fromfile(path, np.float32) if Path(path).is_file() else np.zeros(0, np.float32)
    raw = raw[:len(raw) // RECORD * RECORD].reshape(-1, RECORD)
    return raw[:, 0].astype(np.int64), raw[:, 1:].reshape(-1, POINTS, 3)


@dataclass(frozen=True, eq=False)
class MoreSeen:
    """What else was seen in N frames.

    iris: (N, 10, 3) float32 pixels, see `FaceLandmarks.iris`; NaN where not known.
    others: (N,) int64, other faces beside the one that was followed.
    change: (N,) float32, mean difference of the picture from the one before, gray levels; 0 in the
        first, NaN where not known.
    """

    iris: np.ndarray
    others: np.ndarray
    change: np.ndarray


def read_more(path, count: int) -> MoreSeen:
    """Return what `extract` wrote beside the landmarks of `count` frames; not known where the file
    is missing or shorter."""
    raw = np.full((count, MORE), np.nan, np.float32)
    raw[:, -2] = 0
    if Path(path).is_file():
        read = np.fromfile(path, np.float32)
        read = read[:len(read) // MORE * MORE].reshape(-1, MORE)[:count]
        raw[:len(read)] = read
    return MoreSeen(raw[:, :-2].reshape(-1, IRIS_POINTS, 3),
                    np.nan_to_num(raw[:, -2]).astype(np.int64), raw[:, -1])


def extract(source: Source, folder: Path, *, size: int | None = None, every: int = 1,
            limit: int | None = None, only: Collection[int] | None = None,
            detector: FrameDetector | None = None, effort: int = 6,
            mark: Mark | None = None, reporter: Reporter | None = None) -> tuple[int, int]:
    """Write frames as PNG under `folder`, their landmarks to `folder/landmarks.f32`, and what else
    was seen (`MoreSeen`) to `folder/more.f32`.

    size: longer side, pixels; None, or one that is not smaller, keeps the frames'. every, limit:
    see `Source.frames`. only: numbers of the frames that are taken, None = all.
    detector: is given the frames in their order; None = the embedded landmark model.
    effort: see `encode_image`. mark: of the frames of a video that is marked.

    Goes on after what a killed call left: a frame counts once its record is complete, which is
    after its picture. One frame is in memory at a time.

    Returns the (width, height) of what was written. IdfError where frames differ in size.
    """
    find, reporter = detector or FollowingDetector(), reporter or Reporter()
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "landmarks.f32"
    done, points = read_landmarks(store)
    written, total = None, len(only) if only is not None else source.count(every, limit)
    count, last = -1, None
    beside = folder / "more.f32"
    try:
        with open(store, "r+b" if store.exists() else "w+b") as f, \
                open(beside, "r+b" if beside.exists() else "w+b") as more:
            f.truncate(len(done) * RECORD * 4)  # half a record of a killed process
            f.seek(0, 2)
            _fill(more, len(done))
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
                small = thumbnail(rgb)
                change = 0.0 if last is None else float(np.abs(small - last).mean())
                last = small
                if count < len(done):
                    if done[count] != number:
                        raise IdfError(f"{store} belongs to another video",
                                       f"frame {done[count]} where {number} is",
                                       "run again with --no-resume")
                    find.follow(points[count])
                    continue
                data = encode_image(rgb, effort=effort)
                write_bytes(folder / f"{picture_name(number)}.png",
                            mark_picture_bytes(data, ".png", mark) if mark else data)
                if change > CUT:
                    find.cut()
                found = find(rgb)
                row, other = np.full(RECORD, np.nan, np.float32), np.full(MORE, np.nan, np.float32)
                row[0], other[-2:] = number, (find.others, change)
                if found is not None:
                    values = np.asarray(found, np.float32)
                    row[1:] = values[:POINTS].reshape(-1)
                    if len(values) > POINTS:
                        other[:-2] = values[POINTS:].reshape(-1)
                more.write(other.tobytes())
                more.flush()
                f.write(row.tobytes())
                f.flush()
                reporter.step("finding the face", min((count + 1) / total, 1.0))
    except OSError as error:
        raise write_error(store, error) from error
    if written is None:
        raise IdfError(f"{source.path} has no frames", "0 frames", "check that it plays")
    return written


def thumbnail(rgb) -> np.ndarray:
    """Return a small gray picture, float32, to compare frames by."""
    h, w = rgb.shape[:2]
    size = fitted_size(w, h, min(THUMBNAIL, max(w, h)))
    return cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
                        cv2.COLOR_RGB2GRAY).astype(np.float32)


def _fill(file, count: int) -> None:
    """Bring a file of `MORE` records to `count` of them, those that lack as not known."""
    file.seek(0, 2)
    whole = min(file.tell() // (MORE * 4), count)
    file.truncate(whole * MORE * 4)
    file.seek(0, 2)
    row = np.full(MORE, np.nan, np.float32)
    row[-2] = 0
    file.write(row.tobytes() * (count - whole))


class FrameDetector(ABC):
    """Finds the face in frame after frame. others: faces beside it in the last frame."""

    others = 0

    @abstractmethod
    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        """Return the points, (468, 3) pixels, or (478, 3) with the irises, or None. rgb: (H, W, 3)
        uint8."""

    def follow(self, points: np.ndarray) -> None:  # noqa: B027  (most have nothing to do with it)
        """Take the points of a frame that was seen in an earlier try; NaN where there were none."""

    def cut(self) -> None:  # noqa: B027
        """Take note that the next picture has nothing to do with the last."""


class FollowingDetector(FrameDetector):
    """The embedded landmark model on one face: at first the largest, then the one nearest to the
    last. Where only another one is seen, none, until the first was lost for PATIENCE frames."""

    def __init__(self, detector: LandmarkDetector | None = None):
        self.detector = detector or LandmarkDetector()
        self._last: np.ndarray | None = None
        self._lost = 0

    def follow(self, points) -> None:
        self._lost += 1
        if np.isfinite(points).all():
            self._last, self._lost = np.asarray(points)[:, :2], 0

    def cut(self) -> None:
        self._last = None

    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        faces = self.detector.detect(rgb, max_faces=4)
        self.others = max(len(faces) - 1, 0)
        if not faces:
            self._lost += 1
            return None
        best = max(faces, key=lambda f: f.size)
        if self._last is not None and self._lost < PATIENCE:
            middle, size = self._last.mean(0), np.ptp(self._last, axis=0).max()
            best = min(faces, key=lambda f: np.linalg.norm(f.xy.mean(0) - middle))
            if np.linalg.norm(best.xy.mean(0) - middle) >= JUMP * size:
                self._lost, self.others = self._lost + 1, len(faces)
                return None
        self._last, self._lost = best.xy, 0
        return best.points if best.iris is None else np.concatenate([best.points, best.iris])
