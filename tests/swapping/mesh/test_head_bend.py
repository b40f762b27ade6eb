"""A head bent toward other proportions: in all views alike, with what surrounds the face."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.face import topology
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.mesh import FaceMesh, ring_strip, vertex_normals
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.head_bend import TURNED, HeadBend, mesh_at_rest, toward_sources
from idf_helpers.swapping.mesh.head_hull import CELL, LOW, UNITS, head_hull
from idf_helpers.swapping.mesh.render import render_swap
from tests.fixtures.face_rig import (
    SIZE,
    RigFrame,
    camera,
    make_frames,
    make_source,
    paint,
    render,
    true_mesh,
)

TARGET = paint(1, (200, 150, 130))


@pytest.fixture(scope="module")
def mesh():
    return true_mesh()


def mesh_of(vertices) -> FaceMesh:
    return FaceMesh(vertices, vertex_normals(vertices), np.ones(0, bool), np.zeros(0))


def long_nose(mesh):
    tip = mesh.vertices[topology.NOSE_TIP]
    near = np.exp(-((mesh.vertices - tip) ** 2).sum(1) / (2 * 0.12**2))
    return np.outer(near, (0, -0.08, 0))


def wide_jaw(mesh):
    x, _, z = mesh.vertices.T
    return np.column_stack([0.12 * x * np.clip(0.3 - z, 0, 1), 0 * x, 0 * x])


def ramp(cam) -> np.ndarray:
    """A picture whose first two channels tell each pixel's place."""
    at = np.linspace(0, 250, cam.width)
    x, y = np.meshgrid(at, at)
    return np.dstack([x, y, 0 * x]).round().astype(np.uint8)


def test_a_strip_closes_a_ring():
    ring = np.arange(16)
    angle = 2 * np.pi * ring / 16
    points = np.stack([3 * np.cos(angle), np.sin(angle)], 1)
    a, b, c = (points[ring_strip(ring)[:, k]] for k in range(3))
    area = 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert (area > 0).all()  # no triangle turned over
    following = np.roll(points, -1, 0)
    whole = 0.5 * (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum()
    assert area.sum() == pytest.approx(whole)


@pytest.mark.parametrize("turned", [False, True])
def test_a_smile_is_taken_off_a_mesh(turned):
    model = FaceModel.load()
    smile = {"mouthSmile_L": 0.9, "mouthSmile_R": 0.9, "jawOpen": 0.3}
    calm, smiling = (model.vertices(None, e).astype(np.float64) for e in (None, smile))
    if turned:  # any frame of the world, any unit
        R = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        R *= np.sign(np.linalg.det(R))
        calm, smiling = (0.07 * v @ R.T + 3 for v in (calm, smiling))
    unit = np.linalg.norm(calm[topology.FACE_LEFT] - calm[topology.FACE_RIGHT])
    lips = topology.OUTER_LIPS
    was = np.linalg.norm(smiling - calm, axis=1)[lips].mean() / unit
    left = np.linalg.norm(mesh_at_rest(mesh_of(smiling)) - calm, axis=1)[lips].mean() / unit
    still = np.linalg.norm(mesh_at_rest(mesh_of(calm)) - calm, axis=1)[lips].mean() / unit
    assert was > 0.04 and left < 0.45 * was and still < 0.01


def test_the_person_in_the_photo_decides_the_motion():
    model = FaceModel.load()
    v = model.vertices().astype(np.float64)
    mesh = mesh_of(np.stack([v[:, 0], -v[:, 2], v[:, 1]], 1) * 0.07)
    wide = mesh_of(mesh.vertices * (1.12, 1, 1))
    same, other = (toward_sources(mesh, [make_source(m, TARGET, near=10)]).motion
                   for m in (mesh, wide))
    assert np.abs(same).max() < 0.015 * mesh.width
    x = mesh.vertices[:, 0]
    outward = (other[:, 0] * np.sign(x))[topology.FACE_OVAL]
    sides = outward[np.abs(x[topology.FACE_OVAL]) > 0.3 * mesh.width]
    assert sides.min() > 0.005 * mesh.width and sides.mean() > 0.009 * mesh.width
    half = toward_sources(mesh, [make_source(wide, TARGET, near=10)], 0.5).motion
    assert 0.4 < np.linalg.norm(half) / np.linalg.norm(other) < 0.6


@pytest.mark.parametrize("yaw", [25, 50, 88])
def test_the_frame_bends_with_the_face(mesh, yaw):
    bend = HeadBend.of(mesh, long_nose(mesh))
    cam = camera(yaw)
    image = render(mesh, TARGET, cam)
    out, moved, changed = bend.of_view(image, cam, mesh)
    np.testing.assert_array_equal(moved.vertices, mesh.vertices + long_nose(mesh))
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


def test_a_face_as_wide_as_the_frame_leaves_the_frame_alone(mesh):
    """Decoded frames can't be written to; what moves then spans whole rows of them."""
    bend, near = HeadBend.of(mesh, wide_jaw(mesh)), camera(0, distance=1.6)
    image = ramp(near)
    before = image.copy()
    image.flags.writeable = False
    out, _, changed = bend.of_view(image, near, mesh)
    assert changed.any(0).all()  # from side to side
    assert np.array_equal(image, before) and not np.array_equal(out, before)


def test_what_surrounds_the_face_comes_along_and_ends(mesh):
    bend = HeadBend.of(mesh, wide_jaw(mesh))
    cam = camera(0)
    out, _, changed = bend.of_view(ramp(cam), cam, mesh)
    shift = out[..., 0].astype(float) - ramp(cam)[..., 0]
    xy, _ = cam.project(mesh.vertices)
    jaw = xy[topology.FACE_OVAL][np.argsort(xy[topology.FACE_OVAL, 0])[-6:]].mean(0)
    x, y = int(jaw[0]) + 4, int(jaw[1])  # beside the face
    assert shift[y, x] <= -2  # what lies there now lay further within
    assert np.abs(shift[:, :4]).max() == np.abs(shift[:, -4:]).max() == 0
    corners = changed[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert changed[y, x] and not corners.any()


@pytest.mark.parametrize("yaw", [-150, -110, -88, -60, -30, 0, 40, 75, 100, 130])
def test_nothing_folds_or_tears(mesh, yaw):
    bend = HeadBend.of(mesh, long_nose(mesh) + wide_jaw(mesh))
    cam = camera(yaw, 8)
    out, _, _ = bend.of_view(ramp(cam), cam, mesh)
    across, down = (np.diff(out[..., k].astype(int), axis=1 - k) for k in (0, 1))
    step = 250 / (SIZE - 1)
    assert min(across.min(), down.min()) >= -1  # the order of places is kept, but for rounding
    assert max(across.max(), down.max()) < 4 * step


def test_neighboring_views_bend_alike_and_those_from_behind_not_at_all(mesh):
    bend = HeadBend.of(mesh, long_nose(mesh) + wide_jaw(mesh))
    amounts = np.array([bend.amount(camera(yaw).position) for yaw in range(181)])
    # The rig's middle is not the world's: angles differ by a few degrees.
    assert (amounts[:int(TURNED[0]) - 6] == 1).all()
    assert (amounts[int(TURNED[1]) + 6:] == 0).all() and np.abs(np.diff(amounts)).max() < 0.09
    most = []
    for yaw in range(0, 181, 3):
        cam = camera(yaw)
        out, _, changed = bend.of_view(ramp(cam), cam, mesh)
        most.append(np.abs(out.astype(int) - ramp(cam)).max())
        assert changed.any() or not most[-1]
    assert most[0] > 3 and max(most[56:]) == 0
    assert np.abs(np.diff(most)).max() <= 3


def test_one_place_of_the_head_goes_to_one_place(mesh):
    """Three views of the motion of a point beside the mesh agree on where it goes in space."""
    bend = HeadBend.of(mesh, wide_jaw(mesh))
    jaw = [397, 365]
    places = mesh.vertices[jaw] + 0.03 * mesh.normals[jaw]
    for place in places:
        rows, rhs = [], []
        for yaw in (40, 60, 80):
            cam = camera(yaw, size=640)
            at = cam.project(place[None])[0][0]
            image = np.dstack([np.zeros((640, 640))] * 3).astype(np.uint8)
            i, j = int(at[1]), int(at[0])
            image[i - 2:i + 3, j - 2:j + 3] = 255
            out, _, _ = bend.of_view(image, cam, mesh)
            weight = out[..., 0].astype(float)
            gy, gx = np.mgrid[:640, :640] + 0.5
            was = np.array([j + 0.5, i + 0.5])
            now = np.array([(gx * weight).sum(), (gy * weight).sum()]) / weight.sum()
            h = 1e-4  # pixels per unit of motion, there
            rows.append((cam.project(place + h * np.eye(3))[0] - at).T / h)
            rhs.append(now - was)
        A, b = np.concatenate(rows), np.concatenate(rhs)
        motion = np.linalg.lstsq(A, b, rcond=None)[0]
        assert np.linalg.norm(motion) > 0.005 * mesh.width
        assert np.abs(A @ motion - b).max() < 0.25 * np.abs(b).max()


def test_the_shape_of_a_head_is_carved_by_its_outlines(mesh):
    axes, origin, width = np.eye(3)[[0, 2, 1]] * [[1], [1], [-1]], np.zeros(3), mesh.width
    views = make_frames(mesh, TARGET, range(-180, 180, 30), (-20, 10, 40, 75))

    def distances(frames, places):
        hull = head_hull(frames, mesh.vertices, axes, origin, width)
        k = np.rint((np.asarray(places) / width - LOW) / CELL).astype(int)
        return hull[tuple(k.T)] / UNITS

    # The rig's head is a ball of 0.62 around (0, 0.25, 0.05); here: left, up, front.
    back, beside = [0, 0.05, -0.25 - 0.62], [0.62, 0.05, -0.25]
    out = [np.add(back, (0, 0, -0.15)), np.add(beside, (0.15, 0, 0)), (0.3, 0.78, 0)]
    within = [np.add(back, (0, 0, 0.15)), np.add(beside, (-0.15, 0, 0)), (0, 0.3, 0)]
    assert np.abs(distances(views, [back, beside])).max() < 0.07
    assert distances(views, out).min() > 0.08 and distances(views, within).max() < -0.08
    opaque = [RigFrame(f.camera, f.image()[..., :3]) for f in views]
    simple, none = (distances(f, out + within) for f in (opaque, ()))
    np.testing.assert_array_equal(simple, none)  # nothing to carve by
    assert none[2] < 0  # there an ordinary head still is, which this one is not


def test_the_swap_on_the_bent_face_says_what_it_changed(mesh):
    frames = make_frames(mesh, TARGET, (-30, 0, 30))
    full = true_mesh(3)
    texture = bake(full, frames, make_source(mesh, paint(2, (110, 75, 60))))
    bend = HeadBend.of(mesh, long_nose(mesh))
    for alpha in (True, False):
        cam = camera(60)
        image = render(mesh, TARGET, cam, alpha)
        result = render_swap(image, cam, mesh, texture, shape=bend)
        assert result.status == "swapped"
        np.testing.assert_array_equal(result.image[result.mask == 0], image[result.mask == 0])
        plain = render_swap(image, cam, mesh, texture)
        assert (result.image != plain.image).any()
    back = render(mesh, TARGET, camera(180))
    away = render_swap(back, camera(180), mesh, texture, shape=bend)
    assert away.status == "no_face" and not away.mask.any()
    np.testing.assert_array_equal(away.image, back)


def test_an_expression_of_a_frame_keeps_its_place(mesh):
    """The bend is of the head: a mouth that opens takes it along."""
    bend = HeadBend.of(mesh, wide_jaw(mesh))
    opened = mesh.vertices.copy()
    opened[topology.CHIN, 2] -= 0.1
    moved = bend.moved(replace(mesh, vertices=opened), 1.0)
    np.testing.assert_allclose(moved.vertices - opened, wide_jaw(mesh), atol=1e-12)


def test_the_share_has_a_range():
    assert SwapConfig().shape == 1
    with pytest.raises(IdfError, match="`shape` is out of range"):
        SwapConfig(shape=1.5).checked()
