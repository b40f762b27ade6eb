"""Source photos: what is accepted, what is refused, and hair that hides a forehead."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idf_helpers.data import media
from idf_helpers.errors import IdfError
from idf_helpers.face import topology
from idf_helpers.face.color import fill_rings
from idf_helpers.face.shape_fit import fit_picture
from idf_helpers.face.topology import LIP_LOWER, LIP_UPPER
from idf_helpers.swapping.glasses import without_glasses
from idf_helpers.swapping.hidden_skin import _FOREHEAD, hair_on_forehead
from idf_helpers.swapping.mesh.proportions import at_rest
from idf_helpers.swapping.source import (
    MAX_FACE,
    MIN_FACE,
    from_image,
    load_source,
    without_chroma_noise,
)
from tests.fixtures.faces import HAIR, paint_fringe


@pytest.fixture(scope="module")
def sources(photos, detector):
    return {name: from_image(image, detector) for name, image in photos.items()}


def write(tmp_path, image, name="photo.png"):
    media.write_image(tmp_path / name, image)
    return tmp_path / name


def test_a_good_photo(tmp_path, photos, detector, sources):
    face = load_source(write(tmp_path, photos["C"]), detector)
    assert face.name == "photo.png" and face.image.dtype == np.uint8
    assert face.skin.shape == face.weight.shape == face.image.shape[:2]
    assert np.array_equal(face.image, sources["C"].image)
    box = face.landmarks.box
    assert (box[:2] > 0).all() and (box[2:] < face.image.shape[1::-1]).all()
    # the weight: whole inside the face, nothing outside the oval
    oval = fill_rings([face.landmarks.xy[topology.FACE_OVAL]], *face.weight.shape)
    assert face.weight[oval == 0].max() == 0
    nose = face.landmarks.xy[topology.NOSE_TIP].astype(int)
    assert face.weight[nose[1], nose[0]] == 1


def test_bytes_of_an_upload(tmp_path, photos, detector):
    data = write(tmp_path, photos["B"]).read_bytes()
    assert load_source(data, detector).landmarks.size > 250


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_rotation_by_exif(tmp_path, photos, detector, orientation, sources):
    from PIL import Image
    turned = {3: 2, 6: 1, 8: 3}[orientation]  # the stored pixels; EXIF says how to turn them back
    picture = Image.fromarray(np.ascontiguousarray(np.rot90(photos["C"], turned)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    face = load_source(tmp_path / "turned.png", detector)
    assert np.abs(face.landmarks.points - sources["C"].landmarks.points).max() < 0.01


def test_no_face(tmp_path, detector):
    rng = np.random.default_rng(0)
    path = write(tmp_path, rng.integers(0, 256, (200, 300, 3), np.uint8))
    with pytest.raises(IdfError, match="no face in the source photo photo.png"):
        load_source(path, detector)


def test_several_faces_and_choosing_one(tmp_path, photos, detector):
    path = write(tmp_path, np.concatenate([photos["B"], photos["C"]], 1))
    with pytest.raises(IdfError, match="2 faces") as error:
        load_source(path, detector)
    assert "0 = leftmost" in error.value.do
    left, right = (load_source(path, detector, face=k) for k in (0, 1))
    assert left.image[..., 0].mean() != right.image[..., 0].mean()
    skin = [f.image[tuple(f.landmarks.xy[topology.NOSE_TIP].astype(int)[::-1])].mean()
            for f in (left, right)]
    assert skin[0] < skin[1] - 40  # B has the darker skin
    for wrong in (2, -1):
        with pytest.raises(IdfError, match=f"no face number {wrong}"):
            load_source(path, detector, face=wrong)


def test_a_small_bystander_does_not_count(photos, detector):
    picture = np.full((700, 700, 3), 120, np.uint8)
    picture[100:612, :512] = photos["B"]
    picture[20:170, 530:680] = cv2.resize(photos["C"], (150, 150), interpolation=cv2.INTER_AREA)
    assert len(detector.detect(picture, max_faces=5)) == 2
    assert from_image(picture, detector).landmarks.size > 250


def test_too_small(tmp_path, photos, detector):
    small = cv2.resize(photos["B"], (72, 72), interpolation=cv2.INTER_AREA)
    face, = detector.detect(small)
    assert 36 < face.size < MIN_FACE
    with pytest.raises(IdfError, match="too small") as error:
        load_source(write(tmp_path, small), detector)
    assert f"{face.size:.0f} px" in error.value.found


@pytest.mark.parametrize("content", [None, b"", b"GIF89a nonsense", "truncated"])
def test_unreadable_files(tmp_path, photos, detector, content):
    path = tmp_path / "photo.png"
    if content == "truncated":
        data = write(tmp_path, photos["B"]).read_bytes()
        path.write_bytes(data[:len(data) // 2])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(IdfError, match="source photo"):
        load_source(path, detector)


def test_large_photos_are_reduced(photos, detector, sources):
    large = cv2.resize(photos["C"], None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    face = from_image(large, detector)
    assert face.landmarks.size == pytest.approx(MAX_FACE, abs=2)
    scale = face.landmarks.size / sources["C"].landmarks.size
    offset = face.landmarks.xy / scale - sources["C"].landmarks.xy
    assert np.abs(offset - offset.mean(0)).max() < 3  # the same face


def test_transparent_photo(photos, detector, sources):
    alpha = np.full((512, 512, 1), 255, np.uint8)
    alpha[:40] = 0
    face = from_image(np.concatenate([photos["C"], alpha], 2), detector)
    assert face.image.shape[2] == 3
    assert np.abs(face.landmarks.xy - sources["C"].landmarks.xy).max() < 3


def test_at_size_keeps_points_on_the_picture(sources):
    face = sources["C"]
    for size in (1000, 300, 150, 60):
        level = face.at_size(size)
        assert level.image.shape[:2] == level.weight.shape
        ratio = level.image.shape[0] / face.image.shape[0]
        assert np.abs(level.points - face.landmarks.xy * ratio).max() < 1.0
        assert np.abs(level.iris - face.landmarks.iris[:, :2] * ratio).max() < 1.0
        drawn = ratio * face.landmarks.size
        assert drawn >= min(size, face.landmarks.size) * 0.98
        assert drawn <= max(size * np.sqrt(2) * 1.02, 1) or ratio == 1


@pytest.mark.parametrize("name", ["B", "C", "B_three_quarter"])
def test_a_bare_forehead_stays(sources, name):
    """Shine, shade and brows are no hair: above the brows all stays, but a rim at the temples."""
    face = sources[name]
    p = face.landmarks.xy
    ring = p[[67, 109, 10, 338, 297, 334, 296, 336, 107, 66, 105]]
    middle = fill_rings([0.9 * ring + 0.1 * ring.mean(0)], *face.skin.shape) > 0.5
    assert (face.skin[middle] < 0.5).mean() < 0.002


@pytest.mark.parametrize("color", HAIR)
@pytest.mark.parametrize("name", ["B", "C"])
def test_a_fringe_is_found(sources, detector, name, color):
    bare = sources[name]
    picture, painted = paint_fringe(bare.image, bare.landmarks, HAIR[color])
    face = from_image(picture, detector)
    forehead = fill_rings([bare.landmarks.xy[_FOREHEAD[:19]]], *painted.shape) > 0.5
    brow = bare.landmarks.xy[[105, 334]][:, 1].min()
    forehead[int(brow - 0.02 * bare.landmarks.size):] = False
    shown = face.weight[forehead & painted]
    assert (shown > 0.5).mean() < (0.2 if color == "gray" else 0.03)
    # the lower face is as usable as before
    nose = int(bare.landmarks.xy[topology.NOSE_TIP, 1])
    assert np.abs(face.weight[nose:] - bare.weight[nose:]).mean() < 0.02


def test_a_birthmark_is_no_fringe(sources):
    face = sources["C"]
    at = (0.5 * (face.landmarks.xy[151] + face.landmarks.xy[9])).astype(int)
    picture = face.image.copy()
    cv2.circle(picture, tuple(int(v) for v in at), 5, (70, 40, 30), -1)
    hair = hair_on_forehead(picture, face.landmarks)
    assert hair[at[1] - 8:at[1] + 9, at[0] - 8:at[0] + 9].max() == 0



def test_chroma_noise_goes_and_edges_stay():
    picture = np.full((80, 80, 3), 150, np.uint8)
    picture[:, 40:] = (90, 60, 40)
    blotches = np.random.default_rng(0).normal(0, 12, (10, 10, 3))
    noise = cv2.resize(blotches, (80, 80), interpolation=cv2.INTER_NEAREST)
    noise -= noise @ np.array([0.299, 0.587, 0.114])[:, None]  # chroma only
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    clean = without_chroma_noise(noisy).astype(int)
    away = np.ones((80, 80), bool)
    away[:, 32:48] = False
    assert np.abs(clean - picture)[away].mean() < 0.75 * np.abs(noisy.astype(int) - picture)[
        away].mean()
    assert np.abs(clean[:, 44:] - picture[:, 44:]).mean() < 12  # the step did not bleed


def test_rest_takes_a_smile_off(sources):
    """A wide open mouth made with the face model: most of its opening goes."""
    face = sources["C"]
    fitted, names = face.fitted, face.fitted.fitter.model.seen
    weights = np.zeros(len(names))
    weights[names.index("jawOpen")] = 0.6
    moved = replace(face.landmarks, points=(face.landmarks.points + fitted.seen_moved(weights)
                                            ).astype(np.float32))
    h, w = face.image.shape[:2]
    rest = at_rest(moved.points, fit_picture(moved, w, h))
    gap = [np.linalg.norm(p[LIP_UPPER, :2] - p[LIP_LOWER, :2]) for p in
           (moved.points, rest, face.rest)]
    assert abs(gap[1] - gap[2]) < 0.35 * abs(gap[0] - gap[2])


def test_glasses_are_taken_off_and_the_eyes_stay(sources):
    """Thin rims drawn onto a bare face: filled with skin nearly as it was."""
    bare = sources["C"]
    face, picture = bare.landmarks, bare.image.copy()
    rims = np.zeros(picture.shape[:2], np.uint8)
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE):
        center = face.xy[ring].mean(0)
        axes = np.array([0.13, 0.10]) * face.size
        cv2.ellipse(rims, tuple(map(int, center)), tuple(map(int, axes)), 0, 0, 360, 1,
                    max(2, round(0.012 * face.size)))
    picture[rims > 0] = 25
    out, left = without_glasses(picture, face, rims.astype(np.float32))
    drawn = rims > 0
    brows = fill_rings([face.xy[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW)],
                       *rims.shape) > 0
    skin = drawn & ~cv2.dilate(brows.astype(np.uint8), np.ones((9, 9))).astype(bool)
    off = [np.abs(p.astype(int) - bare.image)[skin].mean() for p in (picture, out)]
    assert off[1] < 0.2 * off[0]
    eyes = fill_rings([face.xy[r] for r in (topology.LEFT_EYE, topology.RIGHT_EYE)],
                      *rims.shape) > 0.5
    assert np.array_equal(out[eyes & ~drawn], picture[eyes & ~drawn])
    assert left.mean() < 0.1 * drawn.mean() + 1e-3


def test_no_faint_line_stays_beside_a_rim(sources):
    """Such as its shadow, or the outline that a JPEG draws around it."""
    bare = sources["C"]
    face, picture = bare.landmarks, bare.image.copy()
    line, shadow = (np.zeros(picture.shape[:2], np.uint8) for _ in "ab")
    center = face.xy[topology.LEFT_EYE].mean(0) + (0, 0.13 * face.size)  # on the cheek
    for drawn, away in ((line, 0), (shadow, 0.042 * face.size)):
        ends = [tuple(np.int32(center + (x * face.size, away))) for x in (-0.09, 0.09)]
        cv2.line(drawn, *ends, 1, max(2, round(0.01 * face.size)))
    picture[line > 0] = 25
    picture[shadow > 0] -= np.minimum(picture[shadow > 0], 16)
    out, _ = without_glasses(picture, face, line.astype(np.float32))
    before, after = (np.abs(p.astype(int) - bare.image)[shadow > 0].mean() for p in (picture, out))
    assert after < 0.5 * before


def brows_and_bars(face, shape, width):
    """(H, W) bool brows, and uint8 bars from end to end of each, `width` of the face thick."""
    bars = np.zeros(shape, np.uint8)
    brows = fill_rings([face.xy[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW)], *shape) > .5
    for ring in (topology.LEFT_BROW, topology.RIGHT_BROW):
        xy = face.xy[ring]
        ends = xy[[xy[:, 0].argmin(), xy[:, 0].argmax()]]
        cv2.line(bars, *(tuple(map(int, e)) for e in ends), 1, round(width * face.size))
    return brows, bars


def test_brows_behind_a_thick_frame_are_lost(sources):
    """Their bars are filled and counted as hidden, so that the target's brows are drawn."""
    bare = sources["C"]
    face, shape = bare.landmarks, bare.image.shape[:2]
    brows, bars = brows_and_bars(face, shape, 0.05)
    picture = bare.image.copy()
    picture[bars > 0] = 20
    out, left = without_glasses(picture, face, bars.astype(np.float32))
    assert left[brows].min() == 1
    assert out[bars > 0].mean() > 0.75 * bare.image[fill_rings(
        [face.xy[r] for r in topology.SKIN_PATCHES], *shape) > .5].mean()


def test_brows_above_a_thick_frame_stay(sources):
    """A frame that touches their lower edges takes away what it covers, and no more."""
    bare = sources["C"]
    face, shape = bare.landmarks, bare.image.shape[:2]
    brows, bars = brows_and_bars(face, shape, 0.03)
    covered = brows & (bars > 0)
    free = brows & (cv2.dilate(bars, np.ones((3, 3)), iterations=round(0.03 * face.size)) == 0)
    assert covered.sum() > 0.1 * brows.sum() and free.sum() > 0.2 * brows.sum()
    picture = bare.image.copy()
    picture[bars > 0] = 10
    out, left = without_glasses(picture, face, bars.astype(np.float32))
    assert left[brows].mean() < 0.1
    assert np.abs(out.astype(int) - bare.image)[free].mean() < 2
    assert out[covered].mean() > 60
