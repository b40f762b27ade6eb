"""One view of a dataset: a picture on disk with its camera."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import IdfError
from . import media
from .cameras import Camera

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Frame:
    """One view. Nothing is decoded before `image()`.

    name:       file path inside the dataset without its suffix, e.g. "train/r_0".
    path:       the picture file.
    camera:     see `cameras.Camera`.
    split:      "train", "val" or "test".
    expression: (E,) float32, or None where the dataset has none.
    bbox:       (4,) float32 NeRFace head box as fractions [row0, row1, column0, column1], or None.
    distortion: OpenCV's k1, k2, p1, p2, or None.
    time:       the instant of a moving head (`time`, `timestep_index`), None where nobody tells.
    camera_id:  which of several cameras took it, None where nobody tells.
    mask:       picture whose gray levels become the alpha, None where there is none.
    """

    name: str
    path: Path
    camera: Camera
    split: str
    expression: np.ndarray | None = None
    bbox: np.ndarray | None = None
    distortion: tuple[float, ...] | None = None
    time: float | None = None
    camera_id: str | None = None
    mask: Path | None = None

    def image(self) -> np.ndarray:
        """Return the picture: uint8 (H, W, 3) RGB or (H, W, 4) RGBA, alpha not premultiplied."""
        image = media.read_image(self.path, "frame")
        if image.shape[:2] != (self.camera.height, self.camera.width):
            raise IdfError(f"The frame {self.path} changed its size while the dataset was in use",
                           f"{image.shape[1]}x{image.shape[0]}",
                           f"expected {self.camera.width}x{self.camera.height}")
        if self.mask is not None:
            image = masked(image, self.mask)
        if self.distortion:
            import cv2

            K = self.camera.K
            K[:2, 2] -= 0.5  # OpenCV puts pixel centers at whole numbers
            image = cv2.undistort(image, K, np.array(self.distortion))
        return image


def masked(image: np.ndarray, path: Path) -> np.ndarray:
    """Return a picture (H, W, 3 or 4) uint8 as RGBA, its alpha times the gray levels of a mask."""
    mask = media.read_image(path, "mask")
    if mask.shape[:2] != image.shape[:2]:
        raise IdfError(f"The mask {path} has another size than its picture",
                       f"{mask.shape[1]}x{mask.shape[0]}, the picture {image.shape[1]}x"
                       f"{image.shape[0]}", "give masks of the pictures' size")
    gray = mask[..., :3].max(axis=2)
    if image.shape[2] == 3:
        return np.dstack([image, gray])
    alpha = np.rint(image[..., 3] * (gray / np.float32(255))).astype(np.uint8)
    return np.dstack([image[..., :3], alpha])


def picture_name(file_path: str) -> str:
    """Return a frame's name: its file path with forward slashes, without the picture's suffix."""
    name = PurePosixPath(file_path.replace("\\", "/")).as_posix()
    return re.sub(r"\.(png|jpe?g|webp|bmp|tiff?)$", "", name, flags=re.I)


def find_picture(root: Path, file_path: str, where: str) -> Path | None:
    """Return the picture's path inside the dataset; None where the file is missing.

    where: names the frame in messages. IdfError for paths that leave the dataset folder.
    """
    parts = re.split(r"[\\/]+", file_path)
    if (file_path[:1] in "/\\" or re.match(r"^[A-Za-z]:", file_path) or ".." in parts
            or "\0" in file_path):
        up = sum(1 for _ in itertools.takewhile("..".__eq__, parts))
        raise IdfError(f"{where} points outside the dataset folder", file_path,
                       "use paths relative to the folder of the transforms file" if not up else
                       "name the folder that holds both after the dataset's: "
                       f"DATASET#root={'/'.join(['..'] * up)}")
    base = root.joinpath(*parts)
    candidates = [base] if media.is_image(base) else []
    candidates += [base.with_name(base.name + s) for s in media.IMAGE_SUFFIXES]
    for candidate in candidates:
        if _is_file(candidate, where):
            if not candidate.resolve().is_relative_to(root.resolve()):
                raise IdfError(f"{where} points outside the dataset folder",
                               f"{file_path} is a link to {candidate.resolve()}",
                               "copy the pictures into the dataset folder")
            return candidate
    return None


def _is_file(path: Path, where: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:  # too long a name, letters that no file has, no rights
        raise IdfError(f"The picture of {where} cannot be looked for",
                       ascii(str(error))[:120], "give the file a plain, shorter name") from None
