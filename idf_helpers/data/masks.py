"""Masks beside pictures: what they hide becomes transparent.

Known are `mask_path` of nerfstudio (anything but black is kept), COLMAP's `masks/NAME.jpg.png`,
folders `masks` with the pictures' names (or `NAME_mask`), and beside the picture instant-ngp's
`dynamic_mask_NAME.png` (anything but black is hidden) and `NAME.jpg.alpha.jpg` (nerf_loader.cu),
and 3dgrut's `NAME_mask.png` (threedgrut/datasets/dataset_colmap.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import IdfError
from . import media
from .pictures import Finder

MASK_KEYS = ("mask_path", "mask_file_path", "fg_mask_path", "alpha_path")
MASK_FOLDERS = ("masks", "mask", "masks_2", "masks_4", "masks_8")
LABELS = 32  # so few values, none of them white: segments by number or color, not shades


@dataclass(frozen=True)
class Mask:
    """path: its file. hides: whether what is set is taken away, instead of kept."""

    path: Path
    hides: bool = False

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the picture (H, W, 3 or 4) uint8 as RGBA, its alpha cut by the mask."""
        alpha = self.alpha(image.shape[1], image.shape[0])
        if image.shape[2] == 4:
            alpha = np.minimum(alpha, image[..., 3])
        return np.dstack([image[..., :3], alpha])

    def alpha(self, width: int, height: int) -> np.ndarray:
        """Return (height, width) uint8, 255 where the picture counts. IdfError where the mask has
        another shape."""
        mask = media.read_image(self.path, "mask")
        gray = mask[..., :3].max(axis=2)
        if mask.shape[2] == 4:  # the mask is in the alpha of one color, or both count
            flat = gray.min() == gray.max()
            gray = mask[..., 3] if flat else np.minimum(gray, mask[..., 3])
        if self.hides:
            gray = np.where(gray > 0, 0, 255).astype(np.uint8)
        elif gray.max() < 255 and np.count_nonzero(np.bincount(gray.ravel())) <= LABELS:
            gray = np.where(gray > 0, 255, 0).astype(np.uint8)
        if gray.shape != (height, width):
            _check_shape(self.path, gray.shape[1], gray.shape[0], width, height)
            import cv2

            gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_LINEAR)
        return gray


def listed_mask(finder: Finder, entry: dict, picture: Path, where: str) -> Mask | None:
    """Return the mask that a frame's entry names. IdfError: one that is missing, or of another
    shape."""
    for key in MASK_KEYS:
        value = entry.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise IdfError(f"`{key}` of {where} is not a path", repr(value)[:60],
                           "name the mask's file, or leave it out")
        path = finder.find(value, f"the mask of {where}", "mask")
        if path is None:
            raise IdfError(f"The mask of {where} is missing", value,
                           f"complete the folder, or take `{key}` out of the camera file")
        return checked(Mask(path), picture)
    return None


def mask_beside(finder: Finder, picture: Path) -> Mask | None:
    """Return the mask that lies beside a picture, as instant-ngp or 3dgrut look for it."""
    for name, hides in ((f"dynamic_mask_{picture.stem}.png", True),
                        (f"{picture.name}.alpha{picture.suffix}", False),
                        (f"{picture.stem}_mask.png", False)):
        there = finder.named(picture.parent, name)
        if there:
            return checked(Mask(picture.parent / there[0], hides), picture)
    return None


class MaskFolders:
    """Finds masks in folders of their own, for pictures without one of `listed_mask`."""

    def __init__(self, finder: Finder):
        self.finder = finder
        self.used: dict[Path, Path] = {}
        self._there: dict[Path, list[Path]] = {}

    def find(self, picture: Path) -> Mask | None:
        """Return the picture's mask: beside it, of a folder `masks` beside it, beside its folder,
        and so on up to the finder's root. IdfError where it is another picture's too."""
        beside = mask_beside(self.finder, picture)
        if beside is not None:
            return beside
        parts = picture.relative_to(self.finder.root).parts
        for folder in (f for k in range(len(parts) - 1, -1, -1)
                       for f in self._folders(self.finder.root.joinpath(*parts[:k]))):
            for k in range(len(parts)):  # its whole path, then with fewer folders before it
                rest = Path(*parts[k:])
                for name in (f"{rest.name}.png", *(rest.stem + end + s for end in ("", "_mask")
                                                   for s in media.IMAGE_SUFFIXES)):
                    for there in self.finder.named(folder / rest.parent, name):
                        path = folder / rest.parent / there
                        if path == picture or not path.resolve().is_relative_to(self.finder.inside):
                            continue
                        if self.used.setdefault(path, picture) != picture:
                            raise IdfError(
                                f"The mask {path} fits two pictures",
                                f"{self.used[path]} and {picture}",
                                "put masks into folders of the pictures' names, or take the "
                                f"folder {folder.name} away")
                        return checked(Mask(path), picture)
        return None

    @property
    def unused(self) -> list[Path]:
        """Folders for masks in which no picture's mask was found."""
        return [f for folders in self._there.values() for f in folders
                if not any(path.is_relative_to(f) for path in self.used)]

    def _folders(self, beside: Path) -> list[Path]:
        if beside not in self._there:
            self._there[beside] = [beside / there for name in MASK_FOLDERS
                                   for there in self.finder.named(beside, name)
                                   if (beside / there).is_dir()]
        return self._there[beside]


def checked(mask: Mask, picture: Path) -> Mask:
    """Return the mask; IdfError where its header gives another shape than the picture's."""
    _check_shape(mask.path, *media.image_size(mask.path, "mask"),
                 *media.image_size(picture, "picture"))
    return mask


def _check_shape(path: Path, w: int, h: int, width: int, height: int) -> None:
    if abs(w / h - width / height) > 0.02 * width / height:
        raise IdfError(f"The mask {path} has another shape than its picture",
                       f"{w}x{h} pixels, the picture {width}x{height}",
                       "give a mask of the picture's size")
