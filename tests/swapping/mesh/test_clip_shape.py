import numpy as np
import pytest

from idf_helpers.face.frame_fitter import FrameFitter
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.pose import rotation
from idf_helpers.face.shape_fit import guessed_lens
from idf_helpers.face.topology import FACE_LEFT, FACE_RIGHT, NOSE_TIP
from idf_helpers.swapping.mesh.clip_shape import without_expression
from idf_helpers.swapping.mesh.proportions import moved_by, of_head

SIZE = 512, 512


@pytest.fixture(scope="module")
def person():
    rng, model = np.random.default_rng(3), FaceModel.load()
    return FrameFitter(model, guessed_lens(*SIZE),
                       model.vertices(0.5 * rng.normal(size=len(model.identity))))


@pytest.fixture(scope="module")
def talking(person):
    """Landmarks of twelve frames: one person, a turning head, a mouth that opens and smiles."""
    faces = []
    for k in range(12):
        weights = np.zeros(len(person.shapes))
        for name, amount in (("jawOpen", 0.4 * (k % 3) / 2), ("mouthSmile_L", 0.1 * (k % 4)),
                             ("mouthSmile_R", 0.1 * (k % 4))):
            weights[person.model.seen.index(name)] = amount
        pose = np.eye(4)
        pose[:3, :3] = rotation([0.02 * (k % 5), 0.05 * (k - 6), 0])
        pose[:3, 3] = 0.2 * k, 0, -70
        z = person.shape(weights) @ pose[2, :3] + pose[2, 3]
        scale = person.f.mean() / 70
        faces.append(FaceLandmarks(np.column_stack(
            [person.project(weights, pose), -(z - z.mean()) * scale]).astype(np.float32), 1.0, 1.0))
    return faces


def in_widths(person, moved):
    return moved / np.linalg.norm(person.neutral[FACE_LEFT] - person.neutral[FACE_RIGHT])


def smile(person, amount):
    names = ("mouthSmile_L", "mouthSmile_R")
    return amount * sum(person.shapes[person.model.seen.index(n)] for n in names)


def test_a_smile_in_a_change_of_shape_is_taken_out(person, talking):
    motion = in_widths(person, smile(person, 0.3))
    left = without_expression(motion, talking, *SIZE)
    mouth = np.linalg.norm(motion, axis=1) > 0.3 * np.linalg.norm(motion, axis=1).max()
    before, after = (np.linalg.norm(m[mouth], axis=1).mean() for m in (motion, left))
    assert after < 0.5 * before


def test_a_shape_stays(person, talking):
    model = person.model
    shape = np.tensordot(np.random.default_rng(5).normal(size=len(model.identity)),
                         model.identity.astype(np.float64), 1)
    motion = in_widths(person, shape - shape.mean(0))
    left = without_expression(motion, talking, *SIZE)

    def kept(rows):
        return (motion[rows] * left[rows]).sum() / (motion[rows]**2).sum()
    upper = model.rest[:, 1] > model.rest[NOSE_TIP, 1]
    assert 0.95 < kept(upper) < 1.05
    assert kept(~upper) > 0.7


def test_no_motion_stays_none(talking):
    still = np.zeros((468, 3))
    assert np.abs(without_expression(still, talking, *SIZE)).max() < 1e-3


def test_a_smile_that_is_only_seen_in_swapped_frames_is_taken_out(person, talking):
    """Landmarks alone show none: the folds of the photo do, once they are drawn."""
    drawn = in_widths(person, smile(person, 0.3))

    def look(motion):
        return [None if k == 3 else moved_by(f, of_head(motion + drawn, f.points))
                for k, f in enumerate(talking)]
    left = without_expression(np.zeros((468, 3)), talking, *SIZE, look)
    mouth = np.linalg.norm(drawn, axis=1) > 0.3 * np.linalg.norm(drawn, axis=1).max()
    was, still = (np.linalg.norm(m[mouth], axis=1).mean() for m in (drawn, left + drawn))
    assert still < 0.5 * was
