"""A first look at footage: cuts, zooms, still pictures, and which frames are kept."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idf_helpers.capturing.choose import candidates, facing, spread, yaws
from idf_helpers.capturing.look import of_one_person
from idf_helpers.capturing.scan import Scan, is_still, scan, takes, zoomed
from idf_helpers.data import media
from idf_helpers.data.footage import Source
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.pose import rotation
from idf_helpers.runtime.progress import Reporter

FPS = 10.0


def wall(seed, size=900):
    """A picture full of corners, large things and small ones, as rooms are."""
    rng = np.random.default_rng(seed)
    out = np.zeros((size, size, 3))
    for step, strength in ((180, 70), (60, 35), (12, 25)):
        cells = rng.normal(0, strength, (size // step, size // step, 3))
        out += np.repeat(np.repeat(cells, step, 0), step, 1)
    return np.clip(out + 128, 0, 255).astype(np.uint8)


def window(picture, x, zoom=1.0, size=160):
    """A part of a picture, smooth in x and zoom."""
    M = np.array([[zoom, 0, -zoom * x], [0, zoom, -zoom * 200.0]])
    return cv2.warpAffine(picture, M, (size, size), flags=cv2.INTER_AREA)


def footage(tmp_path, frames):
    with media.video_writer(tmp_path / "clip.mp4", FPS, crf=12) as video:
        for frame in frames:
            video.append(frame)
    return scan(Source(tmp_path / "clip.mp4"), Reporter())


def test_a_cut_is_found_where_it_is(tmp_path):
    frames = [window(wall(1), 100 + 3 * k) for k in range(24)] + \
        [window(wall(2), 100 + 3 * k) for k in range(16)]
    parts, why = takes(footage(tmp_path, frames), FPS)
    assert parts == [(0, 24), (24, 40)] and why == ["a cut at frame 24"]


def test_a_steady_pan_is_one_take_and_its_motion_is_measured(tmp_path):
    found = footage(tmp_path, [window(wall(1), 100 + 4 * k) for k in range(30)])
    assert takes(found, FPS) == ([(0, 30)], [])
    assert np.median(found.moved[1:]) == pytest.approx(4 / 160, rel=0.05)
    assert not is_still(found)


def test_a_zoom_breaks_a_take(tmp_path):
    zooms = [1.0] * 20 + list(np.linspace(1, 1.5, 10)) + [1.5] * 12
    parts, why = takes(footage(tmp_path, [window(wall(1), 100 + k, z) for k, z in
                                          enumerate(zooms)]), FPS)
    assert len(why) == 1 and "zoom" in why[0]
    first, last = parts[0]
    assert first == 0 and 16 <= last <= 22


def before_a_room(zoom, k):
    """A head-sized thing that moves before a room, seen by a lens that zooms about the middle."""
    out = cv2.warpAffine(wall(1), np.array([[zoom, 0, 120 - zoom * 450.0],
                                            [0, zoom, 120 - zoom * 450.0]]), (240, 240))
    out[80:180, 80 + k:160 + k] = wall(3)[200:300, 100 + 4 * k:180 + 4 * k]
    return out


@pytest.mark.parametrize("last", [1.0, 1.3])
def test_a_slow_zoom_of_a_camera_that_stands_is_measured(tmp_path, last):
    zooms = np.linspace(1, last, 48)
    found = footage(tmp_path, [before_a_room(z, abs(k % 40 - 20)) for k, z in enumerate(zooms)])
    assert takes(found, FPS) == ([(0, 48)], [])  # too slow for a break
    assert zoomed(found, (0, 48)) == pytest.approx(last, rel=0.05)
    assert zoomed(found, (0, 8)) == 1
    # a camera that turns aside shows other parts of the room at the same size
    pan = footage(tmp_path, [window(wall(1), 30 + 9 * k) for k in range(30)])
    assert zoomed(pan, (0, 30)) == 1


def test_a_slow_zoom_is_cut_away_where_most_is_left():
    found = made(np.ones(100), np.full(100, 0.01))
    ramp = replace(found, grown=np.interp(np.arange(100), [0, 30, 100], [0, 0.3, 0.3]))
    parts, why = takes(ramp, FPS)
    (first, last), = parts
    assert 24 <= first <= 30 and last == 100 and why == [f"a slow zoom at frames 0 to {first - 1}"]
    assert zoomed(ramp, parts[0]) == 1
    whole = replace(found, grown=np.linspace(0, 0.3, 100))
    assert takes(whole, FPS) == ([(0, 100)], []) and zoomed(whole, (0, 100)) > 1.3


def test_a_still_picture_is_told(tmp_path):
    assert is_still(footage(tmp_path, [window(wall(1), 100)] * 12))


def made(sharpness, moved):
    n = len(sharpness)
    return Scan(np.asarray(sharpness, float), np.asarray(moved, float), *np.zeros((3, n)))


def test_of_frames_alike_the_sharpest_is_a_candidate():
    sharp = np.full(120, 50.0)
    sharp[5::6] = 100
    chosen = candidates(made(sharp, np.full(120, 0.01)), (0, 120), 8, 30.0)
    assert len(chosen) == 20 and (sharp[chosen] == 100).all()


def test_candidates_go_where_something_moves():
    moved = np.r_[np.zeros(60), np.full(60, 0.02)]
    chosen = candidates(made(np.ones(120), moved), (0, 120), 8, 30.0)
    assert (chosen >= 60).sum() > 3 * (chosen < 60).sum()


def turned_faces(angles):
    rest = FaceModel.load().rest.astype(np.float64)
    points = [rest @ rotation(np.array([0, np.radians(a), 0])).T * (10, -10, -10) for a in angles]
    return np.array(points, np.float32)


def test_frames_are_kept_evenly_in_what_they_show():
    # slow at first, then fast: as many frames of each ten degrees
    angles = np.r_[np.linspace(-40, 0, 80), np.linspace(1, 40, 40)]
    points = turned_faces(angles)
    kept = spread(points, np.linspace(0, 1, 120), np.ones(120, bool), 16)
    assert 14 <= kept.sum() <= 16
    steps = np.diff(angles[kept])
    assert steps.max() < 1.6 * steps.min()
    assert np.abs(np.abs(yaws(points)) - np.abs(angles)).max() < 6


def test_a_head_that_rests_is_kept_once():
    points = turned_faces(np.r_[np.zeros(30), np.linspace(0, 30, 30)])
    kept = spread(points, np.linspace(0, 1, 60), np.ones(60, bool), 40)
    assert kept[:30].sum() == 1


def test_without_a_face_the_motion_of_the_picture_counts():
    points = np.full((50, 468, 3), np.nan, np.float32)
    path = np.r_[np.zeros(25), np.linspace(0, 1, 25)]
    kept = spread(points, path, np.ones(50, bool), 12)
    assert kept[:25].sum() == 1 and 8 <= kept.sum() <= 12
    assert np.isnan(facing(points)).all()


def test_what_may_not_be_kept_is_not():
    usable = np.zeros(40, bool)
    usable[::5] = True
    kept = spread(turned_faces(np.linspace(-30, 30, 40)), np.linspace(0, 1, 40), usable, 30)
    assert kept.sum() == 8 and usable[kept].all()


def test_a_face_elsewhere_is_somebody_elses_where_several_people_are_seen():
    rng = np.random.default_rng(0)
    face = rng.uniform(-50, 50, (468, 3)).astype(np.float32)
    places = [(100 + 40 * k, 200) for k in range(8)] + [(600, 200)] * 3  # one walks, one sits
    points = np.stack([face + (*p, 0) for p in places])
    several = np.zeros(11, bool)
    assert np.isfinite(of_one_person(points, several)).all()  # the same face, moved while unseen
    several[4] = True
    seen = np.isfinite(of_one_person(points, several)[:, 0, 0])
    assert seen.tolist() == [True] * 8 + [False] * 3
    small = np.concatenate([points[:8], 0.4 * face[None] + (120, 200, 0)])
    assert np.isfinite(of_one_person(small, np.zeros(9, bool))[:, 0, 0]).tolist() == \
        [True] * 8 + [False]
