"""Eyes of the target that are closed, and steadiness where only the landmarks' noise moves."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.shape_fit import fit_picture
from idf_helpers.swapping.mesh.chart_eyes import openness, openness_beside
from idf_helpers.swapping.mesh.per_picture import swap_mesh, toward
from idf_helpers.swapping.mesh.proportions import in_head, moved_by, of_head, with_lids
from idf_helpers.swapping.mesh.warp import warp
from idf_helpers.swapping.occluders import look
from idf_helpers.swapping.source import from_image

RINGS = (topology.RIGHT_EYE, topology.LEFT_EYE)


@pytest.fixture(scope="module")
def face(photos, detector):
    return detector.detect(photos["B"])[0]


@pytest.fixture(scope="module")
def source(photos, detector):
    return from_image(photos["C"], detector)


def shut(face: FaceLandmarks, share=0.02) -> FaceLandmarks:
    """The face with both eyes closed: rims brought together but for a share."""
    points = face.points.copy()
    for ring in RINGS:
        below, above = ring[1:8], ring[:8:-1]
        middle = 0.5 * (points[below] + points[above])
        for rows in (below, above):
            points[rows] = middle + share * (points[rows] - middle)
    return replace(face, points=points)


def gaps(points):
    return np.array([np.linalg.norm(points[r[1:8], :2] - points[r[:8:-1], :2], axis=1)
                     for r in RINGS])


def opening(face, pixels):
    """A motion that moves the lids apart."""
    motion = np.zeros_like(face.points)
    for ring in RINGS:
        motion[ring[:8:-1], 1] -= pixels
        motion[ring[1:8], 1] += pixels
    return motion


def test_a_closed_eye_stays_closed_in_another_shape(face):
    closed = shut(face)
    moved = moved_by(closed, opening(closed, 4.0))
    assert openness(closed.points).max() == 0
    assert openness(moved.points).max() == 0
    assert gaps(moved.points).max() < 0.75  # pixels, of 8 by which the lids would part


@pytest.mark.parametrize("pixels", (-6.0, 6.0))
def test_an_open_eye_changes_by_a_quarter_at_most(face, pixels):
    ratio = gaps(moved_by(face, opening(face, pixels)).points) / gaps(face.points)
    middle = ratio[:, 2:5]  # at the corners the rim is no pair of points above each other
    np.testing.assert_allclose(middle, 1.25 if pixels > 0 else 0.8, atol=0.03)


def test_what_lids_do_together_is_kept(face):
    motion = np.zeros_like(face.points)
    motion[:] = 3, -2, 1
    np.testing.assert_allclose(with_lids(face.points, motion), motion, atol=1e-5)


def test_the_targets_own_closed_eye_is_shown(face, source):
    level, window = source.at_size(face.size), (512, 512)
    holes = {}
    for name, f in (("open", face), ("closed", shut(face))):
        drawn = warp(f, level.points, level.iris, window, (0, 0))
        rims = [np.round(f.xy[ring] - 0.5).astype(int) for ring in RINGS]
        holes[name] = [drawn.holes[r[2:7, 1], r[2:7, 0]] for r in rims]
    assert np.min(holes["closed"]) > 0.9
    assert np.max(holes["open"]) == 0


def test_eyes_closed_all_the_time_count_as_closed(face):
    closed = shut(face).points
    assert openness_beside(closed, closed).max() == 0
    assert openness_beside(face.points, face.points).min() == 1


def test_another_shape_does_not_shake_a_still_face(photos, face, source):
    """The same frame five times; landmarks tremble as the detector's do."""
    image, rng = photos["B"], np.random.default_rng(0)
    hidden = look(image, face)
    motion = in_head(toward(face, fit_picture(face, 512, 512), source), face.points)
    inside = cv2.fillConvexPoly(np.zeros((512, 512), np.uint8), cv2.convexHull(
        face.xy.astype(np.float32)).astype(np.int32), 1) > 0
    frames = {"followed": [], "in its own shape": []}
    for _ in range(5):
        points = face.points + rng.normal(0, 0.3, face.points.shape).astype(np.float32)
        trembling = replace(face, points=points)
        for name, known in (("followed", of_head(motion, points)), ("in its own shape", None)):
            frames[name].append(swap_mesh(image, trembling, source, 0.0, known, hidden
                                          ).image.astype(np.float32))
    change = {name: np.abs(np.diff(f, 2, axis=0))[:, inside].mean() for name, f in frames.items()}
    assert change["followed"] < 1.15 * change["in its own shape"]
    assert change["followed"] < 2.5
