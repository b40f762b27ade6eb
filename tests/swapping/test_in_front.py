"""What stands before a face is found whole, and nothing is found before a bare one."""

import json

import cv2
import numpy as np
import pytest

from idf_helpers import SwapConfig, swap
from idf_helpers.data import media
from idf_helpers.face import topology
from idf_helpers.face.flat import SIZE, flat_face
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.swapping import occluders
from idf_helpers.swapping.in_front import describe, in_front, placed
from idf_helpers.swapping.mesh.per_picture import swap_mesh
from idf_helpers.swapping.occluders import KINDS, Hidden
from idf_helpers.swapping.source import from_image
from tests.fixtures.faces import HAIR, paint_fringe


@pytest.fixture(scope="module")
def faces(photos, detector):
    return {name: (image, detector.detect(image)[0]) for name, image in photos.items()}


@pytest.fixture(scope="module")
def other(photos, detector):
    return from_image(photos["B"], detector)


def ellipses(image, xy, color, grow=1.0):
    """Dark lenses with a bridge; returns the picture and where they are."""
    out, where = image.copy(), np.zeros(image.shape[:2], np.uint8)
    for corners in ([33, 133], [263, 362]):
        middle = xy[corners].mean(0)
        r = grow * np.linalg.norm(xy[corners[0]] - xy[corners[1]])
        for picture, value in ((out, color), (where, 255)):
            cv2.ellipse(picture, tuple(int(v) for v in middle), (int(r), int(0.72 * r)), 0, 0, 360,
                        value, -1, cv2.LINE_AA)
    cv2.line(out, tuple(int(v) for v in xy[193]), tuple(int(v) for v in xy[417]), color, 7,
             cv2.LINE_AA)
    return out, where > 250


def rims(image, xy, width=7):
    out = image.copy()
    for corners in ([33, 133], [263, 362]):
        middle = xy[corners].mean(0)
        r = int(0.85 * np.linalg.norm(xy[corners[0]] - xy[corners[1]]))
        cv2.ellipse(out, tuple(int(v) for v in middle), (r, int(0.8 * r)), 0, 0, 360, (25, 22, 20),
                    width, cv2.LINE_AA)
    cv2.line(out, tuple(int(v) for v in xy[193]), tuple(int(v) for v in xy[417]), (25, 22, 20),
             width, cv2.LINE_AA)
    return out


def microphone(image, xy):
    out, where = image.copy(), np.zeros(image.shape[:2], np.uint8)
    x, y = (int(v) for v in 0.5 * (xy[topology.LIP_LOWER] + xy[topology.CHIN]))
    for picture, foam, grip in ((out, (30, 30, 32), (45, 45, 50)), (where, 255, 255)):
        cv2.rectangle(picture, (x - 17, y), (x + 17, image.shape[0]), grip, -1)
        cv2.circle(picture, (x, y), 42, foam, -1, cv2.LINE_AA)
    return out, where > 250


def face_mask(image, xy):
    out, where = image.copy(), np.zeros(image.shape[:2], np.uint8)
    ring = xy[[234, 117, 36, 197, 266, 346, 454, 361, 397, 378, 152, 149, 172, 132]].astype(int)
    cv2.fillPoly(out, [ring], (205, 225, 235), cv2.LINE_AA)
    cv2.fillPoly(where, [ring], 255, cv2.LINE_AA)
    return out, where > 250


# ---------------------------------------------------------------------------------- bare faces

@pytest.mark.parametrize("name", ["B", "C", "B_three_quarter"])
def test_nothing_before_a_bare_face(faces, name):
    image, face = faces[name]
    before = in_front(image, face)
    assert before.mask.shape == image.shape[:2] and before.mask.dtype == np.float32
    assert before.mask.max() == 0 and before.kinds == ()


@pytest.mark.parametrize("change", ["gray", "dark", "side", "jpeg", "small"])
@pytest.mark.parametrize("name", ["B", "C"])
def test_nothing_before_a_bare_face_in_a_bad_picture(faces, name, change):
    image, face = faces[name]
    if change == "gray":
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    elif change == "dark":
        image = (image * 0.25).astype(np.uint8)
    elif change == "side":
        x = np.linspace(-1, 1, image.shape[1])[None, :, None]
        image = (image * (0.55 + 0.45 * np.tanh(4 * x))).astype(np.uint8)
    elif change == "jpeg":
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1)
    elif change == "small":
        image = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
        face = face.in_part((0, 0), (0.25, 0.25))
    oval = cv2.contourArea(face.xy[topology.FACE_OVAL])
    assert (in_front(image, face).mask > 0.5).sum() < 0.01 * oval


@pytest.mark.parametrize("gray", [True, False])
def test_dark_eyes_are_not_sunglasses(faces, gray, monkeypatch):
    """Deep-set, shaded eyes hide as much as a lens does, but end nowhere."""
    image, face = faces["C"]
    size = np.ptp(face.xy[:, 1])
    y, x = np.mgrid[:image.shape[0], :image.shape[1]].astype(np.float32)
    shaded = image.astype(np.float32)
    for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
        x0, y0 = face.xy[ring].mean(0)
        away = ((x - x0) / (0.176 * size)) ** 2 + ((y - y0) / (0.13 * size)) ** 2
        shaded *= (1 - 0.85 * np.exp(-away**1.5))[..., None]
    shaded = shaded.astype(np.uint8)
    if gray:
        shaded = np.repeat(cv2.cvtColor(shaded, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    assert in_front(shaded, face).kinds == ()
    monkeypatch.setattr(occluders, "OUTLINE", 0.0)
    for name in ("PAST_CORNERS", "SURE_BEYOND"):
        monkeypatch.setattr(occluders, name, -1)
    assert in_front(shaded, face).kinds == ("sunglasses",)  # without what keeps them out


def test_moles_are_not_in_front(faces):
    image, face = faces["C"]
    spotted = image.copy()
    for k, r in ((50, 3), (151, 5), (425, 2)):
        cv2.circle(spotted, tuple(int(v) for v in face.xy[k]), r, (70, 40, 30), -1, cv2.LINE_AA)
    assert in_front(spotted, face).mask.max() == 0


# ------------------------------------------------------------------------------ things in front

@pytest.mark.parametrize("name", ["B", "C"])
@pytest.mark.parametrize("color", [(10, 10, 12), (60, 40, 25), (120, 130, 150)])
def test_sunglasses_stay_whole(faces, other, name, color):
    image, face = faces[name]
    worn, where = ellipses(image, face.xy, color)
    before = in_front(worn, face)
    assert before.kinds[0] == "sunglasses"
    least = 0.93 if (name, color[0]) == ("B", 60) else 0.99  # nearly this skin's own color
    assert before.mask[where].mean() > least
    swapped = swap_mesh(worn, face, other)
    assert swapped.in_front == before.kinds
    away = np.abs(swapped.image.astype(int) - worn).max(-1)
    assert (away[where] <= 3).mean() > least
    cheek = tuple(face.xy[205].astype(int)[::-1])
    assert swapped.mask[cheek] > 0.9  # and the rest is swapped


@pytest.mark.parametrize("name", ["B", "C", "B_three_quarter"])
def test_rims_of_clear_glasses(faces, name):
    image, face = faces[name]
    worn = rims(image, face.xy)
    before = in_front(worn, face)
    frame = np.abs(worn.astype(int) - image).sum(-1) > 60
    # where brows, lashes or pupils are as dark, no one can tell
    own = cv2.dilate((image.mean(-1) < 40).astype(np.uint8), np.ones((9, 9))) > 0
    middle = frame & ~own
    middle[:, :int(face.xy[33, 0])] = middle[:, int(face.xy[263, 0]):] = False
    x, y = face.xy[168].astype(int)
    assert before.mask[middle].mean() > 0.9 and before.mask[y, x] > 0.9
    assert before.mask.mean() < 0.06 and "glasses" in before.kinds
    assert before.mask[tuple(face.xy[topology.CHIN].astype(int)[::-1] - (9, 0))] == 0


@pytest.mark.parametrize("name", ["B", "C"])
def test_a_microphone_stays(faces, other, name):
    image, face = faces[name]
    held, where = microphone(image, face.xy)
    oval = np.zeros(where.shape, np.uint8)
    cv2.fillPoly(oval, [face.xy[topology.FACE_OVAL].astype(int)], 1)
    before = in_front(held, face)
    assert before.mask[where & (oval > 0)].mean() > 0.97 and "object" in before.kinds
    swapped = swap_mesh(held, face, other)
    away = np.abs(swapped.image.astype(int) - held).max(-1)
    assert (away[where] <= 3).mean() > 0.97


@pytest.mark.parametrize("name", ["B", "C"])
def test_a_face_mask_stays(faces, other, name):
    image, face = faces[name]
    worn, where = face_mask(image, face.xy)
    before = in_front(worn, face)
    assert before.mask[where].mean() > 0.97 and "face mask" in before.kinds
    brow = tuple(face.xy[9].astype(int)[::-1])
    assert before.mask[brow] == 0


@pytest.mark.parametrize("color", ["black", "brown"])
@pytest.mark.parametrize("name", ["B", "C"])
def test_a_fringe_stays(faces, name, color):
    image, face = faces[name]
    picture, painted = paint_fringe(image, face, HAIR[color])
    inside = np.zeros(painted.shape, np.uint8)
    cv2.fillPoly(inside, [face.xy[topology.FACE_OVAL].astype(int)], 1)
    brow = int(face.xy[[105, 334]][:, 1].min() - 0.02 * face.size)
    inside[brow:] = 0
    before = in_front(picture, face)
    assert (before.mask > 0.5)[painted & (inside > 0)].mean() > (0.8 if color == "gray" else 0.95)
    nose = int(face.xy[topology.NOSE_TIP, 1])
    assert before.mask[nose:].max() == 0


def test_a_strand_across_the_face(faces):
    image, face = faces["C"]
    crossed = image.copy()
    a, b = (tuple(int(v) for v in face.xy[k]) for k in (103, 187))
    cv2.line(crossed, a, b, (30, 20, 10), 9, cv2.LINE_AA)
    before = in_front(crossed, face)
    strand = np.abs(crossed.astype(int) - image).sum(-1) > 60
    assert before.mask[strand].mean() > 0.8 and before.mask.mean() < 0.04


def test_what_the_source_wears_is_not_taken_over(faces, detector):
    image, face = faces["C"]
    worn, _ = ellipses(image, face.xy, (12, 12, 14))
    source = from_image(worn, detector)
    assert source.skin.min() < 0.05
    x, y = source.landmarks.xy[topology.LEFT_EYE].mean(0).astype(int)
    assert source.skin[y, x] < 0.05 and source.weight[y, x] == 0


# -------------------------------------------------------------------------------------- the rest

def test_only_the_part_of_the_picture_is_looked_at(faces):
    image, face = faces["C"]
    worn, _ = ellipses(image, face.xy, (10, 10, 12))
    whole = in_front(worn, face)
    low = np.maximum(face.box[:2].astype(int) - 6, 0)
    part = in_front(worn[low[1]:, low[0]:], face, low)
    assert np.abs(part.mask - whole.mask[low[1]:, low[0]:]).mean() < 0.002


def test_a_map_is_placed_and_laid_over(faces):
    image, face = faces["C"]
    flat = np.zeros((SIZE, SIZE), bool)
    x, y = flat_face().xy[50].astype(int)
    flat[y - 6:y + 7, x - 6:x + 7] = True
    before = placed(Hidden(flat, ("object",)), face, *image.shape[:2])
    at = tuple(face.xy[50].astype(int)[::-1])
    assert before.mask[at] == 1 and 0.001 < before.mask.mean() < 0.02
    near = before.near(face)
    assert near[50] == 1 and near[280] == 0 and near.shape == (topology.POINTS,)
    black = np.zeros_like(image)
    out = before.laid_over(black, image)
    assert np.array_equal(out[at], image[at]) and not out[before.mask == 0].any()


def test_what_is_known_counts_on_its_side_too(faces, other):
    """A video has looked for things in all frames; a frame that lies on its side is no other."""
    image, face = faces["C"]
    worn, _ = ellipses(image, face.xy, (10, 10, 12))
    side = np.ascontiguousarray(np.rot90(worn))
    turned = face.turned(1, *worn.shape[1::-1])
    assert swap_mesh(side, turned, other).in_front == ("sunglasses",)
    known = Hidden(np.zeros((SIZE, SIZE), bool), ())
    assert swap_mesh(side, turned, other, hidden=known).in_front == ()


def test_a_face_outside_the_picture(faces):
    image, face = faces["C"]
    away = FaceLandmarks(face.points + np.float32([900, 0, 0]), 1.0, 1.0)
    before = in_front(image, away)
    assert before.mask.shape == image.shape[:2] and before.mask.max() == 0 and before.kinds == ()


def test_the_words():
    assert describe([()]) == "" and describe([]) == ""
    assert describe([("sunglasses",)]) == \
        "before the target's face, left as it is: sunglasses, which hide the eyes"
    many = describe([("hair",), (), ("hair", "object")])
    assert "hair in 2 of 3 frames" in many and "in 1 of 3 frames" in many
    assert set(KINDS) >= {"sunglasses", "glasses", "face mask", "hair", "object"}


def test_the_report_of_a_picture(tmp_path, faces):
    image, face = faces["C"]
    worn, _ = ellipses(image, face.xy, (10, 10, 12))
    media.write_image(tmp_path / "worn.png", worn)
    media.write_image(tmp_path / "source.png", faces["B"][0])
    swap(tmp_path / "worn.png", tmp_path / "source.png", tmp_path / "out",
         SwapConfig(backend="mesh"), consent="both are rendered heads of the samples")
    note = json.loads((tmp_path / "out" / "run.json").read_text())["note"]
    assert "sunglasses" in note
