"""Atomic file writes, and JSON files that may hold anything."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
from pathlib import Path

import psutil

from ..errors import IdfError
from .safe_json import MAX_BYTES, parse


@contextlib.contextmanager
def atomic_write(path):
    """Yield a temporary path beside `path` (same suffix); on success it replaces `path`.

    The content is flushed to disk before the rename, so a kill leaves the old file or the new one,
    never half of one; on any error the temporary file is removed. A full or unwritable disk
    becomes an IdfError. Parent folders are made, and removed again where nothing came into them.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    made: list[Path] = []
    try:
        made = [p for p in path.parents if not p.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
        made = []
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # the first that holds something else ends it
            temporary.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


_OURS = re.compile(r"\.(.{0,80})\.(\d+)\.[0-9a-f]{8}\.part(\.[^.]*)?", re.DOTALL)
_DRAFT_OF_LOCK = re.compile(r"\.lock\.[0-9a-f]{8}\.part")


def temporary_beside(path: Path) -> Path:
    """Return where a file or folder is to be written before it takes the place of `path`."""
    stem = path.stem.encode(errors="ignore")[:80].decode(errors="ignore")  # limits are of bytes
    return path.with_name(f".{stem}.{os.getpid()}.{secrets.token_hex(4)}.part{path.suffix}")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half written at or below a folder: what bears a name of
    `temporary_beside`, or of a lock's draft, and nothing else. What a living process of this
    machine may be writing stays."""
    for path in folder.rglob(".*.part*"):
        ours = _OURS.fullmatch(path.name)
        with contextlib.suppress(OSError):  # such as one that is put in place meanwhile
            if ours and not _is_written(int(ours[2]), path.lstat().st_mtime):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            elif _DRAFT_OF_LOCK.fullmatch(path.name) and path.is_file():
                path.unlink()


def _is_written(pid: int, changed: float) -> bool:
    """Whether the process lives that made it: not a later one of the same number."""
    try:
        return pid < 2**31 and psutil.Process(pid).create_time() < changed + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # somebody else's
        return True


def write_error(path, error: OSError) -> IdfError:
    """Return the IdfError for a failed write: full disk, missing rights, or what the system
    said."""
    path = Path(path)
    names = [(m[1] + (m[3] or "")) if (m := _OURS.fullmatch(p)) else p for p in path.parts]
    path = Path(*names)  # what a user knows it by
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        parent = next(p for p in path.absolute().parents if p.is_dir())
        free = shutil.disk_usage(parent).free
        return IdfError(f"The disk is full: {path.name} was not written", f"{free / 1e6:.0f} MB "
                        f"free at {parent}", "free some space, then run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return IdfError(f"{path} cannot be written", error.strerror or str(error),
                        "choose another --out, or change the rights of that folder")
    return IdfError(f"{path} cannot be written", str(error), "choose another --out")


def write_bytes(path, data: bytes) -> None:
    """Write a file, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path, text: str) -> None:
    """Write a UTF-8 file, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path, value) -> None:
    """Write indented JSON; NaN and infinity are refused (other readers choke on them)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=_plain) + "\n")


def _plain(value):
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@contextlib.contextmanager
def readable(path, what: str):
    """Turn what keeps the file from being read, inside the block, into an IdfError."""
    try:
        yield
    except FileNotFoundError:
        raise IdfError(f"The {what} {path} does not exist", "no such file",
                       "check the path for typing errors") from None
    except UnicodeDecodeError:
        raise IdfError(f"The {what} {path} is not UTF-8 text", "another encoding",
                       "save it as UTF-8") from None
    except OSError as error:
        raise IdfError(f"The {what} {path} cannot be read", error.strerror or str(error),
                       "check the file's permissions") from error


def read_json(path, what: str = "JSON file"):
    """Return the parsed file; IdfError: missing, or what `safe_json.parse` refuses."""
    path = Path(path)
    with readable(path, what):
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise IdfError(f"The {what} {path} is too large", f"{size / 1e6:.0f} MB",
                           f"the limit is {MAX_BYTES / 1e6:.0f} MB")
        data = path.read_bytes()
    return parse(data, f"The {what} {path}")


def read_record(path, keys=(), what: str = "JSON file") -> dict:
    """Return `read_json` of an object that must hold `keys`; IdfError where it does not."""
    value = read_json(path, what)
    lacking = [k for k in keys if k not in value] if isinstance(value, dict) else ["{ }"]
    if lacking:
        raise IdfError(f"The {what} {path} is damaged", f"no {', '.join(lacking)}",
                       "delete its folder and run that stage again")
    return value


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def content_hash(path) -> str:
    """Return `sha256_file`; a file that did not change since is not read again by this process."""
    stat = os.stat(path)
    return _content_hash(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@functools.lru_cache(maxsize=100_000)
def _content_hash(path: str, *stat: int) -> str:
    return sha256_file(path)


def stable_hash(value) -> str:
    """Return SHA-256 of a JSON-able value, independent of the order of keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True, default=_plain).encode())
