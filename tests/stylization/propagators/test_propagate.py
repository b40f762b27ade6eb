import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.sequence import front_view
from idf_helpers.metrics import psnr
from idf_helpers.stylization.key_views import choose_keys
from idf_helpers.stylization.propagators.flow import FlowPropagator
from idf_helpers.stylization.propagators.geometry import GeometryPropagator
from idf_helpers.stylization.propagators.patchmatch_propagator import PatchmatchPropagator
from idf_helpers.stylization.propagators.propagator import Propagator, StyledFrame, is_closed
from idf_helpers.stylization.propagators.silhouette import outline
from idf_helpers.stylization.stylist import View


def quality(propagator, head, frames):
    found = []
    for k in frames:
        a = head.views[k].mask[..., None]
        out = propagator.frame(k).rgb * a + 1 - a
        found.append(psnr(out, head.styled[k], head.views[k].mask > 0.5))
    return float(np.mean(found))


@pytest.fixture(scope="module")
def eight(head):
    return {k: head.styled[k] for k in range(0, 24, 3)}


def test_geometry_is_five_decibels_above_flow(head, eight):
    frames = (1, 7, 14, 20)
    geometry = quality(GeometryPropagator(head.views, eight), head, frames)
    flow = quality(FlowPropagator(head.views, eight), head, frames)
    assert geometry > 31 and geometry > flow + 5


def test_four_keys(head):
    keys = {k: head.styled[k] for k in range(0, 24, 6)}
    propagator = GeometryPropagator(head.views, keys)
    assert quality(propagator, head, (3, 9)) > 27
    assert 0.9 < propagator.frame(3).seen < 1


def test_a_key_comes_out_as_it_went_in(head, eight):
    made = GeometryPropagator(head.views, eight, harmonize=False).frame(3)
    solid = head.views[3].mask > 0.96
    np.testing.assert_allclose(made.rgb[solid], head.styled[3][solid], atol=1e-5)
    assert made.alpha is None and made.seen == 1


@pytest.mark.parametrize("green", [(0.0, 1.0, 0.0), (1.0, 1.0, 1.0)])
def test_no_background_inside_the_head(head, green):
    keys = {}
    for k in (0, 8, 16):
        a = head.views[k].mask[..., None]
        keys[k] = head.styled[k] - (1 - a) + (1 - a) * np.array(green, np.float32)
    propagator = GeometryPropagator(head.views, keys)
    for k in (4, 12):
        made, view = propagator.frame(k), head.views[k]
        backdrop = np.abs(made.rgb - green).max(-1) < 0.1
        assert not backdrop[view.mask > 0].any()
        assert np.isfinite(made.rgb).all()


def test_an_outline_that_was_left_out_is_not_taken(head):
    """A key whose stylist drew background over an ear: the others give the ear."""
    view = head.views[0]
    picture = head.styled[0].copy()
    for row in range(40, 56):
        left = np.flatnonzero(view.mask[row] > 0)[0]
        picture[row, left:left + 5] = 1.0
    found = outline(view, picture)
    hurt = (np.abs(picture - head.styled[0]).max(-1) > 0.1) & (view.mask > 0.9)
    assert found.known and not found.usable.all()
    assert found.usable[hurt].mean() < 0.35
    keys = {k: head.styled[k] for k in range(3, 24, 3)} | {0: picture}
    made = GeometryPropagator(head.views, keys).frame(0)
    white = np.abs(made.rgb - 1).max(-1) < 0.1
    assert white[hurt].mean() < 0.3


def test_what_was_drawn_beyond_the_outline_is_carried(head):
    """A point put on top of the head: it has no depth, yet comes with the neighboring frames."""
    keys = {k: head.styled[k].copy() for k in range(0, 24, 3)}
    view = head.views[0]
    top = np.flatnonzero((view.mask > 0.5).any(1))[0]
    x = 48
    assert top >= 4, "the scene leaves room above the head"
    keys[0][top - 4:top + 3, x - 5:x + 5] = (0.9, 0.1, 0.1)
    propagator = GeometryPropagator(head.views, keys)
    assert propagator.grown
    made = propagator.frame(0)
    new = (made.alpha > 0.5) & (view.mask < 0.1)
    assert new.sum() > 15 and made.rgb[new][:, 0].min() > 0.6
    near = propagator.frame(1)
    beyond = (near.alpha > 0.5) & (head.views[1].mask < 0.1)
    assert beyond.sum() > 5
    far = propagator.frame(12)
    np.testing.assert_array_equal(far.alpha if far.alpha is not None else head.views[12].mask,
                                  head.views[12].mask)


def test_an_unchanged_outline(head):
    found = outline(head.views[2], head.styled[2])
    assert found.known and found.usable.all() and not (found.grown > 0).any()
    rng = np.random.default_rng(0)
    painted = np.where(head.views[2].mask[..., None] > 0.5, head.styled[2],
                       rng.random((96, 96, 3))).astype(np.float32)
    assert not outline(head.views[2], painted).known


def test_drifting_keys_agree_after_harmonizing(head):
    rng = np.random.default_rng(5)
    keys = {k: np.clip(head.styled[k] * rng.uniform(0.8, 1.2, 3) + rng.uniform(-12, 12, 3) / 255,
                       0, 1).astype(np.float32) for k in range(0, 24, 3)}
    from idf_helpers.stylization.measures import warp_error
    error = {}
    for on in (False, True):
        p = GeometryPropagator(head.views, keys, harmonize=on)
        frames = [p.frame(k).rgb for k in range(0, 24, 1)]
        error[on] = warp_error(head.views, frames, 3)
    assert error[True] < 0.75 * error[False]


def test_patches(head, eight):
    propagator = PatchmatchPropagator(head.views, {0: eight[0], 3: eight[3]})
    nearest = psnr(head.styled[0], head.styled[1], head.views[1].mask > 0.5)
    assert quality(propagator, head, (1,)) > nearest + 1
    made = propagator.frame(1).rgb[head.views[1].mask > 0]
    assert not (np.abs(made - 1).max(-1) < 0.03).any()


def test_neighbors_of_a_frame():
    class Turn(Propagator):
        def __init__(self, keys, closed):
            flat = View(np.zeros((1, 1, 3)), np.ones((1, 1)))
            super().__init__([flat] * 10, {k: flat.rgb for k in keys})
            self.closed = closed

        def frame(self, index):
            return StyledFrame(self.views[index].rgb)

    assert Turn([2, 6], False).neighbors(4) == (2, 6, 0.5)
    assert Turn([2, 6], True).neighbors(2) == (2, 2, 0.0)
    assert Turn([6, 2], True).neighbors(8) == (6, 2, pytest.approx(1 / 3))
    assert Turn([2, 6], True).neighbors(1) == (6, 2, pytest.approx(5 / 6))
    assert Turn([2, 6], False).neighbors(1)[:2] == (2, 2)
    assert Turn([2, 6], False).neighbors(9)[:2] == (6, 6)
    assert Turn([2], True).neighbors(9)[:2] == (2, 2)
    with pytest.raises(IdfError, match="no key view"):
        Turn([], True)


def test_cameras_show_whether_a_turn_is_closed(head):
    from dataclasses import replace
    assert is_closed(head.views) and not is_closed(head.views[:9])
    assert not is_closed([replace(v, camera=None) for v in head.views])
    assert not is_closed(head.views[:2])


def test_keys_are_spread_evenly_from_the_front(head):
    cameras = [v.camera for v in head.views]
    assert front_view(cameras) == 0
    assert choose_keys(cameras, 8) == list(range(0, 24, 3))
    six = sorted(choose_keys(cameras, 6))
    gaps = np.diff([*six, six[0] + 24])
    assert gaps.min() >= 3 and gaps.max() <= 5
    assert choose_keys(cameras, 3, first=5)[0] == 5
    assert len(choose_keys(cameras, 100)) == 24


def test_depth_is_asked_for(head):
    from dataclasses import replace
    views = [replace(v, depth=None) for v in head.views]
    with pytest.raises(IdfError, match="depth of every view"):
        GeometryPropagator(views, {0: head.styled[0]})
    with pytest.raises(IdfError, match="no key view"):
        GeometryPropagator(head.views, {})
