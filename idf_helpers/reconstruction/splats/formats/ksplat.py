"""Splats of mkkellogg's web viewer, `.ksplat`: read only.

After mkkellogg/GaussianSplats3D, src/loaders/SplatBuffer.js (MIT) and the reader of
playcanvas/splat-transform. A header of 4096 bytes, headers of sections of 1024, then the sections:
lengths of half-filled buckets, centers of buckets, records. Compression 0 stores floats; 1 and 2
store positions as 16 bits from the center of a bucket of Gaussians, scales and rotations as halves,
and harmonics as halves or bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ....runtime.files import readable
from ..gaussians import SH_C0
from .splat_model import SplatModel, damaged, logits, too_short, usable

HEADER, SECTION = 4096, 1024
MAX_SECTIONS = 4096
HARMONICS = (0, 9, 24, 45)
# of the levels 0, 1, 2: types of position, scale and rotation, harmonics; range of a position
LEVELS = (("<f4", "<f4", "<f4", 1), ("<u2", "<f2", "<f2", 32767), ("<u2", "<f2", "u1", 32767))


def looks_like(head: bytes) -> bool:
    """Return whether the first bytes are those of a `.ksplat`: it has no magic number."""
    if len(head) < HEADER or head[0] != 0 or not 1 <= head[1] <= 9:
        return False
    most, sections, _, splats, level = struct.unpack_from("<4IH", head, 4)
    return 0 < sections <= most <= MAX_SECTIONS and splats > 0 and level <= 2


def read_ksplat(path: Path) -> SplatModel:
    """Return the Gaussians of a `.ksplat` of version 0.1 on, of all its sections.

    IdfError: another version, truncated, damaged. Sizes are checked before memory is taken.
    """
    size = 0
    with readable(path, "splat file"):
        size = path.stat().st_size
        with open(path, "rb") as f:
            head = f.read(HEADER)
    if not looks_like(head):
        raise damaged(path, ".ksplat", f"a header of {head[:4].hex(' ')}, {size} bytes")
    most, _, _, splats, level = struct.unpack_from("<4IH", head, 4)
    low, high = struct.unpack_from("<2f", head, 36)
    at = HEADER + most * SECTION
    if at > size:
        raise too_short(path, f"{most} sections", size)
    parts, total = [], 0
    with open(path, "rb") as f:
        for i in range(most):
            f.seek(HEADER + i * SECTION)
            part, length = _section(path, f, f.read(SECTION), at, size, level,
                                    (low or -1.5, high or 1.5))
            at += length
            if part is not None:
                parts.append(part)
                total += len(part[0])
    if total != splats:
        raise damaged(path, ".ksplat", f"{total} Gaussians in the sections, {splats} announced")
    bases = max(p[4].shape[1] for p in parts)
    columns = [np.concatenate(c) for c in list(zip(*parts, strict=True))[:4]]
    sh = np.concatenate([np.pad(p[4], ((0, 0), (0, bases - p[4].shape[1]), (0, 0))) for p in parts])
    return usable(path, *columns, sh)


def _section(path: Path, f, head: bytes, at: int, size: int, level: int, span):
    """Return the arrays of one section (None where it is empty), and its length in bytes."""
    count, most, bucket, buckets, block, storage = struct.unpack_from("<4IfH", head)
    reach, _, full, partial = struct.unpack_from("<4I", head, 24)
    degree = struct.unpack_from("<H", head, 40)[0]
    center, real, harmonic, usual = LEVELS[level]
    if degree > 3 or count > most:
        raise damaged(path, ".ksplat", f"a section of degree {degree}, {count} of {most} Gaussians")
    record = np.dtype([("mean", center, 3), ("scale", real, 3), ("quat", real, 4),
                       ("rgba", "u1", 4), ("sh", harmonic, HARMONICS[degree])])
    before = 4 * partial + storage * buckets
    length = before + record.itemsize * most
    if length > size - at:
        raise too_short(path, f"a section of {length} bytes", size)
    if not count:
        return None, length
    f.seek(at)
    lengths = np.frombuffer(f.read(4 * partial), "<u4")
    centers = np.frombuffer(f.read(storage * buckets), np.uint8)
    data = np.frombuffer(f.read(record.itemsize * count), record)
    means = data["mean"].astype(np.float32)
    if level:
        filled = np.concatenate([np.full(min(full, buckets), bucket, np.int64), lengths])
        ends = np.cumsum(filled)
        which = np.searchsorted(ends, np.arange(count), side="right")
        if storage < 12 or full > buckets or which[-1] >= buckets:
            raise damaged(path, ".ksplat", f"{count} Gaussians in {buckets} buckets")
        middle = centers.reshape(buckets, storage)[:, :12].copy().view("<f4")
        reach = reach or usual
        means = (means - reach) * np.float32(block / 2 / reach) + middle[which]
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = np.log(data["scale"].astype(np.float32))
    rgba = data["rgba"].astype(np.float32) / 255
    sh = [((rgba[:, :3] - np.float32(0.5)) / np.float32(SH_C0))[:, None]]
    values = data["sh"].astype(np.float32)
    if harmonic == "u1":
        values = span[0] + values / 255 * (span[1] - span[0])
    done = 0
    for l in range(1, degree + 1):  # of each degree all red ones, then green, then blue
        width = 3 * (2 * l + 1)
        sh.append(values[:, done:done + width].reshape(count, 3, -1).transpose(0, 2, 1))
        done += width
    return (means, scales, data["quat"].astype(np.float32), logits(rgba[:, 3]),
            np.concatenate(sh, axis=1)), length
