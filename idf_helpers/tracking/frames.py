"""Where a tracker's frames come from, and the landmarks in them, kept frame by frame on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..data.cameras import fitted_size
from ..data.media import (
    is_image,
    is_video,
    read_image,
    read_video,
    resize_area,
    video_info,
    write_image,
)
from ..data.sequence import natural_key
from ..errors import IdfError
from ..face.landmarks import LandmarkDetector, over_gray
from ..face.topology import POINTS
from ..runtime.files import sha256_file, stable_hash, write_error
from ..runtime.progress import Reporter
from .config import TrackConfig

PICTURES = "frames"
RECORD = POINTS * 3 + 1  # float32 numbers a frame: number in the source, then the points
JUMP = 1.0  # of its size: a face that moves further between frames is another one


class Source:
    """A video, or a folder of pictures in the order of their names (numbers count as numbers).

    IdfError where it is neither.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.pictures: list[Path] = []
        if self.path.is_dir():
            self.pictures = sorted(filter(is_image, self.path.iterdir()),
                                   key=lambda p: natural_key(p.name))
            if not self.pictures:
                raise IdfError(f"The folder {path} holds no pictures",
                               "nothing that ends in .png, .jpg …",
                               "give a video, or the folder in which its frames lie")
        elif is_video(self.path):
            video_info(self.path)  # says what is wrong with it
        else:
            raise IdfError(f"{path} cannot be tracked",
                           "not a video" if self.path.exists() else "no such file",
                           "give a video (.mp4, .mov, .webm …) or a folder of pictures")

    def fingerprint(self) -> dict:
        """Return what identifies it in a manifest."""
        if self.pictures:
            stats = [(p.name, s.st_size, s.st_mtime_ns) for p in self.pictures for s in [p.stat()]]
            return {"folder": str(self.path.resolve()), "files": stable_hash(stats),
                    "frames": len(stats)}
        return {"folder": str(self.path.resolve()), "video_sha256": sha256_file(self.path)}

    @property
    def fps(self) -> float:
        """Frames a second; 25 for pictures."""
        return 25.0 if self.pictures else video_info(self.path).fps

    def count(self, config: TrackConfig) -> int:
        """Return how many frames `frames` gives; of a video by its header, so roughly."""
        count = len(self.pictures)
        if not count:
            video = cv2.VideoCapture(str(self.path))
            count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            video.release()
        count = -(-max(count, 1) // config.every)
        return min(count, config.limit) if config.limit else count

    def frames(self, config: TrackConfig) -> Iterator[tuple[int, np.ndarray]]:
        """Return (number in the source, uint8 RGB picture) one at a time, `every` and `limit`
        obeyed."""
        count = 0
        pictures = (read_image(p, "frame") for p in self.pictures) if self.pictures \
            else read_video(self.path)
        for number, picture in enumerate(pictures):
            if number % config.every:
                continue
            if config.limit and count == config.limit:
                return
            count += 1
            yield number, picture


def picture_name(number: int) -> str:
    """Return a frame's name in the dataset."""
    return f"{PICTURES}/f_{number:05d}"


def read_landmarks(path) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (N,) int64 and points (N, 468, 3) float32 pixels, NaN where there is no face.
    """
    raw = np.fromfile(path, np.float32) if Path(path).is_file() else np.zeros(0, np.float32)
    raw = raw[:len(raw) // RECORD * RECORD].reshape(-1, RECORD)
    return raw[:, 0].astype(np.int64), raw[:, 1:].reshape(-1, POINTS, 3)


def extract(source: Source, folder: Path, config: TrackConfig,
            detector: FrameDetector | None = None,
            reporter: Reporter | None = None) -> tuple[int, int]:
    """Write every frame as a PNG under `folder` and its landmarks to `folder/landmarks.f32`.

    Goes on after what a killed call left: a frame counts once its record is complete, which is
    after its picture. One frame is in memory at a time. detector: is given the frames in
    their order; None = the embedded landmark model.

    Returns the (width, height) of the frames. IdfError where they differ in size.
    """
    find, reporter = detector or FollowingDetector(), reporter or Reporter()
    store = folder / "landmarks.f32"
    done, points = read_landmarks(store)
    size, total = None, source.count(config)
    try:
        with open(store, "r+b" if store.exists() else "w+b") as f:
            f.truncate(len(done) * RECORD * 4)  # half a record of a killed process
            f.seek(0, 2)
            for count, (number, picture) in enumerate(source.frames(config)):
                rgb = np.ascontiguousarray(over_gray(picture))
                h, w = rgb.shape[:2]
                if config.size:
                    w, h = fitted_size(w, h, min(config.size, max(w, h)))
                    rgb = resize_area(rgb, w, h)
                if size not in (None, (w, h)):
                    raise IdfError(f"The frames of {source.path} differ in size",
                                   f"{w}x{h} after {size[0]}x{size[1]}",
                                   "give pictures of one size")
                size = (w, h)
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
    if size is None:
        raise IdfError(f"{source.path} has no frames", "0 frames", "check that it plays")
    return size


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
