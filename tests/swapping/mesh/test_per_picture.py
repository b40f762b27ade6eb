"""The per-frame swap: what must stay, what must change, and when it must not be done."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import topology
from idf_helpers.face.color import fill_rings
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.swapping.mesh.per_picture import MAX_YAW, swap_mesh, swap_picture
from idf_helpers.swapping.metrics import hog_similarity
from idf_helpers.swapping.source import from_image
from tests.fixtures.faces import HAIR, paint_fringe

BENT = 1 / 255 + 1e-6  # the mask where the picture only bends along


@pytest.fixture(scope="module")
def sources(photos, detector):
    return {name: from_image(photos[name], detector) for name in "BC"}


@pytest.fixture(scope="module", params=[0, 30, -45])
def swapped(request, view_at, sources):
    """(view, source, result) at several yaws."""
    view = view_at(request.param)
    return view, sources["C"], swap_mesh(view.image, view.faces[0], sources["C"])


def test_outside_the_mask_every_byte_stays(swapped):
    view, _, result = swapped
    assert result.status == "swapped" and result.reason == ""
    assert result.image.dtype == np.uint8 and result.image.shape == view.image.shape
    assert result.mask.shape == view.image.shape[:2] and result.mask.dtype == np.float32
    assert 0 <= result.mask.min() and result.mask.max() <= 1
    assert np.array_equal(result.image[result.mask == 0], view.image[result.mask == 0])
    drawn = result.mask > BENT
    assert (result.image[..., 3][drawn] > 0).all()  # nothing is drawn beside the head
    changed = np.abs(result.image.astype(int) - view.image).max(-1) > 0
    assert changed.mean() > 0.05  # and inside it something happened
    face = np.zeros(result.mask.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(view.faces[0].xy.astype(np.int32)), 1)
    # The face may grow by what its shape moves; around it the picture only bends.
    reach = 2 * round(0.06 * view.faces[0].size) + 1
    assert result.mask[cv2.dilate(face, np.ones((reach, reach))) == 0].max() <= BENT


def test_the_frame_itself_is_not_written_to(view_at, sources):
    view = view_at(10)
    before = view.image.copy()
    swap_mesh(view.image, view.faces[0], sources["B"])
    assert np.array_equal(view.image, before)


def test_the_mouths_inside_stays_and_the_eyes_are_the_sources(swapped, detector):
    view, _, result = swapped
    face = detector.detect(result.image)[0]
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH):
        inside = fill_rings([face.xy[ring]], *result.mask.shape) > 0.99
        inner = result.mask[cv2.erode(inside.astype(np.uint8), np.ones((3, 3))) > 0]
        if ring is topology.INNER_MOUTH:
            assert not inner.size or np.median(inner) < 0.12
        elif abs(view.yaw) < 40:  # the far eye is at the rim beyond
            assert np.median(inner) > 0.8


def test_gaze_follows_the_target(photos, detector, sources):
    """The iris of the result lies nearer to where the target looks than a plain warp puts it."""
    face = detector.detect(photos["C"])[0]
    aside = replace(face, iris=face.iris + np.array([0.02 * face.size, 0, 0], np.float32))
    looks = [detector.detect(swap_mesh(photos["C"], f, sources["B"]).image)[0].iris[[0, 5], 0]
             for f in (face, aside)]
    assert (looks[1] - looks[0]).mean() > 0.005 * face.size


def test_the_border_is_soft_and_the_middle_solid(swapped):
    view, _, result = swapped
    assert (result.mask > 0.95).sum() > 0.4 * (result.mask > BENT).sum()
    # No step larger than a feather allows: at its steepest smoothstep rises by 1.5 / width; more
    # only at the rims of eyes and mouth, which are sharper on purpose, and at the picture's alpha.
    steps = np.abs(np.diff(result.mask, axis=1))
    rims = fill_rings([view.faces[0].xy[topology.INNER_MOUTH]], *result.mask.shape)
    away = cv2.dilate(rims, np.ones((13, 13)))[:, 1:] == 0
    assert np.percentile(steps[away & (steps > 0)], 99) < 0.35


def test_the_face_changes_toward_the_source(head_views, sources):
    """HOG of the aligned inner face, views within 30 degrees."""
    for source in sources.values():
        nearer = []
        for v in head_views:
            if abs(v.yaw) > 30 or len(nearer) >= 12:
                continue
            face = v.faces[0]
            out = swap_mesh(v.image, face, source).image
            wanted = source.image, source.landmarks.points
            nearer.append(hog_similarity(out, face.points, *wanted)
                          > hog_similarity(v.image, face.points, *wanted))
        assert len(nearer) == 12 and np.mean(nearer) >= 0.9


def test_the_skin_takes_the_targets_color(view_at, sources):
    view = view_at(0)
    face = view.faces[0]
    cheeks = fill_rings([face.xy[[117, 118, 101, 36, 205]], face.xy[[346, 347, 330, 266, 425]]],
                        *view.image.shape[:2]) > 0.5
    was = view.image[cheeks][:, :3].mean(0)
    for source in sources.values():
        now = swap_mesh(view.image, face, source).image[cheeks][:, :3].mean(0)
        assert np.abs(now - was).max() < 12


def test_landmarks_stay_where_they_were(swapped, detector):
    """Gaze, mouth and pose remain the target's."""
    view, _, result = swapped
    again, = detector.detect(result.image)
    face = view.faces[0]
    assert np.linalg.norm(again.xy - face.xy, axis=1).mean() / face.eye_distance < 0.03


def test_a_face_on_itself_changes_little(photos, detector, sources):
    face = detector.detect(photos["C"])[0]
    result = swap_mesh(photos["C"], face, sources["C"])
    difference = np.abs(result.image.astype(int) - photos["C"])[result.mask > 0]
    assert difference.mean() < 2.0 and np.percentile(difference, 99) < 16


@pytest.mark.parametrize("color", ["black", "blond"])
def test_the_sources_fringe_does_not_come_along(view_at, sources, detector, color):
    view = view_at(0)
    face, bare = view.faces[0], sources["C"]
    picture, _ = paint_fringe(bare.image, bare.landmarks, HAIR[color])
    out = swap_mesh(view.image, face, from_image(picture, detector)).image.astype(int)
    plain = swap_mesh(view.image, face, bare).image.astype(int)
    ring = face.xy[[54, 103, 67, 109, 10, 338, 297, 332, 284, 334, 296, 336, 107, 66, 105]]
    forehead = fill_rings([ring], *view.image.shape[:2]) > 0.5
    difference = np.abs(out - plain)[forehead].max(-1)
    assert np.percentile(difference, 95) < 25 and difference.mean() < 9
    # the same fringe, were it not masked, is plainly there
    careless = type(bare)(picture, bare.landmarks, bare.skin, bare.weight)
    painted = swap_mesh(view.image, face, careless).image.astype(int)
    assert np.abs(painted - plain)[forehead].max(-1).mean() > 1.5 * difference.mean()


def test_the_targets_own_fringe_stays(photos, detector, sources):
    face = detector.detect(photos["C"])[0]
    picture, painted = paint_fringe(photos["C"], face, HAIR["black"])
    target = detector.detect(picture)[0]
    brow = int(face.xy[[105, 334], 1].min() - 0.03 * face.size)
    painted[brow:] = False
    inside = fill_rings([face.xy[topology.FACE_OVAL]], *painted.shape) > 0.5
    kept = swap_mesh(picture, target, sources["B"])
    assert (kept.mask[painted & inside] > 0.5).mean() < 0.1
    bare = swap_mesh(photos["C"], face, sources["B"])
    assert (bare.mask[painted & inside] > 0.5).mean() > 0.4


def test_turned_too_far(head_views, sources):
    profile = [v for v in head_views if v.faces and abs(v.faces[0].yaw) > MAX_YAW]
    assert profile
    for v in profile:
        result = swap_mesh(v.image, v.faces[0], sources["B"])
        assert result.status == "extreme_pose" and "degrees" in result.reason
        assert np.array_equal(result.image, v.image) and result.mask.max() == 0


def test_no_face_leaves_the_frame(head_views, sources, detector):
    back = next(v for v in head_views if abs(v.yaw) > 150)
    result = swap_picture(back.image, sources["B"], detector)
    assert result.status == "no_face" and result.reason
    assert np.array_equal(result.image, back.image)
    front = next(v for v in head_views if abs(v.yaw) < 20)
    assert swap_picture(front.image, sources["B"], detector).status == "swapped"


@pytest.mark.parametrize("shift", [(-90, 0), (0, -130), (150, 20), (0, 170)])
def test_a_face_cut_by_the_border(photos, detector, sources, shift):
    face = detector.detect(photos["C"])[0]
    moved = np.roll(photos["C"], shift[::-1], (0, 1))
    target = FaceLandmarks(face.points + np.array([*shift, 0], np.float32), 1.0, 1.0)
    whole = swap_mesh(photos["C"], face, sources["B"])
    result = swap_mesh(moved, target, sources["B"])
    assert result.status == "swapped" and result.image.shape == moved.shape
    x, y = target.xy[topology.NOSE_TIP].astype(int)
    assert result.mask[y, x] > 0.9 and whole.mask.max() > 0.9


def test_a_face_outside_the_picture(photos, detector, sources):
    face = detector.detect(photos["C"])[0]
    away = FaceLandmarks(face.points + np.array([2000, 0, 0], np.float32), 1.0, 1.0)
    result = swap_mesh(photos["C"], away, sources["B"])
    assert result.status == "no_face" and np.array_equal(result.image, photos["C"])


def test_rgb_and_rgba_agree(photos, detector, sources):
    face = detector.detect(photos["C"])[0]
    rgba = np.concatenate([photos["C"], np.full((512, 512, 1), 255, np.uint8)], 2)
    a, b = (swap_mesh(p, face, sources["B"]) for p in (photos["C"], rgba))
    assert np.array_equal(a.image, b.image[..., :3]) and np.array_equal(a.mask, b.mask)


@pytest.mark.parametrize("picture", [np.zeros((64, 64), np.uint8),
                                     np.zeros((64, 64, 3), np.float32)])
def test_other_arrays_are_refused(picture, view_at, sources):
    with pytest.raises(IdfError, match="RGB or RGBA"):
        swap_mesh(picture, view_at(0).faces[0], sources["B"])


def test_a_tiny_face_is_left_with_its_size(photos, detector, sources):
    small = cv2.resize(photos["C"], (72, 72), interpolation=cv2.INTER_AREA)
    face = detector.detect(photos["C"])[0].in_part((0, 0), (72 / 512, 72 / 512))
    assert face.size < 48
    result = swap_mesh(small, face, sources["B"])
    assert result.status == "low_confidence" and f"{face.size:.0f} pixels" in result.reason
    assert np.array_equal(result.image, small)
