"""The skin's motion: it follows the expression, and neither light nor the frames' order."""

import weakref

import cv2
import numpy as np
import pytest

from idf_helpers.data import samples
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.head_shape import HeadFrame
from idf_helpers.tracking.skin_motion import SkinMotion, skin_motion

SCALE, POSITION = 0.00783, np.array([0.0, 0.0135, -0.0114])  # of the bundled head
TURNED = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@pytest.fixture(scope="module")
def sequence():
    data = samples.dataset("head_talking")
    frames = sorted(data.train, key=lambda f: f.name)[:210:7]
    head = HeadFrame(SCALE, TURNED, POSITION, FaceModel.load().rest.astype(np.float64))
    jaw = np.array([f.expression[data.expression_names.index("jawOpen")] for f in frames])
    return head, [f.image()[..., :3] for f in frames], [f.camera for f in frames], jaw


def test_the_chin_follows_the_jaw(sequence):
    head, pictures, cameras, jaw = sequence
    motion = skin_motion(lambda i: pictures[i], cameras, range(0, len(cameras), 2), head)
    skin = SkinMotion(head, list(zip(pictures, cameras, strict=True))[:1])
    assert motion.shape == (len(jaw), 2 * len(skin.middle)) and motion.dtype == np.float32
    chin = (skin.middle[:, 1] < -5.5) & (np.abs(skin.middle[:, 0]) < 1.5)
    brow = (skin.middle[:, 1] > 5.5) & (np.abs(skin.middle[:, 0]) < 3)
    down = motion[:, len(skin.middle):]
    assert np.corrcoef(down[:, chin].mean(1), jaw)[0, 1] > 0.8
    assert abs(np.corrcoef(down[:, brow].mean(1), jaw)[0, 1]) < 0.6
    assert np.abs(down[:, brow]).mean() < 0.4 * down[:, chin].std()


def test_light_does_not_count(sequence):
    head, pictures, cameras, _ = sequence
    skin = SkinMotion(head, list(zip(pictures, cameras, strict=True))[::3])
    for i in (4, 11):
        plain = skin.measure(pictures[i], cameras[i])
        dark = skin.measure(cv2.convertScaleAbs(pictures[i], alpha=0.7, beta=5), cameras[i])
        assert np.sqrt(((plain - dark) ** 2).mean()) < 0.05 + 0.3 * plain.std()


def test_no_more_than_a_few_pictures_are_held(sequence):
    head, pictures, cameras, _ = sequence
    given, most = [], 0

    def picture(i):
        nonlocal most
        out = pictures[i].copy()
        given.append(weakref.ref(out))
        most = max(most, sum(r() is not None for r in given))
        return out

    skin_motion(picture, cameras[:8], range(8), head)
    assert len(given) == 16 and most <= 2


def test_the_threads_of_opencv_come_back(sequence):
    head, pictures, cameras, _ = sequence
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        skin_motion(lambda i: pictures[i], cameras[:3], range(3), head)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
