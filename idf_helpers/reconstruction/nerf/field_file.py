"""A voxel field on disk: one compressed .npz, half precision, versioned.

version (int), shape (3,) int, vertices (N,) int32 rising, density (N,) float16, color (N, 3,
(d + 1)²) float16, origin (3,) float64, voxel float64: see `grid.VoxelGrid`.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...runtime.files import write_bytes
from ...runtime.npz import read_arrays
from .grid import VoxelGrid

VERSION = 2  # 1 called the colors "colour"
MAX_VERTICES = 1024**3
RAW_LIMIT = 60.0  # beyond it a step is opaque or empty in any precision


def write_field(grid: VoxelGrid, path) -> None:
    """Write a field, atomically."""
    n = (grid.sh_degree + 1) ** 2
    rising = np.argsort(grid.vertices)
    color = grid.params[rising, 1:1 + 3 * n].reshape(-1, 3, n)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, version=VERSION, shape=np.array(grid.slots.shape), vertices=grid.vertices[rising],
        density=np.clip(grid.params[rising, 0], -RAW_LIMIT, RAW_LIMIT).astype(np.float16),
        color=np.clip(color, -6e4, 6e4).astype(np.float16), origin=grid.origin, voxel=grid.voxel)
    write_bytes(path, buffer.getvalue())


def read_field(path) -> VoxelGrid:
    """Return the field of a file. IdfError: missing, damaged, of a newer version, or arrays that do
    not fit each other."""
    path = Path(path)
    if not path.is_file():
        raise IdfError(f"The field {path} does not exist", "no such file",
                       "give the folder named with --out when `idf nerf` ran")
    names = ("version", "shape", "vertices", "density", "color", "origin", "voxel")
    try:
        data = read_arrays(path)
        first = {"color": "colour"} if "colour" in data else {}
        a = {name: data[first.get(name, name)] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise IdfError(f"The field {path} is damaged", str(error)[:120],
                       "delete its folder and run `idf nerf` again") from None
    if int(a["version"]) not in (1, VERSION):
        raise IdfError(f"The field {path} is of a newer version", f"{int(a['version'])}",
                       f"this program reads versions up to {VERSION}: update it")
    _check(path, a)
    shape, vertices, color = tuple(int(n) for n in a["shape"]), a["vertices"], a["color"]
    n = color.shape[2]
    mask = np.zeros(shape, bool)
    mask.reshape(-1)[vertices] = True
    grid = VoxelGrid.from_mask(mask, a["origin"], float(a["voxel"]), math.isqrt(n) - 1)
    order = np.searchsorted(vertices, grid.vertices)
    grid.params[:, 0] = a["density"][order]
    grid.params[:, 1:1 + 3 * n] = color[order].reshape(len(order), -1)
    return grid


def _check(path: Path, a: dict[str, np.ndarray]) -> None:
    """Everything that the kernels rely on: they do not look at bounds."""
    shape, vertices, color = a["shape"], a["vertices"], a["color"]
    wrong = None
    if shape.shape != (3,) or shape.min() < 4 or np.prod(shape.astype(float)) > MAX_VERTICES:
        wrong = f"shape {shape.tolist()}"
    elif vertices.ndim != 1 or not len(vertices) or vertices.dtype.kind not in "iu" \
            or vertices[0] < 0 or vertices[-1] >= np.prod(shape) or (np.diff(vertices) <= 0).any():
        wrong = "the list of vertices"
    elif color.shape not in [(len(vertices), 3, n) for n in (1, 4, 9)] \
            or a["density"].shape != vertices.shape:
        wrong = f"colors {color.shape} and densities {a['density'].shape}"
    elif not (np.isfinite(a["density"]).all() and np.isfinite(color).all()
              and np.isfinite(a["origin"]).all() and a["origin"].shape == (3,)
              and 0 < float(a["voxel"]) < 1e30):
        wrong = "numbers that are not finite"
    else:
        at = np.stack(np.unravel_index(vertices, tuple(shape)), axis=1)
        if (at == 0).any() or (at == shape - 1).any():
            wrong = "vertices in the outermost layer"
    if wrong:
        raise IdfError(f"The field {path} is damaged", wrong,
                       "delete its folder and run `idf nerf` again")
