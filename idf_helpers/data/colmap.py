"""COLMAP folders: `sparse/0/{cameras,images,points3D}.{bin,txt}` and `images/`.

Formats: COLMAP's documentation, "Output Format"; binary little endian. COLMAP stores world to
camera with OpenCV axes; frames get OpenGL camera-to-world.
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
from . import media
from .cameras import GL_TO_CV, Camera
from .frame import Frame, find_picture, picture_name

SPARSE = ("sparse/0", "sparse")
IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8")  # the first that is there is taken
MAX_TEXT_LINE = 64 * 2**20  # bytes: an image's line lists all of its 2D points
# model -> (id, number of parameters); for the first five OpenCV's k1, k2, p1, p2 say it all
MODELS = {"SIMPLE_PINHOLE": (0, 3), "PINHOLE": (1, 4), "SIMPLE_RADIAL": (2, 4), "RADIAL": (3, 5),
          "OPENCV": (4, 8), "OPENCV_FISHEYE": (5, 8), "FULL_OPENCV": (6, 12), "FOV": (7, 5),
          "SIMPLE_RADIAL_FISHEYE": (8, 4), "RADIAL_FISHEYE": (9, 5),
          "THIN_PRISM_FISHEYE": (10, 12), "RAD_TAN_THIN_PRISM_FISHEYE": (11, 16)}
READABLE = tuple(MODELS)[:5]
MODEL_OF_ID = {i: (name, count) for name, (i, count) in MODELS.items()}


@dataclass(frozen=True)
class Lens:
    """One entry of `cameras`: model name, size in pixels, parameters in COLMAP's order."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]

    def intrinsics(self) -> tuple[float, float, float, float, tuple[float, ...] | None]:
        """Return fx, fy, cx, cy in pixels (pixel centers at +0.5 as here), and OpenCV's k1, k2,
        p1, p2 or None where all are zero."""
        p = self.parameters
        if self.model in ("PINHOLE", "OPENCV"):
            (fx, fy, cx, cy), rest = p[:4], p[4:]
        else:
            (fx, cx, cy), rest = p[:3], p[3:]
            fy = fx
        distortion = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
        return fx, fy, cx, cy, distortion if any(distortion) else None


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


@dataclass(frozen=True)
class Sparse:
    """The three files of one reconstruction. points: None where there is no such file."""

    cameras: Path
    images: Path
    points: Path | None


def find_sparse(root: Path) -> Sparse | None:
    """Return the reconstruction in a dataset folder; binary files go before text, as in 3DGS."""
    for folder in SPARSE:
        for suffix in (".bin", ".txt"):
            cameras, images, points = (root / folder / (name + suffix)
                                       for name in ("cameras", "images", "points3D"))
            if cameras.is_file() and images.is_file():
                return Sparse(cameras, images, points if points.is_file() else None)
    return None


def read_frames(root: Path, sparse: Sparse) -> tuple[Path, list[Frame]]:
    """Return the folder of the pictures, and one training frame for each, sorted by name.

    A frame whose picture is missing has no camera. IdfError: files that are damaged, lens models
    without a pinhole equivalent, pictures outside the folder.
    """
    folder = next((root / f for f in IMAGE_FOLDERS if (root / f).is_dir()), None)
    if folder is None:
        raise IdfError(f"The COLMAP folder {root} has no pictures", "no folder `images`",
                       "put the pictures that COLMAP was given into its folder `images`")
    lenses = read_lenses(sparse.cameras)
    frames = []
    for pose in sorted(read_poses(sparse.images), key=lambda p: p.name):
        where = f"the picture {pose.name} of {sparse.images.name}"
        if pose.lens not in lenses:
            raise IdfError(f"{where} belongs to a camera that is not listed", f"camera {pose.lens}",
                           f"{sparse.cameras.name} and {sparse.images.name} do not belong together")
        picture = find_picture(folder, pose.name, where)
        camera, distortion = (None, None) if picture is None else \
            _camera(pose, lenses[pose.lens], picture, where)
        frames.append(Frame(picture_name(pose.name), picture or folder / pose.name, camera,
                            "train", distortion=distortion))
    if not frames:
        raise IdfError(f"The COLMAP folder {root} has no training frames",
                       f"0 pictures in {sparse.images}",
                       "run COLMAP's mapper until it registers some")
    return folder, frames


def _camera(pose: Pose, lens: Lens, picture: Path, where: str):
    if lens.model not in READABLE:
        raise IdfError(f"The camera model of {where} cannot be used", lens.model,
                       "undistort first: colmap image_undistorter --image_path images "
                       "--input_path sparse/0 --output_path undistorted")
    fx, fy, cx, cy, distortion = lens.intrinsics()
    if not (0 < lens.width < 10**6 and 0 < lens.height < 10**6
            and 1e-3 < fx / lens.width < 1e6 and 1e-3 < fy / lens.height < 1e6
            and abs(cx) < 1e3 * lens.width and abs(cy) < 1e3 * lens.height):
        raise IdfError(f"The camera of {where} makes no sense",
                       f"focal lengths {fx:g}, {fy:g}, center {cx:g}, {cy:g}, size "
                       f"{lens.width:.3g}x{lens.height:.3g} pixels", "run COLMAP again")
    w, h = media.image_size(picture, "picture")
    if abs(lens.width / lens.height - w / h) > 0.02 * w / h:
        raise IdfError(f"The picture of {where} has another shape than its camera",
                       f"{w}x{h} pixels, camera for {lens.width}x{lens.height}",
                       "give the pictures that COLMAP was run on; where they carry an EXIF "
                       "rotation, rotate them for good and run COLMAP again")
    camera = Camera(pose.c2w(), fx, fy, cx, cy, lens.width, lens.height)
    return camera.resized(w, h), distortion


# --- the three files ------------------------------------------------------------------------------

def read_lenses(path: Path) -> dict[int, Lens]:
    """Return {camera id: lens} of `cameras.bin` or `cameras.txt`."""
    lenses = {}
    if path.suffix == ".txt":
        for number, words in _rows(path):
            with _line(path, number):
                model, parameters = words[1], _floats(words[4:])
                if model in MODELS and len(parameters) != MODELS[model][1]:
                    raise ValueError(f"{len(parameters)} parameters for {model}")
                lenses[int(words[0])] = Lens(model, int(words[2]), int(words[3]), parameters)
        return lenses
    with Reader(path) as r:
        for _ in range(r.count("cameras", 24)):
            id_, model, w, h = r.take("iiQQ")
            if model not in MODEL_OF_ID:
                raise IdfError(f"{path} holds a camera of an unknown model", f"number {model}",
                               f"known are {shorten(MODELS, 12)}")
            name, count = MODEL_OF_ID[model]
            lenses[id_] = Lens(name, w, h, r.take(f"{count}d"))
        r.end()
    return lenses


def read_poses(path: Path) -> list[Pose]:
    """Return all pictures of `images.bin` or `images.txt`; their 2D points are skipped."""
    poses = []
    if path.suffix == ".txt":
        for number, words in _rows(path, 10, skip_next=True):
            with _line(path, number):
                numbers = _floats(words[1:8])
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


def count_points(path: Path) -> int:
    """Return how many points `points3D` holds."""
    if path.suffix == ".txt":
        return sum(1 for _ in _rows(path))
    with Reader(path) as r:
        return r.count("points", 51)


def read_points(path: Path) -> np.ndarray:
    """Return (N, 6) float32: x, y, z in world units and RGB in [0, 1], of `points3D.bin` or
    `.txt`."""
    if path.suffix == ".txt":
        rows = []
        for number, words in _rows(path):
            with _line(path, number):
                x, y, z, red, green, blue = _floats(words[1:7])
                rows.append((x, y, z, red, green, blue))
        points = np.array(rows, np.float64).reshape(-1, 6)
    else:
        with Reader(path) as r:
            points = np.empty((r.count("points", 51), 6))
            for i in range(len(points)):
                *row, _, track = r.take("8x3d3BdQ")
                points[i] = row
                r.skip(8, track)
            r.end()
    points[:, 3:] /= 255
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite: counted below
        out = points.astype(np.float32)
    bad = ~np.isfinite(out).all(axis=1) | (out[:, 3:] < 0).any(1) | (out[:, 3:] > 1).any(1)
    if bad.any():
        raise IdfError(f"{path} holds points that make no sense", f"{bad.sum()} of {len(out)} with "
                       f"NaN, infinity or a color outside 0 to 255, the first is number "
                       f"{int(np.argmax(bad))}", "export the reconstruction again")
    return out


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


def _rows(path: Path, words: int | None = None, skip_next: bool = False):
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
                f.readline(MAX_TEXT_LINE)
                number += 1


def _floats(words: list[str]) -> tuple[float, ...]:
    values = tuple(map(float, words))
    if not all(map(math.isfinite, values)):
        raise ValueError("NaN or infinity")
    return values


@contextlib.contextmanager
def _line(path: Path, number: int):
    """Turn what goes wrong with one line of a text file into an IdfError that names it."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise IdfError(f"Line {number} of {path} is malformed", str(error)[:100],
                       "export the reconstruction again") from None
