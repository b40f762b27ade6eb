"""What a user writes to name a dataset: a place, and where needed how to read it.

`PLACE#root=..` names the folder that pictures may lie in, when the camera file points above its
own folder (`../X/images/…`, as GaussianAvatars' unions do). `PLACE#time=12` takes the frames of one
instant of a moving head. Both: `PLACE#root=..&time=12`. The same words work on the command line, in
a notebook's field and in Python, after a folder, a .zip or a URL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ..errors import IdfError, nearest

OPTIONS = ("root", "time")


@dataclass(frozen=True)
class Address:
    """place: without its options. root: folder as it was written, relative to the dataset's.
    time: of the one instant."""

    place: str
    root: str | None = None
    time: float | None = None

    @classmethod
    def parse(cls, text: str | Path) -> Address:
        """Return a place and its options; IdfError for options that there are not.

        A path that exists is taken as it is, with any `#` in its name.
        """
        text = str(text).strip()
        place, mark, options = text.rpartition("#")
        if not mark or "=" not in options or _exists(text):
            return cls(text)
        found: dict[str, str] = {}
        for part in options.split("&"):
            key, _, value = part.partition("=")
            if key not in OPTIONS or not value:
                raise IdfError(f"`{part}` says nothing about the dataset {place}",
                               part + nearest(key, OPTIONS),
                               "write #root=FOLDER or #time=NUMBER after it, joined by &")
            found[key] = unquote(value)
        time = None if "time" not in found else _number(found["time"])
        return cls(place, found.get("root"), time)

    def __str__(self) -> str:
        options = [f"{k}={v if k == 'root' else format(v, '.9g')}" for k, v in
                   (("root", self.root), ("time", self.time)) if v is not None]
        return self.place + ("#" + "&".join(options) if options else "")

    def within(self, folder: Path) -> Path | None:
        """Return the named root, which must lie above (or be) the dataset's folder; None where none
        was named."""
        if self.root is None:
            return None
        root = (folder / Path(self.root).expanduser()).resolve()
        if not root.is_dir() or not folder.resolve().is_relative_to(root):
            raise IdfError(f"The root of the dataset {folder} is not a folder above it",
                           f"#root={self.root}", "name one that holds the dataset and its "
                           "pictures, such as #root=..")
        return root


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):
        return False


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise IdfError("The instant of a dataset is not a number", f"#time={text}"[:60],
                       "give a value of `time` or `timestep_index`, such as #time=0")
    return value
