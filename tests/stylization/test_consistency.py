"""Short- and long-range consistency: the pairs, the formulas, and what each of them notices."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idf_helpers.perceptual import Lpips
from idf_helpers.stylization.consistency import consistency, near_and_far
from tests.fixtures.lpips import write_lpips

NO_LPIPS = "not measured: no weights"


@pytest.fixture(scope="module")
def lpips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lpips")
    write_lpips(folder)
    return Lpips(folder)


def test_pairs_go_by_angle_whatever_the_order(head):
    cameras = [v.camera for v in head.views]  # 24 views, 15 degrees apart
    pairs = near_and_far(cameras, 24)
    assert pairs["short"] == [(i, (i + 1) % 24) for i in range(24)]
    assert pairs["long"] == [(i, (i + 4) % 24) for i in range(24)]  # 7 x 15 is beyond 60
    fine = near_and_far(cameras[:2] + cameras[4:6], 4)  # 0, 15, 60, 75 degrees
    assert fine["short"] == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert fine["long"] == [(0, 2), (1, 3), (2, 0), (3, 1)]
    order = np.random.default_rng(3).permutation(24)
    mixed = near_and_far([cameras[k] for k in order], 24)
    apart = {(order[i] - order[j]) % 24 for i, j in mixed["long"]}
    assert len(mixed["long"]) == 24 and apart <= {4, 20}
    assert len(near_and_far(cameras, 5)["short"]) == 5
    assert near_and_far(cameras[:2])["long"] == near_and_far(cameras[:1])["short"] == []


def test_a_stroke_that_slides_is_noticed(head, lpips):
    still = consistency(head.views, head.styled, lpips)
    assert still["short_rmse"] < 0.03 and still["long_rmse"] < 0.06
    assert still["short_degrees"] == pytest.approx(15, abs=0.2)
    assert still["long_degrees"] == pytest.approx(60, abs=1)
    assert 0.1 < still["long_seen"] < still["short_seen"] < 0.6
    slid = [np.roll(s, 3 * (k % 2), 1) for k, s in enumerate(head.styled)]
    moved = consistency(head.views, slid, lpips)
    for key in ("short_rmse", "short_lpips", "short_lpips_frame"):
        assert moved[key] > 2 * still[key], key


def test_rmse_is_that_of_what_both_see(head, lpips):
    flat = [np.full_like(s, 0.25 + 0.5 * (k % 2)) for k, s in enumerate(head.styled)]
    found = consistency(head.views, flat, lpips, {"short": [(0, 1), (1, 2)], "long": []})
    assert found["short_rmse"] == pytest.approx(0.5, abs=1e-4)
    share = np.sqrt(found["short_seen"])  # black around it: the same sum over all pixels
    assert found["short_rmse_frame"] == pytest.approx(0.5 * share, abs=1e-2)
    assert found["short_lpips_frame"] < found["short_lpips"]
    assert found["long_rmse"].startswith("not measured: too few views")


def test_blur_passes_for_consistency(head, lpips):
    """Which is why sharpness stands beside it."""
    rng = np.random.default_rng(0)
    noisy = [np.clip(s + rng.normal(0, 0.1, s.shape), 0, 1).astype(np.float32)
             for s in head.styled]
    blurred = [cv2.GaussianBlur(s, (0, 0), 2) for s in noisy]
    a, b = (consistency(head.views, p, lpips) for p in (noisy, blurred))
    assert b["short_rmse"] < 0.5 * a["short_rmse"]


def test_what_is_not_measured_says_why(head, lpips):
    found = consistency(head.views, head.styled, NO_LPIPS)
    assert found["short_lpips"] == found["long_lpips"] == NO_LPIPS
    assert found["short_rmse"] > 0
    blind = [replace(v, depth=None) for v in head.views]
    assert set(consistency(blind, head.styled, lpips).values()) == {"not measured: no depth"}
    back = consistency(head.views, head.styled, lpips, {"short": [(0, 12)], "long": []})
    assert back["short_rmse"].startswith("not measured: no two views see")
    small = [replace(v.resized(24, 24), depth=cv2.resize(v.depth, (24, 24))) for v in head.views]
    tiny = consistency(small, [cv2.resize(s, (24, 24)) for s in head.styled], lpips)
    assert tiny["short_rmse"] > 0 and "needs 31 pixels" in tiny["short_lpips"]
