import numpy as np
import pytest

from idf_helpers.stylization import measures


def test_the_truth_has_little_warp_error(head):
    true = measures.warp_error(head.views, head.styled, 1)
    assert true < 4
    rng = np.random.default_rng(0)
    jumpy = [np.clip(s + rng.normal(0, 0.1, 3), 0, 1).astype(np.float32) for s in head.styled]
    assert measures.warp_error(head.views, jumpy, 1) > 3 * true
    assert measures.loop_closure(head.views, head.styled) == pytest.approx(1, abs=0.8)
    drift = [np.clip(s + k * 0.01, 0, 1).astype(np.float32) for k, s in enumerate(head.styled)]
    assert measures.loop_closure(head.views, drift) > 2.5


def test_blur_is_seen(head):
    import cv2
    view, sharp = head.views[3], head.styled[3]
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    assert measures.sharpness(blurred, view.mask) < 0.3 * measures.sharpness(sharp, view.mask)
    assert np.isnan(measures.sharpness(sharp, np.zeros_like(view.mask)))


def test_overlap_and_background():
    a = np.zeros((10, 10), np.float32)
    a[2:6] = 1
    b = np.zeros_like(a)
    b[4:8] = 1
    assert measures.mask_overlap(a, b) == pytest.approx(1 / 3)
    assert measures.mask_overlap(0 * a, 0 * b) == 1
    picture, source = np.full((10, 10, 3), 0.5), np.full((10, 10, 3), 0.5)
    picture[3, 3:6] = 1
    assert measures.background_pixels(picture, a, (1, 1, 1), source) == 3
    source[3, 3] = 1  # it was white before
    assert measures.background_pixels(picture, a, (1, 1, 1), source) == 2


def test_what_cannot_be_measured_says_so(head):
    from dataclasses import replace
    flat = [replace(v, depth=None) for v in head.views]
    found = measures.measure_views(flat, head.styled, [v.mask for v in head.views], [0, 12], True)
    assert found["warp_error"] == "not measured: no depth"
    assert found["mask_overlap"] == 1 and found["background_pixels"] == 0
    full = measures.measure_views(head.views, head.styled, [v.mask for v in head.views], [0, 12],
                                 False)
    assert full["loop_closure"].startswith("not measured") and full["warp_error_neighbors"] < 4
