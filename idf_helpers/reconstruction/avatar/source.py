"""The frames of a talking head, streamed: a memory-mapped cache on disk instead of memory.

NeRFace's loader holds every frame as floating-point numbers and needs some 9.5 MB of memory a frame
of 512². Here the pictures are decoded once, one at a time, into a file of bytes; steps read the
pages they need, and the system drops pages that nobody needs. Memory does not grow with the number
of frames. A stopped build goes on where it was.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...data import media
from ...data.cameras import Camera
from ...data.dataset import Dataset, Frame
from ...errors import IdfError, shorten
from ...runtime.files import read_json, stable_hash, write_error, write_json

FLUSH_EVERY = 100  # frames between two notes of how far the cache is
MEDIAN_FRAMES = 41


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
        """Fills what is missing; picture(i) -> uint8 (H, W, C). IdfError where the disk is short.
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
                                       f"frame {i}: {image.shape}, expected {self.shape[1:]}")
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
        """(N, H, W, C) uint8, read-only, in the file's pages."""
        return np.memmap(self.file, np.uint8, "r", shape=self.shape)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class RayBatch:
    """R rays of one or more frames, float32: origins and directions (R, 3) (unit), rgb and
    background (R, 3) in [0, 1], expressions (R, E), frames (R,) int64."""

    origins: np.ndarray
    directions: np.ndarray
    rgb: np.ndarray
    background: np.ndarray
    expressions: np.ndarray
    frames: np.ndarray


class FrameSource:
    """A sequence of frames with poses and expressions, at training size.

    frames: N with an expression each. pictures: (N, H, W, 3) uint8. background: (H, W, 3) uint8.
    cameras: N at that size. expressions: (N, E) float32. names: E names. boxes: (N, 4) head box as
    fractions (row0, row1, column0, column1), whole pictures where the dataset has none.
    """

    def __init__(self, dataset: Dataset, frames, folder=None, resolution: int | None = None, *,
                 background: str = "file", smooth: float = 0.0,
                 progress: Callable[[int], None] | None = None):
        """folder: for the cache; None = a temporary one, removed by `close`."""
        self.frames = list(frames)
        check_expressions(self.frames)
        self.names = expression_names(dataset)
        self.cameras = [f.camera.fitted(resolution) for f in self.frames]
        width, height = self.cameras[0].width, self.cameras[0].height
        self.background = read_background(dataset, width, height, background)
        self.expressions = np.stack([f.expression for f in self.frames])
        if smooth:
            self.expressions = smoothed(self.expressions, self.frames, smooth)
        whole = np.array([0, 1, 0, 1], np.float32)
        self.boxes = np.stack([whole if f.bbox is None else f.bbox for f in self.frames])
        self._temporary = folder is None
        folder = Path(tempfile.mkdtemp(prefix="idf-frames-")) if folder is None else Path(folder)
        stats = [(f.name, s.st_size, s.st_mtime_ns) for f in self.frames for s in [f.path.stat()]]
        key = stable_hash([stats, width, height, stable_hash(self.background[::7, ::7].tolist())])
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
        """Drops a temporary cache."""
        if self._temporary:
            self.pictures = None
            self.cache.remove()

    def frame(self, i: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        return np.asarray(self.pictures[i])

    def sample_rays(self, rng: np.random.Generator, count: int = 2048, frame: int | None = None,
                    inside_box: float = 0.9) -> RayBatch:
        """Random rays of one frame (a random one where None), a part `inside_box` of them in the
        head's box, as NeRFace does; without a map of probabilities, at O(count) memory."""
        i = int(rng.integers(len(self))) if frame is None else frame
        camera = self.cameras[i]
        w, h = camera.width, camera.height
        r0, r1, c0, c1 = np.clip(self.boxes[i] * (h, h, w, w), 0, (h, h, w, w)).astype(int)
        boxed = (rng.random(count) < inside_box) & (r1 > r0) & (c1 > c0)
        u = rng.random((2, count))
        row = np.where(boxed, r0 + u[0] * (r1 - r0), u[0] * h).astype(np.int64)
        column = np.where(boxed, c0 + u[1] * (c1 - c0), u[1] * w).astype(np.int64)
        d = np.stack([(column + 0.5 - camera.cx) / camera.fx,
                      -(row + 0.5 - camera.cy) / camera.fy, -np.ones(count)], axis=1)
        d = d @ camera.c2w[:3, :3].T
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        scale = np.float32(1 / 255)
        return RayBatch(np.broadcast_to(camera.position, (count, 3)).astype(np.float32),
                        d.astype(np.float32), self.pictures[i, row, column] * scale,
                        self.background[row, column] * scale,
                        np.broadcast_to(self.expressions[i], (count, self.expressions.shape[1])),
                        np.full(count, i, np.int64))


# --- what the frames must be ----------------------------------------------------------------------

def check_expressions(frames: list[Frame]) -> None:
    """IdfError: no frames, frames without expression, of another length, NaN, or no change."""
    if not frames:
        raise IdfError("There is no frame to train on", "0 frames in the train split",
                       "give a dataset whose transforms_train.json names pictures")
    without = [f.name for f in frames if f.expression is None]
    if without:
        raise IdfError(f"{len(without)} of {len(frames)} frames have no expression",
                       shorten(without), "an avatar needs one for every frame: track the video "
                       "with `idf track`, or train a still head with `idf splat`")
    lengths: dict[int, str] = {}
    for f in frames:
        lengths.setdefault(len(f.expression), f.name)
    if len(lengths) > 1:
        raise IdfError("The expressions of the frames differ in length",
                       shorten(f"{name} {n}" for n, name in lengths.items()),
                       "give every frame the same number of values")
    if not next(iter(lengths)):
        raise IdfError("The expressions of the frames are empty", frames[0].name)
    bad = [f.name for f in frames if not np.isfinite(f.expression).all()]
    if bad:
        raise IdfError(f"The expressions of {len(bad)} frames hold NaN or infinity", shorten(bad),
                       "take those frames out of the camera files, or track them again")
    if len(frames) > 1 and np.ptp([f.expression for f in frames], axis=0).max() < 1e-6:
        raise IdfError("The expression never changes", f"{len(frames)} frames alike",
                       "train a still head with `idf splat`, or track the video again")


def expression_names(dataset: Dataset) -> tuple[str, ...]:
    """A name for each value: those of the dataset, then "e53", "e54", … by their place."""
    frame = next(f for f in dataset.frames if f.expression is not None)
    n = len(frame.expression)
    names = list(dataset.expression_names[:n])
    if len(set(names)) < len(names):
        raise IdfError("The dataset names an expression twice",
                       shorten({x for x in names if names.count(x) > 1}), "give each its own name")
    return tuple(names + [f"e{i}" for i in range(len(names), n)])


def read_background(dataset: Dataset, width: int, height: int, mode: str = "file") -> np.ndarray:
    """(height, width, 3) uint8. mode: see `AvatarConfig.background`. IdfError where it is missing
    or of another shape than the frames."""
    if mode in ("white", "black"):
        return np.full((height, width, 3), 255 if mode == "white" else 0, np.uint8)
    if mode == "median":
        frames = dataset.train[:: max(1, len(dataset.train) // MEDIAN_FRAMES)]
        stack = np.stack([media.resize_area(f.image()[..., :3], width, height) for f in frames])
        return np.median(stack, axis=0).astype(np.uint8)
    if dataset.background is None:
        image = dataset.train[0].image()
        if image.shape[2] == 4:
            return np.full((height, width, 3), 255, np.uint8)
        raise IdfError(f"The dataset {dataset.root} has no background picture",
                       "no PNG file under bg/", "photograph the room without the head and save it "
                       "as bg/00050.png, or take --background median, white or black")
    image = media.read_image(dataset.background, "background")[..., :3]
    w, h = dataset.size
    if abs(image.shape[1] / image.shape[0] - w / h) > 0.02 * w / h:
        raise IdfError(f"The background {dataset.background} has another shape than the frames",
                       f"{image.shape[1]}x{image.shape[0]}, the frames are {w}x{h}",
                       "crop it as the frames were cropped")
    return media.resize_area(image, width, height)


def sequence_number(frame: Frame) -> int | None:
    """The last number in a frame's name: its place in the video."""
    digits = re.findall(r"\d+", frame.name)
    return int(digits[-1]) if digits else None


def hold_out_last(dataset: Dataset, count: int) -> Dataset:
    """The same frames in the order of their numbers, the last `count` as the test split, all
    others for training, as NeRFace's and INSTA's protocols do. IdfError for too few frames."""
    frames = sorted(dataset.frames, key=lambda f: (sequence_number(f) is None,
                                                   sequence_number(f) or 0, f.name))
    if not 1 <= count < len(frames):
        raise IdfError("So many frames cannot be held out", f"{count} of {len(frames)}",
                       "leave at least one for training")
    train = tuple(replace(f, split="train") for f in frames[:-count])
    test = tuple(replace(f, split="test") for f in frames[-count:])
    return replace(dataset, splits={"train": train, "val": (), "test": test},
                   notes=(*(n for n in dataset.notes if not n.startswith("no test split")),
                          f"the last {count} of {len(frames)} frames are held out for testing"))


def gaps(frames: list[Frame]) -> list[tuple[int, int]]:
    """(last before, first after) where numbers are missing in the middle of a sequence."""
    numbers = sorted({n for n in map(sequence_number, frames) if n is not None})
    if len(numbers) < 3:
        return []
    steps = np.diff(numbers)
    usual = int(np.median(steps))
    return [(numbers[i], numbers[i + 1]) for i in np.flatnonzero(steps > usual)]


def smoothed(expressions: np.ndarray, frames: list[Frame], sigma: float) -> np.ndarray:
    """(N, E) smoothed in time by a Gaussian of `sigma` frames; over missing frames nothing leaks:
    weights go by the frames' numbers."""
    t = np.array([i if (n := sequence_number(f)) is None else n for i, f in enumerate(frames)],
                 np.float64)
    out = np.empty_like(expressions)
    order = np.argsort(t, kind="stable")
    sorted_t = t[order]
    for place, i in enumerate(order):
        lo, hi = np.searchsorted(sorted_t, (t[i] - 3 * sigma, t[i] + 3 * sigma + 1e-9))
        near = order[lo:max(hi, place + 1)]
        w = np.exp(-0.5 * ((t[near] - t[i]) / sigma) ** 2)
        out[i] = (w / w.sum()) @ expressions[near]
    return out


# --- the head before the background ---------------------------------------------------------------

def matte(picture: np.ndarray, background: np.ndarray, threshold: int = 12) -> np.ndarray:
    """(H, W) uint8, 255 where the picture shows something before the background.

    Differences above `threshold` of 255 in any channel, small gaps closed, holes filled, specks
    dropped: a first guess of the silhouette, where head and room differ in color.
    """
    import cv2

    difference = cv2.absdiff(picture, background).max(axis=2)
    mask = (difference > threshold).astype(np.uint8)
    side = max(3, round(0.02 * max(mask.shape)) | 1)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    # holes: background that no path connects to the upper border
    padded = np.pad(mask, 1)
    padded[-1] = padded[-2]  # the body may leave the picture below
    n, labels = cv2.connectedComponents(1 - padded, connectivity=4)
    outside = labels == labels[0, 0]
    mask = (~outside[1:-1, 1:-1]).astype(np.uint8)
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if n > 1:
        keep = stats[:, cv2.CC_STAT_AREA] > 0.05 * stats[1:, cv2.CC_STAT_AREA].max()
        keep[0] = False
        mask = keep[labels].astype(np.uint8)
    return mask * 255


def mean_rotation(cameras: list[Camera]) -> np.ndarray:
    """(3, 3) rotation nearest to the mean of the cameras' (chordal mean)."""
    u, _, vt = np.linalg.svd(np.mean([c.c2w[:3, :3] for c in cameras], axis=0))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def pose_features(camera: Camera, reference: np.ndarray, count: int) -> np.ndarray:
    """(count,) float32: rotation vector from the reference rotation in units of 20°, for 9 also its
    squares and products; 0 numbers for 0."""
    if count == 0:
        return np.zeros(0, np.float32)
    import cv2

    r = cv2.Rodrigues(reference.T @ camera.c2w[:3, :3])[0].ravel() / np.radians(20)
    if count == 3:
        return r.astype(np.float32)
    i, j = np.triu_indices(3)
    return np.concatenate([r, r[i] * r[j]]).astype(np.float32)

