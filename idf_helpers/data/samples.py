"""The bundled synthetic heads by name: datasets and source photos that show no real person.

They lie in `assets/samples` of a clone (README there: how they were made, license); an installed
package has no assets. `checksums.json` beside them lists every picture, so that the consent
question knows a bundled face from a person's; `python -m idf_helpers.data.samples` writes it anew.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..runtime.colab import REPOSITORY_URL
from ..runtime.files import read_json, sha256_bytes, sha256_file, write_json
from .dataset import Dataset
from .media import read_image

ROOT = Path(__file__).resolve().parents[2] / "assets" / "samples"
DATASETS = ("head_multiview", "head_talking", "head_turntable")
PHOTOS = ("B", "C", "B_three_quarter")
TABLE = "checksums.json"


def names() -> tuple[str, ...]:
    """All names: the datasets, then the source photos."""
    return DATASETS + PHOTOS


def path(name: str) -> Path:
    """The folder of a dataset or the file of a source photo.

    Raises IdfError for an unknown name, and where the samples are not there.
    """
    if name not in names():
        raise IdfError(f"There is no bundled sample {name!r}", "samples: " + ", ".join(names()),
                       "use one of these names, or the path of your own data")
    found = ROOT / name if name in DATASETS else ROOT / "source_photos" / f"{name}.png"
    if not found.exists():
        raise IdfError(f"The bundled sample {name!r} is not there", f"no {found}",
                       "the samples come with a clone, not with the installed package: "
                       f"git clone {REPOSITORY_URL}")
    return found


def dataset(name: str) -> Dataset:
    """A bundled dataset, opened. Raises IdfError for any other name."""
    if name not in DATASETS:
        raise IdfError(f"There is no bundled dataset {name!r}", "datasets: " + ", ".join(DATASETS),
                       "use one of these names, or Dataset.open(folder) for your own")
    return Dataset.open(path(name))


def photo(name: str) -> Path:
    """The PNG file of a bundled source photo. Raises IdfError for any other name."""
    if name not in PHOTOS:
        raise IdfError(f"There is no bundled photo {name!r}", "photos: " + ", ".join(PHOTOS),
                       "use one of these names, or the path of your own photo")
    return path(name)


def is_synthetic(picture: str | Path | bytes | np.ndarray) -> bool:
    """Whether this is a bundled picture, unchanged, and so shows no real person.

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
    """SHA-256 of a decoded picture: its shape and its values, whatever file they came from."""
    picture = np.ascontiguousarray(picture)
    return sha256_bytes(f"{picture.dtype}{picture.shape}".encode() + picture.tobytes())


def changed(root: Path = ROOT) -> list[str]:
    """Files that differ from the table, are missing, or are not listed; [] for intact samples."""
    table, there = read_json(root / TABLE, "table of the samples")["files"], _pictures(root)
    wrong = [n for n, p in there.items() if table.get(n, {}).get("sha256") != sha256_file(p)]
    return sorted(wrong + [n for n in table if n not in there])


def write_checksums(root: Path = ROOT) -> int:
    """Writes the table of all pictures under `root`; how many there are."""
    files = {n: {"sha256": sha256_file(p), "pixels": pixel_hash(read_image(p))}
             for n, p in _pictures(root).items()}
    write_json(root / TABLE, {
        "about": "SHA-256 of the bundled pictures; all of them are synthetic. pixels: of the "
                 "decoded array, see idf_helpers.data.samples.pixel_hash",
        "files": files})
    return len(files)


def _pictures(root: Path) -> dict[str, Path]:
    return {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*.png"))}


@functools.cache
def _known(kind: str) -> frozenset[str]:
    """The hashes of the bundled pictures; empty where the samples are not installed."""
    file = ROOT / TABLE
    if not file.is_file():
        return frozenset()
    return frozenset(f[kind] for f in read_json(file, "table of the samples")["files"].values())


if __name__ == "__main__":
    print(f"{write_checksums()} pictures listed in {ROOT / TABLE}")
