"""One view of a dataset: a picture on disk with its camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import IdfError
from . import media
from .cameras import Camera
from .lens import Lens
from .masks import Mask
from .pictures import find_picture, picture_name

__all__ = ["SPLITS", "Frame", "find_picture", "picture_name"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Frame:
    """One view. Nothing is decoded before `image()`.

    name:       file path inside the dataset without its suffix, e.g. "train/r_0".
    path:       the picture file.
    camera:     see `cameras.Camera`; of the picture that `image()` returns.
    split:      "train", "val" or "test".
    expression: (E,) float32, or None where the dataset has none.
    bbox:       (4,) float32 NeRFace head box as fractions [row0, row1, column0, column1], or None.
    lens:       how the file's picture is bent, or None where it is straight.
    time:       the instant of a moving head (`time`, `timestep_index`), None where nobody tells.
    camera_id:  which of several cameras took it, None where nobody tells.
    mask:       what cuts the picture's alpha, or None.
    model:      the camera model's name in the dataset's files.
    border:     whether its transparent pixels are those that a lens did not see: unknown, not
                empty. Of pictures that were written straightened.
    """

    name: str
    path: Path
    camera: Camera
    split: str
    expression: np.ndarray | None = None
    bbox: np.ndarray | None = None
    lens: Lens | None = None
    time: float | None = None
    camera_id: str | None = None
    mask: Mask | None = None
    model: str = "PINHOLE"
    border: bool = False

    @property
    def distortion(self) -> tuple[float, ...] | None:
        """The lens's distortion: OpenCV's k1, k2, p1, p2 at least, other models' parameters in
        their own order; None where it is straight."""
        return None if self.lens is None else self.lens.distortion

    @property
    def is_as_on_disk(self) -> bool:
        """Whether `image()` returns the file's own pixels."""
        return self.lens is None and self.mask is None

    def image(self) -> np.ndarray:
        """Return the picture: uint8 (H, W, 3) RGB or (H, W, 4) RGBA, alpha not premultiplied.

        What a mask hides is transparent, and so is what a straightened lens did not see."""
        image = media.read_image(self.path, "frame")
        there = self.lens or self.camera
        if image.shape[:2] != (there.height, there.width):
            raise IdfError(f"The frame {self.path} changed its size while the dataset was in use",
                           f"{image.shape[1]}x{image.shape[0]}",
                           f"expected {there.width}x{there.height}")
        if self.mask is not None:
            image = self.mask.apply(image)
        return image if self.lens is None else self.lens.straighten(image, self.camera)

    def leaves_a_border(self) -> bool:
        """Whether `image()` is transparent where the lens did not see, and nowhere else; told from
        the file's header."""
        if self.lens is None or self.mask is not None:
            return self.border
        return self.seen() is not None and not media.has_alpha(self.path)

    def seen_picture(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return `image()` and `seen()`; RGB where nothing but the lens's border is transparent,
        which is not empty but unknown."""
        image, seen = self.image(), self.seen()
        if self.border and seen is None and image.shape[2] == 4:
            seen = image[..., 3] == 255
        if seen is not None and image.shape[2] == 4 and (image[..., 3][seen] == 255).all():
            image = image[..., :3]
        return image, seen

    def seen(self) -> np.ndarray | None:
        """Return (H, W) bool, the pixels that the lens saw; None where it saw all."""
        if self.lens is None:
            return None
        seen = self.lens.seen(self.camera)
        return None if seen.all() else seen
