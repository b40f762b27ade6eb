"""The chart of swaps by yaw."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.notebook.metrics_chart import COLORS, PANELS, yaw_chart
from idf_helpers.runtime.tables import Table
from idf_helpers.swapping.frame_measures import BINNED, YAW_BINS


def row(name, notes=(), **values):
    """values: three numbers by measure."""
    return {"run": name, "backend": "b", "notes": dict(notes), "by_yaw": {
        b: {"faces": 1, **{k: values[k][i] if k in values else None for k in BINNED}}
        for i, b in enumerate(YAW_BINS)}}


def drawn(picture, color, panel):
    """Height of the highest bar of a color in a panel, pixels."""
    part = np.array_split(picture, len(PANELS), axis=1)[panel][:260]  # above the legend
    rgb = [int(color[i:i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(part.astype(int) - rgb).max(2) < 12).any(1).sum())


def test_a_bar_for_each_run_and_bin():
    low, high = (row(n, pose_error=[v, v, None], lips_error=[v, v, v])
                 for n, v in (("a", 1.0), ("b", 4.0)))
    picture = yaw_chart(Table([], records=[low, high]))
    assert picture.dtype == np.uint8 and picture.shape[1] > 900
    for panel in (1, 2):
        heights = [drawn(picture, c, panel) for c in COLORS[:2]]
        assert heights[0] == pytest.approx(heights[1] / 4, rel=0.1) and heights[1] > 80
    assert drawn(picture, COLORS[0], 0) == 0 == drawn(picture, COLORS[0], 3)
    other = yaw_chart(Table([], records=[low | {"by_yaw": high["by_yaw"]}, high]))
    assert drawn(other, COLORS[0], 1) == pytest.approx(drawn(other, COLORS[1], 1), abs=2)


def test_what_is_not_measured_says_why():
    notes = {"identity_source": "type: idf download identity"}
    said = yaw_chart(Table([], records=[row("a", notes, pose_error=[1, 1, 1])]))
    silent = yaw_chart(Table([], records=[row("a", pose_error=[1, 1, 1])]))
    first, rest = (lambda p: p[:, :p.shape[1] // 4]), (lambda p: p[:, p.shape[1] // 4:])
    assert (first(said) != first(silent)).any() and (rest(said) == rest(silent)).all()


def test_identity_has_its_neighbors():
    values = dict(identity_source=[0.3] * 3, identity_before=[0.9] * 3, identity_target=[0.7] * 3)
    alone = yaw_chart(Table([], records=[row("a", identity_source=[0.3] * 3)]))
    whole = yaw_chart(Table([], records=[row("a", **values)]))
    # the axis makes room for what lies above the bars
    assert 0 < drawn(whole, COLORS[0], 0) < 0.8 * drawn(alone, COLORS[0], 0)


def test_a_table_of_something_else():
    with pytest.raises(IdfError, match="nothing to draw"):
        yaw_chart(Table([{"view": "mean", "psnr": 30.0}]))
