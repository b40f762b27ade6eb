"""What was understood of a dataset, in a form to print: lens, masks, splits, points, notes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .dataset import Dataset
from .frame import SPLITS
from .points import count_points


@dataclass(frozen=True)
class Understood:
    """How a dataset was read.

    root: its folder. layout: whose files these are, e.g. "COLMAP, sparse/0 (binary)".
    lenses: camera model, as its files call it -> frames. straightened: how many frames have their
        lens distortion undone when the picture is read.
    sizes: (width, height) in pixels as frames come out -> frames.
    splits: "train", "val", "test" -> frames. split_source: who made these splits.
    masks: frames whose picture gets its alpha from a mask. mask_source: where masks were found.
    unpictured: poses without a picture, which are left out.
    points, points_file: how many points a training can start from, and their file; 0 and None.
    files: all files that say where the cameras are. notes: what the user should know.
    """

    root: Path
    layout: str
    lenses: dict[str, int]
    straightened: int
    sizes: dict[tuple[int, int], int]
    splits: dict[str, int]
    split_source: str
    masks: int
    mask_source: str
    unpictured: int
    points: int
    points_file: Path | None
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return (subject, words) for a table: layout, lens, sizes, splits, masks, points."""
        rest = f", {self.unpictured} poses without a picture" if self.unpictured else ""
        return [
            ("layout", self.layout),
            ("lens", ", ".join(f"{m} ({n})" for m, n in self.lenses.items())
             + (f"; {self.straightened} straightened" if self.straightened else "")),
            ("sizes", ", ".join(f"{w}x{h} ({n})" for (w, h), n in self.sizes.items())),
            ("splits", ", ".join(f"{n} {s}" for s, n in self.splits.items())
             + f" ({self.split_source}){rest}"),
            ("masks", f"{self.masks} ({self.mask_source})" if self.masks else "none"),
            ("points", f"{self.points} in {self.points_file.name}" if self.points_file else "none"),
        ]


def understand(dataset: Dataset | str | Path) -> Understood:
    """Return how a dataset was read; a folder is opened first, no picture is decoded.

    IdfError: what `Dataset.open` raises."""
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    frames = data.frames
    points = 0 if data.points_file is None else count_points(data.points_file)
    return Understood(
        root=data.root, layout=_layout(data),
        lenses=dict(Counter(f.model for f in frames)),
        straightened=sum(f.lens is not None for f in frames),
        sizes=dict(Counter((f.camera.width, f.camera.height) for f in frames)),
        splits={s: len(data.splits[s]) for s in SPLITS}, split_source=data.split_source,
        masks=sum(f.mask is not None for f in frames), mask_source=data.mask_source,
        unpictured=data.unpictured, points=points, points_file=data.points_file,
        files=data.json_files, notes=data.notes)


def _layout(data: Dataset) -> str:
    files = data.json_files
    names = ", ".join(p.name for p in files)
    if data.layout:
        return f"{data.layout} ({names})"
    if files and files[0].suffix in (".bin", ".txt"):
        return f"COLMAP, {files[0].parent.relative_to(data.root).as_posix()} ({names})"
    return names
