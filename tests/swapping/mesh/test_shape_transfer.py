"""The source's proportions: the face moves, its surroundings do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.face import topology
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.mesh import vertex_normals
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.mesh.shape_transfer import LIMIT, bend, toward_source
from tests.fixtures.face_rig import camera, make_frames, make_source, paint, render, true_mesh

TARGET = paint(1, (200, 150, 130))


def photo_of(vertices, turn=1.0):
    """A source whose landmarks are these points seen from the front (the rig looks to -y)."""
    points = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1) * 150 + 200
    return SimpleNamespace(landmarks=FaceLandmarks(np.float32(points), 1.0, 1.0))


@pytest.fixture(scope="module")
def mesh():
    return true_mesh()


def long_nose(mesh):
    out = mesh.vertices.copy()
    tip = out[topology.NOSE_TIP]
    near = np.exp(-((out - tip) ** 2).sum(1) / (2 * 0.12**2))
    out[:, 1] -= 0.08 * near
    return out


def test_the_same_shape_moves_nothing(mesh):
    symmetric = 0.5 * (mesh.vertices + mesh.vertices[topology.MIRROR] * (-1, 1, 1))
    same = type(mesh)(symmetric, vertex_normals(symmetric), mesh.inliers, mesh.residuals)
    assert np.abs(toward_source(same, [photo_of(symmetric)])).max() < 1e-3 * mesh.width
    turned = symmetric * 3.0 + 7.0  # size and place do not matter
    assert np.abs(toward_source(same, [photo_of(turned)])).max() < 1e-3 * mesh.width


def test_a_longer_nose_grows_and_the_rim_stays(mesh):
    D = toward_source(mesh, [photo_of(long_nose(mesh))])
    tip = topology.NOSE_TIP
    assert -D[tip, 1] > 0.015 * mesh.width  # forward, to -y
    assert np.abs(D[topology.FACE_OVAL]).max() == 0
    assert np.linalg.norm(D, axis=1).max() <= LIMIT * mesh.width
    half = toward_source(mesh, [photo_of(long_nose(mesh))], 0.5)
    assert 0.4 < half[tip, 1] / D[tip, 1] < 0.62
    both = toward_source(mesh, [photo_of(long_nose(mesh)), photo_of(mesh.vertices)])
    assert abs(both[tip, 1]) < 0.8 * abs(D[tip, 1])


@pytest.mark.parametrize("yaw", [0, 50, 88])
def test_the_frame_bends_with_the_face(mesh, yaw):
    D = toward_source(mesh, [photo_of(long_nose(mesh))])
    moved = type(mesh)(mesh.vertices + D, vertex_normals(mesh.vertices + D), mesh.inliers,
                       mesh.residuals)
    cam = camera(yaw)
    image = render(mesh, TARGET, cam)
    out, changed = bend(image, cam, mesh, moved)
    np.testing.assert_array_equal(out[~changed], image[~changed])
    xy, _ = cam.project(moved.vertices)
    grown = render(moved, TARGET, cam)
    x, y = xy[topology.NOSE_TIP].astype(int)
    box = (slice(y - 12, y + 12), slice(x - 12, x + 12))
    before = np.abs(image[box].astype(int) - grown[box]).mean()
    after = np.abs(out[box].astype(int) - grown[box]).mean()
    assert after < 0.7 * before
    if yaw == 88:  # the outline itself
        assert (out[box][..., 3] > 128).sum() > (image[box][..., 3] > 128).sum()


def test_the_swap_on_the_bent_face_says_what_it_changed(mesh):
    frames = make_frames(mesh, TARGET, (-30, 0, 30))
    full = true_mesh(3)
    texture = bake(full, frames, make_source(mesh, paint(2, (110, 75, 60))))
    D = toward_source(mesh, [photo_of(long_nose(mesh))])
    cam = camera(60)
    image = render(mesh, TARGET, cam)
    result = render_swap(image, cam, mesh, texture, shape=D)
    assert result.status == "swapped"
    np.testing.assert_array_equal(result.image[result.mask == 0], image[result.mask == 0])
    plain = render_swap(image, cam, mesh, texture)
    assert (result.image != plain.image).any()
    away = render_swap(render(mesh, TARGET, camera(180)), camera(180), mesh, texture, shape=D)
    assert away.status == "no_face" and not away.mask.any()


def test_the_share_has_a_range():
    with pytest.raises(IdfError, match="`shape` is out of range"):
        SwapConfig(shape=1.5).checked()
