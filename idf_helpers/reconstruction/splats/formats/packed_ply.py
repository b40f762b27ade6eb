"""Compressed `.ply` of PlayCanvas and SuperSplat: 16 bytes a Gaussian, 45 more for harmonics.

After playcanvas/splat-transform, src/lib/readers/decompress-ply.ts and writers/compressed-chunk.ts
(https://github.com/playcanvas/splat-transform, MIT). Elements, binary little endian:
    chunk   one for 256 Gaussians: floats min and max of x y z, of log scales, of r g b (the last
            are missing in old files)
    vertex  uints packed_position (11, 10, 11 bits), packed_rotation (largest of w, x, y, z in 2
            bits, the others in 10 each), packed_scale (11, 10, 11), packed_color (r g b opacity)
    sh      uchars f_rest_*, channel-major, from -4 to 4; missing where the degree is 0
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....errors import IdfError
from ..gaussians import SH_C0, Gaussians
from ..ply import CONVERT, Header, read_header
from .axes import COLMAP, axes_comment
from .order import morton_order
from .splat_model import FLAT, SplatModel, damaged, logits, too_short, usable

CHUNK = 256
BOUNDS = [f"{m}_{a}" for group in ("xyz", ("scale_x", "scale_y", "scale_z"), "rgb")
          for m in ("min", "max") for a in group]
VERTEX = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
ROOT2 = np.float32(2**0.5)


def is_packed(header: Header) -> bool:
    """Return whether a header is one of a compressed `.ply`."""
    return any(name == VERTEX[0] for e in header.elements for name, _ in e.properties)


def read_packed(path: Path, header: Header | None = None) -> SplatModel:
    """Return the Gaussians of a compressed `.ply`.

    IdfError: truncated, text or big endian, parts that do not fit one another.
    """
    header = header or read_header(path)
    if header.byte_order != "<":
        raise IdfError(f"{path} is no compressed .ply as its tools write it",
                       "text or big endian", CONVERT)
    there, offset, parts = path.stat().st_size, header.length, {}
    for element in header.elements:
        dtype = np.dtype([(n, "<" + t) for n, t in element.properties])
        if element.lists or element.name in parts:
            raise damaged(path, "compressed .ply", f"element `{element.name}`")
        if element.count * dtype.itemsize > there - offset:
            raise too_short(path, f"{element.count} of `{element.name}`", there)
        parts[element.name] = (dtype, element.count, offset)
        offset += element.count * dtype.itemsize
    arrays = {name: np.fromfile(path, d, c, offset=o) for name, (d, c, o) in parts.items()
              if name in ("chunk", "vertex", "sh")}
    chunk, vertex = arrays.get("chunk"), arrays.get("vertex")
    if chunk is None or vertex is None:
        raise damaged(path, "compressed .ply", f"only {', '.join(arrays)}")
    n, rest = len(vertex), arrays.get("sh")
    has = set(chunk.dtype.names or ())
    if not set(VERTEX) <= set(vertex.dtype.names) or not set(BOUNDS[:12]) <= has \
            or any(vertex.dtype[v] != "<u4" for v in VERTEX) \
            or not n or len(chunk) != -(-n // CHUNK) or rest is not None and len(rest) != n:
        raise damaged(path, "compressed .ply", f"{len(chunk)} chunks of {n} Gaussians, properties "
                      f"{', '.join(vertex.dtype.names)}"[:200])
    row = np.arange(n) // CHUNK

    def spread(kind: str, unit: np.ndarray) -> np.ndarray:
        low, high = (np.stack([chunk[f"{m}_{kind}{a}"] for a in "xyz"], 1)[row]
                     for m in ("min", "max"))
        return low * (1 - unit) + high * unit

    means = spread("", _three(vertex["packed_position"]))
    scales = spread("scale_", _three(vertex["packed_scale"]))
    color = vertex["packed_color"]
    rgb = np.stack([_part(color, shift, 8) for shift in (24, 16, 8)], axis=1)
    if "min_r" in has and set(BOUNDS) <= has:
        low, high = (np.stack([chunk[f"{m}_{a}"] for a in "rgb"], 1)[row] for m in ("min", "max"))
        rgb = low * (1 - rgb) + high * rgb
    sh = ((rgb - np.float32(0.5)) / np.float32(SH_C0))[:, None]
    if rest is not None:
        names = [f"f_rest_{i}" for i in range(len(rest.dtype.names or ()))]
        if len(names) not in (9, 24, 45) or set(names) != set(rest.dtype.names):
            raise damaged(path, "compressed .ply", f"{len(names)} properties in `sh`")
        byte = np.stack([rest[n_].astype(np.uint8) for n_ in names], axis=1)
        unit = np.where(byte == 0, 0, np.where(byte == 255, 1, (byte + np.float32(0.5)) / 256))
        f_rest = (8 * unit - 4).astype(np.float32).reshape(n, 3, -1).transpose(0, 2, 1)
        sh = np.concatenate([sh, f_rest], axis=1)
    return usable(path, means, scales, _unpacked_quats(vertex["packed_rotation"]),
                  logits(_part(color, 0, 8)), sh)


def _part(word: np.ndarray, shift: int, bits: int) -> np.ndarray:
    top = (1 << bits) - 1
    return (word >> np.uint32(shift) & np.uint32(top)).astype(np.float32) / np.float32(top)


def _three(word: np.ndarray) -> np.ndarray:
    return np.stack([_part(word, 21, 11), _part(word, 11, 10), _part(word, 0, 11)], axis=1)


def _unpacked_quats(word: np.ndarray) -> np.ndarray:
    largest, rows = (word >> np.uint32(30)).astype(np.intp), np.arange(len(word))
    small = np.stack([(_part(word, s, 10) - np.float32(0.5)) * ROOT2 for s in (20, 10, 0)], axis=1)
    out = np.zeros((len(word), 4), np.float32)
    for k in range(4):
        mine = largest == k
        out[np.ix_(mine, [i for i in range(4) if i != k])] = small[mine]
    out[rows, largest] = np.sqrt(np.maximum(0, 1 - (small**2).sum(axis=1)))
    return out


def write_packed(g: Gaussians, path: Path) -> None:
    """Write Gaussians, whose axes are `COLMAP` (+y down), as a compressed `.ply`."""
    order, n = morton_order(g.means), len(g)
    rgb = np.float32(SH_C0) * g.sh[order, 0] + np.float32(0.5)
    bounds, units = [], []
    for values in (g.means[order], np.clip(g.log_scales[order], FLAT, -FLAT), rgb):
        # the last Gaussian fills the last chunk up
        full = np.concatenate([values, np.repeat(values[-1:], -n % CHUNK, axis=0)])
        full = full.reshape(-1, CHUNK, 3)
        low, high = full.min(axis=1), full.max(axis=1)
        bounds += [low, high]
        span = np.where(high - low < 1e-5, 1, high - low)
        units.append(((full - low[:, None]) / span[:, None]).reshape(-1, 3)[:n])
    vertex = np.empty((n, 4), "<u4")
    for column, unit in ((0, units[0]), (2, units[1])):
        vertex[:, column] = _word(unit, (21, 11, 0), (11, 10, 11))
    vertex[:, 1] = _packed_quats(g.quats[order])
    rgba = np.concatenate([units[2], g.opacities[order, None]], axis=1)
    vertex[:, 3] = _word(rgba, (24, 16, 8, 0), (8, 8, 8, 8))
    names = "\n".join(f"property float {b}" for b in BOUNDS)
    rest = 3 * (g.sh.shape[1] - 1)
    header = ["ply", "format binary_little_endian 1.0", f"comment {axes_comment(COLMAP)}",
              f"element chunk {-(-n // CHUNK)}", names, f"element vertex {n}",
              *(f"property uint {v}" for v in VERTEX)]
    if rest:
        header += [f"element sh {n}", *(f"property uchar f_rest_{i}" for i in range(rest))]
    with open(path, "wb") as f:
        f.write("\n".join([*header, "end_header", ""]).encode("ascii", "backslashreplace"))
        f.write(np.concatenate(bounds, axis=1).astype("<f4").tobytes())
        f.write(vertex.tobytes())
        for _, some in g.blocks(order) if rest else ():
            byte = np.clip(np.floor((some.sh[:, 1:] / 8 + np.float32(0.5)) * 256), 0, 255)
            f.write(byte.astype(np.uint8).transpose(0, 2, 1).tobytes())


def _word(unit: np.ndarray, shifts, bits) -> np.ndarray:
    out = np.zeros(len(unit), np.uint32)
    for column, shift, width in zip(unit.T, shifts, bits, strict=True):
        top = (1 << width) - 1
        value = np.clip(np.floor(column * top + np.float32(0.5)), 0, top).astype(np.uint32)
        out |= value << np.uint32(shift)
    return out


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    q = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.abs(q).argmax(axis=1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    word = largest.astype(np.uint32)
    for i in range(4):
        rows = np.flatnonzero(largest != i)
        value = np.clip(np.floor((q[rows, i] / ROOT2 + 0.5) * 1023 + 0.5), 0, 1023)
        word[rows] = word[rows] << np.uint32(10) | value.astype(np.uint32)
    return word
