"""A head's pose from its landmarks: exact where the points are, close on rendered heads."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.cameras import Camera
from idf_helpers.data.samples import dataset
from idf_helpers.errors import IdfError
from idf_helpers.face import topology
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.pose import fit_pose, rigid_inverse, rotation

CAMERA = Camera.from_fov(np.eye(4), np.radians(29), 320, 240)
# Pack centimeters to the samples' world: (x, -z, y), the face looks to -y.
TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def angle(a, b) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1))))


def posed(vector, position=(1.0, -2.0, -60.0)) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation(vector), position
    return pose


def pixels(pose, vertices) -> np.ndarray:
    """Where the landmark model sees them."""
    vertices = vertices + FaceModel.load().displacement(pose)
    return Camera(rigid_inverse(pose), CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, 320,
                  240).project(vertices)[0]


@pytest.mark.parametrize("vector", [(0, 0, 0), (0.2, 0.7, -0.1), (-0.3, -1.1, 0.4)])
def test_exact_points_give_the_exact_pose(vector):
    v, true = FaceModel.load().rest, posed(vector)
    fit = fit_pose(pixels(true, v), CAMERA)
    np.testing.assert_allclose(fit.pose, true, atol=3e-3)
    np.testing.assert_allclose(fit.c2w @ fit.pose, np.eye(4), atol=1e-9)
    assert fit.residual < 0.01 and fit.errors.shape == (468,)
    # from a start nearby, as in a video
    near = fit_pose(pixels(true, v), CAMERA, start=posed(np.add(vector, 0.1), (3, 0, -70)))
    np.testing.assert_allclose(near.pose, true, atol=3e-3)


def test_outliers_missing_points_and_a_talking_mouth_hardly_turn_the_head():
    rng = np.random.default_rng(0)
    m, true = FaceModel.load(), posed((0.1, 0.4, 0.0))
    p = pixels(true, m.vertices(None, {"jawOpen": 0.8, "mouthSmile_L": 0.5}))
    p += rng.normal(0, 0.5, p.shape)
    wild = rng.permutation(468)[:60]
    p[wild] += rng.normal(0, 40, (60, 2))
    p[topology.FACE_OVAL[:5]] = np.nan
    fit = fit_pose(p, CAMERA)
    assert angle(fit.pose, true) < 3.5 and np.isnan(fit.errors[topology.FACE_OVAL[0]])
    assert 0.2 < fit.residual < 3


def test_bad_points_are_told():
    p = pixels(posed((0, 0, 0)), FaceModel.load().rest)
    lonely = np.full((468, 2), np.nan)
    lonely[:5] = p[:5]
    with pytest.raises(IdfError, match="six landmarks"):
        fit_pose(lonely, CAMERA)
    with pytest.raises(ValueError, match="468"):
        fit_pose(p[:100], CAMERA)


def test_pose_of_a_rendered_head(detector):
    """Head A, whom the model has not seen, smiling a little: within 3 degrees up to yaw 40."""
    errors = []
    for frame in dataset("head_multiview").train:
        c = frame.camera
        toward = c.position / np.linalg.norm(c.position)
        if -toward[1] < np.cos(np.radians(40)):
            continue
        fit = fit_pose(detector.detect(frame.image())[0], c)
        true = TO_WORLD.T @ c.c2w[:3, :3]  # camera axes in the head's frame
        errors.append(angle(fit.c2w, true))
        assert abs(np.linalg.norm(fit.c2w[:3, 3] - (0, 1.2, 1.8)) / 63 - 1) < 0.12
    assert len(errors) >= 8
    assert np.median(errors) < 3 and max(errors) < 6
