"""The measures themselves, on cases whose answer is known."""

import cv2
import numpy as np
import pytest

from benchmarks.surface_distance import surface_distance
from idf_helpers.swapping import metrics
from tests.fixtures.face_rig import camera, true_mesh


def test_surface_distance():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0.0], [4, 1, 0]])
    triangles = np.array([[0, 1, 2], [1, 3, 2], [1, 4, 3]])
    points = np.array([[0.5, 0.5, 0.3], [1.2, 1.3, -0.7], [2.0, 1.0, 0.1], [-1, 1, 0.2]])
    d = surface_distance(points, vertices, triangles)
    np.testing.assert_allclose(d[:3], [0.3, 0.7, 0.1], atol=1e-9)
    assert np.isnan(d[3])  # beside the mesh
    assert len(metrics.border_edges(triangles)) == 5


def test_color_spread_is_the_standard_deviation():
    at = np.array([[2.5, 2.5], [7.5, 7.5]])
    views = []
    for k in range(6):
        image = np.full((10, 10, 3), 100 + 10 * k, np.uint8)
        views.append((image, at, np.array([True, k < 3])))
    assert metrics.color_spread(views) == pytest.approx(10 * np.std(range(6)), abs=1e-4)
    assert np.isnan(metrics.color_spread(views[:4]))
    assert metrics.color_spread(views, min_views=3) == pytest.approx(
        10 * (np.std(range(6)) + np.std(range(3))) / 2, abs=1e-4)


def test_sampling_uses_pixel_centers():
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 2] = 200
    np.testing.assert_allclose(metrics.sample(image, [[2.5, 1.5], [3.0, 1.5], [0.5, 0.5]])[:, 0],
                               [200, 100, 0])


def test_visible_points_are_faced_and_not_hidden():
    mesh = true_mesh()
    front, side = (metrics.visible_points(camera(y), mesh.vertices, mesh.normals, mesh.vertices,
                                          mesh.triangles) for y in (0, 70))
    assert front[1].mean() > 0.75
    assert metrics.visible_points(camera(180), mesh.vertices, mesh.normals)[1].mean() < 0.05
    x = mesh.vertices[:, 0]
    assert side[1][x > 0.3].mean() > 0.8 and not side[1][x < -0.3].any()
    free = metrics.visible_points(camera(70), mesh.vertices, mesh.normals, min_facing=0.05)[1]
    kept = metrics.visible_points(camera(70), mesh.vertices, mesh.normals, mesh.vertices,
                                  mesh.triangles, min_facing=0.05)[1]
    assert (free & ~kept).sum() > 0  # behind the nose


def test_hog_knows_directions_and_ignores_brightness():
    y, x = np.mgrid[:128, :128]
    stripes = (x // 8 % 2 * 100 + 50).astype(np.uint8)
    v, h = metrics.hog(stripes), metrics.hog(np.ascontiguousarray(stripes.T))
    assert v.shape == (7 * 7 * 4 * 9,)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(v, metrics.hog(stripes // 2 + 60)) > 0.999
    assert cosine(v, h) < 0.1


def test_hog_similarity_does_not_see_size_and_turn():
    rng = np.random.default_rng(0)
    mesh = true_mesh()
    face = cv2.resize(rng.integers(0, 256, (20, 20, 3), np.uint8), (200, 200),
                      interpolation=cv2.INTER_CUBIC)
    points = camera(0, size=200).project(mesh.vertices)[0]
    M = cv2.getRotationMatrix2D((100, 100), 12, 0.8)
    turned = cv2.warpAffine(face, M, (200, 200), borderMode=cv2.BORDER_REPLICATE)
    moved = (points - 0.5) @ M[:, :2].T + M[:, 2] + 0.5
    assert metrics.hog_similarity(face, points, turned, moved) > 0.97
    other = np.ascontiguousarray(face[::-1])
    assert metrics.hog_similarity(face, points, other, points) < 0.87
