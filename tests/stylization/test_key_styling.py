import numpy as np
import pytest

from idf_helpers.stylization.config import ServerConfig
from idf_helpers.stylization.key_styling import (
    sheet,
    style_keys,
    visiting_order,
    working_size,
)


def keys(stylist, views, done=lambda k: None):
    return dict(style_keys(stylist, views, stylist.config.strength or 0.5, done))


def test_each_by_itself(head, painter):
    config = ServerConfig(prompt="elf", seed=7, strength=0.5)
    views = head.views[::6]
    made = keys(painter(config), views)
    assert sorted(made) == [0, 1, 2, 3]
    assert painter.asked == [(v.name, (96, 96), "elf", 7, 0.5, 0, False) for v in views]
    expected = 0.5 * views[1].source() + 0.5 * views[1].source()[..., ::-1]
    np.testing.assert_allclose(made[1], expected, atol=1 / 255)


def test_a_sheet_is_cut_at_the_size_that_it_was_made_in(head, painter):
    config = ServerConfig(prompt="elf", mode="2x2", strength=1.0)
    made = keys(painter(config), head.views[::4])  # 6 views: one whole sheet and a part
    assert [a[1] for a in painter.asked] == [(192, 192), (192, 192)]
    assert sorted(made) == list(range(6))
    for k, view in enumerate(head.views[::4]):
        np.testing.assert_allclose(made[k], view.source()[..., ::-1], atol=1 / 255)


def test_a_finished_sheet_is_not_asked_for_again(head, painter):
    config = ServerConfig(prompt="elf", mode="2x2")
    old = np.zeros((96, 96, 3), np.float32)
    made = keys(painter(config), head.views[::3], lambda k: old if k < 4 else None)
    assert sorted(made) == [4, 5, 6, 7] and len(painter.asked) == 1


def test_sheets_tile_everything(head):
    cells = [v.resized(16, 16) for v in head.views[:4]]
    whole = sheet(cells, 2, "sheet")
    assert whole.rgb.shape == (32, 32, 3) and whole.depth.shape == (32, 32)
    np.testing.assert_array_equal(whole.normal[16:, :16], cells[2].normal)
    assert whole.camera is None


def test_anchored_views_start_from_their_neighbors(head, painter):
    config = ServerConfig(prompt="elf", mode="anchored", strength=1.0)
    views = [head.views[k] for k in (0, 3, 21, 12)]
    seen = []

    class Watcher(painter):
        def stylize(self, view, *args):
            seen.append(view)
            return painter.stylize(self, view, *args)

    made = keys(Watcher(config), views)
    assert [a[5] for a in painter.asked] == [0, 1, 2, 3]  # references
    assert seen[0].start is None and seen[1].start is not None
    view = seen[1]
    well = (view.known > 0.9) & (view.mask > 0.99)
    assert well.mean() > 0.1
    swapped = view.source()[..., ::-1]  # the source's own light clings to the surface: so it fits
    assert np.abs(view.start - swapped)[well].mean() < 0.03
    assert np.abs(made[1] - swapped)[well].mean() < 0.03
    off = ~(view.mask > 0)
    np.testing.assert_allclose(view.start[off], view.source()[off], atol=1e-6)


def test_a_stopped_anchored_row_goes_on_the_same(head, painter):
    config = ServerConfig(prompt="elf", mode="anchored", strength=0.7)
    views = head.views[::6]
    whole = keys(painter(config), views)
    painter.asked.clear()
    rest = keys(painter(config), views, lambda k: whole[k] if k in (0, 1) else None)
    assert sorted(rest) == [2, 3] and len(painter.asked) == 2
    for k in rest:
        np.testing.assert_array_equal(rest[k], whole[k])


def test_order_and_sizes(head, painter):
    assert visiting_order([head.views[k] for k in (0, 12, 6, 3)]) == [0, 3, 2, 1]
    stylist = painter(ServerConfig(prompt="x"))
    assert working_size(stylist, (100, 50), None) == (96, 48)
    assert working_size(stylist, (100, 50), 512) == (512, 256)
    assert ServerConfig().sides == ServerConfig(mode="anchored").sides == 1
    assert ServerConfig(mode="3x3").checked().sides == 3
    with pytest.raises(StopIteration):
        next(style_keys(stylist, head.views[:2], 1.0, lambda k: head.styled[k]))
