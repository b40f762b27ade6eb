"""Inputs that a user can name: a bundled name, a path, an upload, Drive or a URL."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import urllib.parse
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import IdfError, shorten
from ..runtime.archives import is_zip, open_zip
from ..runtime.colab import in_colab
from ..runtime.files import atomic_write, sha256_bytes, sha256_file, write_error
from ..runtime.https import NotFetched, save
from ..runtime.progress import Reporter
from . import samples
from .address import Address
from .dataset import Dataset, is_dataset

MAX_DOWNLOAD = 4 * 2**30  # bytes of an archive
MAX_UNPACKED = 8 * 2**30
MAX_RATIO = 200  # unpacked over packed: pictures hardly compress, a bomb's zeros do 1000-fold
MAX_FOLDERS = 2000  # looked into, on the way to a dataset
DRIVE = "/content/drive"


def open_photo(where: bytes | str | Path) -> bytes | Path:
    """Return bytes (an upload) as they are, else the path of a bundled photo ("B", "C") or a
    file."""
    if isinstance(where, (bytes, bytearray, memoryview)):
        return bytes(where)
    text = str(where).strip()
    if not text:
        raise IdfError("No source photo is chosen", "nothing uploaded and no path",
                       "upload a photo, or type the path of one")
    if text in samples.PHOTOS:
        return samples.photo(text)
    return mount_drive(text)


def open_dataset(where: str | Path, downloads: str | Path = "runs/downloads") -> Dataset:
    """Open a dataset by bundled name ("head_multiview"), folder, path of a .zip, or its https URL.

    The dataset may lie up to two folders below. `#root=..` and `#time=12` may follow, see
    `address.Address`.

    downloads: folder that keeps what was fetched and unpacked; the second time nothing is fetched.
    IdfError: no such place, no dataset in it, an archive that is unsafe or too large.
    """
    address = Address.parse(where)
    text = address.place
    if text in samples.DATASETS and not Path(text).exists():
        return samples.dataset(text)
    if not text:
        raise IdfError("No dataset is chosen", "an empty field",
                       f"name a folder, a URL, or one of: {', '.join(samples.DATASETS)}")
    downloads = Path(downloads)
    if urllib.parse.urlsplit(text).scheme in ("http", "https"):
        return _open_below(fetch(text, downloads), address)
    path = mount_drive(text)
    if path.is_file() and is_zip(path):
        folder = downloads / f"{path.stem}-{sha256_file(path)[:8]}"  # another .zip, another place
        return _open_below(unpack(path, folder), address)
    return _open_below(path, address)


def _open_below(folder: Path, address: Address) -> Dataset:
    """Open the dataset in a folder that was named: pictures may lie anywhere in it."""
    found = dataset_root(folder)
    root = address.root
    if root is None and found != folder:
        root = os.path.relpath(folder.resolve(), found.resolve())
    return Dataset.open(str(replace(address, place=str(found), root=root)))


def as_dataset(data: Dataset | str | Path, reporter: Reporter | None = None) -> Dataset:
    """Return a dataset for one, or for what `open_dataset` takes; what it is and what was noticed
    goes to the reporter."""
    if isinstance(data, Dataset):
        return data
    found = open_dataset(data)
    if reporter:
        reporter.stage(found.describe())
        for note in found.notes:
            reporter.note(note)
    return found


def mount_drive(path: str | Path) -> Path:
    """Return a path, after mounting the user's Drive on Colab where it lies there: before a folder
    is made below the mount point, which would keep Drive out. IdfError where that fails."""
    if str(path).startswith(DRIVE) and in_colab() and not os.path.ismount(DRIVE):
        from google.colab import drive

        try:
            drive.mount(DRIVE)
        except Exception as error:  # declined, or files of an earlier run lie at the mount point
            raise IdfError("Google Drive could not be mounted", " ".join(str(error).split())[:200],
                           f"allow it, and see that nothing lies in {DRIVE}; or choose a folder "
                           "that is not on Drive") from None
    return Path(path).expanduser()


def fetch(url: str, downloads: Path) -> Path:
    """Return the folder with the unpacked content of the .zip at an https URL."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or parts.username:
        raise IdfError(f"Datasets are only fetched over https: {url.split('?')[0]}",
                       parts.scheme, "use an https:// address without a password in it")
    folder = downloads / sha256_bytes(url.encode())[:12]
    if folder.is_dir():
        return folder
    archive = folder.with_suffix(".zip")
    try:
        with atomic_write(archive) as temporary:
            save(url, temporary, MAX_DOWNLOAD)
    except NotFetched as error:
        raise IdfError(f"{url} cannot be fetched", str(error),
                       "check the address and the network, or download it by hand") from None
    try:
        return unpack(archive, folder)
    finally:
        archive.unlink(missing_ok=True)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a .zip into `folder` (which appears when all is there) after checking every entry."""
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{folder.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open_zip(archive) as z:
            entries = z.infolist()
            total = sum(e.file_size for e in entries)
            if total > MAX_UNPACKED:
                raise IdfError(f"The archive {archive.name} is too large",
                               f"{len(entries)} files, {total / 1e9:.1f} GB unpacked",
                               "unpack it by hand, and give the folder")
            if total > MAX_RATIO * max(archive.stat().st_size, 2**16):
                raise IdfError(f"The archive {archive.name} was refused",
                               f"it unpacks to {total / archive.stat().st_size:.0f} times its size",
                               "unpack it by hand, if you trust it, and give the folder")
            for e in entries:
                path = PurePosixPath(e.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) \
                        or stat.S_ISLNK(e.external_attr >> 16):
                    raise IdfError(f"The archive {archive.name} was refused",
                                   f"the entry {e.filename!r} leaves its folder",
                                   "pack it again without such paths")
            partial.mkdir(parents=True)
            # "./" stands for the folder itself; Python 3.12.1 fails on it
            z.extractall(partial, [e for e in entries if PurePosixPath(e.filename).parts])
        partial.rename(folder)
    except (ValueError, zipfile.LargeZipFile) as error:
        raise IdfError(f"{archive.name} is not a .zip file that can be unpacked",
                       str(error)[:120], "fetch or pack it again") from None
    except OSError as error:
        if folder.is_dir():  # another process was faster
            return folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise write_error(folder, error) from error
        raise IdfError(f"{archive.name} cannot be unpacked here", str(error)[:160],
                       "unpack it by hand, and give the folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def dataset_root(folder: Path) -> Path:
    """Return the folder with the dataset, at or up to two levels below `folder`; `folder` itself
    where there is none. IdfError where there are several beside each other."""
    if not folder.is_dir():
        return folder
    level = [folder]
    try:
        for _ in range(3):
            found = [f for f in level if is_dataset(f)]
            if len(found) > 1:
                names = [f.relative_to(folder).as_posix() for f in found]
                raise IdfError(f"The folder {folder} holds {len(found)} datasets",
                               shorten(names, 6), f"name one of them: {folder / names[0]} "
                               f"(followed by #root={os.path.relpath(folder, found[0])} where its "
                               "pictures lie in others)")
            if found:
                return found[0]
            level = sorted(f for parent in level for f in parent.iterdir()
                           if f.is_dir() and f.name[:1] not in "._")[:MAX_FOLDERS]
    except OSError:  # no right to look into one: whoever opens it says so
        pass
    return folder
