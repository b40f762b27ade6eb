"""The face laid flat: where things come to lie, there and back."""

import cv2
import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.flat import SIZE, flat_face, flatten, unflatten, with_middles
from idf_helpers.face.landmarks import FaceLandmarks


@pytest.fixture(scope="module")
def face(photos, detector):
    return detector.detect(photos["C"])[0]


def test_the_layout_is_whole_and_symmetric():
    flat = flat_face()
    assert flat.inside.sum() > 0.6 * SIZE**2
    assert np.array_equal(flat.inside[:, 1:-1], flat.inside[:, ::-1][:, 1:-1])
    assert np.allclose(flat.xy[topology.MIRROR, 0], SIZE - flat.xy[:topology.POINTS, 0], atol=0.01)
    assert np.allclose(flat.shares[flat.inside].sum(-1), 1, atol=1e-4)
    assert flat.shares[flat.inside].min() > -1e-3
    # no hole: eyes and mouth are closed over
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE):
        x, y = flat.xy[ring].mean(0).astype(int)
        assert flat.inside[y, x]


def test_every_triangle_is_wound_alike():
    flat = flat_face()
    p = flat.xy[flat.triangles]
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    turn = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    assert (turn[-52:-20] < 0).all()  # both eyes as the rest; a shut mouth has no area


def test_landmarks_come_to_their_places(photos, face):
    picture = np.zeros_like(photos["C"])
    for k in (topology.NOSE_TIP, 50, 280, 151):
        cv2.circle(picture, tuple(int(v) for v in face.xy[k] * 16), 6 * 16, (255, 255, 255), -1,
                   cv2.LINE_AA, 4)
    flat, seen = flatten(picture, face)
    for k in (topology.NOSE_TIP, 50, 280, 151):
        x, y = flat_face().xy[k].astype(int)
        assert flat[y, x, 0] > 200 and seen[y, x] > 0.5
    assert flat[seen > 0.1].mean() < 20


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_there_and_back(photos, face, scale):
    image = cv2.resize(photos["C"], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scaled = FaceLandmarks(face.points * np.float32(scale), 1.0, 1.0)
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 6 * scale)
    flat, _ = flatten(gray, scaled)
    back = unflatten(flat.astype(np.float32), scaled, *gray.shape)
    ones = unflatten(np.ones((SIZE, SIZE), np.float32), scaled, *gray.shape) > 0.5
    inner = cv2.erode(ones.astype(np.uint8), np.ones((15, 15))) > 0
    assert np.abs(back - gray)[inner].mean() < 3
    assert back[~ones].max() == 0


def test_a_window_of_a_picture(face):
    values = np.random.default_rng(0).random((SIZE, SIZE)).astype(np.float32)
    whole = unflatten(values, face, 512, 512)
    part = unflatten(values, face, 200, 180, (150, 190))
    assert np.allclose(part, whole[190:390, 150:330], atol=1e-3)


def test_outside_the_picture_nothing_is_seen(photos, face):
    moved = FaceLandmarks(face.points - np.float32([face.xy[:, 0].mean(), 0, 0]), 1.0, 1.0)
    _, seen = flatten(photos["C"], moved)
    assert seen[:, :SIZE // 4].max() == 0 and seen[:, 3 * SIZE // 4:].max() > 0.3
    far = FaceLandmarks(face.points + np.float32([5000, 0, 0]), 1.0, 1.0)
    flat, seen = flatten(photos["C"], far)
    assert flat.shape == (SIZE, SIZE, 3) and seen.max() == 0


def test_middles(face):
    points = with_middles(face.points)
    assert len(points) == topology.POINTS + 3
    assert np.allclose(points[-3], face.points[topology.LEFT_EYE].mean(0))
