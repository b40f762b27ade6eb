"""Faces found by the two networks on the sample head: at any roll and size, and no false ones."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import detector as D
from idf_helpers.face import topology
from idf_helpers.face.landmark_nets import LandmarkNets


def apart(a, b):
    """Mean distance of the points of two faces, as a share of the eye distance."""
    return np.linalg.norm(a.xy - b.xy, axis=1).mean() / a.eye_distance


def test_windows_cover_the_picture():
    picture = np.zeros((300, 1000, 3), np.uint8)
    assert D._windows(picture, 1) == [(0.0, -350.0, 1000.0)]
    for level in (2, 4):
        seen = np.zeros(picture.shape[:2], int)
        for x, y, side in D._windows(picture, level):
            assert side == 1000 / level
            seen[max(0, int(np.ceil(y))):int(y + side), max(0, int(np.ceil(x))):int(x + side)] += 1
        assert seen.min() >= 1
        # a face of half a window lies whole in one of them
        starts = sorted({x for x, _, _ in D._windows(picture, level)})
        assert np.diff(starts).max() <= 1000 / level / 2 + 1e-9


@pytest.fixture(scope="module")
def face_b(detector, photos):
    return detector.detect(photos["B"])[0]


def test_a_photo(face_b, photos, detector):
    assert face_b.points.shape == (468, 3) and face_b.points.dtype == np.float32
    assert face_b.presence > 0.99 and face_b.score > 0.8
    x0, y0, x1, y1 = face_b.box
    assert 90 < x0 < 160 and 350 < x1 < 410 and 90 < y0 < 150 and 400 < y1 < 450
    assert abs(face_b.yaw) < 8
    turned = detector.detect(photos["B_three_quarter"])[0]
    assert turned.yaw > 10  # looks toward the picture's right
    # nose nearer than the ears
    assert face_b.points[topology.NOSE_TIP, 2] < face_b.points[topology.FACE_LEFT, 2]


def test_the_irises(face_b, detector, photos):
    """Each lies in its own eye, its rim round its center as the rows say."""
    assert face_b.iris.shape == (10, 3) and face_b.iris.dtype == np.float32
    for rows, ring in ((topology.RIGHT_IRIS, topology.RIGHT_EYE),
                       (topology.LEFT_IRIS, topology.LEFT_EYE)):
        center, *rim = face_b.iris[rows, :2]
        eye = face_b.xy[ring]
        assert (np.abs(center - (eye.min(0) + eye.max(0)) / 2) < 0.25 * np.ptp(eye, axis=0)).all()
        directions = np.array(rim) - center
        radius = np.linalg.norm(directions, axis=1)
        assert np.allclose(radius, radius.mean(), rtol=0.1)
        assert 0.12 < radius.mean() / np.ptp(eye[:, 0]) < 0.3  # 11.7 of about 30 mm across
        assert np.allclose(directions / radius[:, None], [(1, 0), (0, -1), (-1, 0), (0, 1)],
                           atol=0.15)
    mirrored = detector.detect(np.ascontiguousarray(photos["B"][:, ::-1]))[0].iris[:, :2]
    mirrored = mirrored * (-1, 1) + (512, 0)
    assert np.abs(mirrored[[5, 0]] - face_b.iris[[0, 5], :2]).max() < 0.03 * face_b.eye_distance


def rolled(picture, degrees, face):
    """A picture turned clockwise with nothing cut off, and the face's points in it."""
    h, w = picture.shape[:2]
    side = int(np.ceil(np.hypot(h, w)))
    M = cv2.getRotationMatrix2D((w / 2 - 0.5, h / 2 - 0.5), -degrees, 1)
    M[:, 2] += ((side - w) / 2, (side - h) / 2)
    shift = M[:, 2] + 0.5 - M[:, :2] @ (0.5, 0.5)  # pixel centers are at +0.5
    return cv2.warpAffine(picture, M, (side, side), flags=cv2.INTER_CUBIC,
                          borderValue=(110, 110, 110)), face.xy @ M[:, :2].T + shift


@pytest.mark.parametrize("name", ["B", "C", "B_three_quarter"])
def test_a_face_at_any_roll(detector, photos, name):
    face = detector.detect(photos[name])[0]
    for degrees in range(-165, 181, 15):
        picture, xy = rolled(photos[name], degrees, face)
        found = detector.detect(picture, max_faces=4)
        assert len(found) == 1, degrees
        assert np.linalg.norm(found[0].xy - xy, axis=1).mean() < 0.03 * face.eye_distance, degrees
        assert abs((found[0].roll - face.roll - degrees + 180) % 360 - 180) < 3, degrees
        assert abs(found[0].yaw - face.yaw) < 4, degrees
        upright = found[0].turned(found[0].quarter_turns, *picture.shape[1::-1])
        assert abs(upright.roll) < 45.1


def test_views_on_their_side_and_upside_down(head_views, detector):
    """Up to 60 degrees of yaw, the same points as upright; from behind nothing."""
    for v in head_views[::4]:
        h, w = v.image.shape[:2]
        for times in (1, 2, 3):
            found = detector.detect(np.ascontiguousarray(np.rot90(v.image, times)))
            if abs(v.yaw) <= 60:
                wanted = v.faces[0].turned(times, w, h)
                assert np.abs(found[0].points - wanted.points).max() < 0.02 * wanted.eye_distance
                assert np.abs(found[0].iris - wanted.iris).max() < 0.02 * wanted.eye_distance
            elif abs(v.yaw) >= 110:
                assert found == []


def test_upright_faces_are_not_looked_for_again(detector, photos, monkeypatch):
    """Video frames cost no more for it: one run of the detector, two of the mesh."""
    runs = []
    forward = LandmarkNets._forward
    monkeypatch.setattr(LandmarkNets, "_forward",
                        lambda self, k, *a: runs.append(k) or forward(self, k, *a))
    for picture in (photos["B"], photos["C"], photos["B_three_quarter"]):
        runs.clear()
        assert len(detector.detect(picture, max_faces=4)) == 1
        assert runs == [0, 1, 1]
    runs.clear()
    detector.detect(np.ascontiguousarray(photos["B"][::-1, ::-1]))
    assert runs == [0, 0, 0, 0, 1, 1]


def test_found_up_to_60_degrees_and_never_from_behind(head_views):
    front = [v for v in head_views if abs(v.yaw) <= 60]
    back = [v for v in head_views if abs(v.yaw) >= 110]
    assert len(front) > 60 and len(back) >= 20
    assert np.mean([len(v.faces) == 1 for v in front]) >= 0.95
    assert sum(len(v.faces) for v in back) == 0


def test_no_false_faces_beside_the_head(head_views, detector, monkeypatch):
    """Ears and curls, which the mesh model takes for faces, also where one looks closely."""
    aside = [v for v in head_views if abs(v.yaw) >= 62][::2]
    found = [f for v in aside for f in detector.detect(v.image, max_faces=16, zoom=True)]
    assert min(f.size for f in found) > 100  # the head is 140 to 180 px large
    monkeypatch.setattr(D, "CONFIRMED", 0.0)  # what it takes to keep them out
    doubtful = [f for v in aside for f in detector.detect(v.image, max_faces=16, zoom=True)]
    assert len([f for f in doubtful if f.size < 100]) >= 3


def test_yaw_follows_the_camera(head_views):
    pairs = np.array([(v.yaw, -v.faces[0].yaw) for v in head_views if abs(v.yaw) < 55])
    assert np.abs(pairs[:, 0] - pairs[:, 1]).max() < 10
    assert np.corrcoef(pairs.T)[0, 1] > 0.99


@pytest.mark.parametrize("dx,dy", [(37, 0), (0, 23), (-41, -18)])
def test_moving_the_picture_moves_the_points(detector, photos, face_b, dx, dy):
    moved = np.roll(photos["B"], (dy, dx), (0, 1))
    face = detector.detect(moved)[0]
    shift = (face.xy - face_b.xy).mean(0)
    assert np.abs(shift - (dx, dy)).max() < 0.6
    assert np.linalg.norm(face.xy - face_b.xy - (dx, dy), axis=1).mean() / face.eye_distance < 0.01


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_pixel_centers_under_scaling(detector, photos, scale):
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shifts = []
    for photo in photos.values():
        for picture in (photo, np.ascontiguousarray(photo[:, ::-1])):
            face = detector.detect(picture)[0]
            large = detector.detect(cv2.resize(picture, None, fx=scale, fy=scale,
                                               interpolation=method))[0]
            moved = large.xy / scale - face.xy
            assert np.linalg.norm(moved, axis=1).mean() / face.eye_distance < 0.01
            shifts.append(moved.mean(0))
    # With centers at +0.5 scaling is x -> s x; counting whole pixels would leave (s - 1) / 2, here
    # half a pixel, a quarter and three eighths. A single photo moves by up to a third of one.
    assert len(shifts) == 6 and np.abs(np.mean(shifts, axis=0)).max() < 0.15


def test_mirrored_picture(detector, photos, face_b):
    face = detector.detect(np.ascontiguousarray(photos["B"][:, ::-1]))[0]
    back = face.xy[topology.MIRROR] * (-1, 1) + (512, 0)
    assert np.linalg.norm(back - face_b.xy, axis=1).mean() / face_b.eye_distance < 0.03


def test_rgba_lies_over_gray(detector, view_at):
    v = view_at(0)
    alpha = v.image[..., 3:].astype(np.float64) / 255
    gray = np.round(v.image[..., :3] * alpha + 128 * (1 - alpha)).astype(np.uint8)
    assert apart(detector.detect(gray)[0], v.faces[0]) < 0.003
    hidden = v.image.copy()
    hidden[hidden[..., 3] == 0, :3] = (255, 0, 255)  # invisible colors must not count
    assert np.array_equal(detector.detect(hidden)[0].points, v.faces[0].points)


def test_several_faces(detector, photos):
    strip = np.concatenate([photos["B"], np.full((512, 200, 3), 90, np.uint8), photos["C"]], 1)
    faces = detector.detect(strip, max_faces=5)
    assert len(faces) == 2
    b, c = sorted(faces, key=lambda f: f.box[0])
    assert b.box[2] < 512 and c.box[0] > 712
    assert len(detector.detect(strip, max_faces=1)) == 1


def doubting(monkeypatch, score, shift=0.0):
    """Let the detector give every upright face this score, its right eye `shift` boxes aside."""
    candidates = LandmarkNets.candidates

    def doubted(self, rgb, window, turns, threshold):
        move = np.zeros((6, 2))
        move[0, 0] = shift
        return [(score, points + move * max(box[2:]), box)
                for _, points, box in candidates(self, rgb, window, turns, 0.5)] * (turns == 0)

    monkeypatch.setattr(LandmarkNets, "candidates", doubted)


def test_a_painted_face_that_fills_the_picture(detector, photos, monkeypatch):
    """The detector doubts it; it counts where both models see the same, large and upright."""
    small = np.full((1500, 1500, 3), 110, np.uint8)
    small[500:1012, 500:1012] = photos["B"]
    doubting(monkeypatch, 0.75)
    assert len(detector.detect(photos["B"], max_faces=4)) == 1
    assert detector.detect(small) == []
    assert detector.detect(np.ascontiguousarray(np.rot90(photos["B"]))) == []
    doubting(monkeypatch, 0.70)
    assert detector.detect(photos["B"]) == []


def test_a_doubted_face_that_the_models_see_differently(detector, photos, monkeypatch):
    doubting(monkeypatch, 0.75, shift=0.2)
    assert detector.detect(photos["B"]) == []


def test_small_faces_need_zoom(detector, photos, face_b):
    large = np.full((3000, 4000, 3), 110, np.uint8)
    large[1800:2312, 2500:3012] = photos["B"]
    assert detector.detect(large) == []
    face, = detector.detect(large, zoom=True, max_faces=4)
    assert np.linalg.norm(face.xy - (2500, 1800) - face_b.xy, axis=1).mean() \
        < 0.01 * face_b.eye_distance


def test_small_faces_are_found_beside_a_larger_one(detector, photos):
    """One of them is found at once; the others when one looks closer."""
    large = np.full((1200, 1600, 3), 110, np.uint8)
    for k, (name, size) in enumerate((("B", 400), ("C", 240), ("C", 200), ("B", 180))):
        large[300:300 + size, 100 + 380 * k:100 + 380 * k + size] = cv2.resize(
            photos[name], (size, size), interpolation=cv2.INTER_AREA)
    assert len(detector.detect(large, max_faces=8)) < 4
    faces = sorted(detector.detect(large, max_faces=8, zoom=True), key=lambda f: f.box[0])
    assert len(faces) == 4
    for k, (face, size) in enumerate(zip(faces, (400, 240, 200, 180), strict=True)):
        assert 0.5 < face.size / size < 0.7 and 0 < face.box[0] - 380 * k - 100 < size


def test_no_face_where_there_is_none(detector):
    rng = np.random.default_rng(0)
    for picture in (np.zeros((64, 48, 3), np.uint8), np.full((300, 300, 4), 255, np.uint8),
                    rng.integers(0, 256, (240, 320, 3), np.uint8), np.zeros((1, 1, 3), np.uint8),
                    np.zeros((2, 900, 3), np.uint8)):
        assert detector.detect(picture, zoom=True) == []


@pytest.mark.parametrize("picture", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32),
                                     np.zeros((8, 8, 2), np.uint8), np.zeros((0, 8, 3), np.uint8)])
def test_other_arrays_are_refused(detector, picture):
    with pytest.raises(IdfError, match="looked for in an RGB"):
        detector.detect(picture)


def test_pickles_and_serves_threads(detector, photos, face_b):
    copy = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(copy.detect(photos["B"])[0].points, face_b.points)
    with ThreadPoolExecutor(4) as pool:
        out = list(pool.map(copy.detect, [photos["B"], photos["C"]] * 4))
    for k in range(0, 8, 2):
        assert np.array_equal(out[k][0].points, face_b.points)
        assert np.array_equal(out[k + 1][0].points, out[1][0].points)
