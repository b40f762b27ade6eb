"""The network of the 52 scores."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.samples import dataset
from idf_helpers.errors import IdfError
from idf_helpers.face import blendshapes
from idf_helpers.face.detector import LandmarkDetector


@pytest.fixture(scope="module")
def seen():
    """(points, iris) of the sequence's widest smile, strongest blink and widest jaw."""
    data = dataset("head_talking")
    frames = [max(data.frames, key=lambda f, k=k: f.expression[data.expression_names.index(k)])
              for k in ("mouthSmile_L", "eyeBlink_L", "jawOpen")]
    faces = [LandmarkDetector().detect(f.image()[..., :3])[0] for f in frames]
    return np.array([f.points for f in faces]), np.array([f.iris for f in faces])


def test_what_is_shown_scores_highest(seen):
    got = blendshapes.scores(*seen)
    assert got.shape == (3, 52) and got.min() >= 0 and got.max() <= 1
    for row, name in enumerate(("mouthSmileLeft", "eyeBlinkLeft", "jawOpen")):
        column = got[:, blendshapes.NAMES.index(name)]
        assert column.argmax() == row and column[row] > 0.5, (name, column)


def test_unknown_points_have_no_score(seen):
    points, iris = (a.copy() for a in seen)
    iris[1] = np.nan
    got = blendshapes.scores(points, iris)
    assert np.isnan(got[1]).all() and np.isfinite(got[[0, 2]]).all()


def test_a_wrong_network_is_told(seen, monkeypatch):
    monkeypatch.setattr(blendshapes, "_forward", lambda net, p: np.zeros(52, np.float32))
    with pytest.raises(IdfError, match="does not run the expression model correctly"):
        blendshapes.scores(*seen)
