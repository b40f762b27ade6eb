"""How far points lie from a mesh: the accuracy of a fitted face beside the true surface."""

from __future__ import annotations

import numpy as np

from idf_helpers.swapping.metrics import border_edges


def surface_distance(points, vertices, triangles) -> np.ndarray:
    """Return the distance of every point to the nearest place on a mesh, same unit as the points.

    points: (N, 3). vertices: (V, 3). triangles: (T, 3) int. Returns (N,) float64.
    Points whose nearest place lies on the mesh's open border get NaN: they lie beside the mesh,
    and their distance says nothing about the shape. Closest point by regions: Ericson, Real-Time
    Collision Detection (2005), section 5.1.5.
    """
    points, vertices = np.asarray(points, np.float64), np.asarray(vertices, np.float64)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    best = np.full(len(points), np.inf)
    where = np.zeros((len(points), 3))
    for s in range(0, len(points), 256):  # keeps the (N, T, 3) work arrays small
        p = points[s:s + 256, None]
        q = _closest_on_triangles(p, a, b, c)
        d = np.linalg.norm(p - q, axis=-1)
        k = d.argmin(1)
        best[s:s + 256] = d[np.arange(len(k)), k]
        where[s:s + 256] = q[np.arange(len(k)), k]
    e0, e1 = (vertices[e] for e in border_edges(triangles).T)
    u = e1 - e0
    for s in range(0, len(points), 256):
        w = where[s:s + 256, None] - e0
        t = np.clip((w * u).sum(-1) / np.maximum((u * u).sum(-1), 1e-30), 0, 1)
        gap = np.linalg.norm(w - t[..., None] * u, axis=-1).min(1)
        best[s:s + 256][gap < 1e-9 * np.ptp(vertices)] = np.nan
    return best


def _closest_on_triangles(p, a, b, c):
    ab, ac, ap = b - a, c - a, p - a
    n = np.cross(ab, ac)
    nn = np.maximum((n * n).sum(-1), 1e-30)
    # Barycentric weights of the foot of the perpendicular; inside where both and their rest >= 0.
    v = (np.cross(ap, ac) * n).sum(-1) / nn
    w = (np.cross(ab, ap) * n).sum(-1) / nn
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    foot = a + v[..., None] * ab + w[..., None] * ac
    best, dist = None, None
    for s, e in ((a, b), (b, c), (c, a)):
        d = e - s
        t = np.clip(((p - s) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-30), 0, 1)
        q = s + t[..., None] * d
        dq = ((p - q) ** 2).sum(-1)
        nearer = True if best is None else dq < dist
        best = q if best is None else np.where(nearer[..., None], q, best)
        dist = dq if dist is None else np.where(nearer, dq, dist)
    return np.where(inside[..., None], foot, best)
