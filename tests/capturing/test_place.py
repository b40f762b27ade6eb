"""Cameras of any world, brought to that of the bundled views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.capturing import place as placing
from idf_helpers.capturing.cameras import Cameras, Frames
from idf_helpers.capturing.place import Similarity, fit_similarity, place, triangulate
from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.errors import IdfError
from idf_helpers.face.head_model import FaceModel

ELSEWHERE = Similarity(3.7, Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix(),
                       np.array([5.0, -2.0, 9.0]))
DISTORTION = (0.04, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def bundled(head_views):
    """Cameras of the bundled views within 60 degrees, every other one, and their landmarks; and
    four from behind, without."""
    front = [v for v in head_views if abs(v.yaw) < 60 and v.faces][::2]
    back = [v for v in head_views if abs(v.yaw) > 120][:4]
    return ([v.camera for v in front + back],
            np.array([v.faces[0].points for v in front] + [np.full((468, 3), np.nan)] * 4))


def captured(cameras, points, distortion=None):
    """What a solver would hand on, in another world; frame 1 has no camera."""
    n = len(cameras)
    frames = Frames(np.arange(n), (Path("p"),) * n, (Path("m"),) * n, points.astype(np.float32),
                    320, 320, "camera")
    moved = [ELSEWHERE.camera(c) for c in cameras]
    moved[1] = None
    cloud = np.concatenate([ELSEWHERE.points(np.eye(3)), np.full((3, 3), 0.5)], 1)
    return frames, Cameras("colmap", tuple(moved), distortion, 0.5, (),
                           cloud.astype(np.float32))


def errors(found, cameras):
    """Degrees and share of the distance by which placed cameras are off, worst."""
    turns, shifts = [], []
    for a, b in zip(found.cameras, cameras, strict=True):
        if a is not None:
            turns.append(np.degrees(Rotation.from_matrix(
                a.c2w[:3, :3] @ b.c2w[:3, :3].T).magnitude()))
            shifts.append(np.linalg.norm(a.position - b.position) / np.linalg.norm(b.position))
    return max(turns), max(shifts)


def test_cameras_come_back_to_where_the_bundled_ones_are(bundled):
    cameras, points = bundled
    found = place(*captured(cameras, points))
    assert found.cameras[1] is None and not found.notes
    turn, shift = errors(found, cameras)
    assert turn < 1.5 and shift < 0.03
    np.testing.assert_allclose(found.points[:, :3], np.eye(3), atol=0.1)
    np.testing.assert_array_equal(found.points[:, 3:], 0.5)


def test_a_lens_with_distortion_is_straightened_first(bundled):
    cameras, points = bundled
    bent = points.copy()
    for c, p in zip(cameras, bent, strict=True):
        x = (p[:, :2] - (c.cx, c.cy)) / c.fx
        p[:, :2] = x * (1 + 0.8 * (x**2).sum(1, keepdims=True)) * c.fx + (c.cx, c.cy)
    straight = place(*captured(cameras, points))
    again = place(*captured(cameras, bent, (0.8, 0.0, 0.0, 0.0)))
    without = place(*captured(cameras, bent))
    off = [np.abs(found.cameras[0].c2w - straight.cameras[0].c2w).max()
           for found in (again, without)]
    assert off[0] < 2e-3 and off[1] > 10 * off[0]


def test_wild_landmarks_of_some_frames_do_not_count(bundled):
    cameras, points = bundled
    wild = points.copy()
    wild[2:8:2, :, 0] += 40
    turn, shift = errors(place(*captured(cameras, wild)), cameras)
    assert turn < 2.5 and shift < 0.05


def test_one_view_of_the_face_gives_directions_and_about_the_size(bundled):
    cameras, points = bundled
    one = np.full_like(points, np.nan)
    k = int(np.argmin([abs(c.position[0]) for c in cameras[:-4]]))
    k = k if k != 1 else 0
    one[k] = points[k]
    found = place(*captured(cameras, one))
    turn, shift = errors(found, cameras)
    assert turn < 8 and shift < 0.25
    assert "one side only" in found.notes[0]


def test_without_a_face_the_cameras_stand_around_the_origin(bundled):
    cameras, points = bundled
    found = place(*captured(cameras, np.full_like(points, np.nan)))
    known = [c for c in found.cameras if c is not None]
    assert np.median([np.linalg.norm(c.position) for c in known]) == pytest.approx(4, rel=0.05)
    assert np.mean([c.up for c in known], 0)[2] > 0.8
    assert "guessed" in found.notes[0] and all(c.front is None for c in known)


def test_a_face_that_does_not_fit_is_doubted(bundled):
    cameras, points = bundled
    rng = np.random.default_rng(0)
    torn = points + rng.normal(0, 60, points.shape)
    assert "fits badly" in " ".join(place(*captured(cameras, torn)).notes)


def test_a_head_that_sways_is_told(bundled):
    cameras, points = bundled
    size = np.nanmedian(np.ptp(points[..., :2], axis=1).max(1))
    swaying = points.copy()
    swaying[..., 0] += (0.06 * size * np.sin(np.arange(len(points)) * 1.9))[:, None]
    assert "does not hold still" in place(*captured(cameras, swaying)).notes[0]


def test_one_camera_is_no_capture(bundled):
    cameras, points = bundled
    frames, found = captured(cameras, points)
    only = replace(found, cameras=(found.cameras[0],) + (None,) * (len(cameras) - 1))
    with pytest.raises(IdfError, match="too few cameras"):
        place(frames, only)


def test_rays_meet_where_the_points_are():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 0.4, (30, 3))
    cameras = [Camera(look_at_matrix([4 * np.sin(a), -4 * np.cos(a), 0.3], [0, 0, 0], [0, 0, 1]),
                      600, 620, 150, 170, 320, 320) for a in np.linspace(-1, 1, 9)]
    xy = np.array([c.project(truth)[0] for c in cameras])
    xy[3, ::2] += 70  # mistakes
    np.testing.assert_allclose(triangulate(cameras, xy, np.ones(xy.shape[:2])), truth, atol=2e-3)


def test_a_similarity_is_found_and_never_mirrors():
    x = np.random.default_rng(2).normal(0, 1, (20, 3))
    found = fit_similarity(x, ELSEWHERE.points(x), np.ones(20))
    assert found.scale == pytest.approx(3.7)
    np.testing.assert_allclose(found.rotation, ELSEWHERE.rotation, atol=1e-9)
    np.testing.assert_allclose(found.offset, ELSEWHERE.offset, atol=1e-9)
    assert np.linalg.det(fit_similarity(x, x * (-1, 1, 1), np.ones(20)).rotation) > 0


def test_the_unit_is_that_of_the_bundled_head(bundled):
    """Its constants: the bundled head's own landmarks, laid onto the mean face."""
    cameras, points = bundled
    seen = np.isfinite(points[:, 0, 0])
    cameras = [c for c, s in zip(cameras, seen, strict=True) if s]
    cloud = triangulate(cameras, points[seen][..., :2], np.ones((seen.sum(), 468)))
    rest = FaceModel.load().rest @ placing.TO_WORLD.T * placing.UNIT + placing.ORIGIN
    assert np.ptp(cloud[:, 0]) == pytest.approx(np.ptp(rest[:, 0]), rel=0.06)
    assert np.abs(np.median(cloud, 0) - np.median(rest, 0)).max() < 0.04
