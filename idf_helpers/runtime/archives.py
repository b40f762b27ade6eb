"""One file out of an archive (zip, wheel, .tar.gz), read as a stream; nothing else is unpacked."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path

from ..errors import IdfError

GZIP = b"\x1f\x8b"
MOST_UNPACKED = 2 << 30  # bytes; what lies further behind in a .tar.gz is not looked for
MOST_FILES = 100_000  # in a .tar.gz: headers of empty files pack a thousandfold


def is_archive(file: Path) -> bool:
    """Whether it is a zip or a gzip from its first byte on: a .tflite model may carry a zip at its
    end."""
    with open(file, "rb") as stream:
        head = stream.read(2)
    return head == GZIP or head == b"PK" and zipfile.is_zipfile(file)


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
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise IdfError(f"{archive} is damaged", str(error) or type(error).__name__,
                       "fetch it again") from error


@contextlib.contextmanager
def _in_zip(archive, names):
    with zipfile.ZipFile(archive) as opened:
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
