"""The room behind a head, from frames that show parts of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.tracking import background as module
from idf_helpers.tracking.background import around_face, background, camera_motion, fill
from idf_helpers.tracking.doubts import _about_room

SIZE = 160


@pytest.fixture(scope="module")
def room():
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def discs(room, centers, radius=30):
    """Frames with a red disc for a person, and where it is."""
    y, x = np.mgrid[:SIZE, :SIZE]
    frames, masks = [], []
    for cx, cy in centers:
        mask = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        frames.append(np.where(mask[..., None], np.uint8((220, 30, 30)), room))
        masks.append(mask)
    return frames, masks


def person(monkeypatch, masks):
    calls = iter(masks)
    monkeypatch.setattr(module.PersonMask, "rough",
                        lambda self, rgb: next(calls).astype(np.float32))


NOBODY = np.full((468, 3), np.nan)


def test_what_is_uncovered_is_seen_and_the_rest_is_marked(room, monkeypatch):
    frames, masks = discs(room, [(55 + 2 * k, 80) for k in range(20)])
    person(monkeypatch, masks)
    got = background(frames.__getitem__, [NOBODY] * 20, range(20))
    assert got.masked and got.picture.shape == (SIZE, SIZE, 4)
    seen = got.picture[..., 3] == 255
    assert seen[80, 15] and seen[80, 145] and seen[5].all()
    assert not seen[80, 74] and 0.6 < got.known < 0.95  # covered all the time
    assert np.abs(got.picture[..., :3].astype(int) - room)[seen].max() <= 2
    guessed = got.picture[~seen][:, :3].astype(int)
    assert (guessed[:, 0] < 200).all()  # of the room about it, not of the person
    assert got.moving == 0 and _about_room(got) == []


def test_leaves_that_move_are_no_background(room, monkeypatch):
    frames, masks = discs(room, [(80, 100)] * 16)
    rng = np.random.default_rng(1)
    for f in frames:
        f[:60, 80:] = rng.integers(0, 255, (60, 80, 3))
    person(monkeypatch, masks)
    got = background(frames.__getitem__, [NOBODY] * 16, range(16))
    assert not got.picture[5:50, 90:150, 3].any() and got.picture[5:50, :70, 3].all()
    assert got.moving > 0.1
    (text,) = _about_room(got)
    assert "background moves" in text


def test_a_camera_that_moves_is_told_from_one_that_stands(room, monkeypatch):
    wide = cv2.resize(room, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
    wide = cv2.add(wide, cv2.resize(np.random.default_rng(3).integers(
        0, 60, (80, 80, 3)).astype(np.uint8), (2 * SIZE, 2 * SIZE)))
    masks = [np.zeros((SIZE, SIZE), bool)] * 12
    for step, zoom in ((0, 1.0), (3, 1.0), (0, 1.015)):
        frames = [cv2.warpAffine(wide, np.array(
            [[zoom**k, 0, -80 - step * k + 80 * (1 - zoom**k)],
             [0, zoom**k, -80 + 80 * (1 - zoom**k)]], np.float32), (SIZE, SIZE))
            for k in range(12)]
        shift, grown = camera_motion(frames, np.array(masks))
        assert abs(shift - step * 11 / SIZE) < 0.02 or zoom > 1
        assert abs(np.log(grown) - np.log(zoom) * 11) < 0.02
        person(monkeypatch, masks)
        words = " ".join(_about_room(background(frames.__getitem__, [NOBODY] * 12, range(12))))
        assert ("camera" in words) == bool(step or zoom > 1), words


def test_without_the_mask_the_face_tells(room, monkeypatch):
    frames, _ = discs(room, [(80, 60)] * 6, radius=18)
    points = np.zeros((468, 3))
    points[:, 0] = 80 + 12 * np.cos(np.arange(468))
    points[:, 1] = 60 + 14 * np.sin(np.arange(468))

    def missing(self, rgb):
        raise IdfError("The model is not there", "nothing", "idf download person_mask")

    monkeypatch.setattr(module.PersonMask, "rough", missing)
    got = background(frames.__getitem__, [points] * 6, range(6))
    assert not got.masked and "person_mask" in _about_room(got)[-1]
    assert not got.picture[40:159, 70:90, 3].any() and got.picture[:60, :30, 3].all()
    assert around_face(NOBODY, (SIZE, SIZE)).all()


def test_filling_goes_by_what_is_near():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :20], picture[:, 44:] = 40, 200
    known = np.zeros((64, 64), bool)
    known[:, :20] = known[:, 44:] = True
    got = fill(picture, known)[32, :, 0].astype(int)
    assert (got[:20] == 40).all() and (got[44:] == 200).all()
    assert 40 <= got[22] < 80 and 160 < got[41] <= 200 and np.diff(got).min() >= -2
    assert (fill(picture, known & False) == 128).all()
