"""How a dataset's folder is read: whose layout it is, its frames, masks, splits and points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IdfError, shorten
from . import media
from .address import Address
from .cameras import looking_away
from .colmap import Sparse, find_sparse, read_frames
from .frame import SPLITS, Frame
from .layouts import others, tracked
from .layouts.reading import Reading
from .masks import MaskFolders
from .panoramas import perspective
from .pictures import Finder
from .point_sources import enough, listed_points, points_beside
from .remarks import Remarks
from .split_lists import HOLD_OUT_EVERY, Splits, by_lists, find_lists, hold_out
from .transforms import CameraFile, read_transforms


def is_dataset(folder: Path) -> bool:
    """Whether a folder itself holds cameras that are read here; no picture is opened."""
    return any(folder.glob("transforms*.json")) or find_sparse(folder) is not None \
        or others.readable(folder) is not None


def read(root: Path, address: Address) -> dict[str, Any]:
    """Return the fields of a `Dataset`; IdfError where something is wrong."""
    try:
        if not root.is_dir():
            there = root.exists()
            raise IdfError(f"The dataset {root} is no folder" if there else
                           f"The dataset folder {root} does not exist",
                           "a file" if there else "no such folder",
                           f"give the folder: {root.parent}" if root.suffix.lower() == ".json"
                           and there else "give the folder that holds transforms_train.json")
        opening = _Opening(root, address)
        foreign = others.read(root, opening.within)
        if foreign:
            return opening.foreign(foreign)
        sparse = None if any(root.glob("transforms*.json")) else find_sparse(root)
        return opening.colmap(sparse) if sparse else opening.transforms()
    except OSError as error:  # no right to look into it, a name that is too long
        raise IdfError(f"The dataset folder {root} cannot be read", str(error)[:200],
                       "change that folder's permissions, or copy it") from None


class _Opening:
    """One dataset while it is read: what was found on the way."""

    def __init__(self, root: Path, address: Address):
        self.root, self.address, self.within = root, address, address.within(root)
        self.finder, self.remarks = Finder(root, self.within), Remarks()
        self.unpictured, self.mask_source = 0, ""
        self.points_pose: np.ndarray | None = None

    def transforms(self) -> dict[str, Any]:
        """Read `transforms*.json`."""
        sources = _json_files(self.root)
        unread = sorted(p.name for p in self.root.glob("transforms*.json")
                        if p not in sources.values())
        if unread:
            self.remarks.say(f"{shorten(unread)} beside {shorten(p.name for p in sources.values())}"
                             f" {'is' if len(unread) == 1 else 'are'} not read")
        outer = None if self.within is None else Finder(self.within)
        files = {split: read_transforms(self.finder, path, split, self.remarks, outer)
                 for split, path in sources.items()}
        if outer and any(f.finder is outer for f in files.values()):
            self.finder = outer
        names = next((f.expression_names for f in files.values() if f.expression_names), ())
        fps = next((f.fps for f in files.values() if f.fps), None)
        layout = next((f.layout for f in files.values() if f.layout), "")
        parts = {s: f.frames for s, f in files.items()}
        if layout in ("INSTA", "VHAP"):
            parts, notes = tracked.settled(parts, layout)
            for note in notes:
                self.remarks.say(note)
        splits = {s: self._with_pictures(part, s) for s, part in parts.items()}
        if not splits.get("train"):
            raise IdfError(f"The dataset {self.root} has no training frames", f"0 frames in "
                           f"{shorten(p.name for p in sources.values())}",
                           "list at least one frame")
        whole = self._finished([f for frames in splits.values() for f in frames])
        splits, source = self._splits(whole, files)
        backgrounds = [p for p in sorted((self.root / "bg").glob("*.png"))
                       if p.resolve().is_relative_to(self.root.resolve())]
        return self._fields(splits, source, tuple(sources.values()), self._points(files, whole),
                            layout=layout, expression_names=names, fps=fps,
                            background=backgrounds[0] if backgrounds else None)

    def _points(self, files: dict[str, CameraFile], frames: list[Frame]) -> Path | None:
        named = next((f.points for f in files.values() if f.points), None)
        if named is not None:
            mirrored = any(f.mirrored for f in files.values())
            return listed_points(named, self.finder.inside, mirrored, self.remarks)
        path, self.points_pose = points_beside(self.root, frames, self.remarks)
        return path

    def foreign(self, found: Reading) -> dict[str, Any]:
        """Take over what a reader of another program's layout found."""
        for note in found.notes:
            self.remarks.say(note)
        splits: Splits = {s: tuple(_told_apart(self.root, self._with_pictures(part, s)))
                          for s, part in found.splits.items()}
        source = "the camera files"
        if not splits.get("test"):
            count = len(splits["train"])
            splits["train"], splits["test"] = hold_out(splits["train"])
            source = f"every {HOLD_OUT_EVERY}th held out"
            self.remarks.say(f"{found.layout}: every {HOLD_OUT_EVERY}th frame "
                             f"({len(splits['test'])} of {count}) is held out for testing")
        return self._fields({s: splits.get(s, ()) for s in SPLITS}, source, found.files, None,
                            layout=found.layout, expression_names=found.expression_names,
                            fps=found.fps)

    def colmap(self, sparse: Sparse) -> dict[str, Any]:
        """Read a COLMAP reconstruction; every 8th picture by name is held out where no list says
        otherwise, as 3DGS does with `--eval` (scene/dataset_readers.py, readColmapSceneInfo)."""
        folder, frames = read_frames(self.finder, sparse)
        place = sparse.place.relative_to(self.root).as_posix()
        if sparse.others:
            self.remarks.say(f"of several reconstructions that with most pictures is taken, "
                             f"{place} with {len(frames)}; left: " + shorten(
                                 (f"{p} with {n or 'none that can be read'}"
                                  for p, n in sparse.others), 6))
        frames = self._finished(self._with_pictures(tuple(frames), "train"))
        lists, source = find_lists([self.root, sparse.place, sparse.base])
        splits = by_lists(frames, lists, source, self.remarks) if lists else None
        if not splits or not splits["test"]:
            frames = list(splits["train"]) if splits else frames
            train, test = hold_out(tuple(replace(f, split="train") for f in frames))
            splits, source = {"train": train, "val": (), "test": test}, "every 8th held out"
            self.remarks.say(f"COLMAP: every 8th picture by name ({len(test)} of {len(frames)}) is "
                             "held out for testing")
        if folder.name != "images":
            self.remarks.say("the pictures are those of "
                             f"{folder.relative_to(self.root).as_posix()}")
        points = enough(sparse.points, "in the reconstruction", self.remarks)
        files = (sparse.cameras, sparse.images, *((sparse.points,) if sparse.points else ()))
        return self._fields(splits, source, files, points)

    def _fields(self, splits: Splits, source: str, files: tuple[Path, ...], points: Path | None,
                **more: Any) -> dict[str, Any]:
        frames = [f for s in SPLITS for f in splits[s]]
        _check_lengths(self.root, frames)
        note = self.finder.note()
        return {"root": self.root, "splits": splits, "json_files": files, "points_file": points,
                "notes": (*self.remarks.notes(len(frames)), *((note,) if note else ())),
                "split_source": source, "mask_source": self.mask_source,
                "unpictured": self.unpictured, "points_pose": self.points_pose,
                "address": self._named([*files, *(f.path for f in frames)]), **more}

    def _named(self, files: list[Path]) -> str:
        """Return what `Dataset.open` takes to open this again, with the root only where it
        counted."""
        here = self.root.resolve()
        address = self.address
        if all(p.resolve().is_relative_to(here) for p in files):
            address = replace(address, root=None)
        return str(replace(address, place=str(here)))

    # --- frames -----------------------------------------------------------------------------------

    def _with_pictures(self, frames: tuple[Frame, ...], split: str) -> list[Frame]:
        """Return the frames of a split. Poses for testing may all be without pictures; else a
        missing one is an error."""
        missing = [f.name for f in frames if f.camera is None]
        if split != "train" and frames and len(missing) == len(frames):
            self.unpictured += len(frames)
            self.remarks.say(f"{len(frames)} {split} poses without pictures are not used "
                             f"({shorten(missing)})")
            return []
        if missing:
            raise IdfError(f"{len(missing)} of {len(frames)} pictures of {self.root} are missing",
                           shorten(missing),
                           "complete the folder, or take them out of the camera files")
        return list(frames)

    def _finished(self, frames: list[Frame]) -> list[Frame]:
        """Return frames with masks, one name each, panoramas cut; what was done is noted."""
        frames = self._masked(_told_apart(self.root, frames))
        frames = perspective(frames, self.remarks)
        self._note_turns(frames)
        self._note_lenses(frames)
        sizes = Counter((f.camera.width, f.camera.height) for f in frames)
        if len(sizes) > 1:
            self.remarks.say("the pictures differ in size: " + shorten(
                (f"{n} of {w}x{h}" for (w, h), n in sizes.most_common()), 4))
        if looking_away([f.camera for f in frames]):
            self.remarks.say("all cameras look away from what lies between them: if that is wrong, "
                             "their matrices have OpenCV's axes (y down, z forward); change the "
                             "sign of the second and third column")
        return frames

    def _masked(self, frames: list[Frame]) -> list[Frame]:
        masks = MaskFolders(self.finder)
        listed = sum(f.mask is not None for f in frames)
        frames = [f if f.mask or not (mask := masks.find(f.path)) else replace(f, mask=mask)
                  for f in frames]
        found = [f for f in frames if f.mask]
        if masks.unused and listed < len(frames):
            self.remarks.say(f"{shorten(_below(self.finder.root, masks.unused))}: no file in it is "
                             "named like a picture, so it is not used as its mask")
        if found:
            folders = _below(self.finder.root, (f.mask.path.parent for f in found if f.mask))
            self.mask_source = ("named by the camera file" if listed == len(found) else
                                f"of {shorten(folders)}")
            self.remarks.say(f"masks ({shorten(folders)}) are used as alpha in {len(found)} of "
                             f"{len(frames)} pictures: what they hide counts as empty")
        return frames

    def _note_turns(self, frames: list[Frame]) -> None:
        for path in {f.path for f in frames}:
            if media.is_turned(path, "frame"):
                self.remarks.add("the pictures' EXIF rotation is applied: that is right only where "
                                 "the cameras were found for upright pictures (COLMAP and "
                                 "nerfstudio take the pixels as they lie in the file)")

    def _note_lenses(self, frames: list[Frame]) -> None:
        bent = [f for f in frames if f.lens is not None and f.lens.turn is None]
        if not bent:
            return
        models = ", ".join(sorted({f.model for f in bent}))
        share = min(lens.covered(camera) for lens, camera in
                    list({f.lens: (f.lens, f.camera) for f in bent if f.lens}.values())[:8])
        self.remarks.say(f"lens distortion ({models}) is undone when a picture is read"
                         + ("" if len(bent) == len(frames) else f", in {len(bent)} of "
                            f"{len(frames)} pictures")
                         + (f"; a straight picture has no room for {1 - share:.0%} of the file's"
                            if share < 0.9 else ""))

    # --- splits -----------------------------------------------------------------------------------

    def _splits(self, frames: list[Frame], files: dict[str, CameraFile]) -> tuple[Splits, str]:
        splits: Splits = {s: tuple(f for f in frames if f.split == s) for s in SPLITS}
        if splits["test"]:
            if any(f.lists for f in files.values()):
                self.remarks.say("lists of file names are not read where there is a camera file "
                                 "for testing")
            return splits, "the camera files"
        lists = next((f.lists for f in files.values() if f.lists), {})
        source = "the camera file"
        if not lists:
            lists, source = find_lists([self.root])
        listed = by_lists(list(splits["train"]), lists, source, self.remarks) if lists else None
        if listed:
            splits = {**listed, "val": listed["val"] or splits["val"]}
            if splits["test"]:
                return splits, source
        total = len(splits["train"])
        splits["train"], splits["test"] = hold_out(splits["train"])
        self.remarks.say(f"no test split: every {HOLD_OUT_EVERY}th training frame "
                         f"({len(splits['test'])} of {total}) is held out for testing")
        return splits, f"every {HOLD_OUT_EVERY}th held out"


def _below(root: Path, folders: Iterable[Path]) -> list[str]:
    return sorted({f.relative_to(root).as_posix() for f in folders})


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
        if any(n.endswith(".db") for n in there):
            raise IdfError(f"The folder {root} holds COLMAP's features, but no reconstruction",
                           shorten(there, 5), "run COLMAP's mapper: colmap mapper --database_path "
                           "database.db --image_path images --output_path sparse")
        raise IdfError(f"The folder {root} is not a dataset: it has no transforms_train.json, "
                       "transforms.json or transforms_train_main.json",
                       shorten(there, 5), "give the folder that holds the transforms file, "
                       "or COLMAP's sparse/ and images/")
    return found


def _told_apart(root: Path, frames: list[Frame]) -> list[Frame]:
    """Return frames with one name each: a.jpg beside a.png are two pictures. IdfError where one
    picture is listed twice."""
    seen: set[tuple[str, Path]] = set()
    for f in frames:
        if (f.name, f.path) in seen:
            raise IdfError(f"The dataset {root} lists a picture twice", f.name,
                           "take one of the two entries out")
        seen.add((f.name, f.path))
    count = Counter(f.name for f in frames)
    return [f if count[f.name] == 1 else
            replace(f, name=f"{f.name}_{f.path.suffix[1:].lower()}") for f in frames]


def _check_lengths(root: Path, frames: list[Frame]) -> None:
    lengths = {len(f.expression): f.name for f in frames if f.expression is not None}
    if len(lengths) > 1:
        raise IdfError(f"The expressions of {root} differ in length",
                       shorten(f"{name} {n}" for n, name in lengths.items()),
                       "give every frame the same number of values")
    sizes = {(f.camera.width, f.camera.height): f.name for f in frames}
    if lengths and len(sizes) > 1:  # an avatar's pictures are those of one video
        raise IdfError(f"The pictures of {root} differ in size",
                       shorten(f"{n} {w}x{h}" for (w, h), n in sizes.items()),
                       "give the frames of one video, as they were filmed")
