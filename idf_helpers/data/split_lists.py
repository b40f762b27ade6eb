"""Who says which frame trains and which one tests: lists in the camera file or beside it.

Known are nerfstudio's `train_filenames` … and `split` of a frame (see `transforms.py`), text files
`train.txt`, `val_list.txt` … with one name a line, 3DGS's `sparse/0/test.txt`, and `split.json`
with a list for each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import IdfError, shorten
from ..runtime.files import read_json, readable
from .frame import SPLITS, Frame
from .pictures import picture_name
from .remarks import Remarks

HOLD_OUT_EVERY = 8  # of a dataset without a test split, as in the 3DGS and Mip-NeRF 360 protocols
MAX_LIST = 16 * 2**20  # bytes
JSON_LISTS = ("split.json", "splits.json", "train_test_split.json", "dataset_split.json")
KEYS = {"train": ("train", "train_ids", "train_filenames"), "val": ("val", "valid", "validation",
        "val_ids", "val_filenames"), "test": ("test", "eval", "test_ids", "test_filenames")}

Splits = dict[str, tuple[Frame, ...]]


def find_lists(folders: list[Path]) -> tuple[dict[str, list[str]], str]:
    """Return {split: names} of the first folder that holds such files, and these files' names."""
    for folder in folders:
        lists, files = {}, []
        for split in SPLITS:
            for name in (f"{split}.txt", f"{split}_list.txt", f"{split}_split.txt",
                         *(("validation.txt", "validation_list.txt") if split == "val" else ())):
                if (folder / name).is_file():
                    lists[split] = _lines(folder / name)
                    files.append(name)
                    break
        if lists:
            return lists, ", ".join(files)
        for name in JSON_LISTS:
            if (folder / name).is_file():
                value = read_json(folder / name, "split list")
                if not isinstance(value, dict):
                    continue
                for split, keys in KEYS.items():
                    found = next((value[k] for k in keys if isinstance(value.get(k), list)), None)
                    if found is not None:
                        lists[split] = [n for n in found if isinstance(n, str)]
                if lists:
                    return lists, name
    return {}, ""


def _lines(path: Path) -> list[str]:
    with readable(path, "split list"):
        if path.stat().st_size > MAX_LIST:
            raise IdfError(f"The split list {path} is too large", f"{path.stat().st_size} bytes",
                           "give one name of a picture a line")
        text = path.read_text(encoding="utf-8-sig")
    return [line.strip() for line in text.splitlines()
            if line.strip() and not line.lstrip().startswith("#")]


def by_lists(frames: list[Frame], lists: dict[str, list[str]], source: str, remarks: Remarks
             ) -> Splits | None:
    """Return frames sorted by lists of names; None where no list names any of them, or none is left
    to train on.

    A frame of no list is left out, but trains where only others are listed, and tests where only
    those for training are; one of several counts as a test. Without a list for testing that of
    validation is taken."""
    names = {split: _Names(lists[split]) for split in SPLITS if split in lists}
    out: dict[str, list[Frame]] = {s: [] for s in SPLITS}
    unique = _unique_ends(frames)
    left, twice = [], 0
    for f in frames:
        where = [s for s in ("test", "val", "train") if s in names and names[s].take(f, unique)]
        twice += len(where) > 1
        if where:
            out[where[0]].append(replace(f, split=where[0]))
        elif "train" not in names or len(names) == 1:
            other = "test" if "train" in names else "train"
            out[other].append(replace(f, split=other))
        else:
            left.append(f.name)
    if not any(n.taken for n in names.values()):
        remarks.say(f"{source} names no picture of this dataset: it was not used")
        return None
    if not out["train"]:
        remarks.say(f"{source} leaves no picture to train on: it was not used")
        return None
    if "test" not in names and out["val"]:
        out["test"], out["val"] = [replace(f, split="test") for f in out["val"]], []
        remarks.say("there is no list for testing: that of validation is taken")
    unknown = sum(n.unknown for n in names.values())
    remarks.say(f"splits are those of {source}" + (
        f"; {len(left)} frames of no list are left out ({shorten(left)})" if left else "") + (
        f"; {twice} frames of several lists are taken for testing" if twice else "") + (
        f"; {unknown} names belong to no frame" if unknown else ""))
    return {s: tuple(out[s]) for s in SPLITS}


class _Names:
    """The names of one list, compared without suffix and `./`."""

    def __init__(self, names: list[str]):
        self.names = {plain(n) for n in names}
        self.taken: set[str] = set()

    def take(self, frame: Frame, unique: set[str]) -> bool:
        """Return whether the list names the frame, by its path or, where that tells frames apart,
        by the file's name alone."""
        end = PurePosixPath(frame.name).name
        for name in (plain(frame.name), *((end,) if end in unique else ())):
            if name in self.names:
                self.taken.add(name)
                return True
        # a list may start higher or lower than the camera file: images/a against a, or back
        if end in unique:
            longer = next((n for n in self._ending(end)), None)
            if longer is not None:
                self.taken.add(longer)
                return True
        return False

    def _ending(self, end: str) -> list[str]:
        if not hasattr(self, "_ends"):
            self._ends: dict[str, list[str]] = {}
            for n in self.names:
                self._ends.setdefault(PurePosixPath(n).name, []).append(n)
        found = self._ends.get(end, [])
        return found if len(found) == 1 else []

    @property
    def unknown(self) -> int:
        return len(self.names - self.taken)


def plain(name: str) -> str:
    """Return a name as lists and frames have it in common."""
    return picture_name(name).removeprefix("./")


def _unique_ends(frames: list[Frame]) -> set[str]:
    count = Counter(PurePosixPath(f.name).name for f in frames)
    return {end for end, n in count.items() if n == 1}


def hold_out(frames: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """Return frames for training and every 8th for testing; IdfError for a single one."""
    if len(frames) < 2:
        raise IdfError("One frame cannot be split into training and test", "1 frame",
                       "give at least two frames, or a transforms_test.json")
    test = [replace(f, split="test") for f in frames[::HOLD_OUT_EVERY]]
    train = [f for i, f in enumerate(frames) if i % HOLD_OUT_EVERY]
    return tuple(train), tuple(test)
