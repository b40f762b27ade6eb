"""Color and border work, against their formulas and on pictures with known answers."""

import cv2
import numpy as np
import pytest

from idf_helpers.face import color as C


def patch(lab, h=60, w=80, noise=0.0, seed=0):
    out = np.tile(np.asarray(lab, np.float32), (h, w, 1))
    return out + np.random.default_rng(seed).normal(0, noise, out.shape).astype(np.float32)


def test_lab_of_known_colors_and_back():
    rgb = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    lab = C.rgb_to_lab(rgb)[0]
    # CIE L*a*b* of the sRGB primaries under D65 (published to two digits)
    want = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    assert np.abs(lab - want).max() < 0.3
    picture = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    assert np.abs(C.lab_to_rgb(C.rgb_to_lab(picture)) * 255 - picture).max() < 1.0
    assert np.array_equal(C.rgb_to_lab(picture), C.rgb_to_lab(picture / np.float32(255)))


@pytest.mark.parametrize("sigma", [1.0, 5.0, 14.0, 30.0])
@pytest.mark.parametrize("channels", [0, 3])
def test_wide_blurs_equal_the_direct_one(sigma, channels):
    shape = (173, 211) + ((channels,) if channels else ())
    values = np.random.default_rng(2).random(shape).astype(np.float32)
    values[40:90, 60:120] += 2
    size = 2 * int(np.ceil(4 * sigma)) + 1
    want = cv2.GaussianBlur(values.astype(np.float64), (size, size), sigma,
                            borderType=cv2.BORDER_CONSTANT)
    assert np.abs(C.blur(values, sigma) - want).max() < 0.02


def test_masked_blur_does_not_see_what_is_masked():
    values = patch((5, 6, 7))
    mask = np.ones(values.shape[:2], np.float32)
    mask[20:40, 30:50] = 0
    values[20:40, 30:50] = 1000
    out = C.masked_blur(values, mask, 6.0)
    assert np.abs(out[mask > 0] - (5, 6, 7)).max() < 0.02
    assert np.abs(C.masked_blur(values[..., 0], mask, 6.0) - out[..., 0]).max() < 1e-4


def test_skin_field_is_the_skin_under_a_brow():
    lab = patch((60, 15, 20))
    lab[20:26, 20:60] = (10, 0, 0)
    skin = np.ones(lab.shape[:2], np.float32)
    skin[18:28, 18:62] = 0
    field = C.skin_field(lab, skin, 8.0)
    assert np.abs(field - (60, 15, 20)).max() < 0.5


def test_feather():
    inside = np.zeros((60, 60), bool)
    inside[10:50, 5:] = True
    weight = C.feather(inside, 10)
    assert (weight[~inside] == 0).all() and weight.max() == 1 and weight.dtype == np.float32
    row = weight[10:31, 40]
    assert (np.diff(row[:9]) > 0).all() and (row[11:] == 1).all()
    assert row[4] == pytest.approx(0.5, abs=0.06)  # smoothstep(5/10)
    assert weight[30, -1] == 1  # the picture's edge is no border
    assert np.array_equal(C.feather(inside, 0), inside.astype(np.float32))


def test_fill_rings_in_pixels_with_centers_at_a_half():
    square = np.array([[10.0, 4.0], [20.0, 4.0], [20.0, 9.0], [10.0, 9.0]])
    mask = C.fill_rings([square], 20, 30)
    assert (mask[5:8, 11:19] == 1).all()
    assert mask.sum() == pytest.approx(50, abs=5)  # 1/8 px a side
    y, x = np.nonzero(mask > 0.5)
    assert abs(x.mean() + 0.5 - 15) < 0.3 and abs(y.mean() + 0.5 - 6.5) < 0.3
    assert np.array_equal(C.fill_rings([square], 10, 12, (8, 2)), mask[2:12, 8:20])


def test_smoothstep():
    assert np.allclose(C.smoothstep(np.array([-1, 0, 0.25, 0.5, 1, 2])),
                       [0, 0, 0.15625, 0.5, 1, 1])
