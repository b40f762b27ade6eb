"""The source's eyes between the target's lids, looking where the target looks."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.color import fill_rings
from idf_helpers.face.mesh import eye_caps, vertex_normals, with_eyes
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.chart_eyes import (
    GAZE,
    RINGS,
    Gaze,
    common_gaze,
    gaze_in_view,
    lit_eyes,
    look,
    openness,
    openness_beside,
    turned,
)
from idf_helpers.swapping.mesh.mesh_tracking import follow_gaze
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.mesh.uv_atlas import make_chart, unroll
from tests.fixtures.face_rig import RigFrame, camera, make_frames, make_source, paint, true_mesh

YAWS = (-30, -15, 0, 15, 30)


@pytest.fixture(scope="module")
def mesh():
    return true_mesh()


def iris_on(mesh, cam, turn: float = 0.0, radius: float = 0.04) -> np.ndarray:
    """(10, 2) pixels of irises that look `turn` of an eye's half width to the head's left."""
    vertices, _ = eye_caps(mesh.vertices, mesh.normals)
    out = []
    for k in (0, 1):
        first = 468 + (17 if k == 0 else 0)  # the caps' vertices, the left eye's first
        top, half = vertices[first + 16], vertices[first:first + 16]
        left = half[np.argmax(half[:, 0])]
        center = top + turn * 2 * (left - top)
        r = radius * mesh.width
        rim = center + r * np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1), (-1, 0, 0), (0, 0, -1)])
        out.append(cam.project(rim)[0])
    return np.concatenate(out)


def closed(mesh):
    out = mesh.vertices.copy()
    for ring in RINGS:
        out[ring, 2] = out[ring, 2].mean()
    return replace(mesh, vertices=out, normals=vertex_normals(out))


def test_caps_continue_what_the_rims_have(mesh):
    uv = unroll(mesh.vertices)
    places = with_eyes(uv)
    np.testing.assert_array_equal(places[:468], uv)
    np.testing.assert_allclose(places[468 + 16], uv[topology.LEFT_EYE].mean(0))
    chart, open_eyes = (make_chart(mesh, 0.01, eyes=e) for e in (True, False))
    inside = fill_rings([chart.uv[r] for r in RINGS], *chart.covered.shape) > 0.9
    assert chart.covered[inside].all() and not open_eyes.covered[inside].any()
    for ring in RINGS:  # the rig looks to -y: balls stand out of their rims
        column, row = chart.uv[ring].mean(0).astype(int)
        assert chart.place[row, column, 1] < mesh.vertices[ring, 1].mean() - 0.01 * mesh.width


def test_an_iris_is_found_in_the_chart_from_any_side(mesh):
    uv = make_chart(mesh, 0.01).uv
    for turn in (0.0, 0.3):
        seen = [gaze_in_view(mesh, uv, camera(y, size=400).project, camera(y).position,
                             iris_on(mesh, camera(y, size=400), turn)) for y in YAWS]
        gaze = common_gaze(seen)
        places = np.stack(seen)[..., :2]
        assert (np.nanmax(places, 0) - np.nanmin(places, 0)).max() < 0.6  # cells
        assert gaze.radius == pytest.approx(0.04 * mesh.width / 0.01, rel=0.25)
        middle = np.stack([uv[r].mean(0) for r in RINGS])
        moved = gaze.centers[:, 0] - middle[:, 0]
        assert (np.abs(moved) < 0.5).all() if turn == 0 else (moved > 2).all()
    side = gaze_in_view(mesh, uv, camera(75).project, camera(75).position,
                        iris_on(mesh, camera(75)))
    assert np.isnan(side[0]).all()  # the far eye tells nothing
    shut = gaze_in_view(closed(mesh), uv, camera(0).project, camera(0).position,
                        iris_on(mesh, camera(0)))
    assert np.isnan(shut).all() and common_gaze([shut] * 5) is None


def test_the_photo_is_moved_so_that_it_looks_along(mesh):
    chart = make_chart(mesh, 0.005)
    h, w = chart.covered.shape
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    at = np.dstack([2 * x, 2 * y])  # a photo twice as large
    gaze = Gaze(np.stack([chart.uv[r].mean(0) for r in RINGS]).astype(float), 8.0)
    iris = np.zeros((10, 2))
    iris[[0, 5]] = 2 * (gaze.centers - 0.5) + (6, 1)
    moved = look(at, chart.uv, iris, gaze)
    opening = fill_rings([chart.uv[r] for r in RINGS], h, w)
    assert np.abs(moved - at)[opening == 0].max() < 2 < GAZE * 6
    for k in (0, 1):
        column, row = np.rint(gaze.centers[k] - 0.5).astype(int)
        np.testing.assert_allclose(moved[row, column] - at[row, column], GAZE * np.array([6, 1]),
                                   atol=1.3)


def test_a_baked_eye_turns_and_its_lids_stay(mesh):
    uv = make_chart(mesh, 0.005).uv
    w, h = (np.ceil(uv.max(0)) + 2).astype(int)
    gaze = Gaze(np.stack([uv[r].mean(0) for r in RINGS]).astype(float), 6.0)
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    rgba = np.full((h, w, 4), 220, np.uint8)
    for c in gaze.centers:
        rgba[np.hypot(x - c[0], y - c[1]) < 6, :3] = 30
    now = gaze.centers + (5, 0)
    out = turned(rgba, uv, gaze, now)
    np.testing.assert_array_equal(out[..., 3], rgba[..., 3])
    outside = fill_rings([uv[r] for r in RINGS], h, w) == 0
    assert np.abs(out.astype(int) - rgba)[outside].max() < 12
    for k, ring in enumerate(RINGS):
        inside = fill_rings([uv[ring]], h, w) > 0.5
        dark = inside & (out[..., 0] < 100)
        assert x[dark].mean() - gaze.centers[k, 0] == pytest.approx(5 * GAZE, abs=1.0)
    np.testing.assert_array_equal(turned(rgba, uv, gaze, gaze.centers), rgba)


@pytest.fixture(scope="module")
def baked():
    frames = make_frames(true_mesh(), paint(1, (200, 150, 130)), YAWS, (-8, 10))
    mesh = true_mesh(len(frames))
    source = make_source(mesh, paint(2, (110, 75, 60)))
    iris = iris_on(mesh, camera(0, size=200))
    source = replace(source, landmarks=replace(
        source.landmarks, iris=np.column_stack([iris, np.zeros(10)]).astype(np.float32)))
    irises = [iris_on(mesh, f.camera) for f in frames]
    return mesh, frames, source, bake(mesh, frames, source, irises=irises)


def test_the_eyes_are_the_sources_where_both_irises_are_known(baked):
    mesh, frames, source, texture = baked
    cam = frames[2].camera
    xy, _ = cam.project(mesh.vertices)

    def mask_of(some):
        result = render_swap(frames[2].image(), cam, mesh, some)
        x, y = np.stack([xy[r].mean(0) for r in RINGS]).astype(int).T
        return result.mask[y, x]

    assert texture.gaze is not None and mask_of(texture).min() > 0.8
    unknown = bake(mesh, frames, source, irises=[None] * len(frames))
    assert unknown.gaze is None and mask_of(unknown).max() == 0
    blind = bake(mesh, frames, replace(source, landmarks=replace(source.landmarks, iris=None)),
                 irises=[iris_on(mesh, f.camera) for f in frames])
    assert mask_of(blind).max() < 0.1
    shut = closed(mesh).vertices.astype(np.float32)
    photo = source.landmarks.points.copy()
    for ring in RINGS:  # a photo with closed eyes
        photo[ring, 1] = photo[ring, 1].mean()
    asleep = replace(source, landmarks=replace(source.landmarks, points=photo))
    asleep = bake(mesh, frames, asleep, irises=[iris_on(mesh, f.camera) for f in frames])
    assert mask_of(asleep).max() < 0.1 and openness(shut).max() == 0


def test_of_a_closed_eye_nothing_open_shows(baked):
    mesh, frames, _, texture = baked
    assert openness_beside(mesh.vertices, mesh.vertices).min() == 1
    shut = openness_beside(closed(mesh).vertices, mesh.vertices)
    assert shut.max() == 0
    h, w = texture.rgba.shape[:2]
    one = texture.in_frame(np.array([0.0, 1.0]))
    right, left = (fill_rings([texture.uv[r]], h, w) > 0.9 for r in RINGS)
    assert one.rgba[right, 3].max() == 0
    np.testing.assert_array_equal(one.rgba[left], texture.rgba[left])
    assert texture.in_frame(np.ones(2)).rgba is texture.rgba


def test_eyes_follow_a_sequence(mesh):
    frames, irises, turns = [], [], []
    for i in range(40):
        cam = camera(20 * np.sin(i / 5), size=300)
        turns.append(0.25 * np.sin(i / 3))
        frames.append(RigFrame(cam, np.zeros((1, 1, 3), np.uint8)))
        object.__setattr__(frames[-1], "name", f"f_{i:04d}")
        irises.append(None if i in (7, 8) else iris_on(mesh, cam, turns[-1]))
    gaze = follow_gaze(mesh, np.repeat(mesh.vertices[None], 40, 0), frames, irises)
    assert gaze.shape == (40, 2, 2) and np.isfinite(gaze).all()
    for k in (0, 1):
        assert np.corrcoef(gaze[:, k, 0], turns)[0, 1] > 0.97
        assert np.std(gaze[:, k, 1]) < 0.2 * np.std(gaze[:, k, 0])
    nothing = follow_gaze(mesh, np.repeat(mesh.vertices[None], 40, 0), frames, [None] * 40)
    assert np.isnan(nothing).all()


def test_white_and_pupil_are_as_bright_as_the_targets(mesh):
    uv = make_chart(mesh, 0.005).uv
    w, h = (np.ceil(uv.max(0)) + 2).astype(int)
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    source, target = np.full((h, w, 3), (30.0, 9, 9), np.float32), \
        np.full((h, w, 3), (75.0, 12, 12), np.float32)
    for ring in RINGS:
        inside = fill_rings([uv[ring]], h, w) > 0
        c = uv[ring].mean(0)
        pupil = np.hypot(x - c[0], y - c[1]) < 6
        for lab, white, black in ((source, 60, 5), (target, 80, 20)):
            lab[inside] = (white, 0, 2)
            lab[pupil] = (black, 0, 0)
    eyes, where = lit_eyes(source, target, uv)
    inside = where > 0.9
    assert abs(np.percentile(eyes[inside, 0], 2) - 20) < 4
    assert abs(np.percentile(eyes[inside, 0], 90) - 80) < 8
    assert where[0, 0] == 0
