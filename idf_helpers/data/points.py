"""Surface points to start a training from: COLMAP's `points3D.bin`, `.txt`, and `.ply` files.

`.ply` (paulbourke.net/dataformats/ply): any of the three encodings, positions x, y, z and colors of
whole or floating numbers, or a splat file's first band; the vertices may follow other elements of
fixed size. Sizes are compared with the file's before memory is taken.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..runtime.files import readable
from .colmap_files import Reader, floats, line_of, rows

MAX_POINTS = 10_000_000
PART = 1 << 18  # points that are read at a time
LONGEST = 40  # characters of a number in a text file, with its blank
SH_C0 = 0.28209479177387814  # what a splat's first coefficient is worth as a color
TYPES = {"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
         "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
         "float": "f4", "float32": "f4", "double": "f8", "float64": "f8"}
ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
COLORS = (("red", "green", "blue"), ("r", "g", "b"),
          ("diffuse_red", "diffuse_green", "diffuse_blue"), ("f_dc_0", "f_dc_1", "f_dc_2"))


def count_points(path: Path) -> int:
    """Return how many points a file holds, from its head where that says it."""
    if path.suffix == ".txt":
        return sum(1 for _ in rows(path))
    if path.suffix.lower() == ".ply":
        return _Ply(path).count
    with Reader(path) as r:
        return r.count("points", 51)


def read_points(path: Path) -> np.ndarray:
    """Return (N, 6) float32: x, y, z in world units and RGB in [0, 1]; gray where a `.ply` has no
    colors. IdfError: a damaged file, numbers that make no sense."""
    if path.suffix.lower() == ".ply":
        points = _Ply(path).points()
    elif path.suffix == ".txt":
        lines = []
        for number, words in rows(path):
            with line_of(path, number):
                x, y, z, red, green, blue = floats(words[1:7])
                lines.append((x, y, z, red / 255, green / 255, blue / 255))
        points = np.array(lines, np.float64).reshape(-1, 6)
    else:
        with Reader(path) as r:
            points = np.empty((r.count("points", 51), 6))
            for i in range(len(points)):
                *row, _, track = r.take("8x3d3BdQ")
                points[i] = row
                r.skip(8, track)
            r.end()
        points[:, 3:] /= 255
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite: counted below
        out = points.astype(np.float32)
    bad = ~np.isfinite(out).all(axis=1) | (out[:, 3:] < 0).any(1) | (out[:, 3:] > 1).any(1)
    if bad.any():
        raise IdfError(f"{path} holds points that make no sense", f"{bad.sum()} of {len(out)} with "
                       f"NaN, infinity or a color outside 0 to 255, the first is number "
                       f"{int(np.argmax(bad))}", "export the reconstruction again")
    return out


class _Ply:
    """The vertices of a `.ply` file, its header read and compared with its size."""

    def __init__(self, path: Path):
        self.path = path
        with readable(path, "point file"), open(path, "rb") as f:
            elements = self._header(f)
            self.start, self.size = f.tell(), os.fstat(f.fileno()).st_size
        self.count, self.dtype, self.skipped = 0, np.dtype([]), 0
        found = False
        for name, count, properties in elements:
            if name == "vertex":
                self.count, found = count, True
                self.dtype = np.dtype([(n, (self.order or "<") + t) for n, t in properties
                                       if t] if all(t for _, t in properties) else [])
                break
            if not all(t for _, t in properties):
                raise self._unknown(f"lists of the element {name} before its vertices")
            width = np.dtype([(n, t) for n, t in properties]).itemsize
            self.skipped += count if self.order is None else count * width
        if not found or not {"x", "y", "z"} <= set(self.dtype.names or ()):
            raise self._unknown("no vertices with x, y, z" if not found or self.dtype.names
                                else "lists among its vertices")
        smallest = 2 * len(self.dtype.names) if self.order is None else self.dtype.itemsize
        if self.count * smallest > self.size - self.start + 1 or self.count > MAX_POINTS:
            raise IdfError(f"{path} is damaged or truncated", f"{self.count} points announced, "
                           f"{self.size} bytes there", "copy it again, or export it again")

    def _header(self, f) -> list[tuple[str, int, list[tuple[str, str | None]]]]:
        if f.readline(8).strip() != b"ply":
            raise self._unknown("no `ply` in its first line")
        elements: list[tuple[str, int, list[tuple[str, str | None]]]] = []
        self.order = None
        for _ in range(1000):
            line = f.readline(4096)
            words = line.decode("utf-8", "replace").split()
            if words[:1] == ["end_header"]:
                return elements
            try:
                if not line:
                    raise ValueError("no end_header")
                if words[:1] == ["format"]:
                    self.order = ORDERS[words[1]]
                elif words[:1] == ["element"]:
                    count = int(words[2])
                    if not 0 <= count < 2**40:
                        raise ValueError(words[2])
                    elements.append((words[1], count, []))
                elif words[:1] == ["property"]:
                    a_list = words[1] == "list"
                    properties = elements[-1][2]
                    if words[-1] in (n for n, _ in properties):
                        raise ValueError(f"two properties {words[-1]}")
                    properties.append((words[-1], None if a_list else TYPES[words[1]]))
            except (KeyError, IndexError, ValueError) as error:
                raise self._unknown(f"{error} in its header") from None
        raise self._unknown("a header without an end")

    def _unknown(self, found: str) -> IdfError:
        return IdfError(f"{self.path} is no point file that can be read", found,
                        "export the points as .ply with x, y, z, red, green, blue")

    def points(self) -> np.ndarray:
        """Return (N, 6) float64: positions, and colors in [0, 1]."""
        found = next((c for c in COLORS if set(c) <= set(self.dtype.names)), None)
        out = np.full((self.count, 6), 0.5)
        with readable(self.path, "point file"), open(self.path, "rb") as f:
            f.seek(self.start)
            for at, part in self._text(f) if self.order is None else self._parts(f):
                with np.errstate(invalid="ignore"):  # NaN stays NaN, and is counted later
                    for k, name in enumerate((*"xyz", *(found or ()))):
                        out[at:at + len(part), k] = part[name]
        if found and self.count:
            kind, colors = self.dtype[found[0]], out[:, 3:]
            if found[0] == "f_dc_0":
                np.clip(0.5 + SH_C0 * colors, 0, 1, out=colors)
            elif kind.kind in "iu":
                colors /= 65535 if kind.itemsize == 2 else 255
            elif colors.max() > 1:
                colors /= 255
        return out

    def _text(self, f):
        """Yield 0 and a structured array of all vertices."""
        for _ in range(self.skipped):
            f.readline(1 << 16)
        names = self.dtype.names
        total = self.count * len(names)
        values = f.read(LONGEST * total).split(None, total)[:total]
        try:
            table = np.array(values, np.float64).reshape(self.count, len(names))
        except ValueError as error:
            raise self._unknown(str(error)[:80]) from None
        yield 0, np.rec.fromarrays(table.T, names=list(names))

    def _parts(self, f):
        """Yield where they begin and structured arrays of vertices: a splat file has many columns
        that are not wanted."""
        f.seek(self.skipped, os.SEEK_CUR)
        for at in range(0, self.count, PART):
            part = np.fromfile(f, self.dtype, min(PART, self.count - at))
            if len(part) < min(PART, self.count - at):
                raise IdfError(f"{self.path} is damaged or truncated", f"{at + len(part)} of "
                               f"{self.count} points", "copy it again, or export it again")
            yield at, part
