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
from ...runtime.npz import fit, read_arrays
from .grid import MAX_VERTICES, VoxelGrid, check_vertices

VERSION = 2  # 1 called the colors "colour"
SCHEMA = {"version": "iu", "shape": "iu 3", "vertices": "iu V", "density": "f! V",
          "color?": "f! V 3 K", "origin": "f! 3", "voxel": "f!"}
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
    do = "delete its folder and run `idf nerf` again"
    a = read_arrays(path, SCHEMA, "field", do)
    if "color" not in a and "colour" in a:
        a["color"] = a.pop("colour")
    try:
        fit(a, SCHEMA | {"color": "f! V 3 K"})
    except ValueError as error:
        raise IdfError(f"The field {path} is damaged", str(error)[:120], do) from None
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
    if shape.min() < 4 or np.prod(shape.astype(float)) > MAX_VERTICES:
        wrong = f"shape {shape.tolist()}"
    elif (vertices[1:] <= vertices[:-1]).any():
        wrong = "the list of vertices"
    elif color.shape[2] not in (1, 4, 9):
        wrong = f"colors {color.shape}"
    elif not (0 < float(a["voxel"]) < 1e30 and np.abs(a["origin"]).max() < 1e30):
        wrong = "numbers that are not finite"
    else:
        try:
            check_vertices(vertices, tuple(int(n) for n in shape))
        except ValueError as error:
            wrong = str(error)
    if wrong:
        raise IdfError(f"The field {path} is damaged", wrong,
                       "delete its folder and run `idf nerf` again")
