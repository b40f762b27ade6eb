"""The grid of the swappers that are present."""

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError, Reporter
from idf_helpers.data import media, samples
from idf_helpers.notebook.swap_compare import compare_swaps, present_swappers
from idf_helpers.swapping.methods import SWAPPERS, entry_of

from ..swapping.neural import tiny_onnx


def test_present_swappers_side_by_side(small_head, tmp_path, monkeypatch):
    """A row of the user's own is present, and so is its hybrid; what cannot run is not."""
    monkeypatch.setattr(SWAPPERS, "entries", dict(SWAPPERS.entries))
    SWAPPERS.add(entry_of(tiny_onnx.model(tmp_path, effect="red")))
    names = present_swappers()
    assert names[:2] == ["uv", "mesh"] and names[-1] == "uv+onnx:tiny" and "onnx:tiny" in names
    for name in names:
        assert SWAPPERS.find(name).missing() is None
    data = Dataset.open(small_head)
    parts = []

    class Steps(Reporter):
        def step(self, what, fraction, details=""):
            parts.extend([fraction] if what == "comparing swappers" else [])

    names = ["mesh", "onnx:tiny", "uv+onnx:tiny"]
    done = compare_swaps(data, samples.photo("C"), names=names, cell=96, reporter=Steps())
    assert [r["swapper"] for r in done.table.rows] == names and parts[-1] == 1 and len(parts) == 3
    assert all(r["swapped"] > 2 and r["cpu seconds"] > 0 for r in done.table.rows)
    assert done.table.rows[1]["license"] == "made by a test"
    assert done.picture.dtype == np.uint8 and done.picture.shape[1] > 96 * done.table.rows[0]["of"]
    rows = np.split(done.picture, 4)
    redness = [(r[..., 0].astype(int) - r[..., 1] > 150).sum() for r in rows]
    assert redness[2] > 500 and redness[3] > 500 and redness[0] == 0
    media.write_image(tmp_path / "sheet.png", done.picture)


def test_consent_and_a_swapper_that_refuses(small_head, tmp_path):
    foreign = tmp_path / "me.png"
    image = media.read_image(samples.photo("C"))
    image[0, 0] ^= 1
    media.write_image(foreign, image)
    data = Dataset.open(small_head)
    with pytest.raises(IdfError, match="consent"):
        compare_swaps(data, foreign, names=["mesh"])
    bad = tiny_onnx.write_row(tmp_path / "bad", name="bad", size=64)
    tiny_onnx.swapper(tmp_path / "bad" / "net.onnx", 128)
    done = compare_swaps(data, samples.photo("C"), names=[f"onnx:{bad}"], cell=64)
    assert done.table.rows[0]["swapped"] == 0 and "other inputs" in done.table.rows[0]["note"]
