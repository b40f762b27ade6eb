from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.stylization.shape import ENOUGH, Shape
from idf_helpers.stylization.volume import HeadAxes, Volume


def angles(shape, view):
    """Degrees between true and found normals, where the view sees the head well."""
    on = shape.surface(view)
    true = view.normal[on.rows, on.columns]
    well = (np.linalg.norm(true, axis=1) > 0.9) & (true[:, 2] > 0.4)
    found = on.normal @ shape.axes.camera_turn(view.camera)
    return np.degrees(np.arccos(np.clip((found * true).sum(1)[well], -1, 1)))


@pytest.mark.parametrize("depth, median, how", [(True, 6, "depth of all views"),
                                                (False, 14, "outlines of all views")])
def test_normals_of_the_solid(head, depth, median, how):
    views = [v if depth else replace(v, depth=None, normal=None) for v in head.views[::2]]
    shape = Shape(views)
    assert shape.how == how
    assert np.median([np.median(angles(shape, v)) for v in head.views[1::6]]) < median


def test_two_views_agree_on_place_and_normal(head):
    shape = Shape(head.views[::2])
    at = {}
    for k in (0, 2):
        on = shape.surface(head.views[k])
        cells = np.round(on.place / 0.04).astype(int)
        at[k] = {tuple(c): n for c, n, s in zip(cells, on.normal, on.back, strict=True)
                 if n @ s > 0.6}
    both = at[0].keys() & at[2].keys()
    assert len(both) > 300
    assert np.median([at[0][c] @ at[2][c] for c in both]) > 0.97


def test_places_lie_at_the_depth(head):
    view = head.views[1]
    shape = Shape(head.views[::2])
    on = shape.surface(view)
    m = shape.axes.matrix(view.camera)
    depth = (on.place @ m[2, :3] + m[2, 3]) * shape.axes.radius
    off = np.abs(depth - view.depth[on.rows, on.columns])
    assert np.nanmedian(off) < 0.015 and np.nanpercentile(off, 90) < 0.05


def test_views_that_show_nothing_make_no_solid(head):
    empty = [replace(v, mask=np.zeros_like(v.mask), depth=None, normal=None)
             for v in head.views[:ENOUGH]]
    assert Volume.fuse(empty, HeadAxes.of([v.camera for v in empty])) is None
    assert Shape(empty).how == "guessed from outline and face"
    assert not len(Shape(empty).surface(empty[0]).rows)
