"""Archives that may come from anywhere: zips, opened after a look at their directory, and one file
out of a zip, wheel or .tar.gz, read as a stream.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (4.3.12 to 4.3.16)
"""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from ..errors import IdfError

GZIP = b"\x1f\x8b"
MOST_UNPACKED = 2 << 30  # bytes; what lies further behind in a .tar.gz is not looked for
MOST_FILES = 100_000  # in a .tar.gz: headers of empty files pack a thousandfold
MOST_DIRECTORY = 16 << 20  # bytes of a zip's directory: Python takes some 10 times that to read it
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound
_END = struct.Struct("<4s4H2IH")


def is_archive(file: Path) -> bool:
    """Whether it is a zip or a gzip from its first byte on: a .tflite model may carry a zip at its
    end."""
    with open(file, "rb") as stream:
        head = stream.read(2)
    return head == GZIP or head == b"PK" and is_zip(file)


def is_zip(file) -> bool:
    """Whether a path or stream ends as a zip does; False for what cannot be read."""
    try:
        return zipfile.is_zipfile(file)
    except (OSError, ValueError, struct.error):
        return False


@contextlib.contextmanager
def open_zip(file, most: int = MOST_FILES):
    """Yield a `zipfile.ZipFile` of a path or a stream, whose directory fits memory.

    ValueError, here and out of whatever is read of it inside the block: damaged, more than `most`
    entries, encrypted, packed in another way than PACKINGS. OSError: it cannot be opened, or what
    the block itself does with other files. An IdfError of the block passes.
    """
    with open(file, "rb") if not hasattr(file, "read") else contextlib.nullcontext(file) as stream:
        _check_directory(stream)
        try:
            opened = zipfile.ZipFile(stream)
        except Exception as error:  # struct.error, IndexError, UnicodeDecodeError, many more
            raise ValueError(f"{type(error).__name__}: {error}"[:160]) from None
        try:
            with opened:
                entries = opened.infolist()
                if len(entries) > most:
                    raise ValueError(f"{len(entries)} files in it")
                for entry in entries:
                    if entry.flag_bits & 1 or entry.compress_type not in PACKINGS:
                        raise ValueError(f"{entry.filename[:60]!r} is encrypted, or packed in a "
                                         "way that is not read here")
                yield opened
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
                struct.error) as error:
            raise ValueError(f"{type(error).__name__}: {error}"[:160]) from error


def _check_directory(stream) -> None:
    """ValueError where the directory is larger than MOST_DIRECTORY, before it is read."""
    end = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, end - _END.size - 65535))
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("no zip, or its end is missing")
    size, wide = _END.unpack_from(tail, at)[5], at - 76  # zip64: its end, then where that lies
    if wide >= 0 and tail[wide:wide + 4] == b"PK\6\6":
        size = struct.unpack_from("<Q", tail, wide + 40)[0]
    if size > MOST_DIRECTORY:
        raise ValueError(f"a list of files of {size / 1e6:.0f} MB")
    stream.seek(0)


@contextlib.contextmanager
def open_archived(archive: Path, names: tuple[str, ...]):
    """Yield the first of the names that the archive has, open for reading; None = none of them.

    A name may lead through a zip in a zip: `package/models.zip/file`. Links are not followed.
    IdfError where the archive is damaged, or a .tar.gz unpacks to more than MOST_UNPACKED before
    its end.
    """
    with open(archive, "rb") as stream:
        inside = _in_tar if stream.read(2) == GZIP else _in_zip
    try:
        with inside(archive, names) as stream:
            yield stream
    except (ValueError, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise IdfError(f"{archive} is damaged", str(error) or type(error).__name__,
                       "fetch it again") from error


@contextlib.contextmanager
def _in_zip(archive, names):
    with open_zip(archive) as opened:
        present = set(opened.namelist())
        name = next((n for n in names if n in present), None)
        outer, inner = next(((o, i) for n in names for o, _, i in [n.rpartition("/")]
                             if o in present), ("", ""))
        if name is not None:
            with opened.open(name) as stream:
                yield stream
        elif outer:
            with opened.open(outer) as between, _in_zip(between, (inner,)) as stream:
                yield stream
        else:
            yield None


@contextlib.contextmanager
def _in_tar(archive: Path, names):
    with tarfile.open(archive, "r:gz") as opened:
        found: dict[str, tarfile.TarInfo] = {}
        for count, member in enumerate(opened):
            # the size stands before the content: a bomb is refused unread
            if count >= MOST_FILES or not (
                    0 <= member.size <= MOST_UNPACKED - member.offset_data):
                raise tarfile.ReadError("it unpacks to more than anything that is needed here")
            if member.isreg() and member.name in names:
                found[member.name] = member
                if member.name == names[0]:
                    break
        name = next((n for n in names if n in found), None)
        yield None if name is None else opened.extractfile(found[name])
