"""The field itself: rows of numbers at the vertices of a sparse grid, and where it is empty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ...data.cameras import Camera
from ...kernels.compile import kernel
from .march import POSE
from .vertex_simd import empty_rows, gather, wide

START_RAW = -3.0  # of a new vertex: a voxel takes 5 % of the light
EMPTY_RAW = -4.6  # below it a voxel takes less than 1 % of the light: such cells are skipped
NO_ROW = -1
MAX_VERTICES = 150_000_000  # a cube of the finest setting and its margins


def check_vertices(vertices: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless they are different vertices of a grid (nx, ny, nz), none of them in
    its outermost layer, where kernels look for neighbors."""
    if not len(vertices) or vertices.min() < 0 or vertices.max() >= math.prod(shape):
        raise ValueError("vertices outside the grid")
    at = np.stack(np.unravel_index(vertices, shape), axis=1)
    if (at == 0).any() or (at == np.array(shape) - 1).any():
        raise ValueError("vertices in the outermost layer")
    if len(np.unique(vertices)) < len(vertices):
        raise ValueError("a vertex twice")


@dataclass(eq=False)
class VoxelGrid:
    """A sparse grid of cubic cells.

    origin: (3,) world position of vertex (0, 0, 0). voxel: edge of a cell in world units.
    slots: (nx, ny, nz) int32, the row of each vertex, -1 where there is none; the outermost layer
    is empty. vertices: (N,) int32, each row's vertex as an index into the flat `slots`, in bricks.
    params: (N, 16 or 32) float32, see `rows`: raw density, then red's (sh_degree + 1)²
    coefficients, green's, blue's. Color = Y(direction) · coefficients, 0.5 at the start.
    """

    origin: np.ndarray
    voxel: float
    slots: np.ndarray
    vertices: np.ndarray
    params: np.ndarray
    sh_degree: int

    @classmethod
    def from_mask(cls, mask: np.ndarray, origin, voxel: float, sh_degree: int) -> VoxelGrid:
        """Return the rows where `mask` (nx, ny, nz) is set (its outermost layer is cleared), as at
        a start."""
        vertices = _by_bricks(np.flatnonzero(_hollow_border(mask)), mask.shape)
        slots = np.full(mask.shape, NO_ROW, np.int32)
        slots.reshape(-1)[vertices] = np.arange(len(vertices), dtype=np.int32)
        params = empty_rows(len(vertices), sh_degree)
        params[:, 0] = START_RAW
        n = (sh_degree + 1) ** 2
        for c in range(3):
            params[:, 1 + c * n] = 0.5 / 0.28209479177387814  # Y_0
        return cls(np.asarray(origin, np.float64), float(voxel), slots, vertices, params, sh_degree)

    def __len__(self) -> int:
        return len(self.vertices)

    @property
    def wide(self) -> tuple:
        return wide(self.sh_degree)

    @property
    def nbytes(self) -> int:
        """Of the rows and the table of slots."""
        return self.params.nbytes + self.slots.nbytes + self.vertices.nbytes

    @cached_property
    def whole_cells(self) -> np.ndarray:
        """(nx, ny, nz) bool by their lowest vertex: cells whose eight corners have rows."""
        return _cells(self.slots >= 0, np.logical_and)

    def raw_density(self, missing: float = -20.0) -> np.ndarray:
        """Return (nx, ny, nz) float32 raw densities, `missing` where there is no row."""
        out = np.full(self.slots.size, missing, np.float32)
        out[self.vertices] = self.params[:, 0]
        return out.reshape(self.slots.shape)

    def occupied_cells(self) -> np.ndarray:
        """Return (nx, ny, nz) bool: whole cells with some density at a corner, and their neighbors.
        """
        cells = _cells(self.raw_density() > EMPTY_RAW, np.logical_or)
        return ndimage.binary_dilation(cells, np.ones((3, 3, 3))) & self.whole_cells

    def skip(self) -> np.ndarray:
        """Return (nx, ny, nz) uint8: cells to the nearest occupied one along the farthest axis (0 =
        in it), 255 at most."""
        occupied = self.occupied_cells()
        if not occupied.any():
            return np.full(self.slots.shape, 255, np.uint8)
        distance = ndimage.distance_transform_cdt(~occupied, "chessboard")
        return np.minimum(distance, 255).astype(np.uint8)

    def finer(self, allowed: np.ndarray | None = None) -> VoxelGrid:
        """Return the same field with cells half as long, where there are occupied cells.

        allowed: (2nx - 1, …) bool, vertices that may have a row (the finer visual hull). Density
        is kept per length: softplus(r') = softplus(r)/2.
        """
        cells = self.occupied_cells()
        shape = tuple(2 * n - 1 for n in self.slots.shape)
        mask = np.zeros(shape, bool)
        cells_only = cells[:-1, :-1, :-1]
        for d in np.ndindex(3, 3, 3):  # a cell's 27 new vertices
            part = mask[tuple(slice(k, n - 2 + k, 2) for k, n in zip(d, shape, strict=True))]
            part |= cells_only
        if allowed is not None:
            mask &= allowed
        out = VoxelGrid.from_mask(mask, self.origin, self.voxel / 2, self.sh_degree)
        _split_cells(self.wide, self.params, self.slots, np.flatnonzero(cells), out.params,
                     out.slots)
        raw = np.minimum(out.params[:, 0].astype(np.float64), 30.0)
        half = 0.5 * np.log1p(np.exp(raw))
        out.params[:, 0] = np.log(np.maximum(np.expm1(half), 1e-8))
        return out

    def pose(self, camera: Camera) -> np.ndarray:
        """Return (16,) float32: the camera in this grid's coordinates, see `march.POSE`."""
        out = np.empty(POSE, np.float32)
        out[:9] = camera.c2w[:3, :3].ravel()
        out[9:12] = (camera.position - self.origin) / self.voxel
        out[12:] = camera.fx, camera.fy, camera.cx, camera.cy
        return out

    def to_world(self, points) -> np.ndarray:
        return self.origin + self.voxel * np.asarray(points, np.float64)


def _by_bricks(vertices: np.ndarray, shape) -> np.ndarray:
    """Flat vertex numbers, rising, brick after brick of 4³: rows that a ray needs together then lie
    in one page of memory (a third less time a step)."""
    at = np.stack(np.unravel_index(vertices, shape))
    bricks = np.ravel_multi_index(at // 4, tuple(n // 4 + 1 for n in shape))
    return vertices[np.argsort(bricks, kind="stable")].astype(np.int32)


def _hollow_border(mask: np.ndarray) -> np.ndarray:
    out = np.zeros(mask.shape, bool)
    out[1:-1, 1:-1, 1:-1] = mask[1:-1, 1:-1, 1:-1]
    return out


def _cells(vertices: np.ndarray, combine) -> np.ndarray:
    """Of a property of vertices: all eight corners (logical_and) or any (logical_or), by cell."""
    out = np.zeros(vertices.shape, bool)
    a = vertices
    for axis in range(3):
        n = a.shape[axis]
        a = combine(a.take(range(n - 1), axis), a.take(range(1, n), axis))
    out[:-1, :-1, :-1] = a
    return out


@kernel
def _split_cells(wide, params, slots, cells, new_params, new_slots):
    """Interpolates the 27 new vertices of every old cell in `cells` (flat numbers)."""
    nx, ny, nz = slots.shape
    for cell in cells:
        x, y, z = cell // (ny * nz), cell // nz % ny, cell % nz
        for dx in range(3):
            for dy in range(3):
                for dz in range(3):
                    row = new_slots[2 * x + dx, 2 * y + dy, 2 * z + dz]
                    if row >= 0:
                        gather(wide, params, slots, cell, np.float32(0.5) * np.float32(dx),
                               np.float32(0.5) * np.float32(dy), np.float32(0.5) * np.float32(dz),
                               new_params, row)
