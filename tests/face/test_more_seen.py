"""What is kept beside the landmarks: irises, other faces, how much the picture changes."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.footage import Source
from idf_helpers.data.media import write_image
from idf_helpers.face.frame_landmarks import FrameDetector, extract, read_landmarks, read_more


class Told(FrameDetector):
    """Answers with 478 points of the frame's own gray value; two other faces everywhere."""

    def __init__(self):
        self.others, self.cuts = 2, 0

    def __call__(self, rgb):
        return np.full((478, 3), float(rgb.mean()))

    def cut(self):
        self.cuts += 1


@pytest.fixture
def folder(tmp_path):
    for k, gray in enumerate((10, 12, 100, 101)):
        write_image(tmp_path / "in" / f"{k}.png", np.full((48, 64, 3), gray, np.uint8))
    (tmp_path / "out").mkdir()
    return tmp_path


def test_irises_others_and_changes(folder):
    find = Told()
    extract(Source(folder / "in"), folder / "out", detector=find)
    numbers, points = read_landmarks(folder / "out" / "landmarks.f32")
    more = read_more(folder / "out" / "more.f32", len(numbers))
    assert more.iris.shape == (4, 10, 3) and (more.iris[:, 0, 0] == points[:, 0, 0]).all()
    assert (more.others == 2).all() and find.cuts == 1
    np.testing.assert_allclose(more.change, (0, 2, 88, 1), atol=0.01)


def test_a_run_of_an_earlier_version_goes_on(folder):
    """Its frames have no irises, and the next ones stand in their own rows."""
    source = Source(folder / "in")
    extract(source, folder / "out", limit=2, detector=Told())
    (folder / "out" / "more.f32").unlink()
    extract(source, folder / "out", detector=Told())
    more = read_more(folder / "out" / "more.f32", 4)
    assert np.isnan(more.iris[:2]).all() and np.isnan(more.change[:2]).all()
    assert (more.iris[2:, 0, 0] == (100, 101)).all() and list(more.others) == [0, 0, 2, 2]
    np.testing.assert_allclose(more.change[2:], (88, 1), atol=0.01)
    nothing = read_more(folder / "none.f32", 3)
    assert np.isnan(nothing.iris).all() and (nothing.others == 0).all()
