"""Arrays in .npz and .npy files: written atomically; read without pickles, after their headers.

Format: a zip of .npy files, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib import format as npy

from ..errors import IdfError
from .archives import open_zip
from .files import atomic_write, readable

KINDS = "biufU"  # bool, integers, floats, text: no objects, no records, no dates
MAX_ARRAYS = 10_000
MAX_PACKED = 512 * 2**20  # bytes that compressed arrays may unpack to, whatever the file's size
MAX_RATIO = 8  # or so many times the file's size, where that is more
AGAIN = "delete it and run that stage again"


def read_arrays(path, schema: Mapping[str, str] | None = None, what: str = "array file",
                do: str = AGAIN) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, that of an .npy file as "".

    schema: what must be in it, see `fit`. IdfError: missing, damaged in any way, arrays of
    anything but numbers and text, of more bytes than MAX_PACKED and MAX_RATIO allow (read from
    the headers, before memory is taken), or other arrays than the schema's.
    """
    path = Path(path)
    try:
        with readable(path, what):
            size = path.stat().st_size
            with open(path, "rb") as file:
                head = file.read(len(npy.MAGIC_PREFIX))
                file.seek(0)
                if head == npy.MAGIC_PREFIX:
                    arrays = {"": _read(file, _header(file, size), size)}
                elif not head.startswith(b"PK"):
                    raise ValueError("neither .npz nor .npy")
                else:
                    with open_zip(file, MAX_ARRAYS) as opened:
                        arrays = _members(opened, size)
        if schema is not None:
            fit(arrays, schema)
    except ValueError as error:
        raise IdfError(f"The {what} {path} is damaged", str(error)[:200], do) from None
    return arrays


def fit(arrays: Mapping[str, np.ndarray], schema: Mapping[str, str]) -> dict[str, int]:
    """Check arrays against a declaration; return the sizes that its letters stand for.

    schema: name -> kinds and shape, as "f N 3": kinds of numbers (any of `biufU`, or one dtype,
    as f4), then one word a dimension: a number, or a letter that means the same size wherever it
    stands. A name that ends with "?" may be missing. "f4!": all values must be finite. Arrays that
    the schema does not name are left alone. ValueError says what does not fit.
    """
    sizes: dict[str, int] = {}
    for key, declared in schema.items():
        name, (kind, *shape) = key.removesuffix("?"), declared.split()
        if name not in arrays:
            if key.endswith("?"):
                continue
            raise ValueError(f"no `{name}`")
        array, finite, kind = arrays[name], kind.endswith("!"), kind.removesuffix("!")
        if not isinstance(array, np.ndarray) or not (
                array.dtype == np.dtype(kind) if kind[-1].isdigit() else array.dtype.kind in kind):
            raise ValueError(f"`{name}` is of {getattr(array, 'dtype', type(array))}, not {kind}")
        known = dict(sizes)  # a letter may stand twice in one shape
        if array.ndim != len(shape) or any(n != (int(s) if s.isdigit() else known.setdefault(s, n))
                                           for s, n in zip(shape, array.shape, strict=True)):
            raise ValueError(f"`{name}` has the shape {array.shape}, expected ({', '.join(shape)})"
                             + "".join(f", {s} = {n}" for s, n in sizes.items() if s in shape))
        sizes = known
        if finite and not np.isfinite(array).all():
            raise ValueError(f"`{name}` holds NaN or infinity")
    return sizes


def like(arrays: Mapping[str, np.ndarray], growing: Mapping[str, str] = {},
         finite: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the declaration of arrays of these dtypes and shapes, for `fit`.

    growing: how names begin -> the letter for the length of these, which may differ. finite: how
    the names of arrays without NaN begin.
    """
    out = {}
    for name, array in arrays.items():
        letter = next((w for start, w in growing.items() if name.startswith(start)), None)
        shape = [str(n) for n in array.shape]
        out[name] = " ".join([array.dtype.str[1:] + "!" * name.startswith(finite),
                              *([letter] + shape[1:] if letter else shape)])
    return out


def _members(opened: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    entries = opened.infolist()
    names = [e.filename.removesuffix(".npy") for e in entries]
    if len(set(names)) < len(names) or any(not e.filename.endswith(".npy") for e in entries):
        raise ValueError("something else than one .npy file for each name")
    stored = all(e.compress_type == zipfile.ZIP_STORED for e in entries)
    room = size if stored else max(MAX_PACKED, MAX_RATIO * size)
    if sum(e.file_size for e in entries) > room:
        raise ValueError(f"it claims to hold {sum(e.file_size for e in entries) / 1e6:.0f} MB in a "
                         f"file of {size / 1e6:.1f} MB")
    out = {}
    for name, entry in zip(names, entries, strict=True):
        with opened.open(entry) as stream:
            out[name] = _read(stream, _header(stream, entry.file_size), entry.file_size)
    return out


def _header(stream, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether in Fortran's order, and dtype; ValueError unless they fill `size`."""
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except Exception as error:  # numpy parses it as Python: SyntaxError, TokenError, many more
        raise ValueError(f"an array without a header ({type(error).__name__})") from None
    if dtype.kind not in KINDS or dtype.names or dtype.subdtype or dtype.hasobject:
        raise ValueError(f"an array of {dtype}"[:80])
    if not all(isinstance(n, int) and 0 <= n < 2**40 for n in shape) or len(shape) > 16 \
            or stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array of {dtype} {shape} in {size} bytes"[:160])
    return shape, fortran, dtype


def _read(stream, header, size: int) -> np.ndarray:
    shape, fortran, dtype = header
    flat = np.empty(math.prod(shape), dtype)
    room, at = memoryview(flat.view(np.uint8)) if flat.nbytes else memoryview(b""), 0
    while at < len(room):
        count = stream.readinto(room[at:at + (1 << 20)])
        if not count:
            raise ValueError(f"{at} of {len(room)} bytes of an array")
        at += count
    if stream.read(1):  # at its end a zip compares the checksum
        raise ValueError("more bytes than its array has")
    if dtype.kind == "f" and dtype.itemsize > 8 or dtype.kind == "U" and not _is_text(flat):
        raise ValueError(f"an array of {dtype}"[:80])
    if not dtype.isnative:
        flat = flat.astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if fortran else "C")


def _is_text(flat: np.ndarray) -> bool:
    """Whether all characters are of Unicode: numpy does not look, Python ends with an error."""
    if not flat.size or not flat.dtype.itemsize:
        return True
    codes = np.ascontiguousarray(flat).view(np.dtype("u4").newbyteorder(flat.dtype.byteorder))
    return not ((codes > 0x10FFFF) | (codes >= 0xD800) & (codes < 0xE000)).any()


def save_arrays(path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz file, atomically."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


class ArrayRecord:
    """Base of dataclasses whose fields are arrays or numbers, and which are kept as .npz files.

    schema: of the fields, see `fit`.
    """

    schema: Mapping[str, str] = {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as arrays; `type(self)(**arrays)` makes an equal object."""
        return {name: np.asarray(getattr(self, name)) for name in self._names()}

    def save(self, path) -> None:
        """Write an .npz file, atomically."""
        save_arrays(path, self.arrays())

    @classmethod
    def _names(cls) -> list[str]:
        return [f.name for f in fields(cls)]  # type: ignore[arg-type]  # of a dataclass

    @classmethod
    def load(cls, path) -> Self:
        """Return what `save` wrote; IdfError where the file holds something else."""
        arrays = read_arrays(path, cls.schema, f"saved {cls.__name__}")
        try:
            return cls(**arrays)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise IdfError(f"{path} is not a saved {cls.__name__}", str(error)[:200],
                           AGAIN) from error

    @classmethod
    def load_if_whole(cls, path) -> Self | None:
        """Return what `save` wrote; None where the file is missing or damaged."""
        try:
            return cls.load(path)
        except IdfError:
            return None
