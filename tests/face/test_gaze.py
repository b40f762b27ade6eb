"""Gaze and its names among the expressions."""

from __future__ import annotations

import numpy as np

from idf_helpers.face.gaze import FULL, NAMES, gaze_of, weights_of
from idf_helpers.face.head_model import FaceModel


def test_angles_become_weights_and_angles_again():
    rng = np.random.default_rng(0)
    for gaze in rng.uniform(-FULL, FULL, (20, 2, 2)):
        weights = weights_of(gaze)
        assert sorted(weights) == sorted(NAMES) and min(weights.values()) >= 0
        assert sum(w > 0 for w in weights.values()) == 4  # one of two a side and axis
        np.testing.assert_allclose(gaze_of(list(weights), list(weights.values())), gaze, atol=1e-9)


def test_sides():
    """To the head's left: the right eye turns inward, the left one outward."""
    w = weights_of([(FULL, 0), (FULL, 0)])
    assert w["eyeLookIn_R"] == w["eyeLookOut_L"] == 1 and sum(w.values()) == 2
    w = weights_of([(0, -FULL / 2)] * 2)
    assert w["eyeLookDown_R"] == w["eyeLookDown_L"] == 0.5 and sum(w.values()) == 1


def test_names_are_the_face_models_and_may_be_missing():
    assert set(NAMES) <= set(FaceModel.load().expression_names)
    assert (gaze_of(("jawOpen",), np.ones((3, 1))) == 0).all()
