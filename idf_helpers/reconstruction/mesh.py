"""A triangle mesh of a scene: naive surface nets (Gibson, "Constrained Elastic Surface Nets", 1998)
of the surface that its depth pictures agree on.

One vertex for each cell that the surface passes, at the mean of the crossings of its edges; one
quad for each grid edge that it crosses, between the four cells around that edge. No case table,
no slivers; the mesh is closed where the surface stays inside the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from ..runtime.settings import check_range
from .surface import fuse, rendered_views, seen_colors, slope_of, volume_around


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices (V, 3) float32 world units, normals (V, 3) float32 unit, outward, colors (V, 3)
    float32 in [0, 1] (sRGB, as pictures), triangles (T, 3) int32, counter-clockwise from outside.
    """

    vertices: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    triangles: np.ndarray


def surface_nets(volume: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (V, 3) float vertices in grid units and (T, 3) int32 triangles of the surface at
    `level` of a volume (nx, ny, nz) that is larger inside. IdfError where nothing crosses it."""
    inside = volume > level
    cells = tuple(n - 1 for n in volume.shape)
    total, count = np.zeros((*cells, 3), np.float32), np.zeros(cells, np.int32)
    corners = [np.array(c) for c in np.ndindex(2, 2, 2)]

    def corner(a, c):
        return a[tuple(slice(k, k + n) for k, n in zip(c, cells, strict=True))]

    for a in corners:
        for axis in range(3):
            if a[axis]:
                continue
            b = a + np.eye(3, dtype=int)[axis]
            crossed = np.nonzero(corner(inside, a) != corner(inside, b))
            va, vb = corner(volume, a)[crossed], corner(volume, b)[crossed]
            # where the edge from a to b meets the level
            where = np.tile(a.astype(np.float32), (len(va), 1))
            where[:, axis] += (level - va) / (vb - va)
            total[crossed] += where
            count[crossed] += 1
    at = np.nonzero(count)
    if not len(at[0]):
        raise IdfError("There is no surface in this field", f"nothing crosses {level:g}",
                       "train it longer, or take another level")
    vertices = np.stack(at, axis=1) + total[at] / count[at][:, None]
    index = np.full(cells, -1, np.int32)
    index[at] = np.arange(len(vertices), dtype=np.int32)
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        # edges along `axis` that have cells on all four sides
        low = [slice(1, n - 1) for n in volume.shape]
        low[axis] = slice(0, volume.shape[axis] - 1)
        high = list(low)
        high[axis] = slice(1, volume.shape[axis])
        first, second = inside[tuple(low)], inside[tuple(high)]
        for crossed, outward in ((first & ~second, True), (~first & second, False)):
            edge = np.stack(np.nonzero(crossed), axis=1) + np.array([s.start for s in low])
            around = []
            for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0)):  # counter-clockwise seen from +axis
                cell = edge.copy()
                cell[:, u] -= 1 - du
                cell[:, v] -= 1 - dv
                around.append(index[tuple(cell.T)])
            quad = np.stack(around, axis=1)
            quads.append(quad if outward else quad[:, ::-1])
    quads = np.concatenate(quads)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def extract_mesh(scene, cells: int = 128, views: int = 40, largest: float = 0.01) -> Mesh:
    """Return the surface that a scene's depth pictures agree on.

    scene: any `Scene` with `cameras`. cells: along the longest side of the volume, 16 to 512.
    views: cameras of the scene that are rendered, evenly chosen. largest: loose parts with a
    smaller share of the triangles than this are left out. IdfError: no surface.
    """
    check_range("cells", cells, 16, 512)
    seen = rendered_views(scene, views)
    origin, voxel, shape = volume_around(seen, cells)
    volume = np.pad(fuse(seen, origin, voxel, shape), 1, constant_values=-1)
    vertices, triangles = surface_nets(volume, 0.0)
    vertices, triangles = _without_crumbs(vertices, triangles, largest)
    normals = slope_of(volume, vertices, 1.0)
    vertices = (origin + voxel * (vertices - 1)).astype(np.float32)
    return Mesh(vertices, normals, seen_colors(seen, vertices, normals, 2 * voxel), triangles)


def _without_crumbs(vertices, triangles, share: float):
    """Without connected parts of less than `share` of all triangles, and without loose vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges), np.int8), edges.T), shape=(len(vertices),) * 2)
    _, part = connected_components(graph, directed=False)
    size = np.bincount(part[triangles[:, 0]], minlength=part.max() + 1)
    triangles = triangles[size[part[triangles[:, 0]]] >= share * len(triangles)]
    used, triangles = np.unique(triangles, return_inverse=True)
    return vertices[used], triangles.reshape(-1, 3).astype(np.int32)
