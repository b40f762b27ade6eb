"""A z-buffered triangle rasterizer for small meshes, in numba.

It serves the face swap: a few hundred triangles drawn into the box around a face, with any number
of values interpolated over them (texture coordinates, facing, colors).
"""

from __future__ import annotations

import numpy as np

from ..kernels.compile import exact_kernel


def rasterize(triangles, points, depth, attributes, height: int, width: int,
              origin=(0, 0), perspective: bool = False):
    """Draw triangles into a (height, width) window, the nearest one winning in every pixel.

    triangles: (T, 3) int vertex numbers, either winding (cull before, where that is wanted).
    points: (V, 2) pixels, center of the first pixel at (0.5, 0.5).
    depth: (V,) distance along the optical axis, smaller is nearer. Triangles with a vertex that is
        not finite are left out; with `perspective` also those with a depth <= 0.
    attributes: (V, A) values to interpolate.
    origin: (x, y) of the window's first pixel, for drawing only a box of a picture.
    perspective: interpolate a/z and 1/z, which is right for values that live on the surface of
        a mesh seen by a pinhole camera; False interpolates linearly in the picture.

    Returns attr (H, W, A) float32 (0 where nothing is drawn), triangle_id (H, W) int32
    (-1 where nothing is drawn), zbuf (H, W) float32 (inf where nothing is drawn).

    A pixel belongs to a triangle when its center lies inside or on an edge, so neighbors leave
    no hole between them; a center on a shared edge goes to the nearer, else to the first triangle.
    """
    triangles = np.array(triangles, np.int32).reshape(-1, 3)  # a read-only one compiles again
    points = np.ascontiguousarray(points, np.float32).reshape(-1, 2)
    depth = np.ascontiguousarray(depth, np.float32).reshape(-1)
    attributes = np.ascontiguousarray(attributes, np.float32).reshape(len(points), -1)
    if len(depth) != len(points):
        raise ValueError(f"{len(points)} points but {len(depth)} depths")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= len(points)):
        raise ValueError(f"a triangle names a vertex outside 0..{len(points) - 1}")
    attr = np.zeros((height, width, attributes.shape[1]), np.float32)
    ids = np.full((height, width), -1, np.int32)
    zbuf = np.full((height, width), np.inf, np.float32)
    _fill(triangles, points, depth, attributes, float(origin[0]), float(origin[1]),
          bool(perspective), attr, ids, zbuf)
    return attr, ids, zbuf


@exact_kernel
def _fill(triangles, points, depth, attributes, ox, oy, perspective, attr, ids, zbuf):
    height, width = ids.shape
    n_attr = attributes.shape[1]
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[i, 0] - ox, points[i, 1] - oy
        bx, by = points[j, 0] - ox, points[j, 1] - oy
        cx, cy = points[k, 0] - ox, points[k, 1] - oy
        za, zb, zc = np.float64(depth[i]), np.float64(depth[j]), np.float64(depth[k])
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)  # twice the signed area
        if not (np.isfinite(area) and np.isfinite(za + zb + zc)) or abs(area) < 1e-9:
            continue
        if perspective and (za <= 0 or zb <= 0 or zc <= 0):
            continue
        # Pixel column c has its center at c + 0.5.
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5 - 1e-6)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5 + 1e-6)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5 - 1e-6)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5 + 1e-6)))
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                # Barycentric weights: the part of the area that each edge spans with the center.
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                wc = 1.0 - wa - wb
                # The tolerance closes hairline gaps that rounding opens along shared edges.
                if wa < -1e-7 or wb < -1e-7 or wc < -1e-7:
                    continue
                if perspective:
                    # z = 1 / sum(b_i / z_i),  a = z * sum(b_i a_i / z_i)
                    wa, wb, wc = wa / za, wb / zb, wc / zc
                    z = 1.0 / (wa + wb + wc)
                    wa, wb, wc = wa * z, wb * z, wc * z
                else:
                    z = wa * za + wb * zb + wc * zc
                if z < zbuf[y, x]:
                    zbuf[y, x] = z
                    ids[y, x] = t
                    for a in range(n_attr):
                        attr[y, x, a] = (wa * attributes[i, a] + wb * attributes[j, a]
                                         + wc * attributes[k, a])
