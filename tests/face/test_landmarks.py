"""The points of one face: turned, cut out, facing, and where they lie on a head."""

import cv2
import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.landmarks import FaceLandmarks, vertex_facing
from tests.fixtures.heads import SAMPLES

# iBUG-68 numbers and the mesh points that mean the same place: eye and mouth corners.
SAME_POINTS = {36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291}


@pytest.fixture(scope="module")
def face_b(detector, photos):
    return detector.detect(photos["B"])[0]


def test_a_part_of_the_picture(face_b, detector, photos):
    face = face_b.in_part((60, 40), (0.5, 0.25))
    assert np.allclose(face.xy, (face_b.xy - (60, 40)) * (0.5, 0.25), atol=1e-3)
    assert np.allclose(face.iris[:, :2], (face_b.iris[:, :2] - (60, 40)) * (0.5, 0.25), atol=1e-3)
    assert np.allclose(face.points[:, 2], face_b.points[:, 2] * np.sqrt(0.125), atol=1e-3)
    assert (face.presence, face.score) == (face_b.presence, face_b.score)
    assert face.points.dtype == face.iris.dtype == np.float32
    half = cv2.resize(photos["B"][40:, 60:460], (200, 236), interpolation=cv2.INTER_AREA)
    away = face_b.in_part((60, 40), (0.5, 0.5)).xy - detector.detect(half)[0].xy
    assert np.linalg.norm(away, axis=1).mean() < 0.01 * face_b.eye_distance
    without = FaceLandmarks(face_b.points, 1.0, 1.0).in_part((60, 40), (0.5, 0.5))
    assert without.iris is None


def test_turned_is_np_rot90(face_b):
    points = np.zeros((468, 3), np.float32)
    points[:2] = (10.5, 20.5, 3), (0.5, 99.5, -2)  # in a picture of 200 x 100
    face = FaceLandmarks(points, 1.0, 1.0, points[:10])
    picture = np.zeros((100, 200), int)
    picture[20, 10], picture[99, 0] = 1, 2
    for times in range(-1, 5):
        turned, there = face.turned(times, 200, 100), np.rot90(picture, times)
        for k in (0, 1):
            x, y, z = turned.points[k]
            assert there[int(y), int(x)] == k + 1 and (x % 1, y % 1) == (0.5, 0.5)
            assert z == points[k, 2]
        assert np.array_equal(turned.iris, turned.points[:10]) and turned.iris.dtype == np.float32
    assert abs(face_b.turned(1, 512, 512).roll - face_b.roll + 90) < 1e-3


def test_facing(face_b):
    # seen from the front nearly the whole face looks at the camera
    assert (vertex_facing(face_b.points) > 0).mean() > 0.9
    flat = face_b.points * (1, 1, 0)
    assert np.allclose(np.abs(vertex_facing(flat)), 1, atol=1e-5)
    for angle in (0.3, 1.0, 2.5):  # the flattened face turned about the vertical
        turned = flat @ np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [0, 0, 0]])
        assert np.allclose(vertex_facing(turned)[topology.NOSE_TIP], np.cos(angle), atol=1e-5)


def test_named_points_lie_on_the_known_places(head_views):
    """Against the sample's exact geometry: eye and mouth corners, views up to 45 degrees."""
    truth = np.load(SAMPLES / "head_multiview" / "ground_truth.npz")["landmarks68"]
    errors = []
    for v in head_views:
        if abs(v.yaw) > 45:
            continue
        pixels, _ = v.camera.project(truth)
        face = v.faces[0]
        for ibug, mesh in SAME_POINTS.items():
            errors.append(np.linalg.norm(face.xy[mesh] - pixels[ibug]) / face.eye_distance)
    assert len(errors) > 200
    assert np.mean(errors) < 0.045 and np.percentile(errors, 95) < 0.10
