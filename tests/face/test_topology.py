"""The face mesh's tables: complete, oriented, closed where they should be, symmetric."""

import numpy as np

from idf_helpers.face import topology as T


def directed_edges():
    t = T.TRIANGLES
    return np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])


def border_loops():
    edges = {tuple(e) for e in directed_edges().tolist()}
    following = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while following:
        start, at = next(iter(following.items()))
        loop = [start]
        while at != start:
            loop.append(at)
            at = following.pop(at)
        following.pop(start, None)
        loops.append(loop)
    return loops


def test_852_triangles_over_all_468_points():
    assert T.TRIANGLES.shape == (852, 3) and T.TRIANGLES.dtype == np.int32
    assert set(T.TRIANGLES.ravel()) == set(range(T.POINTS))
    assert len(np.unique(np.sort(T.TRIANGLES, axis=1), axis=0)) == 852
    assert all(len(set(t)) == 3 for t in T.TRIANGLES.tolist())


def test_oriented_and_manifold():
    edges = directed_edges()
    # No directed edge twice: neighbors turn the same way, and no edge has three triangles.
    assert len(np.unique(edges, axis=0)) == len(edges)
    undirected = len(np.unique(np.sort(edges, axis=1), axis=0))
    # Euler: V - E + F = 2 - (number of borders) for a sphere with four holes.
    assert T.POINTS - undirected + 852 == 2 - 4


def test_the_borders_are_eyes_mouth_and_oval():
    loops = sorted(map(sorted, border_loops()))
    rings = [T.LEFT_EYE, T.RIGHT_EYE, T.INNER_MOUTH, T.FACE_OVAL]
    assert loops == sorted(sorted(r.tolist()) for r in rings)


def test_rings_follow_the_edges():
    edges = {tuple(sorted(e)) for e in directed_edges().tolist()}
    for ring in (T.LEFT_EYE, T.RIGHT_EYE, T.INNER_MOUTH, T.OUTER_LIPS, T.FACE_OVAL):
        pairs = zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)
        assert all(tuple(sorted(p)) in edges for p in pairs)


def test_mirror():
    m = T.MIRROR
    assert m.shape == (T.POINTS,) and np.array_equal(m[m], np.arange(T.POINTS))
    midline = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 17, 18, 200, 199, 175, 152]
    assert m[midline].tolist() == midline
    assert np.array_equal(m[T.LEFT_EYE], T.RIGHT_EYE)
    assert np.array_equal(m[T.LEFT_BROW], T.RIGHT_BROW)
    for ring in (T.FACE_OVAL, T.INNER_MOUTH, T.OUTER_LIPS):
        assert set(m[ring]) == set(ring)
    for a, b in ((T.MOUTH_LEFT, T.MOUTH_RIGHT), (T.FACE_LEFT, T.FACE_RIGHT),
                 (T.LEFT_EYE_OUTER, T.RIGHT_EYE_OUTER), (T.LEFT_EYE_INNER, T.RIGHT_EYE_INNER)):
        assert m[a] == b
    have = {tuple(sorted(t)) for t in T.TRIANGLES.tolist()}
    kept = sum(tuple(sorted(m[t])) in have for t in T.TRIANGLES)
    assert kept == 840  # six pairs of quads are cut along the other diagonal


def test_tables_cannot_be_changed():
    for table in (T.TRIANGLES, T.MIRROR, T.FACE_OVAL):
        assert not table.flags.writeable
