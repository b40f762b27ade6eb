"""The files of a COLMAP reconstruction: `cameras`, `images` and `points3D`, `.bin` or `.txt`.

Formats: COLMAP's documentation, "Output Format"; binary little endian. COLMAP stores world to
camera with OpenCV axes.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import readable
from .cameras import GL_TO_CV
from .lens import MODEL_OF_NUMBER, MODELS

MAX_TEXT_LINE = 64 * 2**20  # bytes: an image's line lists all of its 2D points


@dataclass(frozen=True)
class Entry:
    """One entry of `cameras`: model name, size in pixels, parameters in COLMAP's order."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class Pose:
    """One entry of `images`: quaternion w, x, y, z and translation, world to camera; lens id."""

    name: str
    quat: tuple[float, ...]
    translation: tuple[float, ...]
    lens: int

    def c2w(self) -> np.ndarray:
        """Return (4, 4) float64 OpenGL camera-to-world. IdfError where the numbers give none."""
        q = np.array(self.quat)
        length = np.linalg.norm(q) if np.abs(q).max() < 1e30 else np.inf
        if not 1e-6 < length < np.inf or not np.abs(self.translation).max() < 1e30:
            raise IdfError(f"The COLMAP picture {self.name} has no pose", f"quaternion "
                           f"{self.quat}, translation {self.translation}",
                           "export the reconstruction again")
        w, x, y, z = q / length
        R = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                      [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                      [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
        out = np.eye(4)
        out[:3, :3], out[:3, 3] = R.T, -R.T @ np.array(self.translation)
        return out @ GL_TO_CV


def read_lenses(path: Path) -> dict[int, Entry]:
    """Return {camera id: entry} of `cameras.bin` or `cameras.txt`."""
    lenses = {}
    if path.suffix == ".txt":
        for number, words in rows(path):
            with line_of(path, number):
                model, parameters = words[1], floats(words[4:])
                if model in MODELS and len(parameters) != MODELS[model].count:
                    raise ValueError(f"{len(parameters)} parameters for {model}")
                lenses[int(words[0])] = Entry(model, int(words[2]), int(words[3]), parameters)
        return lenses
    with Reader(path) as r:
        for _ in range(r.count("cameras", 24)):
            id_, model, w, h = r.take("iiQQ")
            if model not in MODEL_OF_NUMBER:
                raise IdfError(f"{path} holds a camera of an unknown model", f"number {model}",
                               f"known are {shorten(MODEL_OF_NUMBER.values(), 20)}")
            name = MODEL_OF_NUMBER[model]
            lenses[id_] = Entry(name, w, h, r.take(f"{MODELS[name].count}d"))
        r.end()
    return lenses


def read_poses(path: Path) -> list[Pose]:
    """Return all pictures of `images.bin` or `images.txt`; their 2D points are skipped."""
    poses = []
    if path.suffix == ".txt":
        for number, words in rows(path, 10, skip_next=True):
            with line_of(path, number):
                numbers = floats(words[1:8])
                poses.append(Pose(words[9], numbers[:4], numbers[4:], int(words[8])))
        return poses
    with Reader(path) as r:
        for _ in range(r.count("pictures", 73)):  # 64 + an empty name's end + the count of points
            _, *numbers, lens = r.take("i7di")
            name = r.text()
            (points,) = r.take("Q")
            r.skip(24, points)
            poses.append(Pose(name, tuple(numbers[:4]), tuple(numbers[4:]), lens))
        r.end()
    return poses


def count_poses(path: Path) -> int:
    """Return how many pictures `images` holds, told from its head where it is binary."""
    if path.suffix == ".txt":
        return sum(1 for _ in rows(path, 10, skip_next=True))
    with Reader(path) as r:
        return r.count("pictures", 73)


class Reader:
    """A binary file read front to back; a count that the file is too short for is refused."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Reader:
        with readable(self.path, "COLMAP file"):
            self.file = open(self.path, "rb")  # closed in __exit__
        self.size = os.fstat(self.file.fileno()).st_size
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def take(self, layout: str) -> tuple:
        """Return values of a struct layout, little endian, unpadded; floats must be finite."""
        data = self.file.read(struct.calcsize("<" + layout))
        if len(data) < struct.calcsize("<" + layout):
            raise self._short(f"it ends within an entry, at byte {self.size}")
        values = struct.unpack("<" + layout, data)
        if not all(math.isfinite(v) for v in values):
            raise IdfError(f"{self.path} holds NaN or infinity",
                           f"before byte {self.file.tell()}", "export the reconstruction again")
        return values

    def count(self, what: str, smallest: int) -> int:
        """Return the count at the file's head, checked: each entry takes at least `smallest`
        bytes."""
        (n,) = self.take("Q")
        if n * smallest > self.size - self.file.tell():
            raise self._short(f"{n} {what} announced, {self.size} bytes there")
        return n

    def skip(self, size: int, count: int) -> None:
        if size * count > self.size - self.file.tell():
            raise self._short(f"a list of {count} entries announced, "
                              f"{self.size - self.file.tell()} bytes left")
        self.file.seek(size * count, os.SEEK_CUR)

    def text(self) -> str:
        """Return a name that ends with a zero byte, at most 4096 bytes of UTF-8."""
        here = self.file.tell()
        data = self.file.read(4097)
        end = data.find(b"\0")
        if end < 0:
            raise self._short("a file name without an end")
        self.file.seek(here + end + 1)
        try:
            return data[:end].decode("utf-8")
        except UnicodeDecodeError:
            raise IdfError(f"{self.path} holds a file name that is not text",
                           repr(data[:end][:40]), "export the reconstruction again") from None

    def end(self) -> None:
        """Check that nothing is left: bytes behind the last entry show that entries were
        misread."""
        left = self.size - self.file.tell()
        if left:
            raise IdfError(f"{self.path} is longer than it says", f"{left} bytes left over",
                           "the file is damaged: export the reconstruction again")

    def _short(self, found: str) -> IdfError:
        return IdfError(f"{self.path} is damaged or truncated", found,
                        "copy it again, or export the reconstruction again")


def rows(path: Path, words: int | None = None, skip_next: bool = False):
    """Yield (line number, words) of a text file without comments and blank lines; at most
    `words` words, the last with its blanks. skip_next: leave out the line after each row (a
    picture's points)."""
    with readable(path, "COLMAP file"), open(path, encoding="utf-8", newline="\n") as f:
        number = 0
        while line := f.readline(MAX_TEXT_LINE):
            number += 1
            row = line.strip()
            if not row or row.startswith("#"):
                continue
            yield number, row.split(None, words - 1) if words else row.split()
            if skip_next:
                points = f.readline(MAX_TEXT_LINE).strip()
                number += 1
                if not _is_points(points):  # some programs leave the lines of 2D points out
                    yield number, points.split(None, words - 1) if words else points.split()


def _is_points(line: str) -> bool:
    """Return whether a line is a picture's 2D points: X, Y, POINT3D_ID, and so on."""
    words = line.split()
    if not words or words[0].startswith("#"):
        return True
    try:
        float(words[-1])
    except ValueError:
        return False
    return len(words) % 3 == 0


def floats(words: list[str]) -> tuple[float, ...]:
    values = tuple(map(float, words))
    if not all(map(math.isfinite, values)):
        raise ValueError("NaN or infinity")
    return values


@contextlib.contextmanager
def line_of(path: Path, number: int):
    """Turn what goes wrong with one line of a text file into an IdfError that names it."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise IdfError(f"Line {number} of {path} is malformed", str(error)[:100],
                       "export the reconstruction again") from None
