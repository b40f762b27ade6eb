"""The pictures that guide a ControlNet."""

import dataclasses

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.stylization.stylist import View
from idf_helpers.stylization.stylists.controls import FARTHEST, control_picture


@pytest.fixture
def ball():
    """A white ball of radius 1 at distance 4, seen along the optical axis."""
    y, x = np.mgrid[-1.2:1.2:64j, -1.2:1.2:64j]
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    normal = np.where(inside[..., None], np.stack([x, -y, z], -1), 0).astype(np.float32)
    rgb = np.where(inside[..., None], 255, 0).astype(np.uint8) * np.ones(3, np.uint8)
    return View(rgb, inside.astype(np.float32),
                np.where(inside, 4 - z, np.nan).astype(np.float32), normal, name="ball")


def test_depth_is_white_where_near_and_black_behind(ball):
    picture = control_picture(ball, "depth")
    assert picture.dtype == np.uint8 and picture.shape == (64, 64, 3)
    inside = ball.mask > 0
    assert picture[32, 32, 0] >= 254 and (picture[~inside] == 0).all()
    assert picture[inside].min() == FARTHEST
    row = picture[32, 32:, 0][inside[32, 32:]].astype(int)
    assert (np.diff(row) <= 0).all()
    # another unit of length gives the same picture
    assert (control_picture(dataclasses.replace(ball, depth=ball.depth * 50), "depth")
            == picture).mean() > 0.99


def test_normals_have_the_colors_of_scannet(ball):
    picture = control_picture(ball, "normal").astype(int)
    assert abs(picture[32, 32] - [128, 128, 255]).max() < 6
    assert picture[32, 8, 0] > 200 and picture[32, 56, 0] < 60  # red to the left
    assert picture[8, 32, 1] > 200 and picture[56, 32, 1] < 60  # green up
    assert (picture[0, 0] == [128, 128, 255]).all()


def test_canny_shows_the_edge_of_the_view_whatever_it_starts_from(ball):
    picture = control_picture(ball, "canny")
    assert set(np.unique(picture)) == {0, 255}
    y, x = np.nonzero(picture[..., 0])
    radius = np.hypot(x - 31.5, y - 31.5) * 2.4 / 63
    assert len(x) > 100 and abs(radius - 1).max() < 0.08
    started = dataclasses.replace(ball, start=np.zeros((64, 64, 3), np.float32))
    assert (control_picture(started, "canny") == picture).all()


def test_flat_depth_and_none_at_all(ball):
    flat = dataclasses.replace(ball, depth=np.full((64, 64), 3, np.float32))
    assert (control_picture(flat, "depth") == FARTHEST).all()
    empty = dataclasses.replace(ball, depth=np.full((64, 64), np.nan, np.float32))
    assert (control_picture(empty, "depth") == 0).all()
    for kind in ("depth", "normal"):
        with pytest.raises(IdfError, match=f"no {kind}"):
            control_picture(dataclasses.replace(ball, depth=None, normal=None), kind)
    with pytest.raises(IdfError, match="pose"):
        control_picture(ball, "pose")
