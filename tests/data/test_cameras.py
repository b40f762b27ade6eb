import math

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.cameras import (
    Camera,
    look_at_matrix,
    orbit,
    round_trip,
    scene_frame,
    seen_yaws,
    yaw_pitch,
)


def camera(position=(0, -4, 1), size=(64, 48)):
    return Camera.look_at(position, (0, 0, 0), (0, 0, 1), 0.7, *size)


def test_target_projects_to_the_middle_and_depth_is_along_the_axis():
    c = camera()
    uv, depth = c.project([(0, 0, 0), (0, 4, -1)])
    assert np.allclose(uv, [[32, 24], [32, 24]])
    assert np.allclose(depth, [math.sqrt(17), 2 * math.sqrt(17)])


def test_axes_right_is_plus_x_up_is_minus_row():
    c = camera((0, -4, 0))
    uv, _ = c.project([(0.5, 0, 0), (0, 0, 0.5)])
    assert uv[0, 0] > 32 and abs(uv[0, 1] - 24) < 1e-9  # world +x is to the right seen from -y
    assert uv[1, 1] < 24 and abs(uv[1, 0] - 32) < 1e-9  # world +z is up


def test_rays_pass_through_pixel_centers():
    c = camera(size=(9, 7))
    origin, d = c.rays()
    uv, _ = c.project(origin + 3.0 * d.reshape(-1, 3))
    x, y = np.meshgrid(np.arange(9) + 0.5, np.arange(7) + 0.5)
    assert np.allclose(uv, np.stack([x, y], -1).reshape(-1, 2))


def test_resizing_keeps_the_view():
    c = camera()
    half = c.fitted(32)
    p = np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(c.project(p)[0] / 2, half.project(p)[0])
    assert (half.width, half.height) == (32, 24)
    assert half.fov_x == pytest.approx(c.fov_x)


def test_scene_frame_finds_center_up_front():
    target = np.array([0.3, -0.2, 0.1])
    ring = [Camera.look_at(target + 4 * np.array([math.sin(a), -math.cos(a), 0.2]), target,
                           (0, 0, 1), 0.7, 64, 48) for a in np.linspace(-1, 1, 9)]
    s = scene_frame(ring)
    assert np.allclose(s.center, target, atol=1e-6)
    assert np.allclose(s.up, (0, 0, 1), atol=1e-6)
    assert np.allclose(s.front, (0, -1, 0), atol=1e-6)
    assert s.distance == pytest.approx(4 * math.sqrt(1.04))
    yaw, pitch = yaw_pitch(ring[-1], s)
    assert yaw == pytest.approx(math.degrees(1), abs=1e-6)
    assert pitch == pytest.approx(math.degrees(math.atan(0.2)), abs=1e-6)


def test_orbit_starts_in_front_looks_at_the_center_and_closes():
    ring = [camera((4 * math.sin(a), -4 * math.cos(a), 0)) for a in np.linspace(-1, 1, 5)]
    path = orbit(ring, 8, elevation=0)
    s = scene_frame(ring)
    assert yaw_pitch(path[0], s)[0] == pytest.approx(0, abs=1e-6)
    assert yaw_pitch(path[2], s)[0] == pytest.approx(90, abs=1e-6)
    for c in path:
        assert np.allclose(c.project([s.center])[0], [[c.cx, c.cy]])
        assert np.linalg.det(c.c2w[:3, :3]) == pytest.approx(1)


def ring(*degrees):
    return [camera((4 * math.sin(math.radians(a)), -4 * math.cos(math.radians(a)), 0))
            for a in degrees]


def test_a_round_trip_shows_what_was_seen():
    assert seen_yaws(ring(*range(-180, 180, 30))) == (-180, 180)
    whole = ring(*range(-180, 180, 30))
    for a, b in zip(round_trip(whole, 6), orbit(whole, 6), strict=True):
        assert np.array_equal(a.c2w, b.c2w)
    part = ring(*range(-100, 81, 20))
    low, high = seen_yaws(part)
    assert high - low == pytest.approx(180)
    s, path = scene_frame(part), round_trip(part, 40, elevation=0)
    yaws = [yaw_pitch(c, s)[0] for c in path]
    assert yaws[0] == pytest.approx(0, abs=1e-6) and max(np.abs(np.diff([*yaws, yaws[0]]))) < 16
    assert min(yaws) == pytest.approx(low, abs=2) and max(yaws) == pytest.approx(high, abs=2)


@pytest.mark.parametrize("middle", [0, 120, -170])
def test_the_arc_of_cameras_anywhere_on_the_circle(middle):
    arc = ring(*(middle + d for d in range(-60, 61, 20)))
    low, high = seen_yaws(arc)
    assert high - low == pytest.approx(120) and -360 < low < high < 360


def test_one_camera_still_has_a_scene_in_front_of_it():
    c = camera()
    s = scene_frame([c])
    assert c.project([s.center])[1][0] > 0


def test_degenerate_look_at_is_refused():
    with pytest.raises(IdfError):
        look_at_matrix((0, 0, 1), (0, 0, 0), (0, 0, 1))
    with pytest.raises(IdfError):
        scene_frame([])
