import numpy as np

from idf_helpers.metrics import psnr
from idf_helpers.stylization.propagators.harmonize import color_corrections
from idf_helpers.stylization.reproject import Key, reproject
from idf_helpers.stylization.surface import edge_trust, facing, nearest_fill, normals

TOLERANCE = 0.02


def test_normals_from_depth(head):
    view = head.views[5]
    found = normals(view.depth, view.camera, smooth=0)
    inside = edge_trust(view.depth, view.mask, TOLERANCE) > 0.99
    angle = np.degrees(np.arccos(np.clip((found * view.normal).sum(-1)[inside], -1, 1)))
    assert np.median(angle) < 1.0 and np.percentile(angle, 95) < 6
    assert (found[np.isnan(view.depth)] == 0).all()
    cosine = facing(view.normal, view.camera)
    assert cosine.max() > 0.99 and (cosine[np.isnan(view.depth)] == 0).all()


def test_trust_ends_at_every_edge(head):
    view = head.views[3]
    trust = edge_trust(view.depth, view.mask, TOLERANCE)
    assert (trust[view.mask < 0.9] == 0).all()
    off = (view.depth[:, 1:] - view.depth[:, :-1])
    steps = np.abs(off) > 0.2  # nose before cheek, head before shoulder
    assert trust[:, 1:][steps].max(initial=0) < 0.4
    assert (trust > 0.99).mean() > 0.15


def test_what_two_views_see_is_carried_over(head):
    target, source = head.views[1], head.views[3]
    key = Key.of(source, head.styled[3], TOLERANCE)
    warped = reproject(target, [key], TOLERANCE)
    assert 0.4 < warped.known[target.mask > 0.99].mean() < 1
    good = warped.cosine > 0.5
    assert psnr(warped.rgb, head.styled[1], good & (target.mask > 0.99)) > 30
    assert not warped.known[target.mask == 0].any()


def test_what_is_hidden_is_not_seen(head):
    """From behind, nothing of the face; from the side, nothing through the nose."""
    warped = reproject(head.views[12], [Key.of(head.views[0], head.styled[0], TOLERANCE)],
                       TOLERANCE)
    assert warped.known.mean() < 0.02
    back = reproject(head.views[0], [Key.of(head.views[0], head.styled[0], TOLERANCE)], TOLERANCE)
    solid = head.views[0].mask > 0.99
    assert psnr(back.rgb, head.styled[0], solid & back.known) > 45


def test_no_background_gets_in(head):
    """Keys over bright green: no green in any view made from them."""
    green = np.array([0, 1, 0], np.float32)
    keys = []
    for k in range(0, 24, 3):
        v = head.views[k]
        a = v.mask[..., None]
        picture = head.styled[k] - (1 - a) + (1 - a) * green
        keys.append(Key.of(v, picture, TOLERANCE))
    for k in (1, 8, 16):
        warped = reproject(head.views[k], keys, TOLERANCE)
        assert (warped.rgb[warped.known] - head.styled[k].max((0, 1))).max() < 0.15
        assert not ((warped.rgb[..., 1] > 0.7) & (warped.rgb[..., 0] < 0.4)).any()


def test_colors_that_drift_are_brought_together(head):
    rng = np.random.default_rng(3)
    index = range(0, 24, 3)
    views = [head.views[k] for k in index]
    gain = rng.uniform(0.8, 1.2, (8, 3))
    bias = rng.uniform(-12, 12, (8, 3)) / 255
    pictures = [(head.styled[k] * 0.75 + 0.1) * g + b for k, g, b in
                zip(index, gain, bias, strict=True)]
    keys = [Key.of(v, p, TOLERANCE) for v, p in zip(views, pictures, strict=True)]
    found, offset = color_corrections(views, keys, pictures, TOLERANCE)
    together = found * gain  # all alike but for a common factor
    assert np.ptp(together / together.mean(0), axis=0).max() < 0.12
    assert abs(np.log(found).mean(0)).max() < 0.05  # nothing fades away
    level = found * (0.5 * gain + bias) + offset
    assert np.ptp(level, axis=0).max() < 0.03 < np.ptp(0.5 * gain + bias, axis=0).max()


def test_a_lone_key_stays_as_it_is(head):
    key = Key.of(head.views[0], head.styled[0], TOLERANCE)
    gain, offset = color_corrections([head.views[0]], [key], [head.styled[0]], TOLERANCE)
    assert (gain == 1).all() and (offset == 0).all()


def test_the_nearest_value_fills():
    values = np.array([[1.0, 0, 0, 0, 5.0]], np.float32)
    out = nearest_fill(values, values > 0)
    np.testing.assert_array_equal(out, [[1, 1, 1, 5, 5]]) if out[0, 2] == 1 else \
        np.testing.assert_array_equal(out, [[1, 1, 5, 5, 5]])
    assert (nearest_fill(values, np.zeros((1, 5), bool)) == 0).all()
