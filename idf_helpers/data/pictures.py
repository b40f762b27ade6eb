"""Where a picture lies that a camera file names: as written, or under a name that means the same.

Files get other names on their way: IMG.JPG for IMG.jpg, a cut-out a.png for a.jpg, decomposed
accents out of a Mac's archive. One such file is taken and told; of several none is guessed.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from ..errors import IdfError, shorten
from . import media


def picture_name(file_path: str) -> str:
    """Return a frame's name: its file path with forward slashes, without the picture's suffix."""
    name = PurePosixPath(file_path.replace("\\", "/")).as_posix()
    stem, dot, suffix = name.rpartition(".")
    return stem if _is_suffix(dot + suffix) and stem[-1:] not in ("", "/") else name


def find_picture(root: Path, file_path: str, where: str) -> Path | None:
    """Return the picture's path inside the dataset; None where the file is missing.

    where: names the frame in messages. IdfError for paths that leave the dataset folder, and for
    one that could mean several files.
    """
    return Finder(root).find(file_path, where)


class Finder:
    """Finds the pictures of one dataset; folders are listed once. renamed: (as written, as found)
    of those under another name. inside: folder that links may lead to, a named root or its own."""

    def __init__(self, root: Path, inside: Path | None = None):
        self.root = root
        self.inside = (inside or root).resolve()
        self.renamed: list[tuple[str, str]] = []
        self._lists: dict[Path, dict[str, list[str]]] = {}

    def find(self, file_path: str, where: str, what: str = "picture") -> Path | None:
        """Return the path of what a camera file names; see `find_picture`."""
        parts = re.split(r"[\\/]+", file_path)
        if (file_path[:1] in ("/", "\\") or re.match(r"^[A-Za-z]:", file_path) or ".." in parts
                or "\0" in file_path):
            up = sum(1 for _ in itertools.takewhile("..".__eq__, parts))
            raise IdfError(f"{where} points outside the dataset folder" if up else
                           f"{where} is an absolute path, perhaps outside the dataset folder",
                           file_path,
                           "use paths relative to the folder of the transforms file" if not up else
                           "name the folder that holds both after the dataset's: "
                           f"DATASET#root={'/'.join(['..'] * up)}")
        if parts[-1] in ("", "."):
            return None
        base = self.root.joinpath(*parts)
        candidates = [base] if media.is_image(base) else []
        candidates += [base.with_name(base.name + s) for s in media.IMAGE_SUFFIXES]
        found = next((c for c in candidates if _is_file(c, where)), None)
        if found is None and base.name:
            found = self._by_another_name(parts, where, what)
            if found is not None and what == "picture":
                self.renamed.append((base.name, found.name))
        if found is not None and not found.resolve().is_relative_to(self.inside):
            raise IdfError(f"{where} points outside the dataset folder",
                           f"{file_path} is a link to {found.resolve()}",
                           "copy the pictures into the dataset folder, or name a folder above that "
                           "holds both: DATASET#root=FOLDER")
        return found

    def named(self, folder: Path, name: str) -> list[str]:
        """Return what a folder holds under a name, in whatever case and spelling of accents."""
        if folder not in self._lists:
            names: dict[str, list[str]] = {}
            try:
                for entry in os.listdir(folder):
                    names.setdefault(_key(entry), []).append(entry)
            except OSError:  # no such folder, or no right to look into it
                pass
            self._lists[folder] = names
        return self._lists[folder].get(_key(name), [])

    def _by_another_name(self, parts: list[str], where: str, what: str) -> Path | None:
        folder = self.root
        for part in parts[:-1]:
            if part in ("", "."):
                continue
            same = self.named(folder, part)
            if len(same) > 1 and part not in same:
                raise _several(where, what, parts, same)
            if not same:
                return None
            folder = folder / (part if part in same else same[0])
        last = parts[-1]
        stem = picture_name(last)
        for keys in ([last] if _is_suffix(Path(last).suffix) else
                     [last + s for s in media.IMAGE_SUFFIXES],
                     [stem + s for s in media.IMAGE_SUFFIXES]):
            there = [n for key in keys for n in self.named(folder, key)
                     if _is_file(folder / n, where)]
            if len(there) > 1:
                raise _several(where, what, parts, there)
            if there:
                return folder / there[0]
        return None

    def note(self) -> str | None:
        """Return one line about pictures under another name, None where there are none."""
        if not self.renamed:
            return None
        written, found = self.renamed[0]
        return (f"{len(self.renamed)} pictures have another name than the camera files say: "
                f"{found} for {written}")


def _is_suffix(suffix: str) -> bool:
    return suffix.lower() in media.IMAGE_SUFFIXES


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _several(where: str, what: str, parts: list[str], found: list[str]) -> IdfError:
    return IdfError(f"The {what} {'/'.join(parts)} of {where} could be any of {len(found)} files",
                    shorten(sorted(found), 4), "keep the right one, or name it exactly")


def _is_file(path: Path, where: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:  # too long a name, letters that no file has, no rights
        raise IdfError(f"The picture of {where} cannot be looked for",
                       ascii(str(error))[:120], "give the file a plain, shorter name") from None
