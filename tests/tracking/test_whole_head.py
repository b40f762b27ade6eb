"""Poses aligned with the whole head: near the truth where the face alone was off."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from idf_helpers.data import samples
from idf_helpers.data.media import read_image, resize_area
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.head_shape import HeadFrame, HeadShape
from idf_helpers.reconstruction.avatar.room import matte
from idf_helpers.tracking.whole_head import refine_poses

SCALE, POSITION = 0.00783, np.array([0.0, 0.0135, -0.0114])  # of the bundled head
TURNED = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SPOTS = np.array([[0.0, 10, 0], [6, 4, 0], [-6, 4, 0], [0, 0, 12], [0, -6, 10]])  # cm, on a head


@pytest.fixture(scope="module")
def sequence():
    data = samples.dataset("head_talking")
    frames = sorted(data.train, key=lambda f: f.name)[:200:5]
    room = read_image(data.background)[..., :3]
    pictures = [f.image()[..., :3] for f in frames]
    return [f.camera for f in frames], pictures, [matte(p, room) for p in pictures]


def aligned(cameras, pictures, mattes):
    frame = HeadFrame(SCALE, TURNED, POSITION, FaceModel.load().rest.astype(np.float64))
    pixels = [np.ascontiguousarray(resize_area(np.dstack([p, m]), 96, 96).transpose(2, 0, 1))
              for p, m in zip(pictures, mattes, strict=True)]
    shape = HeadShape.fit(frame, TrainingViews([c.fitted(96) for c in cameras], pixels))
    return frame, refine_poses(lambda i: pictures[i], mattes, cameras, shape)


def off(frame, cameras, truth):
    """Median over frames of how far spots of the head lie from where they should, pixels of 256."""
    world = frame.to_world(SPOTS)
    return np.median([np.linalg.norm(a.project(world)[0] - b.project(world)[0], axis=1).mean()
                      for a, b in zip(cameras, truth, strict=True)])


def test_exact_poses_stay(sequence):
    cameras, pictures, mattes = sequence
    frame, found = aligned(cameras, pictures, mattes)
    assert off(frame, found, cameras) < 0.7


def test_poses_that_are_off_come_nearer(sequence):
    """By a degree and some millimeters, now this way, now that, as a tracker errs."""
    cameras, pictures, mattes = sequence
    wrong = gaussian_filter1d(np.random.default_rng(0).normal(size=(len(cameras), 6)), 1.5, axis=0)
    wrong *= np.array([*np.radians([1, 1, 0.7]), 0.15, 0.15, 0.6]) / wrong.std(axis=0)
    moved = []
    for camera, w in zip(cameras, wrong, strict=True):
        T = np.eye(4)
        T[:3, :3] = TURNED @ Rotation.from_rotvec(w[:3]).as_matrix() @ TURNED.T
        T[:3, 3] = POSITION - T[:3, :3] @ POSITION + SCALE * TURNED @ w[3:]
        moved.append(replace(camera, c2w=T @ camera.c2w))
    frame, found = aligned(moved, pictures, mattes)
    assert off(frame, found, cameras) < 0.7 * off(frame, moved, cameras)
