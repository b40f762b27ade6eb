"""Frames that pycolmap left out, from landmark cameras; cameras that contradict the face."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.capturing.cameras import Cameras, Frames
from idf_helpers.capturing.check import agreement
from idf_helpers.capturing.fill import filled
from idf_helpers.capturing.place import Similarity
from idf_helpers.data.cameras import Camera
from idf_helpers.face.head_model import CENTER, FaceModel

YAW = np.arange(-60, 61, 5.0)
N = len(YAW)


def head_camera(yaw, f=900.0):
    """A camera round a head at the origin of its frame, cm; farther away with a longer lens."""
    a, distance = np.radians(yaw), 60.0 * f / 900
    c = Camera.look_at(CENTER + distance * np.array([np.sin(a), 0.1, np.cos(a)]), CENTER,
                       (0, 1, 0), 0.5, 800, 800)
    return replace(c, fx=f, fy=f)


@pytest.fixture(scope="module")
def seen():
    """Frames, pycolmap's cameras of all of them in a world of its own, and landmark cameras in the
    head's, of another lens and with an error that grows slowly."""
    true = [head_camera(y) for y in YAW]
    face, rng = FaceModel.load().rest.astype(np.float64), np.random.default_rng(0)
    points = []
    for camera in true:
        uv, depth = camera.project(face)
        points.append(np.column_stack([uv + rng.normal(0, 1, uv.shape), depth * 900 / 60]))
    points = np.array(points)
    frames = Frames(np.arange(N), (), (), points.astype(np.float32), 800, 800, "head")
    world = Similarity(0.2, Rotation.from_euler("xyz", (0.3, 1.0, -0.4)).as_matrix(),
                       np.array([3.0, -1, 2]))
    colmap = Cameras("colmap", tuple(world.camera(c) for c in true), None, 0.4)
    return frames, colmap, Cameras("landmarks", tuple(
        head_camera(y * 1.015 + 1, 950.0) for y in YAW), None, 0.4)


def without(cameras, rows):
    return replace(cameras, cameras=tuple(None if i in rows else c
                                          for i, c in enumerate(cameras.cameras)))


@pytest.mark.parametrize("rows", [range(1, N, 2), range(N // 2), range(N // 2, N)])
def test_frames_left_out_come_into_the_first_ones_world(seen, rows):
    frames, colmap, landmarks = seen
    out = filled(frames, without(colmap, rows), landmarks)
    assert out.registered.all()
    assert f"{len(rows)} frames without a camera by colmap have landmark cameras" in out.notes[0]
    for i, camera in enumerate(out.cameras):
        if i not in rows:
            assert camera is colmap.cameras[i]
            continue
        true = colmap.cameras[i]
        turn = Rotation.from_matrix(true.c2w[:3, :3].T @ camera.c2w[:3, :3])
        assert np.degrees(turn.magnitude()) < 2.5 and camera.fx == true.fx
        assert np.linalg.norm(camera.position - true.position) < 0.05 * 0.2 * 60


def test_a_frame_that_contradicts_the_face_stays_out(seen):
    frames, colmap, landmarks = seen
    wrong = list(landmarks.cameras)
    wrong[4] = head_camera(YAW[4] + 25)
    out = filled(frames, without(colmap, (3, 4, 5)), replace(landmarks, cameras=tuple(wrong)))
    assert np.flatnonzero(~out.registered).tolist() == [4]


def test_too_few_in_common_change_nothing(seen):
    frames, colmap, landmarks = seen
    few = without(colmap, range(5, N))
    assert filled(frames, few, landmarks) is few
    some = without(colmap, (2, 3))
    assert filled(frames, some, without(landmarks, (2, 3))) is some


def test_cameras_that_turn_otherwise_than_the_face_are_told(seen):
    frames, colmap, _ = seen
    assert agreement(frames, colmap).whole < 4
    for i, half in enumerate((lambda y: 0.3 * y, lambda y: y if y > -10 else y + 40)):
        wrong = replace(colmap, cameras=tuple(head_camera(half(y)) for y in YAW))
        assert agreement(frames, wrong).contradiction("camera"), i
    turned = without(colmap, np.flatnonzero(np.abs(YAW) < 30))
    assert not agreement(frames, turned).contradiction("camera")
    still = replace(turned, cameras=tuple(c and head_camera(0) for c in turned.cameras))
    assert agreement(frames, still).contradiction("camera")  # of a pan, say
    assert agreement(frames, without(colmap, range(3, N))).whole == 0  # too few to say anything


@pytest.mark.parametrize("turn, roll", [(30, 0), (0, 16), (-25, 10)])
def test_single_frames_that_contradict_the_face_are_found(seen, turn, roll):
    """Some of one side lie wrongly in a model that is right as a whole, and so does a frame
    between them that shows no face."""
    frames, colmap, _ = seen
    assert not agreement(frames, colmap).wrong.any()
    bent = list(colmap.cameras)
    for i in (20, 21, 22, 23):
        c = head_camera(YAW[i] + turn)
        world = Similarity(0.2, Rotation.from_euler("xyz", (0.3, 1.0, -0.4)).as_matrix(),
                           np.array([3.0, -1, 2]))
        c2w = c.c2w.copy()
        c2w[:3, :3] = c2w[:3, :3] @ Rotation.from_euler("z", roll, degrees=True).as_matrix()
        bent[i] = world.camera(replace(c, c2w=c2w))
    points = frames.points.copy()
    points[[3, 21]] = np.nan
    found = agreement(replace(frames, points=points), replace(colmap, cameras=tuple(bent)))
    assert found.contradiction("head") == ""
    assert np.flatnonzero(found.wrong).tolist() == [20, 21, 22, 23]


def test_a_profile_that_is_badly_drawn_keeps_its_camera(seen):
    frames, colmap, _ = seen
    true = [head_camera(y) for y in YAW * 1.3]
    face = FaceModel.load().rest.astype(np.float64)
    points = []
    for camera in true:
        uv, depth = camera.project(face)
        points.append(np.column_stack([uv, depth * 900 / 60]))
    points = np.array(points, np.float32)
    points[[0, 19], :, 0] += 40 * np.sin(np.arange(468))  # of a profile, and of a turned face
    found = agreement(replace(frames, points=points), replace(colmap, cameras=tuple(true)))
    assert np.flatnonzero(found.wrong).tolist() == [19]


def test_what_both_solvers_say_counts_more_than_the_face(seen):
    """A detector that loses a turned face draws it less turned."""
    frames, colmap, landmarks = seen
    doubted = list(colmap.cameras)
    doubted[21] = replace(doubted[21], c2w=doubted[2].c2w)
    out = filled(frames, without(colmap, (20, 21)), landmarks,
                 replace(colmap, cameras=tuple(doubted)))
    assert out.cameras[20] is doubted[20] and out.cameras[21] is not doubted[21]
    assert out.registered.all() and "1 frame without a camera by colmap has" in out.notes[0]
