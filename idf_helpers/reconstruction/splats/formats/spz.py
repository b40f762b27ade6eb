"""Splats as `.spz` (Niantic): versions 2, 3 and 4 read, 4 written.

After the format's own library (https://github.com/nianticlabs/spz, README.md, src/cc/load-spz.cc
and extensions/README.md, MIT). Its packages for Python come without wheels or without version 4,
and take memory as a header asks for it.
    Version 4: a header of 32 bytes, records (u32 type, u32 length, payload) up to the table of
    contents, that table (u64 packed, u64 unpacked, one row a stream), then one zstd stream each for
    positions (24-bit fixed point), alphas, colors, scales (log, sixteenths above -10), rotations
    (smallest three of x, y, z, w: 2 + 3 x 10 bits) and harmonics. Versions 2 and 3: a header of 16
    bytes and the same arrays in one gzip stream; version 2 holds x, y, z of a rotation in 8 bits.
Axes are RUB (+y up, +z to the viewer) unless a record says otherwise. splat-transform from its
version 3 on writes them unturned from a .ply, which no field tells: only a record makes the axes
certain.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from ....errors import IdfError
from ....provenance.reading import SPZ_MARK, spz_records
from ....runtime.files import readable
from ..gaussians import Gaussians
from .axes import Axes
from .order import morton_order
from .splat_model import DRAWN_BOLDER, Orbit, SplatModel, damaged, logits, too_short, usable
from .turn import mirrored
from .zstd import packed, unpacked

MAGIC, GZIP = b"NGSP", b"\x1f\x8b"
HEADER = struct.Struct("<4sIIBBBB")  # magic, version, count, degree, fraction, flags, streams
ANTIALIASED, HAS_RECORDS = 1, 2  # of the flags
ORBIT, AXES = 0xADBE0002, 0xADBE0003  # record types of Adobe
COLOR_SCALE = 0.15
COEFFICIENTS = (0, 3, 8, 15, 24)  # a color channel, by degree
MAX_POINTS = 1 << 28
SURELY = 12  # fraction bits that are enough for all: those of the library
SH_BITS = (5, 4)  # of degree 1, of higher ones; the library's default is 5 and 4
RUB = 4  # of the sixteen systems that a record can name: (bits x, y, z) + 1, then Z-up ones
AXES_RECORD = struct.pack("<III", AXES, 4, RUB)


def read_spz(path: Path) -> SplatModel:
    """Return the Gaussians of a `.spz`; harmonics of degree 4 are cut to 3, which is said.

    IdfError: another version, truncated, damaged, or a stream that unpacks to more than its header
    says. No stream is unpacked before its size is known to fit.
    """
    with readable(path, "splat file"), open(path, "rb") as f:
        legacy = f.read(2) == GZIP
        f.seek(0)
        arrays, header, records = (_legacy if legacy else _streams)(path, f)
    _, version, n, degree, fraction, _, _ = header
    try:
        axes, mirror, orbit = _records(records)
    except struct.error:
        raise damaged(path, ".spz", "a record that ends before its length says") from None
    positions, alphas, colors, scales, rotations, sh = (np.frombuffer(a, np.uint8) for a in arrays)
    low = positions.reshape(n, 3, 3).astype(np.int32)
    fixed = low[..., 0] | low[..., 1] << 8 | low[..., 2] << 16
    means = ((fixed ^ 0x800000) - 0x800000).astype(np.float32) / np.float32(2.0**fraction)
    quats = _first_three(rotations) if version == 2 else _smallest_three(rotations.view("<u4"))
    rgb = (colors.reshape(n, 3) / np.float32(255) - np.float32(0.5)) / np.float32(COLOR_SCALE)
    count = COEFFICIENTS[degree]
    rest = (sh.reshape(n, count, 3)[:, :15].astype(np.float32) - 128) / 128
    model = usable(path, means, scales.reshape(n, 3) / np.float32(16) - 10, quats,
                   logits(alphas / np.float32(255)), np.concatenate([rgb[:, None], rest], axis=1))
    if header[5] & ANTIALIASED:
        model.notes.append(DRAWN_BOLDER)
    if degree == 4:
        model.notes.append("view-dependent color of degree 4 was cut to degree 3")
    if mirror:
        model.gaussians = mirrored(model.gaussians)
    model.axes, model.orbit = axes, orbit
    model.of_cameras = any(kind == SPZ_MARK for kind, _ in spz_records(records))
    return model


def _streams(path: Path, f) -> tuple[list[bytes], tuple, bytes]:
    """Return the six arrays of version 4, the header, and its records."""
    size = path.stat().st_size
    head = f.read(32)
    if len(head) < 32 or head[:4] != MAGIC:
        raise IdfError(f"{path} is not a .spz file", f"it begins with {head[:8]!r}",
                       "give a file of a splat tool")
    header, toc = HEADER.unpack_from(head), int.from_bytes(head[16:20], "little")
    sizes = _sizes(path, header, {4})
    streams = header[6]
    wanted = [s for s in sizes if s]
    if streams != len(wanted):
        raise damaged(path, ".spz", f"{streams} streams, {len(wanted)} expected")
    if not 32 <= toc <= size - 16 * streams:
        raise too_short(path, f"a table at byte {toc}", size)
    records = f.read(toc - 32) if header[5] & HAS_RECORDS else b""
    f.seek(toc)
    table = struct.unpack(f"<{2 * streams}Q", f.read(16 * streams))
    if sum(table[::2]) > size - toc - 16 * streams:
        raise too_short(path, f"{sum(table[::2])} bytes of streams", size - toc - 16 * streams)
    if list(table[1::2]) != wanted:
        raise damaged(path, ".spz", f"streams of {table[1::2]} bytes, {wanted} expected")
    given = iter([unpacked(f.read(p), u, path) for p, u in zip(table[::2], wanted, strict=True)])
    return [next(given) if s else b"" for s in sizes], header, records


def _legacy(path: Path, f) -> tuple[list[bytes], tuple, bytes]:
    """Return the same of versions 2 and 3; the stream is read no further than its header says."""
    try:
        with gzip.GzipFile(fileobj=f) as stream:
            head = stream.read(16)
            if len(head) < 16 or head[:4] != MAGIC:
                raise IdfError(f"{path} is not a .spz file", "a gzip file of something else",
                               "give a file of a splat tool")
            header = HEADER.unpack(head)
            sizes = _sizes(path, header, {2, 3})
            # deflate packs at most 1032 to 1: a larger count cannot be true
            if sum(sizes) > 1032 * path.stat().st_size:
                raise too_short(path, f"{sum(sizes)} bytes", path.stat().st_size)
            arrays = [stream.read(s) for s in sizes]
            records = stream.read(1 << 16)  # at the end of the stream its checksum is compared
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, ".spz", str(error)) from None
    if any(len(a) != s for a, s in zip(arrays, sizes, strict=True)):
        raise too_short(path, f"{sum(sizes)} bytes", sum(map(len, arrays)))
    return arrays, header, records if header[5] & HAS_RECORDS else b""


def _sizes(path: Path, header: tuple, versions: set[int]) -> list[int]:
    """Return the bytes of the six arrays; IdfError where the header makes no sense."""
    magic, version, n, degree, fraction, _, _ = header
    if version not in versions:
        raise IdfError(f"{path} is a .spz of version {version}", "2, 3 and 4 can be read",
                       "export it as version 3 or 4, or as .ply")
    if not 0 < n <= MAX_POINTS or degree > 4 or fraction > 23:
        raise damaged(path, ".spz", f"{n} Gaussians of degree {degree}, {fraction} fraction bits")
    return [9 * n, n, 3 * n, 3 * n, (3 if version == 2 else 4) * n, 3 * COEFFICIENTS[degree] * n]


def _records(data: bytes) -> tuple[Axes | None, bool, Orbit | None]:
    axes, mirror, orbit = None, False, None
    for kind, payload in spz_records(data):
        if kind == AXES and len(payload) == 4:
            axes, mirror = _axes(struct.unpack("<I", payload)[0])
        elif kind == ORBIT and len(payload) == 12:
            orbit = Orbit.of(struct.unpack("<3f", payload))
    return axes, mirror, orbit


def _axes(system: int) -> tuple[Axes | None, bool]:
    """Return the axes of a system's number, and whether it is left-handed.

    Its bits: x is right, y is up, z is front; from 9 on z is up, and y is back.
    """
    if not 1 <= system <= 16:
        return None, False
    right, up, away = (1.0 if (system - 1) >> bit & 1 else -1.0 for bit in range(3))
    axes = Axes((0.0, 0.0, up), (0.0, away, 0.0)) if system > 8 else Axes((0.0, up, 0.0),
                                                                          (0.0, 0.0, -away))
    return axes, right * np.cross(axes.up, axes.front)[0] < 0


def _first_three(data: np.ndarray) -> np.ndarray:
    xyz = data.reshape(-1, 3) / np.float32(127.5) - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1, keepdims=True)))
    return np.concatenate([w, xyz], axis=1)


def _smallest_three(word: np.ndarray) -> np.ndarray:
    largest, n = (word >> 30).astype(np.intp), len(word)
    xyzw, rest = np.zeros((n, 4), np.float32), word.copy()
    for i in (3, 2, 1, 0):
        rows = np.flatnonzero(largest != i)
        value = (rest[rows] & 511) * np.float32(0.5**0.5 / 511)
        xyzw[rows, i] = np.where(rest[rows] >> 9 & 1, -value, value)
        rest[rows] >>= 10
    xyzw[np.arange(n), largest] = np.sqrt(np.maximum(0, 1 - (xyzw**2).sum(axis=1)))
    return xyzw[:, [3, 0, 1, 2]]


def write_spz(g: Gaussians, path: Path, orbit: Orbit | None = None) -> None:
    """Write Gaussians, whose axes are `GLTF` (RUB), as version 4 with a record that says so.

    Positions keep as many fraction bits as the farthest Gaussian leaves, at most what a hundredth
    of the middle Gaussian's size needs. IdfError where not even a quarter of it is left.
    """
    order, n = morton_order(g.means), len(g)
    far = float(np.abs(g.means).max())
    size = float(np.median(g.log_scales)) / np.log(2)  # as a power of two
    room = np.floor(np.log2(8388607 / max(far, 1e-9)))
    fraction = int(np.clip(min(np.ceil(-size + np.log2(100)), room), 0, 22))
    if room < 0 or fraction < min(-size + 2, SURELY):
        raise IdfError("A .spz cannot hold places this far apart",
                       f"the farthest Gaussian is {far:.3g} from the origin, half of all are "
                       f"smaller than {2**size:.3g}", "crop it (--crop), or write a .sog")
    bytes_, alphas, colors, scales = (np.empty((n, k), np.uint8) for k in (9, 1, 3, 3))
    rotations, rest = np.empty(n, "<u4"), np.empty((n, g.sh.shape[1] - 1, 3), np.uint8)
    for part, some in g.blocks(order):
        fixed = np.clip(np.rint(some.means * np.float32(2.0**fraction)), -8388608, 8388607)
        cells = fixed.astype("<i4").view(np.uint8).reshape(len(some), 3, 4)
        bytes_[part] = cells[..., :3].reshape(-1, 9)
        alphas[part, 0] = _bytes(255 * some.opacities)
        colors[part] = _bytes(255 * (COLOR_SCALE * some.sh[:, 0] + np.float32(0.5)))
        scales[part] = _bytes(16 * (some.log_scales + 10))
        rotations[part] = _packed_quats(some.quats)
        for first, last, bits in ((0, 3, SH_BITS[0]), (3, 15, SH_BITS[1])):
            step = 1 << (8 - bits)  # 0 stays the middle of a step
            values = np.rint(some.sh[:, 1 + first:1 + last] * np.float32(128 / step)) * step + 128
            rest[part, first:last] = np.clip(values, 0, 255)
    streams = [bytes_, alphas, colors, scales, rotations, *([rest] if g.sh_degree else [])]
    records = AXES_RECORD
    if orbit:
        records += struct.pack("<II3f", ORBIT, 12, orbit.low, orbit.high, orbit.nearest)
    data = [packed(s) for s in streams]
    toc = 32 + len(records)
    with open(path, "wb") as f:
        f.write(HEADER.pack(MAGIC, 4, n, g.sh_degree, fraction, HAS_RECORDS, len(streams)))
        f.write(struct.pack("<I12x", toc) + records)
        f.write(b"".join(struct.pack("<QQ", len(d), s.nbytes)
                         for d, s in zip(data, streams, strict=True)))
        f.writelines(data)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    """Return (N,) uint32: the number of the largest of x, y, z, w, then sign and 9 bits each of the
    others."""
    q = quats[:, [1, 2, 3, 0]] / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.abs(q).argmax(axis=1)
    q *= np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    word = largest.astype(np.uint32)
    for i in range(4):
        rows = np.flatnonzero(largest != i)
        size = np.minimum(np.rint(np.abs(q[rows, i]) * (511 * 2**0.5)), 511).astype(np.uint32)
        word[rows] = word[rows] << 10 | (q[rows, i] < 0).astype(np.uint32) << 9 | size
    return word
