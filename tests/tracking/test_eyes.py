"""Gaze and blinks of a clip: irises put where eyes that look somewhere have them."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.face import blendshapes
from idf_helpers.face.frame_fitter import Lens
from idf_helpers.face.gaze import gaze_of
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.pose import project
from idf_helpers.tracking import eyes
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.fit import fit_clip

from .clips import SIZE, make_clip

LENS = Lens.of(30.0, SIZE, SIZE)


def irises(poses, neutral, angles):
    """(N, 10, 3) pixels of eyes that look at (N, 2) degrees as `measure` takes them."""
    model, out = FaceModel.load(), np.zeros((len(poses), 10, 3))
    for i, pose in enumerate(poses):
        shown = model.displacement(pose)
        left, up = np.radians(angles[i] / (1, eyes.UPRIGHT_GAIN))
        looks = np.array([np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)])
        for side in (0, 1):
            corners = list(eyes.CORNERS[side])
            middle = (neutral + shown)[corners].mean(0) + np.multiply(
                eyes.MIDDLE, (2 * side - 1, 1, 1))
            seen = project(pose, (middle + eyes.RADIUS * looks)[None],
                           np.array([LENS.fx, LENS.fy]), np.array([LENS.cx, LENS.cy]))
            out[i, 5 * side:5 * side + 5, :2] = seen
    return out


@pytest.fixture(scope="module")
def clip():
    """points, irises, poses, neutral face and gaze of 60 frames, saccades every 10."""
    points, poses, _, identity = make_clip(60)
    rng = np.random.default_rng(1)
    angles = np.repeat(rng.uniform((-20, -12), (20, 12), (6, 2)), 10, axis=0)
    neutral = FaceModel.load().vertices(identity).astype(np.float64)
    return points, irises(poses, neutral, angles), poses, neutral, angles


def test_the_gaze_is_found_and_saccades_stay_sharp(clip):
    points, iris, poses, neutral, angles = clip
    found = eyes.measure(points, iris, poses, neutral, LENS, FaceModel.load())
    # the ray meets the sphere as if the lens were far away: a degree at most
    assert np.abs(found.angles - angles).max() < 1.5 and found.trust.min() > 0.3


def test_shaking_irises_are_calmed_while_the_eyes_rest(clip):
    points, iris, poses, neutral, angles = clip
    noisy = iris + np.random.default_rng(2).normal(0, 0.25, iris.shape)
    found = eyes.measure(points, noisy, poses, neutral, LENS, FaceModel.load())
    error = np.hypot(*(found.angles - angles).T)
    assert error.mean() < 3.0
    # the first and last frame of a rest, where a low-pass would mix two directions
    assert error[9::10].mean() < 4.5 and error[::10].mean() < 4.5


def test_closed_eyes_and_lost_frames_go_on_from_what_was_seen(clip):
    points, iris, poses, neutral, angles = (a.copy() for a in clip)
    for upper, lower in eyes.LIDS:
        points[32:36, list(upper)] = points[32:36, list(lower)]  # shut
    iris[32:36, :, 1] += 20  # what the model says of an eye that it does not see
    points[50:53] = iris[50:53] = np.nan
    found = eyes.measure(points, iris, poses, neutral, LENS, FaceModel.load())
    assert (found.trust[32:36] == 0).all() and (found.trust[50:53] == 0).all()
    assert np.abs(found.angles[30:40] - angles[30:40]).max() < 1.5
    assert np.isfinite(found.angles).all() and found.opening[33].max() < 0.1
    nothing = eyes.measure(points, iris * np.nan, poses, neutral, LENS, FaceModel.load())
    assert (nothing.angles == 0).all() and (nothing.trust == 0).all()


def test_most_of_a_constant_height_is_taken_off(clip):
    """What the eyes' own shape adds to every frame; who looks at the camera keeps doing so."""
    points, iris, poses, neutral, angles = clip
    at_camera = eyes.Gaze(np.zeros((60, 2)), np.ones(60), np.ones((60, 2)))
    to = -(poses[:, :3, :3] @ neutral[[33, 133, 263, 362]].mean(0) + poses[:, :3, 3])
    at_camera.angles[:, 1] = np.degrees(np.arcsin(
        np.einsum("nij,ni->nj", poses[:, :3, :3], to)[:, 1] / np.linalg.norm(to, axis=1)))
    same = eyes.without_constant(at_camera, poses, neutral)
    assert np.abs(same.angles - at_camera.angles).max() < 2
    off = eyes.Gaze(at_camera.angles + (0, 6), at_camera.trust, at_camera.opening)
    left = eyes.without_constant(off, poses, neutral).angles - same.angles
    assert np.allclose(left[:, 0], 0) and np.ptp(left[:, 1]) < 1e-6 and 1 < left[0, 1] < 3
    blind = eyes.Gaze(off.angles, np.zeros(60), off.opening)
    assert eyes.without_constant(blind, poses, neutral) is blind


def test_a_fitted_clip_has_the_gaze_among_its_weights(clip, monkeypatch):
    points, iris, poses, neutral, angles = clip
    told = np.full((len(points), 52), 0.1, np.float32)
    told[20:24, 9:11] = 0.9
    monkeypatch.setattr(eyes, "scores", lambda p, i: told)
    track = fit_clip(points, SIZE, SIZE, TrackConfig(fov=30.0), iris=iris)
    gaze = gaze_of(track.names, track.expressions)
    np.testing.assert_allclose(gaze[:, 0], gaze[:, 1], atol=1e-4)
    assert np.abs(gaze[:, 0] - angles).mean() < 3.5
    np.testing.assert_allclose(gaze[:, 0], track.gaze, atol=1e-3)
    without = fit_clip(points, SIZE, SIZE, TrackConfig(fov=30.0))
    assert without.gaze is None


def test_a_blink_is_what_fit_and_network_see(monkeypatch):
    told = np.zeros((4, 52), np.float32)
    told[:, blendshapes.NAMES.index("eyeBlinkRight")] = 0.0, 0.25, 0.9, np.nan
    told[:, blendshapes.NAMES.index("eyeBlinkLeft")] = 0.9, 0.9, 0.0, np.nan
    monkeypatch.setattr(eyes, "scores", lambda p, i: told)
    got = eyes.blinks(None, None, np.full((4, 2), 0.8), np.ones((4, 2)))
    np.testing.assert_allclose(got, [(0, 0.8), (0.4, 0.8), (0.8, 0), (0.8, 0.8)], atol=1e-6)
    # nearly shut lids are a blink, whatever the fit makes of them, if the network agrees
    got = eyes.blinks(None, None, np.full((4, 2), 0.3), np.full((4, 2), 0.35))
    np.testing.assert_allclose(got, [(0, 0.5), (0.25, 0.5), (0.5, 0), (0.3, 0.3)], atol=1e-6)
    shut = eyes.blinks(None, None, np.full((4, 2), 0.3), np.full((4, 2), 0.1))
    np.testing.assert_allclose(shut[:3], 1, atol=1e-6)
