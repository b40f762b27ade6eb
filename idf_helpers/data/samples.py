"""The bundled synthetic heads by name: datasets and source photos that show no real person.

They lie in `assets/samples` of a clone (README there: how they were made, license), or where
IDF_SAMPLES says; an installed package has none. `checksums.json` beside them lists every picture,
so that the consent question knows a bundled face from a person's; `python -m
idf_helpers.data.samples` writes it anew.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from ..errors import IdfError, nearest
from ..runtime.colab import REPOSITORY_URL
from ..runtime.files import read_record, sha256_bytes, sha256_file, stable_hash, write_json
from .dataset import Dataset
from .media import read_image

BESIDE = Path(__file__).resolve().parents[2] / "assets" / "samples"
DATASETS = ("head_multiview", "head_talking", "head_turntable")
PHOTOS = ("B", "C", "B_three_quarter")
TABLE = "checksums.json"
# Of what the table lists.
TABLE_HASH = "9a8db91c6ec301b8dbb70ca49000a212ed54a9d6f699b6e33dc453ecda1f381a"


def root() -> Path:
    """Return the folder of the samples: $IDF_SAMPLES, else `assets/samples` of the clone."""
    named = os.environ.get("IDF_SAMPLES")
    return Path(named).expanduser() if named else BESIDE


def names() -> tuple[str, ...]:
    """Return all names: the datasets, then the source photos."""
    return DATASETS + PHOTOS


def path(name: str) -> Path:
    """Return the folder of a dataset or the file of a source photo.

    IdfError for an unknown name, and where the samples are not there.
    """
    _check_name(name, names(), "sample")
    found = root() / name if name in DATASETS else root() / "source_photos" / f"{name}.png"
    return _there(found, f"sample `{name}`")


def style(name: str) -> Path:
    """Return the file of a picture to be painted after, `swirls` or `ink`; IdfError where it is
    not there."""
    return _there(root().parent / "styles" / f"{name}.jpg", f"style `{name}`")


def _there(found: Path, what: str) -> Path:
    if not found.exists():
        raise IdfError(f"The bundled {what} is not there", f"no {found}",
                       "the samples come with the repository, not with an installed package: "
                       f"git clone {REPOSITORY_URL}, then set IDF_SAMPLES to its assets/samples")
    return found


def _check_name(name: str, known: tuple[str, ...], kind: str) -> None:
    if name not in known:
        raise IdfError(f"There is no bundled {kind} `{name}`", name + nearest(name, known),
                       f"use one of: {', '.join(known)}; or the path of your own")


def dataset(name: str) -> Dataset:
    """Open a bundled dataset; IdfError for any other name."""
    _check_name(name, DATASETS, "dataset")
    return Dataset.open(path(name))


def photo(name: str) -> Path:
    """Return the PNG file of a bundled source photo; IdfError for any other name."""
    _check_name(name, PHOTOS, "photo")
    return path(name)


def is_synthetic(picture: str | Path | bytes | np.ndarray) -> bool:
    """Return whether this is a bundled picture, unchanged, and so shows no real person.

    picture: a file, its bytes, or the uint8 (H, W, 3|4) array decoded from it. Any other picture,
    a missing file, and everything where the samples are not installed give False: what is not
    known needs consent.
    """
    if isinstance(picture, np.ndarray):
        return pixel_hash(picture) in _known("pixels")
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return sha256_bytes(bytes(picture)) in _known("sha256")
    file = Path(picture)
    return file.is_file() and sha256_file(file) in _known("sha256")


def pixel_hash(picture: np.ndarray) -> str:
    """Return the SHA-256 of a decoded picture: its shape and values, whatever file they came from.
    """
    picture = np.ascontiguousarray(picture)
    return sha256_bytes(f"{picture.dtype}{picture.shape}".encode() + picture.tobytes())


def changed(folder: Path = BESIDE) -> list[str]:
    """Return files that differ from the table, are missing, or are not listed."""
    table, there = _table(folder), _pictures(folder)
    wrong = [n for n, p in there.items() if table.get(n, {}).get("sha256") != sha256_file(p)]
    return sorted(wrong + [n for n in table if n not in there])


def write_checksums(folder: Path = BESIDE) -> int:
    """Write the table of all pictures under a folder; return how many there are."""
    files = {n: {"sha256": sha256_file(p), "pixels": pixel_hash(read_image(p))}
             for n, p in _pictures(folder).items()}
    write_json(folder / TABLE, {
        "about": "SHA-256 of the bundled pictures; all of them are synthetic. pixels: of the "
                 "decoded array, see idf_helpers.data.samples.pixel_hash",
        "files": files})
    return len(files)


def _table(folder: Path) -> dict[str, dict[str, str]]:
    return read_record(folder / TABLE, ("files",), "table of the samples")["files"]


def _pictures(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*.png"))}


@functools.cache
def _known(kind: str) -> frozenset[str]:
    """Return the hashes of the bundled pictures; nothing where the samples are not installed, or a
    table of another hand lies there: a folder of one's own does not lift the need for consent."""
    files = _table(root()) if (root() / TABLE).is_file() else {}
    return frozenset(f[kind] for f in files.values() if stable_hash(files) == TABLE_HASH)


if __name__ == "__main__":
    print(f"{write_checksums()} pictures listed in {BESIDE / TABLE}; "
          f"TABLE_HASH = \"{stable_hash(_table(BESIDE))}\"")
