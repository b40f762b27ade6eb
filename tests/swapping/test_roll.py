"""Photos and targets that lie on their side or stand on their head give what upright ones give."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from idf_helpers.swapping.mesh.per_picture import swap_mesh, swap_picture
from idf_helpers.swapping.mesh.triangulate import fit_face
from idf_helpers.swapping.source import from_image


def on_its_side(picture, times):
    return np.ascontiguousarray(np.rot90(picture, times))


@pytest.fixture(scope="module")
def sources(photos, detector):
    return {name: from_image(photos[name], detector) for name in "BC"}


def apart(a, b):
    """Mean difference of two pictures in levels."""
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_source_photo(photos, detector, sources, times):
    """A phone's photo that lost its EXIF entry."""
    source = from_image(on_its_side(photos["C"], times), detector)
    assert abs(source.landmarks.roll) < 5
    upright = sources["C"]
    assert source.image.shape == upright.image.shape
    assert apart(source.image, upright.image) == 0
    assert np.abs(source.landmarks.points - upright.landmarks.points).max() < 0.1
    out = swap_picture(photos["B"], source, detector)
    assert out.status == "swapped"
    assert apart(out.image, swap_picture(photos["B"], upright, detector).image) < 0.2


@pytest.mark.parametrize("degrees", [45, 110, 135, 200])
def test_a_source_photo_that_leans(photos, detector, degrees):
    M = cv2.getRotationMatrix2D((255.5, 255.5), -degrees, 0.7)
    leaning = cv2.warpAffine(photos["C"], M, (512, 512), borderValue=(110, 110, 110))
    source = from_image(leaning, detector)
    assert abs(source.landmarks.roll) <= 46
    out = swap_picture(photos["B"], source, detector)
    before, after = detector.detect(photos["B"])[0], detector.detect(out.image)[0]
    assert np.linalg.norm(after.xy - before.xy, axis=1).mean() < 0.08 * before.eye_distance


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_target_picture(photos, detector, sources, times):
    upright = swap_picture(photos["B"], sources["C"], detector)
    out = swap_picture(on_its_side(photos["B"], times), sources["C"], detector)
    assert out.status == "swapped" and upright.mask.max() > 0.9
    assert apart(out.image, on_its_side(upright.image, times)) < 0.1
    assert np.abs(out.mask - on_its_side(upright.mask, times)).mean() < 0.01
    assert out.in_front == upright.in_front


def test_a_motion_that_is_known_turns_along(photos, detector, sources):
    """As in a video, whose motion toward the source is the same in all frames."""
    face = detector.detect(photos["B"])[0]
    motion = np.zeros((468, 3))
    motion[:, :2] = 0.04 * (face.xy - face.xy.mean(0)) * (1.0, -0.5) + (2, 0)
    upright = swap_mesh(photos["B"], face, sources["C"], motion=motion)
    for times in (1, 2, 3):
        turned = face.turned(times, 512, 512)
        moved = type(face)((face.points + motion).astype(np.float32), 1.0, 1.0)
        there = moved.turned(times, 512, 512).points.astype(np.float64) - turned.points
        out = swap_mesh(on_its_side(photos["B"], times), turned, sources["C"], motion=there)
        assert apart(out.image, on_its_side(upright.image, times)) < 0.1


def test_a_head_that_is_turned_and_on_its_side(view_at, detector, sources):
    """The roll is not taken for a turn of the head, nor a turn for a roll."""
    view = view_at(45)
    upright = swap_picture(view.image, sources["B"], detector)
    out = swap_picture(on_its_side(view.image, 1), sources["B"], detector)
    assert upright.status == out.status == "swapped"
    assert apart(out.image, on_its_side(upright.image, 1)) < 0.3
    aside = view_at(80)
    for times in (0, 1, 2):
        picture = on_its_side(aside.image, times)
        assert swap_picture(picture, sources["B"], detector).status in ("extreme_pose", "no_face")


def test_cameras_that_lie_on_their_side(head_views, detector):
    """A dataset filmed with the camera on its side: the face that is fitted is the same."""
    views = [v for v in head_views if abs(v.yaw) < 50][::3]
    assert len(views) > 10

    def fitted(times):
        faces, frames = [], []
        for v in views:
            c2w, a = v.camera.c2w.copy(), -times * np.pi / 2
            turn = np.eye(4)
            turn[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
            assert v.camera.width == v.camera.height
            frames.append(SimpleNamespace(camera=replace(v.camera, c2w=c2w @ turn)))
            faces += detector.detect(on_its_side(v.image, times))
        return fit_face(frames, faces, refine_rounds=0).vertices

    upright = fitted(0)
    for times in (1, 2, 3):
        assert np.abs(fitted(times) - upright).max() < 1e-3 * np.ptp(upright, axis=0).max()
