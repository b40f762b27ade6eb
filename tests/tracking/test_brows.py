"""Brows followed in pictures: found to a fraction of a pixel, left alone where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.media import read_image, resize_area
from idf_helpers.data.samples import dataset
from idf_helpers.face.frame_fitter import FrameFitter, Lens
from idf_helpers.face.frame_landmarks import FollowingDetector
from idf_helpers.face.head_model import FaceModel
from idf_helpers.tracking import brows, fit
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.fit import fit_clip

from .clips import NAMES, SIZE, brow_motion, make_clip, paint

LENS = Lens.of(30.0, SIZE, SIZE)
GIVEN = TrackConfig(fov=30.0, smoothing=0)  # which takes away some of the landmarks' error too


@pytest.fixture(scope="module", autouse=True)
def few_keyframes():
    """The face's shape from eight frames: it is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "KEYFRAMES", 8)
        yield


@pytest.fixture(scope="module")
def clip():
    """Landmarks that err about the brows, the true poses and weights, and the neutral face."""
    points, poses, weights, identity = make_clip(48, noise=0.4, brow_error=0.24)
    return points, poses, weights, identity, FaceModel.load().vertices(identity)


@pytest.fixture(scope="module")
def pictures(clip):
    return paint(*clip[1:4])


@pytest.fixture(scope="module")
def alone(clip):
    """What the landmarks say without pictures."""
    return fit_clip(clip[0], SIZE, SIZE, GIVEN)


def raised(track) -> np.ndarray:
    return track.expressions[:, [track.names.index(n) for n in NAMES[3:]]].mean(1)


def test_heights_are_found(clip, pictures):
    _, poses, weights, _, neutral = clip
    used = np.ones(48, bool)
    used[7] = False
    asked = []
    found = brows.measure(lambda i: (asked.append(i), pictures[i])[1], poses, used,
                          weights.sum(1), LENS, neutral)
    assert sorted(asked) == [i for i in range(48) if i != 7]  # every frame is read once
    assert not found.trust[7].any() and found.trust[used].mean() > 0.7
    true = brow_motion(weights)[..., 1]
    for k in range(6):
        rows = found.trust[:, k] > 0.5
        error = (found.height - true)[rows, k]
        assert error.std() < 0.05 and true[rows, k].std() > 0.05, k
    assert brows.agreement(found, true).min() > 0.95
    assert brows.agreement(found, true * np.repeat((0, -1), 3))[1] < -0.95
    assert brows.agreement(found, true * np.repeat((0, -1), 3))[0] == 0


def test_a_small_face(clip, pictures):
    """A quarter of the size: 2.5 pixels a centimeter."""
    _, poses, weights, _, neutral = clip
    small = [resize_area(p, SIZE // 4, SIZE // 4) for p in pictures]
    found = brows.measure(small.__getitem__, poses, np.ones(48, bool), weights.sum(1),
                          Lens.of(30.0, SIZE // 4, SIZE // 4), neutral)
    error = (found.height - brow_motion(weights)[..., 1])[found.trust > 0.5]
    assert found.trust.mean() > 0.5 and error.std() < 0.1


def test_a_covered_frame_drops_out_alone(clip, pictures):
    _, poses, weights, _, neutral = clip
    hidden, rng = set(range(20, 26)), np.random.default_rng(0)
    noise = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    found = brows.measure(lambda i: noise if i in hidden else pictures[i], poses,
                          np.ones(48, bool), weights.sum(1), LENS, neutral)
    assert found.trust[20:26].max() < 0.3
    assert np.delete(found.trust, range(20, 26), 0).mean() > 0.7


def test_pictures_set_the_landmarks_right(clip, pictures, alone):
    points, _, weights, _, _ = clip
    both = fit_clip(points, SIZE, SIZE, GIVEN, pictures=pictures.__getitem__)
    true = weights[:, 3:].mean(1)
    a, b = (np.corrcoef(true, raised(t))[0, 1] for t in (alone, both))
    assert a < 0.87 and b > 0.95
    assert alone.brows == 0 and 0.6 < both.brows <= 1
    jaw = both.names.index("jawOpen")
    assert np.corrcoef(both.expressions[:, jaw], weights[:, 0])[0, 1] > 0.9
    off = fit_clip(points, SIZE, SIZE, TrackConfig(fov=30.0, smoothing=0, brows=False),
                   pictures=lambda i: pytest.fail("a picture was read"))
    np.testing.assert_array_equal(off.expressions, alone.expressions)


@pytest.mark.parametrize("cover", ["bare", "fringe"])
def test_brows_that_cannot_be_seen_leave_the_fit_as_it_was(clip, alone, cover):
    points, poses, weights, identity, _ = clip
    hidden = paint(poses, weights, identity, cover=cover)
    track = fit_clip(points, SIZE, SIZE, GIVEN, pictures=hidden.__getitem__)
    assert track.brows == 0
    np.testing.assert_array_equal(track.expressions, alone.expressions)
    np.testing.assert_array_equal(track.poses, alone.poses)


def test_a_large_picture_says_the_same(clip, pictures):
    """The strip is averaged, not sampled, where a cell covers many pixels."""
    _, poses, _, _, neutral = clip
    middle = brows.centers(neutral)
    strip = brows.Strip(neutral, middle)
    big = np.repeat(np.repeat(pictures[0], 5, 0), 5, 1)
    a = strip.unwrap(pictures[0], poses[0], LENS).astype(float)
    b = strip.unwrap(big, poses[0], Lens.of(30.0, 5 * SIZE, 5 * SIZE)).astype(float)
    assert np.abs(a - b).mean() < 4
    assert strip.unwrap(pictures[0][:, :100], poses[0], LENS).shape == a.shape  # half outside


def test_a_sight_is_met_by_the_fit():
    """A frame whose landmarks are at rest and whose brows are not: the weights follow the brows,
    sideways errors of the sight do not count."""
    m, pose = FaceModel.load(), np.eye(4)
    pose[2, 3] = -60.0
    fitter = FrameFitter(m, LENS)
    rest = fitter.project(np.zeros(len(fitter.shapes)), pose)
    middle = brows.centers(m.rest)
    raise_ = m.brows[[m.expression_names.index(f"browInnerUp_{s}") for s in "LR"]].sum(0)
    seen = LENS.fx * (middle + 0.6 * raise_)[:, :2] / (60.0 - middle[:, 2:]) * (1, -1) + SIZE / 2
    for aside in (0.0, 3.0):
        sight = brows.BrowSight(middle, seen + (aside, 0), np.array([0.0, -1.0]),
                                np.full(6, 400.0), np.ones(6))
        _, x, _ = fitter.fit(rest, pose, brow=sight)
        got = fitter.full(x)[[m.expression_names.index(f"browInnerUp_{s}") for s in "LR"]]
        assert got.min() > 0.25, aside
        down = (fitter.brow_seen(sight, x, pose) - sight.seen) @ sight.up
        assert np.abs(down).mean() < 0.3 * np.abs((fitter.brow_seen(sight, 0 * x, pose)
                                                   - sight.seen) @ sight.up).mean()


def test_what_the_model_says_of_the_brows():
    m = FaceModel.load()
    assert m.brows.shape == (53, 6, 3)
    k = m.expression_names.index
    inner, outer, down = (m.brows[k(n), :, 1] for n in
                          ("browInnerUp_L", "browOuterUp_L", "browDown_L"))
    assert inner[3] > 0.4 and outer[5] > 0.6 and down[3:].max() < -0.2
    assert np.abs(np.stack([inner, outer, down])[:, :3]).max() < 0.05  # the right one stays
    assert np.abs(m.brows[k("jawOpen")]).max() < 0.05
    np.testing.assert_allclose(m.brows[k("browDown_R")][[3, 4, 5, 0, 1, 2]] * (-1, 1, 1),
                               m.brows[k("browDown_L")], atol=2e-3)


def test_brows_of_the_bundled_head():
    """Every eighth frame of a path-traced head's performance, landmarks by the landmark model: how
    high the brows stand, raised and lowered together."""
    data = dataset("head_talking")
    frames = sorted(data.frames, key=lambda f: f.name[-4:])[:280:8]
    up = [data.expression_names.index(f"brow{n}Up_{s}") for n in ("Inner", "Outer") for s in "LR"]
    down = [data.expression_names.index(f"browDown_{s}") for s in "LR"]

    def height(weights):
        return weights[:, up].mean(1) - weights[:, down].mean(1)

    true = height(np.array([f.expression for f in frames]))
    shown, detect = [read_image(f.path)[..., :3] for f in frames], FollowingDetector()
    points = np.array([detect(p)[:468] for p in shown], np.float64)
    a, b = (np.corrcoef(true, height(fit_clip(points, 256, 256, TrackConfig(fov=29.0), pictures=p)
                                     .expressions))[0, 1] for p in (None, shown.__getitem__))
    assert a > 0.85 and b > 0.9 and b > a + 0.02
