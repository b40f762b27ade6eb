"""Crops of a face: matrices, templates, the way back, pixel boost."""

import cv2
import numpy as np
import pytest

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.swapping.neural.align import (
    TEMPLATES,
    box_mask,
    crop,
    deinterleave,
    five_points,
    interleave,
    paste,
    similarity,
    template_matrix,
)


def turned(points, angle, scale, shift):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + shift


@pytest.mark.parametrize("angle, scale", [(0.0, 1.0), (0.7, 0.31), (-2.5, 4.0), (3.1, 1.3)])
def test_similarity_is_found_again(angle, scale):
    points = np.random.default_rng(0).normal(0, 50, (5, 2))
    M = similarity(points, turned(points, angle, scale, (12.0, -7.0)))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    np.testing.assert_allclose(M, [[c, -s, 12], [s, c, -7]], atol=1e-9)


def test_similarity_is_the_best_one_without_a_mirror():
    """Against a search by hand, on points that no similarity maps; a mirrored set stays turned."""
    rng = np.random.default_rng(1)
    src, dst = rng.normal(0, 1, (6, 2)), rng.normal(0, 1, (6, 2))
    M = similarity(src, dst)

    def error(m):
        return ((src @ m[:, :2].T + m[:, 2] - dst) ** 2).sum()

    best = error(M)
    for _ in range(200):
        a, b, t = rng.normal(0, 0.02, 2).tolist() + [rng.normal(0, 0.02, 2)]
        other = M + np.array([[a, -b, t[0]], [b, a, t[1]]])
        assert error(other) >= best - 1e-12
    mirrored = similarity(src, src * (-1, 1))
    assert np.linalg.det(mirrored[:, :2]) > 0


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_crop_puts_the_points_onto_the_template(template):
    goal = TEMPLATES[template]
    assert goal.shape == (5, 2) and (goal > 0.3).all() and (goal < 0.9).all()
    five = turned(goal * 100, 0.3, 2.0, (50, 40))
    M = template_matrix(five, template, 256)
    np.testing.assert_allclose(five @ M[:, :2].T + M[:, 2], goal * 256, atol=1e-3)


def test_arcface_128_is_the_112_one_moved_by_eight():
    np.testing.assert_allclose(TEMPLATES["arcface_128"] * 128,
                               TEMPLATES["arcface_112_v2"] * 112 + (8, 0), atol=1e-3)


def test_five_points_of_a_photo_go_to_the_middle_of_the_crop():
    image = media.read_image(samples.photo("C"))
    face = LandmarkDetector().detect(image, zoom=True)[0]
    five = five_points(face.points)
    assert five[0, 0] < five[2, 0] < five[1, 0] and five[3, 0] < five[4, 0]
    assert five[:2, 1].max() < five[2, 1] < five[3:, 1].min()
    M = template_matrix(five, "arcface_112_v2", 112)
    away = np.linalg.norm(five @ M[:, :2].T + M[:, 2] - TEMPLATES["arcface_112_v2"] * 112, axis=1)
    assert away.max() < 8


def test_paste_of_an_untouched_crop_changes_little_and_nothing_outside():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 4), np.uint8), (0, 0), 4)
    image[:, 90:, 3] = 0
    M = similarity(np.array([[60.0, 50], [100, 55]]), np.array([[20.0, 30], [70, 30]]))
    square = crop(np.ascontiguousarray(image[..., :3]), M, 96)
    out, share = paste(image, square, box_mask(96, 0.3), M)
    assert share.shape == image.shape[:2] and 0.1 < (share > 0).mean() < 0.9
    np.testing.assert_array_equal(out[share == 0], image[share == 0])
    np.testing.assert_array_equal(out[..., 3], image[..., 3])
    assert not share[image[..., 3] == 0].any()
    assert np.abs(out[..., :3].astype(int) - image[..., :3]).max() <= 3
    away = np.array([[1.0, 0, 1000], [0, 1, 1000]])
    out, share = paste(image, square, box_mask(96, 0.3), away)
    assert not share.any() and (out == image).all()


def test_paste_of_a_constant_is_its_share():
    image = np.zeros((80, 80, 3), np.uint8)
    M = np.array([[1.0, 0, -10], [0, 1, -20]])
    out, share = paste(image, np.full((40, 40, 3), (200, 100, 50), np.float32), box_mask(40, 0.5),
                       M)
    np.testing.assert_array_equal(out, np.rint(share[..., None] * np.float32([200, 100, 50])))
    assert share[40, 30] == pytest.approx(1, abs=0.02) and not share[:20].any()


def test_large_faces_are_averaged_down():
    """A checkerboard of single pixels comes out gray, not as moiré."""
    image = np.indices((400, 400)).sum(0) % 2 * 255
    image = np.repeat(image[..., None], 3, 2).astype(np.uint8)
    M = np.array([[0.1, 0, -4], [0, 0.1, -4]])
    square = crop(image, M, 30)
    assert np.abs(square.astype(int) - 127.5).max() < 2
    ramp = np.tile((np.arange(400) // 2)[None, :, None], (400, 1, 3)).astype(np.uint8)
    x = (np.arange(30) + 4) / 0.1
    assert np.abs(crop(ramp, M, 30)[15, :, 0] - x / 2).max() < 1.6


@pytest.mark.parametrize("k", [1, 2, 3])
def test_pixel_boost_takes_every_kth_pixel_and_gives_it_back(k):
    picture = np.random.default_rng(k).random((8 * k, 8 * k, 3))
    parts = deinterleave(picture, k)
    assert parts.shape == (k * k, 8, 8, 3)
    for i in range(k):
        for j in range(k):
            np.testing.assert_array_equal(parts[k * i + j], picture[i::k, j::k])
    np.testing.assert_array_equal(interleave(parts, k), picture)


def test_box_mask():
    mask = box_mask(128, 0.3)
    assert mask[64, 64] == pytest.approx(1, abs=1e-4) and mask[0].max() < 0.2
    np.testing.assert_allclose(mask, mask.T, atol=1e-6)
    assert (box_mask(16, 0.0)[1:-1, 1:-1] == 1).all() and not box_mask(16, 0.0)[0].any()
