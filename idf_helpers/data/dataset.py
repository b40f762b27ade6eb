"""Datasets: pictures with cameras, decoded only when asked for, validated when opened.

A folder holds `transforms*.json` (see `transforms.py`), or COLMAP's `sparse/` and `images/` (see
`colmap.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.files import sha256_file, stable_hash
from .address import Address
from .cameras import Camera
from .colmap import Sparse, count_points, find_sparse, read_frames, read_points
from .frame import SPLITS, Frame
from .layouts import others, tracked
from .layouts.reading import Reading
from .layouts.tracked import same_instant
from .transforms import read_transforms

MIN_POINTS = 100  # of COLMAP; fewer cannot start a training
HOLD_OUT_EVERY = 8  # of a dataset without a test split, as in the 3DGS and Mip-NeRF 360 protocols


@dataclass(frozen=True, eq=False)
class Dataset:
    """A folder of frames. Open one with `Dataset.open(folder)`.

    notes: what the user should know of how it was read.
    json_files: all files that say where the cameras are, COLMAP's too.
    points_file: COLMAP's points, see `points`.
    fps: frames a second of the sequence, None where it is not known.
    layout: the program whose layout it is, "" for an ordinary one.
    address: how it was named: its folder, with options where there were such.
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

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Read and check all JSON files and picture headers; IdfError where something is wrong.

        folder: may be followed by `#root=FOLDER` or `#time=NUMBER`, see `address.Address`.
        """
        address = Address.parse(folder)
        data = _open(Path(address.place), address)
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
        """(width, height) of every frame, pixels."""
        c = self.frames[0].camera
        return c.width, c.height

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
            train, test = _hold_out(tuple(replace(f, split="train") for f in
                                          (*splits["train"], *held)))
            splits = {"train": train, "val": (), "test": test}
        note = f"only the instant {time:g} of {len(self.times)} is taken: {count} views"
        notes = [n for n in self.notes if "held out" not in n]
        address = replace(Address.parse(self.address or str(self.root)), time=time)
        return replace(self, splits=splits, notes=(*notes, note), address=str(address))

    def points(self) -> np.ndarray | None:
        """Read the surface points to start a training from: (N, 6) float32, positions in world
        units and RGB in [0, 1]; None where the dataset has none."""
        return None if self.points_file is None else read_points(self.points_file)

    def fingerprint(self) -> dict:
        """Return what identifies these inputs in a manifest: hash of the JSON files, and of every
        picture's path, size and modification time (decoding 6500 frames would take minutes)."""
        stats = [(f.name, s.st_size, s.st_mtime_ns) for f in self.frames for s in [f.path.stat()]]
        found = {"folder": self.address or str(self.root.resolve()),
                 "json": {p.name: sha256_file(p) for p in self.json_files},
                 "files": stable_hash(stats), "frames": len(stats)}
        if self.times:  # expressions may lie in files of their own
            found["expressions"] = stable_hash([
                None if f.expression is None else f.expression.tolist() for f in self.frames])
        return found

    def describe(self) -> str:
        """Return one line: folder, frames of each split, picture size."""
        counts = ", ".join(f"{len(self.splits[s])} {s}" for s in SPLITS)
        w, h = self.size
        return f"{self.root}: {counts} frames of {w}x{h}"


def is_dataset(folder: Path) -> bool:
    """Whether a folder itself holds cameras that are read here; no file is opened."""
    return any(folder.glob("transforms*.json")) or find_sparse(folder) is not None \
        or others.readable(folder) is not None


# --- reading --------------------------------------------------------------------------------------

def _open(root: Path, address: Address) -> Dataset:
    try:
        if not root.is_dir():
            raise IdfError(f"The dataset folder {root} does not exist",
                           "a file" if root.exists() else "no such folder",
                           "give the folder that holds transforms_train.json")
        within = address.within(root)
        foreign = others.read(root, within)
        if foreign:
            return _open_foreign(root, foreign, address)
        sparse = None if any(root.glob("transforms*.json")) else find_sparse(root)
        if sparse:
            return _open_colmap(root, sparse)
        sources = _json_files(root)
    except OSError as error:  # no right to look into it, a name that is too long
        raise IdfError(f"The dataset folder {root} cannot be read", str(error)[:200],
                       "change that folder's permissions, or copy it") from None
    notes: list[str] = []
    splits: dict[str, tuple[Frame, ...]] = {}
    names: tuple[str, ...] = ()
    fps, layout = None, ""
    for split, path in sources.items():
        part = read_transforms(root, path, split, within)
        splits[split] = part.frames
        names, fps = names or part.expression_names, fps or part.fps
        layout = layout or part.layout
    if layout in ("INSTA", "VHAP"):
        splits, notes = tracked.settled(splits, layout)
    everything = [f for frames in splits.values() for f in frames]
    if not splits.get("train"):
        raise IdfError(f"The dataset {root} has no training frames", f"0 frames in "
                       f"{shorten(p.name for p in sources.values())}", "list at least one frame")
    _check_pictures(root, everything)
    if not splits.get("test"):
        splits["train"], splits["test"] = _hold_out(splits["train"])
        notes.append(f"no test split: every {HOLD_OUT_EVERY}th training frame "
                     f"({len(splits['test'])} of {len(everything)}) is held out for testing")
    splits = {s: splits.get(s, ()) for s in SPLITS}
    backgrounds = [p for p in sorted((root / "bg").glob("*.png"))
                   if p.resolve().is_relative_to(root.resolve())]
    return Dataset(root, splits, tuple(notes), names, backgrounds[0] if backgrounds else None,
                   tuple(sources.values()), fps=fps, layout=layout,
                   address=_named(root, address, [f.path for f in everything]))


def _open_foreign(root: Path, found: Reading, address: Address) -> Dataset:
    everything = [f for part in found.splits.values() for f in part]
    _check_pictures(root, everything)
    splits, notes = dict(found.splits), list(found.notes)
    if not splits.get("test"):
        splits["train"], splits["test"] = _hold_out(splits["train"])
        notes.append(f"{found.layout}: every {HOLD_OUT_EVERY}th frame ({len(splits['test'])} of "
                     f"{len(everything)}) is held out for testing")
    return Dataset(root, {s: splits.get(s, ()) for s in SPLITS}, tuple(notes),
                   found.expression_names, None, found.files, fps=found.fps, layout=found.layout,
                   address=_named(root, address, [*found.files, *(f.path for f in everything)]))


def _named(root: Path, address: Address, files: list[Path]) -> str:
    """Return what `Dataset.open` takes to open this again, with the root only where it counted."""
    here = root.resolve()
    if all(p.resolve().is_relative_to(here) for p in files):
        address = replace(address, root=None)
    return str(replace(address, place=str(here)))


def _open_colmap(root: Path, sparse: Sparse) -> Dataset:
    """Hold out every 8th picture by name, as 3DGS does with `--eval` (scene/dataset_readers.py,
    readColmapSceneInfo)."""
    folder, frames = read_frames(root, sparse)
    _check_pictures(root, frames)
    train, test = _hold_out(tuple(frames))
    notes = [f"COLMAP: every 8th picture by name ({len(test)} of {len(frames)}) is held out for "
             "testing"]
    if folder.name != "images":
        notes.append(f"the pictures are those of {folder.name}")
    if any(f.distortion for f in frames):
        notes.append("lens distortion is undone when a picture is read")
    count = 0 if sparse.points is None else count_points(sparse.points)
    if count < MIN_POINTS:
        notes.append(f"{count} points in the reconstruction: too few to start a training from, "
                     "which will begin as if there were none")
    files = (sparse.cameras, sparse.images, *((sparse.points,) if sparse.points else ()))
    return Dataset(root, {"train": train, "val": (), "test": test}, tuple(notes),
                   json_files=files, points_file=sparse.points if count >= MIN_POINTS else None,
                   address=str(root.resolve()))


def _json_files(root: Path) -> dict[str, Path]:
    """Return {split: JSON file}. `transforms_train_main.json` is a turntable's single list."""
    found = {s: root / f"transforms_{s}.json" for s in SPLITS}
    found = {s: p for s, p in found.items() if p.is_file()}
    if "train" not in found:
        for name in ("transforms.json", "transforms_train_main.json"):
            if (root / name).is_file():
                return {"train": root / name}
    if "train" not in found:
        others.refuse(root)
        there = sorted(p.name for p in root.iterdir())[:6] or ["nothing"]
        raise IdfError(f"The folder {root} is not a dataset: it has no transforms_train.json, "
                       "transforms.json or transforms_train_main.json",
                       shorten(there, 5), "give the folder that holds the transforms file, "
                       "or COLMAP's sparse/ and images/")
    return found


def _check_pictures(root: Path, frames: list[Frame]) -> None:
    missing = [f.name for f in frames if f.camera is None]
    if missing:
        raise IdfError(f"{len(missing)} of {len(frames)} pictures of {root} are missing",
                       shorten(missing),
                       "complete the folder, or take them out of the camera files")
    sizes: dict[tuple[int, int], str] = {}
    for f in frames:
        sizes.setdefault((f.camera.width, f.camera.height), f.name)
    if len(sizes) > 1:
        raise IdfError(f"The pictures of {root} differ in size",
                       shorten(f"{n} {w}x{h}" for (w, h), n in sizes.items()),
                       "bring them to one size")
    lengths = {len(f.expression): f.name for f in frames if f.expression is not None}
    if len(lengths) > 1:
        raise IdfError(f"The expressions of {root} differ in length",
                       shorten(f"{name} {n}" for n, name in lengths.items()),
                       "give every frame the same number of values")
    seen: set[str] = set()
    for f in frames:
        if f.name in seen:
            raise IdfError(f"The dataset {root} lists a picture twice", f.name,
                           "take one of the two entries out")
        seen.add(f.name)


def _hold_out(frames: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    if len(frames) < 2:
        raise IdfError("One frame cannot be split into training and test", "1 frame",
                       "give at least two frames, or a transforms_test.json")
    test = [replace(f, split="test") for f in frames[::HOLD_OUT_EVERY]]
    train = [f for i, f in enumerate(frames) if i % HOLD_OUT_EVERY]
    return tuple(train), tuple(test)
