"""Datasets: pictures with cameras, decoded only when asked for, validated when opened.

A folder holds `transforms*.json` (see `transforms.py`), a COLMAP reconstruction and its pictures
(see `colmap_places.py`), or another program's layout (see `layouts`). `opening.py` reads it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import content_hash, sha256_file, stable_hash
from .address import Address
from .cameras import Camera
from .frame import SPLITS, Frame
from .layouts.tracked import same_instant
from .opening import is_dataset, read
from .points import read_points
from .split_lists import hold_out

__all__ = ["Dataset", "Frame", "is_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A folder of frames. Open one with `Dataset.open(folder)`.

    notes: what the user should know of how it was read.
    json_files: all files that say where the cameras are, COLMAP's too.
    points_file: see `points`. points_pose: (4, 4), from the world of that file to the cameras'
        world; None where they are the same.
    fps: frames a second of the sequence, None where it is not known.
    layout: the program whose layout it is, by its files; "" where they do not tell.
    address: how it was named: its folder, with options where there were such.
    split_source: who made the splits. mask_source: where masks were found. unpictured: poses
        without a picture, which are left out.
    """

    root: Path
    splits: dict[str, tuple[Frame, ...]]
    notes: tuple[str, ...] = ()
    expression_names: tuple[str, ...] = ()
    background: Path | None = None
    json_files: tuple[Path, ...] = ()
    points_file: Path | None = None
    fps: float | None = None
    layout: str = ""
    address: str = ""
    split_source: str = ""
    mask_source: str = ""
    unpictured: int = 0
    points_pose: np.ndarray | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Read and check all JSON files and picture headers; IdfError where something is wrong.

        folder: may be followed by `#root=FOLDER` or `#time=NUMBER`, see `address.Address`.
        """
        address = Address.parse(folder)
        data = cls(**read(Path(address.place), address))
        return data if address.time is None else data.at(address.time)

    @property
    def train(self) -> tuple[Frame, ...]:
        return self.splits["train"]

    @property
    def val(self) -> tuple[Frame, ...]:
        return self.splits["val"]

    @property
    def test(self) -> tuple[Frame, ...]:
        return self.splits["test"]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All frames: train, val, test."""
        return self.train + self.val + self.test

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames, pixels; that of most where they differ."""
        return Counter((f.camera.width, f.camera.height) for f in self.frames).most_common(1)[0][0]

    @property
    def cameras(self) -> list[Camera]:
        """The training cameras."""
        return [f.camera for f in self.train]

    @property
    def times(self) -> tuple[float, ...]:
        """The instants of a moving head, in order, each once; empty where nobody tells."""
        return tuple(sorted({f.time for f in self.frames if f.time is not None}))

    def at(self, time: float) -> Dataset:
        """Return the views of one instant, which are those of a still head: `time` is one of
        `times`. IdfError where there are none, or too few to train on."""
        splits = {s: tuple(f for f in part if f.time is not None and same_instant(f.time, time))
                  for s, part in self.splits.items()}
        count = sum(map(len, splits.values()))
        if count < 2:
            raise IdfError(f"The dataset {self.root} has "
                           f"{'one view' if count else 'no view'} of the instant {time:g}",
                           shorten((f"{t:g}" for t in self.times), 8) or "no instants at all",
                           "one instant needs several cameras: take one that has, or train an "
                           "avatar, which may move")
        held = splits["test"] or splits["val"]
        if held and splits["train"]:
            splits = {"train": splits["train"], "val": (),
                      "test": tuple(replace(f, split="test") for f in held)}
        else:
            train, test = hold_out(tuple(replace(f, split="train") for f in
                                          (*splits["train"], *held)))
            splits = {"train": train, "val": (), "test": test}
        note = f"only the instant {time:g} of {len(self.times)} is taken: {count} views"
        notes = [n for n in self.notes if "held out" not in n]
        address = replace(Address.parse(self.address or str(self.root)), time=time)
        return replace(self, splits=splits, notes=(*notes, note), address=str(address))

    def points(self) -> np.ndarray | None:
        """Read the surface points to start a training from: (N, 6) float32, positions in world
        units and RGB in [0, 1]; None where the dataset has none."""
        if self.points_file is None:
            return None
        points = read_points(self.points_file)
        if self.points_pose is not None:
            points[:, :3] = points[:, :3] @ self.points_pose[:3, :3].T + self.points_pose[:3, 3]
        return points

    def fingerprint(self) -> dict:
        """Return what identifies these inputs in a manifest: `content`, a hash of the pictures'
        names and bytes, and hashes of the JSON files. `files`, of times, tells runs of earlier
        versions from others."""
        stats = [(f.name, s.st_size, s.st_mtime_ns) for f in self.frames for s in [f.path.stat()]]
        found = {"folder": self.address or str(self.root.resolve()),
                 "json": {p.name: sha256_file(p) for p in self.json_files},
                 "files": stable_hash(stats), "frames": len(stats),
                 "content": stable_hash([(f.name, content_hash(f.path)) for f in self.frames])}
        beside = [f.mask.path for f in self.frames if f.mask]
        if self.points_file is not None and self.points_file not in self.json_files:
            beside.append(self.points_file)
        if beside:
            found["beside"] = stable_hash([(p.name, s.st_size, s.st_mtime_ns) for p in beside
                                           for s in [p.stat()]])
        if self.times:  # expressions may lie in files of their own
            found["expressions"] = stable_hash([
                None if f.expression is None else f.expression.tolist() for f in self.frames])
        return found

    def describe(self) -> str:
        """Return one line: folder, frames of each split, picture size."""
        counts = ", ".join(f"{len(self.splits[s])} {s}" for s in SPLITS)
        w, h = self.size
        others = len({(f.camera.width, f.camera.height) for f in self.frames}) - 1
        return f"{self.root}: {counts} frames of {w}x{h}" + (
            f" and {others} other size{'s' * (others > 1)}" if others else "")
