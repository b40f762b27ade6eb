"""Where a COLMAP reconstruction and its pictures lie.

COLMAP's own projects (`sparse/0`, `dense/0`), nerfstudio's `colmap/sparse/0`, 3DGS's `distorted/`,
undistorted folders, and files flat beside the pictures. Of several reconstructions in one place the
largest is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError
from .colmap_files import count_poses
from .pictures import Finder

# Places of reconstructions, in the order they are asked; `*` stands for a number.
PLACES = ("sparse/*", "sparse", "colmap/sparse/*", "colmap/sparse", "dense/*/sparse",
          "dense/*/sparse/*", "dense/*", "dense/sparse", "dense/sparse/*", "dense",
          "undistorted/sparse", "undistorted/sparse/*", "undistorted", "colmap/dense/*/sparse",
          "colmap/dense/sparse", "", "*", "colmap", "colmap/*", "distorted/sparse/*",
          "distorted/sparse")
IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8", "input", "image", "imgs", "rgb")
POINT_SUFFIXES = (".bin", ".txt", ".ply")


@dataclass(frozen=True)
class Sparse:
    """The files of one reconstruction. points: None where there are none. base: the folder that
    it and its pictures belong to. others: (place, pictures) of smaller ones in the same place."""

    cameras: Path
    images: Path
    points: Path | None
    base: Path
    others: tuple[tuple[str, int], ...] = ()

    @property
    def place(self) -> Path:
        return self.cameras.parent


def find_sparse(root: Path) -> Sparse | None:
    """Return the reconstruction in a dataset folder, the largest of the first place that has any;
    binary files go before text, as in 3DGS."""
    for place in PLACES:
        found = [s for folder in _folders(root, place) if (s := _sparse(root, folder))]
        if len(found) > 1:
            counts = [_count(s) for s in found]
            best = max(range(len(found)), key=lambda i: (counts[i], -i))
            others = tuple((s.place.relative_to(root).as_posix(), n)
                           for i, (s, n) in enumerate(zip(found, counts, strict=True))
                           if i != best)
            s = found[best]
            return Sparse(s.cameras, s.images, s.points, s.base, others)
        if found:
            return found[0]
    return None


def _count(sparse: Sparse) -> int:
    """Return how many pictures a reconstruction has, 0 where its file is damaged: whoever reads it
    says so."""
    try:
        return count_poses(sparse.images)
    except IdfError:
        return 0


def _folders(root: Path, place: str) -> list[Path]:
    """Return the folders of one place, by number."""
    folders = [root]
    for part in place.split("/") if place else ():
        if part != "*":
            folders = [f / part for f in folders if (f / part).is_dir()]
            continue
        folders = [child for f in folders for child in sorted(
            (p for p in f.iterdir() if p.name.isdecimal() and p.is_dir()),
            key=lambda p: int(p.name))]
    return folders


def _sparse(root: Path, folder: Path) -> Sparse | None:
    for suffix in (".bin", ".txt"):
        cameras, images = folder / f"cameras{suffix}", folder / f"images{suffix}"
        if cameras.is_file() and images.is_file():
            order = sorted(POINT_SUFFIXES, key=lambda s: s != suffix)
            points = next((p for s in order if (p := folder / f"points3D{s}").is_file()), None)
            base = folder
            if folder != root and base.name.isdecimal() and base.parent.name == "sparse":
                base = base.parent
            base = base.parent if base.name == "sparse" else base
            return Sparse(cameras, images, points, base)
    return None


def picture_folder(root: Path, sparse: Sparse, first: str) -> Path | None:
    """Return the folder of the pictures: the first that holds the picture called `first`, else the
    first that is there; None where there is none."""
    bases = list(dict.fromkeys(
        (sparse.base, *(p for p in sparse.base.parents if p.is_relative_to(root)))))
    finder = Finder(root)
    folders = [b / there for b in bases for name in IMAGE_FOLDERS
               for there in finder.named(b, name) if (b / there).is_dir()]
    for folder in [*folders, *bases]:
        if first and finder.find((folder.relative_to(root) / first).as_posix(), first):
            return folder
    return folders[0] if folders else None
