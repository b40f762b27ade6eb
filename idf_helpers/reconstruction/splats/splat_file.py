"""Splats as `.splat`: 32 bytes a Gaussian, as the web viewers after antimatter15/splat read them.

Record (little endian): position 3 x float32, scale 3 x float32 (standard deviations, not their
logarithms), color RGB and opacity 4 x uint8, rotation w, x, y, z 4 x uint8 as round(128 q + 128).
No header, no view-dependent color. A mark of origin stands in rows at the end that nobody sees
(`provenance.hidden_splats`); they are no Gaussians of the scene.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...provenance.hidden_splats import hidden_rows
from ...runtime.files import atomic_write, readable
from .gaussians import SH_C0, Gaussians
from .ply import check_values

RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def write_splat(gaussians: Gaussians, path) -> Path:
    """Write `gaussians`, the most visible (opacity x volume) first, as viewers that show a file
    while it loads expect it. Colors are cut to [0, 1]. Returns the path."""
    g = gaussians.checked()
    order = np.argsort(-g.opacities * np.exp(g.log_scales).prod(axis=1), kind="stable")
    path = Path(path)
    with atomic_write(path) as temporary, open(temporary, "wb") as f:
        for _, some in g.blocks(order):
            f.write(_records(some).tobytes())
    return path


def _records(g: Gaussians) -> np.ndarray:
    quats = g.quats / np.linalg.norm(g.quats, axis=1, keepdims=True)
    out = np.zeros(len(g), RECORD)
    out["mean"], out["scale"] = g.means, np.exp(g.log_scales)
    rgba = np.concatenate([0.5 + SH_C0 * g.sh[:, 0], g.opacities[:, None]], axis=1)
    out["rgba"] = np.clip(np.rint(255 * rgba), 0, 255)
    out["quat"] = np.clip(np.rint(128 * quats + 128), 0, 255)
    return out


def read_splat(path) -> Gaussians:
    """Return Gaussians of degree 0 from a `.splat`; an opacity of 0 or 255 is taken as half a step
    inside.

    Raises IdfError for a missing or empty file, one whose size is no multiple of 32 bytes, NaN,
    infinity, scales that are not positive, and rotations of length zero.
    """
    data = read_records(path)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(data["scale"])
    rgba = data["rgba"].astype(np.float32)
    alpha = np.clip(rgba[:, 3], 0.5, 254.5) / 255
    g = Gaussians(data["mean"], log_scales, (data["quat"].astype(np.float32) - 128) / 128,
                  np.log(alpha / (1 - alpha)), ((rgba[:, :3] / 255 - 0.5) / SH_C0)[:, None, :])
    return check_values(g, path)


def read_records(path) -> np.ndarray:
    """Return the records of a `.splat`, without those that hold a mark. IdfError: missing, empty,
    no multiple of 32 bytes."""
    path = Path(path)
    with readable(path, "splat file"):
        size = path.stat().st_size
        if size == 0 or size % RECORD.itemsize:
            raise IdfError(f"{path} is not a .splat file, or it is truncated", f"{size} bytes",
                           f"its size must be a multiple of {RECORD.itemsize}")
        data = np.fromfile(path, RECORD)
    return data[:len(data) - hidden_rows(data)]
