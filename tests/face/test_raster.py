"""The rasterizer against a per-pixel brute force in numpy, and its promises one by one."""

import numpy as np
import pytest

from idf_helpers.face.raster import rasterize


def brute_force(triangles, points, depth, attributes, height, width, origin, perspective):
    """Every pixel against every triangle, all in float64."""
    ys, xs = np.mgrid[:height, :width]
    center = np.stack([xs + 0.5 + origin[0], ys + 0.5 + origin[1]], -1)
    best = np.full((height, width), np.inf)
    ids = np.full((height, width), -1)
    attr = np.zeros((height, width, attributes.shape[1]))
    for t, tri in enumerate(triangles):
        M = np.vstack([points[tri].T.astype(float), np.ones(3)])
        b = np.concatenate([center, np.ones((height, width, 1))], -1) @ np.linalg.inv(M).T
        inside = (b >= 0).all(-1)
        z = depth[tri].astype(float)
        if perspective:
            b = b / z
            zp = 1 / b.sum(-1)
            b = b * zp[..., None]
        else:
            zp = b @ z
        win = inside & (zp < best)
        best[win], ids[win] = zp[win], t
        attr[win] = b[win] @ attributes[tri]
    return attr, ids, best


@pytest.mark.parametrize("perspective", [False, True])
def test_matches_brute_force(perspective):
    rng = np.random.default_rng(1)
    points = rng.uniform(-10, 60, (60, 2)).astype(np.float32)
    depth = rng.uniform(1, 9, 60).astype(np.float32)
    attributes = rng.normal(size=(60, 3)).astype(np.float32)
    triangles = rng.integers(0, 60, (40, 3))
    triangles = triangles[[len(set(t)) == 3 for t in triangles]]
    args = (triangles, points, depth, attributes, 37, 41, (3, 5), perspective)
    attr, ids, z = rasterize(*args)
    attr0, ids0, z0 = brute_force(*args)
    assert attr.dtype == np.float32 and ids.dtype == np.int32 and z.dtype == np.float32
    assert (ids0 >= 0).mean() > 0.5  # the comparison has something to compare
    same = ids == ids0
    assert same.mean() > 0.999  # a center within 1e-6 of an edge may fall either way
    np.testing.assert_allclose(attr[same], attr0[same], atol=2e-4)
    np.testing.assert_allclose(z[same], z0[same], rtol=1e-4)


def test_a_grid_has_no_holes_and_interpolates_position():
    n = 9
    rng = np.random.default_rng(0)
    gy, gx = np.mgrid[:n, :n]
    points = np.stack([gx, gy], -1).reshape(-1, 2) * 5.0
    inner = ((points > 0) & (points < 40)).all(1)
    points[inner] += rng.uniform(-1.5, 1.5, (inner.sum(), 2))
    q = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    halves = np.stack([q, q + 1, q + n], 1), np.stack([q + 1, q + n + 1, q + n], 1)
    triangles = np.concatenate(halves)
    attr, ids, _ = rasterize(triangles, points, np.ones(n * n), points, 40, 40)
    assert (ids >= 0).all()
    ys, xs = np.mgrid[:40, :40] + 0.5
    np.testing.assert_allclose(attr, np.stack([xs, ys], -1), atol=1e-3)


def test_centers_exactly_on_a_shared_edge_are_filled():
    points = np.array([[0.5, 0], [0.5, 8], [-6, 4], [7, 4]])  # the edge runs through column 0
    _, ids, _ = rasterize([[0, 1, 2], [0, 1, 3]], points, np.ones(4), points, 8, 8)
    assert (ids[:, 0] >= 0).all()


def test_the_nearer_triangle_wins_in_either_order():
    points = np.array([[0, 0], [20, 0], [0, 20]] * 2)
    depth = np.array([5, 5, 5, 2, 2, 2])
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 5, 4], [0, 2, 1]]):
        _, ids, z = rasterize(order, points, depth, depth[:, None], 10, 10)
        assert set(np.unique(ids)) == {int(order[0][0] == 0)}
        assert (z == 2).all()


def test_origin_shows_the_same_picture_through_a_window():
    rng = np.random.default_rng(3)
    points, depth = rng.uniform(0, 50, (30, 2)), rng.uniform(1, 3, 30)
    triangles = np.arange(30).reshape(10, 3)
    full = rasterize(triangles, points, depth, points, 50, 50, perspective=True)
    part = rasterize(triangles, points, depth, points, 20, 25, origin=(12, 9), perspective=True)
    for a, b in zip(full, part, strict=True):
        np.testing.assert_allclose(a[9:29, 12:37], b, rtol=1e-4, atol=1e-3)


def test_what_cannot_be_drawn_is_left_out():
    points = np.array([[0, 0], [9, 0], [0, 9], [np.nan, 1], [4, 4], [4, 4]], np.float32)
    depth = np.array([1, 1, -1, 1, 1, 1], np.float32)
    behind, broken, flat = [0, 1, 2], [0, 1, 3], [0, 4, 5]
    attr, ids, z = rasterize([behind, broken, flat], points, depth, points, 9, 9, perspective=True)
    assert (ids == -1).all() and np.isinf(z).all() and (attr == 0).all()
    _, ids, _ = rasterize(np.zeros((0, 3), int), points, depth, points, 4, 4)
    assert (ids == -1).all()


def test_a_wrong_vertex_number_is_refused():
    with pytest.raises(ValueError, match="outside 0..2"):
        rasterize([[0, 1, 3]], np.zeros((3, 2)), np.ones(3), np.zeros((3, 1)), 4, 4)
