"""Splats as `.ply`: graphdeco's layout written, any 3DGS file read, and every size checked first.

Layout (graphdeco-inria/gaussian-splatting, scene/gaussian_model.py, save_ply): binary little
endian, one element `vertex` of 62 float32 properties at degree 3:
    x y z  nx ny nz  f_dc_0..2  f_rest_0..44  opacity  scale_0..2  rot_0..3
f_rest is channel-major (15 red, 15 green, 15 blue), opacity a logit, scale a natural logarithm,
rot a quaternion w, x, y, z. Marks of origin stand in `comment` lines of the header.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import IdfError, shorten
from ...runtime.files import atomic_write, readable
from .gaussians import Gaussians

MAX_HEADER_BYTES = 256 * 1024
PART = 1 << 16  # Gaussians that are read or written at once
SCALAR_TYPES = {"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2",
                "int16": "i2", "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4",
                "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8",
                "float64": "f8"}
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
REQUIRED = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
            "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
CONVERT = "convert it to an uncompressed 3DGS .ply first (for example with splat-transform)"


def property_names(sh_degree: int = 3) -> list[str]:
    """Return the names of the properties of graphdeco's `.ply` in file order: 62 of them at degree
    3."""
    rest = 3 * ((sh_degree + 1) ** 2 - 1)
    return ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2",
            *(f"f_rest_{i}" for i in range(rest)), "opacity",
            "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]


def write_ply(gaussians: Gaussians, path, *, sh_degree: int | None = 3, comments=()) -> Path:
    """Write `gaussians` in graphdeco's layout, atomically; returns the path.

    sh_degree: degree of the layout. 3 is what other programs expect (missing coefficients are
        zero, higher ones are cut); None keeps the degree of `gaussians`.
    comments: lines for the header, e.g. the marks of origin; characters outside ASCII are written
        as \\uXXXX, line breaks as spaces.
    Raises IdfError for NaN or wrong shapes, and where the file cannot be written.
    """
    g = gaussians.checked()
    degree = g.sh_degree if sh_degree is None else sh_degree
    if degree not in (0, 1, 2, 3):
        raise IdfError("Spherical harmonics of this degree cannot be written", f"{degree}",
                       "use 0, 1, 2 or 3")
    header = ["ply", "format binary_little_endian 1.0", *map(_comment_line, comments),
              f"element vertex {len(g)}", *(f"property float {p}" for p in property_names(degree)),
              "end_header", ""]
    path = Path(path)
    with atomic_write(path) as temporary, open(temporary, "wb") as f:
        f.write("\n".join(header).encode("ascii"))
        for at in range(0, len(g), PART):  # a whole table would be as large as the model
            f.write(np.ascontiguousarray(_rows(g[at:at + PART], degree), "<f4").data)
    return path


def _rows(g: Gaussians, degree: int) -> np.ndarray:
    sh = g.with_bases((degree + 1) ** 2).sh
    return np.concatenate([
        g.means, np.zeros_like(g.means), sh[:, 0],
        sh[:, 1:].transpose(0, 2, 1).reshape(len(g), -1),  # (N, K, rgb) -> channel-major
        g.opacity_logits[:, None], g.log_scales, g.quats], axis=1)


def _comment_line(text: str) -> str:
    flat = " ".join(str(text).split())
    return "comment " + flat.encode("ascii", "backslashreplace").decode("ascii")


@dataclass(frozen=True)
class Element:
    """One element of a header: its name, how many, and (name, numpy type) of its scalars; `lists`
    names its properties of variable length."""

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]
    lists: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """A `.ply` header: byte order ('<', '>' or '' for text), comments, elements, its length."""

    byte_order: str
    comments: tuple[str, ...]
    elements: tuple[Element, ...]
    length: int


def read_ply(path) -> Gaussians:
    """Return the Gaussians of any 3DGS `.ply`: degree 0 to 3, properties in any order and of any
    type, further properties and elements ignored; binary of both byte orders, or text.

    Raises IdfError for files that are missing, truncated, compressed or no splats at all, for
    missing properties (named), and for NaN, infinity or zero quaternions (counted). The size is
    checked before memory is taken.
    """
    path = Path(path)
    header = read_header(path)
    data = read_vertices(path, header)
    names = data.names
    missing = [n for n in REQUIRED if n not in names]
    if missing:
        raise IdfError(f"{path} is not a 3DGS splat file", "no property "
                       + shorten(missing, len(REQUIRED)), _hint(names))
    rest = sum(n.startswith("f_rest_") for n in names)
    if rest not in (0, 9, 24, 45) or any(f"f_rest_{i}" not in names for i in range(rest)):
        raise IdfError(f"{path} has an odd set of color coefficients", f"{rest} f_rest properties",
                       "3DGS files hold f_rest_0 to f_rest_8, _23 or _44, or none")
    columns = data.columns
    g = Gaussians(columns("x", "y", "z"), columns("scale_0", "scale_1", "scale_2"),
                  columns("rot_0", "rot_1", "rot_2", "rot_3"), columns("opacity")[:, 0],
                  data.harmonics(rest))
    return check_values(g, path)


def check_values(g: Gaussians, path) -> Gaussians:
    """Return `g`, contiguous; IdfError counting the Gaussians with NaN, infinity or no rotation."""
    bad = np.zeros(len(g), bool)
    for array in g.arrays().values():
        bad |= ~np.isfinite(array).reshape(len(g), -1).all(axis=1)
    if bad.any():
        raise IdfError(f"{path} holds NaN or infinity", f"{bad.sum()} of {len(g)} Gaussians, the "
                       f"first is number {int(np.argmax(bad))}", "export it again from its source")
    flat = np.abs(g.quats).max(axis=1) < 1e-12
    if flat.any():
        raise IdfError(f"{path} holds rotations of length zero",
                       f"{flat.sum()} of {len(g)} Gaussians", "export it again from its source")
    return g.checked()


def read_header(path: Path) -> Header:
    """Parse the header of any `.ply`; raises IdfError where it is none or makes no sense."""
    lines, length = _header_lines(path)
    byte_order, comments, elements = None, [], []
    for line in lines[1:]:
        words = line.split()
        kind = words[0] if words else ""
        try:
            if kind == "format":
                byte_order = BYTE_ORDERS.get(words[1], "" if words[1] == "ascii" else None)
                if byte_order is None:
                    raise ValueError
            elif kind == "comment":
                comments.append(line[len("comment "):])
            elif kind == "element":
                elements.append(Element(words[1], _count(words[2]), ()))
            elif kind == "property":
                elements[-1] = _with_property(elements[-1], words)
            elif kind not in ("obj_info", ""):
                raise ValueError
        except (IndexError, KeyError, ValueError):
            raise IdfError(f"The header of {path} is malformed", line[:120],
                           "export it again from its source") from None
    if byte_order is None:
        raise IdfError(f"The header of {path} names no format",
                       "no format line", "give a file of a 3D Gaussian splatting trainer")
    return Header(byte_order, tuple(comments), tuple(elements), length)


def _header_lines(path: Path) -> tuple[list[str], int]:
    """Return the lines before `end_header`, and the offset of the first byte of data."""
    with readable(path, "splat file"), open(path, "rb") as f:
        start = f.read(MAX_HEADER_BYTES)
    if not start.startswith((b"ply\n", b"ply\r\n")):
        found = "an empty file" if not start else f"a file that begins with {start[:12]!r}"
        raise IdfError(f"{path} is not a .ply file", found, "give a .ply or .splat file")
    end = start.find(b"\nend_header")
    newline = start.find(b"\n", end + 1)
    if end < 0 or newline < 0:
        raise IdfError(f"The header of {path} does not end", "no end_header line",
                       "the file is truncated: copy or download it again")
    text = start[:end].decode("ascii", "backslashreplace").replace("\r", "")
    return text.split("\n"), newline + 1


def _count(word: str) -> int:
    if not word.isdigit() or len(word) > 12:  # refuses signs, and integers of thousands of digits
        raise ValueError(word)
    return int(word)


def _with_property(element: Element, words: list[str]) -> Element:
    if words[1] == "list":
        return Element(element.name, element.count, element.properties, (*element.lists, words[4]))
    name, kind = words[2], SCALAR_TYPES[words[1]]
    if any(name == other for other, _ in element.properties):
        raise ValueError(name)
    return Element(element.name, element.count, (*element.properties, (name, kind)), element.lists)


class Vertices:
    """The `vertex` element of a file, read part by part: a whole table beside what is made of it
    would double the memory. names: of its properties. rows: structured, for text; else None."""

    def __init__(self, path: Path, dtype: np.dtype, count: int, offset: int,
                 rows: np.ndarray | None = None):
        self.path, self.dtype, self.count, self.offset, self.rows = path, dtype, count, offset, rows
        self.names = dtype.names or ()

    def __len__(self) -> int:
        return self.count

    def parts(self):
        """Yield slices and structured arrays of the vertices there."""
        for at in range(0, self.count, PART):
            n = min(PART, self.count - at)
            yield slice(at, at + n), np.fromfile(
                self.path, self.dtype, n, offset=self.offset + at * self.dtype.itemsize) \
                if self.rows is None else self.rows[at:at + n]

    def columns(self, *wanted: str) -> np.ndarray:
        """Return (N, len(wanted)) float32; doubles beyond it become infinite."""
        out = np.empty((self.count, len(wanted)), np.float32)
        with np.errstate(over="ignore"):
            for where, part in self.parts():
                for k, name in enumerate(wanted):
                    out[where, k] = part[name]
        return out

    def harmonics(self, rest: int, first: np.ndarray | None = None) -> np.ndarray:
        """Return (N, 1 + rest / 3, 3) float32 from f_dc and `rest` f_rest, channel-major.

        first: (N, 3) in place of f_dc.
        """
        out = np.empty((self.count, 1 + rest // 3, 3), np.float32)
        with np.errstate(over="ignore"):
            for where, part in self.parts():
                for channel in range(3):
                    out[where, 0, channel] = part[f"f_dc_{channel}"] if first is None \
                        else first[where, channel]
                    for k in range(rest // 3):
                        out[where, 1 + k, channel] = part[f"f_rest_{channel * (rest // 3) + k}"]
        return out


def read_vertices(path: Path, header: Header) -> Vertices:
    """Return the `vertex` element; IdfError where the file is too short."""
    offset = header.length
    for element in header.elements:
        dtype = np.dtype([(n, header.byte_order + t) for n, t in element.properties])
        if element.lists and (element.name == "vertex" or element.count):
            raise IdfError(f"{path} is not a 3DGS splat file",
                           f"a list property `{element.lists[0]}` in `{element.name}`",
                           "give a splat file, not a mesh")
        if element.name == "vertex":
            break
        if not header.byte_order and element.count:
            raise IdfError(f"{path} cannot be read as text", f"`{element.name}` before `vertex`",
                           CONVERT)
        offset += element.count * dtype.itemsize
    else:
        raise IdfError(f"{path} is not a 3DGS splat file", "no element `vertex`",
                       "give a file of a 3D Gaussian splatting trainer")
    if element.count == 0 or not element.properties:
        raise IdfError(f"{path} holds no Gaussians", f"{element.count} vertices of "
                       f"{len(element.properties)} properties", "export it again from its source")
    there = os.path.getsize(path) - offset
    # The shortest number in a text file is a digit and a blank.
    stride = dtype.itemsize if header.byte_order else 2 * len(element.properties)
    if element.count * stride > there + (not header.byte_order):
        raise IdfError(f"{path} is shorter than its header says",
                       f"{element.count} Gaussians of {stride} bytes announced, "
                       f"{max(there, 0)} bytes there",
                       "the file is truncated or damaged: copy or export it again")
    if header.byte_order:
        return Vertices(path, dtype, element.count, offset)
    rows = _read_text(path, element, offset)
    return Vertices(path, rows.dtype, len(rows), 0, rows)


def _read_text(path: Path, element: Element, offset: int) -> np.ndarray:
    width = len(element.properties)
    out = np.zeros(element.count, [(n, "f8") for n, _ in element.properties])
    with open(path, "rb") as f:
        f.seek(offset)
        for i in range(element.count):
            words = f.readline().split()
            try:
                if len(words) != width:
                    raise ValueError
                out[i] = tuple(map(float, words))
            except ValueError:
                raise IdfError(f"{path} is damaged at vertex {i}", b" ".join(words)[:80].decode(
                    "ascii", "backslashreplace"), f"expected {width} numbers") from None
    return out


def _hint(names) -> str:
    if "packed_position" in names:
        return f"it is a compressed .ply: {CONVERT}"
    if "red" in names:
        return "it is a colored point cloud: train splats from it, or give the trained file"
    if "scale_1" in names and "scale_2" not in names:
        return "it holds 2D Gaussians (surfels), which cannot be shown as 3D ones"
    return "give a file written by a 3D Gaussian splatting trainer"


def write_points(path: Path, points: np.ndarray) -> None:
    """Write (N, 6) points with RGB in [0, 1] as graphdeco's colored point cloud (storePly)."""
    kind = np.dtype([(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")]
                    + [(n, "u1") for n in ("red", "green", "blue")])
    out = np.zeros(len(points), kind)
    for name, column in zip("xyz", points.T[:3], strict=True):
        out[name] = column
    for name, column in zip(("red", "green", "blue"), points.T[3:], strict=True):
        out[name] = np.rint(255 * np.clip(column, 0, 1))
    words = {"<f4": "float", "|u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(out)}",
              *(f"property {words[kind[n].str]} {n}" for n in kind.names), "end_header", ""]
    with atomic_write(path) as temporary:
        temporary.write_bytes("\n".join(header).encode("ascii") + out.tobytes())
