"""The compositor: a source's face in a target's light, colors and grain, on made patches."""

import cv2
import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.color import blur, lab_to_rgb, rgb_to_lab
from idf_helpers.face.head_model import FaceModel
from idf_helpers.swapping.mesh.aligned import Aligned
from idf_helpers.swapping.mesh.beard import from_rim, grows
from idf_helpers.swapping.mesh.compositor import compose
from idf_helpers.swapping.mesh.fine_detail import as_soft


def patch(lab, noise=0.0, seed=0, size=160):
    out = np.tile(np.asarray(lab, np.float32), (size, size, 1))
    grain = np.random.default_rng(seed).normal(0, 1, (size, size)).astype(np.float32)
    out[..., 0] += noise * grain
    return out


def aligned(source, target, **changed):
    h, w = source.shape[:2]
    none = np.zeros((h, w), np.float32)
    parts = {"weight": none + 1, "brows": none, "lips": none, "eyes": none, "trust": none + 1,
             "enlarged": 1.0, "size": float(h)}
    return Aligned(source.astype(np.float32), target.astype(np.float32), **(parts | changed))


def test_skin_becomes_the_targets_skin():
    source, target = patch((40, 15, 20), 1.5), patch((70, 10, 14), 1.5, 3)
    out = compose(aligned(source, target))
    assert np.abs(out.mean((0, 1)) - target.mean((0, 1))).max() < 0.8
    # the texture stays the source's own
    assert np.corrcoef(out[..., 0].ravel(), source[..., 0].ravel())[0, 1] > 0.9


def test_smooth_light_is_taken_over():
    source, target = patch((60, 12, 15), 1.0), patch((60, 12, 15), 1.0, 3)
    ramp = np.linspace(-12, 12, 160, dtype=np.float32)
    target[..., 0] += ramp
    out = compose(aligned(source, target))
    slope = np.polyfit(np.arange(40, 120), out[60:100, 40:120, 0].mean(0), 1)[0]
    assert 0.6 * 24 / 159 < slope < 1.1 * 24 / 159


def test_light_from_the_side_that_is_finer_is_taken_over():
    """A shadow on one side: `side` carries it."""
    source, target = patch((60, 12, 15), 0.5), patch((60, 12, 15), 0.5, 3)
    target[60:100, 20:50, 0] -= 24
    side = 0.5 * (target - target[:, ::-1])
    known = np.ones(source.shape[:2], np.float32)
    out = compose(aligned(source, target, side=side, paired=known))
    without = compose(aligned(source, target))
    dark = [float(x[76:84, 30:40, 0].mean() - x[76:84, 120:130, 0].mean()) for x in (out, without)]
    assert dark[0] < dark[1] - 3


def test_a_brow_stays_dark_and_does_not_glow():
    source, target = patch((40, 15, 20), 1.0), patch((70, 10, 14), 1.0, 3)
    source[40:52, 30:110] = (5, 2, 2)
    brows = np.zeros(source.shape[:2], np.float32)
    brows[40:52, 30:110] = 1
    out = compose(aligned(source, target, brows=brows))
    assert out[42:50, 34:106, 0].max() < 55  # a plain shift would give 35 more than here, but gray
    assert np.linalg.norm(out[42:50, 34:106, 1:], axis=-1).max() < 18
    assert abs(out[100:, :, 0].mean() - 70) < 1.5  # and it is not taken for shade


@pytest.mark.parametrize("target", [(70, 10, 14), (12, 4, 5), (45, 20, 30)])
def test_chroma_is_never_amplified(target):
    """Blotches of a JPEG: nothing of a source is more colored than the target's range allows."""
    source, target = patch((60, 15, 20), 1.0), patch(target, 0.5, 3)
    noise = np.random.default_rng(5).normal(0, 1, (20, 20, 2)).astype(np.float32)
    source[..., 1:] += 12 * cv2.resize(noise, (160, 160), interpolation=cv2.INTER_NEAREST)
    out = compose(aligned(source, target))
    chroma = np.linalg.norm(out[..., 1:], axis=-1)
    assert chroma.max() <= 1.15 * np.linalg.norm(target[..., 1:], axis=-1).max() + 1.5


def test_a_gray_picture_stays_gray_and_a_dark_one_dark():
    source = patch((60, 15, 20), 3.0)
    source[40:52, 30:110] = (5, 2, 2)
    gray = compose(aligned(source, patch((60, 0, 0), 2.0, 3)))
    rgb = np.rint(255 * lab_to_rgb(gray))
    assert np.ptp(rgb, axis=-1).max() <= 2
    target = patch((6, 3, 4), 0.5, 3)
    dark = compose(aligned(source, target))
    assert dark[..., 0].max() < target[..., 0].max() + 2


def test_a_coarse_source_gets_the_targets_grain():
    target = patch((60, 12, 15), 4.0, 3)
    target[..., 0] = blur(target[..., 0] - 60, 0.8) + 60
    smooth = patch((50, 12, 15))
    smooth[..., 0] += blur(np.random.default_rng(7).normal(0, 40, (160, 160)), 8.0)
    fine = [np.std(x[..., 0] - blur(x[..., 0], 2.0)) for x in
            (compose(aligned(smooth, target, enlarged=3.0)), target)]
    assert 0.5 < fine[0] / fine[1] < 1.3


def test_features_are_as_soft_as_the_targets():
    """A brow of a sharp photo in a soft film: the width of its edges is the film's. In a sharper
    picture the photo stays as it is."""
    sharp = patch((60, 12, 15))
    brows = np.zeros(sharp.shape[:2], np.float32)
    sharp[40:60, 30:110, 0], brows[40:60, 30:110] = 20, 1
    faint = patch((60, 12, 15))  # less contrast is no softness
    faint[40:60, 30:110, 0] = 45

    def edge(lab):
        across = lab[30:50, 70, 0]
        return np.ptp(across) / np.abs(np.diff(across)).max()

    for blurred in (1.0, 2.0):
        film = cv2.GaussianBlur(faint, (0, 0), blurred)
        soft = as_soft(aligned(sharp, film, brows=brows), sharp)
        wanted = edge(cv2.GaussianBlur(sharp, (0, 0), blurred))
        assert edge(soft) == pytest.approx(wanted, rel=0.1)
        assert as_soft(aligned(film, sharp, brows=brows), film) is film


def test_where_the_warp_is_wild_the_middle_band_is_the_targets():
    source, target = patch((60, 12, 15), 1.0), patch((60, 12, 15), 1.0, 3)
    source[70:78, 30:130, 0] -= 20  # a fold that the target does not have
    trusted = compose(aligned(source, target))
    not_trusted = compose(aligned(source, target,
                                  trust=np.zeros(source.shape[:2], np.float32)))
    assert trusted[74, 50:110, 0].mean() < not_trusted[74, 50:110, 0].mean() - 6


def test_a_face_on_itself_and_no_skin():
    rgb = np.random.default_rng(1).integers(100, 200, (160, 160, 3)).astype(np.uint8)
    source = rgb_to_lab(cv2.GaussianBlur(rgb, (0, 0), 2))
    source[..., 1:] *= 0.3
    source[..., 1:] += (12, 15)
    out = compose(aligned(source, source))
    assert np.median(np.abs(out - source)) < 0.6
    none = np.zeros(source.shape[:2], np.float32)
    assert np.array_equal(compose(aligned(source, source + 9, weight=none)), source)


def test_a_beard_stays_black_on_a_lighter_skin():
    """Mostly hair around the mouth: on a lighter skin what is between the hair becomes light,
    and the hair is not. A shade as dark, of the skin's own hue, is no beard."""
    def mixed(a, b):
        return 116 * np.cbrt(0.2 * ((a + 16) / 116) ** 3 + 0.8 * ((b + 16) / 116) ** 3) - 16

    source, target = patch((38, 15, 20), 1.0), patch((70, 12, 16), 1.0, 3)
    lips = np.zeros((160, 160), np.float32)
    lips[90:100, 55:105] = 1
    around = np.zeros((160, 160), bool)
    around[75:130, 30:130], around[90:100, 55:105] = True, False
    shaded, beard = source.copy(), source.copy()
    shaded[around, 0] -= 38 - mixed(38, 6)
    beard[around] = shaded[around] * (1, 0.5, 0.5)
    beard[20:24, 40:120] = 4, 1, 1
    shown, dark = (compose(aligned(x, target, lips=lips))[110:125, 50:110, 0].mean()
                   for x in (beard, shaded))
    assert shown == pytest.approx(mixed(70, 6), abs=5)
    assert dark > shown + 4


def test_a_beard_thins_toward_the_rim_of_a_clean_shaven_face():
    """It would end there in a hard line; where the target has one, it goes on."""
    source, target = patch((38, 15, 20), 1.0), patch((70, 12, 16), 1.0, 3)
    lips = np.zeros((160, 160), np.float32)
    lips[80:90, 55:105] = 1
    source[95:] = target_beard = np.array([9, 4, 5], np.float32)
    rim = np.tile(np.interp(np.arange(160), (130, 152), (1, 0))[:, None], (1, 160))
    rim = rim.astype(np.float32)
    bearded = target.copy()
    bearded[120:] = target_beard
    on_skin, on_beard, no_rim = (
        compose(aligned(source, x, lips=lips, rim=r))[..., 0].mean(1)
        for x, r in ((target, rim), (bearded, rim), (target, None)))
    assert on_skin[154:].min() > 60 > 40 > on_skin[100:130].max()
    assert on_beard[154:].max() < 30 and no_rim[154:].max() < 40


def test_the_rim_of_a_face_is_its_jaw():
    model = FaceModel.load()
    rim = from_rim(model.rest)
    jaw = [topology.CHIN, *topology.FACE_OVAL[13:24]]
    brows = [*topology.LEFT_BROW, topology.FOREHEAD]
    assert rim[jaw].max() < 0.05
    assert rim[topology.LIP_LOWER] == 1 and rim[brows].min() > 1.5
    assert grows(rim[jaw]).min() == 1 and grows(rim[brows]).max() < 0.5
    assert np.allclose(rim, from_rim(3 * model.rest @ np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])))


def test_shade_around_the_eyes_is_no_beard():
    """A bearded face has hair below the nose; what is as gray and dark above it is shade."""
    source, target = patch((38, 15, 20), 1.0), patch((70, 12, 16), 1.0, 3)
    lips = np.zeros((160, 160), np.float32)
    lips[110:118, 55:105] = 1
    source[90:140, 30:130] = 9, 4, 5
    source[20:40, 30:60] = 26, 8, 10
    rim = np.tile(np.linspace(4, 0, 160, dtype=np.float32)[:, None], (1, 160))
    shade, hair = (compose(aligned(source, target, lips=lips, rim=x))[22:38, 32:58, 0].mean()
                   for x in (rim, None))
    assert shade > hair + 2


def test_lips_are_about_as_dark_and_red_as_the_targets():
    """Paler ones would seem closed beside the red that shows between them."""
    source, target = patch((60, 12, 15), 1.0), patch((60, 12, 15), 1.0, 3)
    lips = np.zeros((160, 160), np.float32)
    lips[80:96, 50:110] = 1
    source[lips > 0] = 62, 15, 14
    target[lips > 0] = 45, 30, 16
    out = compose(aligned(source, target, lips=lips))[84:92, 60:100].mean((0, 1))
    assert 48 < out[0] < 60 and out[1] > 25
