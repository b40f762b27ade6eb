"""Which sliders there are, what they are called and what they move."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.exporting.slider_plan import (
    FEW,
    full_names,
    group_of,
    slider_plan,
    split_side,
)


def plan(names, influence=None):
    n = len(names)
    return slider_plan(names, np.zeros(n), np.ones(n), np.zeros(n), influence)


def test_sides_and_directions():
    assert split_side("mouthSmile_L") == ("mouthSmile", "L")
    assert split_side("mouthSmileRight") == ("mouthSmile", "R")
    assert split_side("jawLeft") == ("jawLeft", "") and split_side("L") == ("L", "")


@pytest.mark.parametrize("left, right", [("_L", "_R"), ("Left", "Right")])
def test_left_and_right_go_together_and_the_eyes_look_one_way(left, right):
    names = [f"{n}{s}" for n in ("eyeLookIn", "eyeLookOut", "mouthSmile") for s in (left, right)]
    sliders = {s.label: s for s in plan([*names, "jawLeft", "jawRight", "alone" + right])}
    assert sliders["Look left"].members == (2, 1) and sliders["Look right"].members == (0, 3)
    assert sliders["Mouth smile"].members == (4, 5)
    assert sliders["Mouth smile"].parts == ("Mouth smile (left)", "Mouth smile (right)")
    assert sliders["Jaw left"].members == (6,) and sliders["Alone (right)"].members == (8,)
    assert len(sliders) == 6


def test_every_coefficient_of_the_bundled_head_has_one_slider_jaw_first():
    names = full_names(samples.dataset("head_talking").expression_names, 76)
    sliders = plan(names)
    assert sorted(m for s in sliders for m in s.members) == list(range(76))
    assert sliders[0].label == "Jaw open" and sum(s.first for s in sliders) == FEW
    assert [s.first for s in sliders] == [True] * FEW + [False] * (len(sliders) - FEW)
    assert sliders[1].label == "Mouth smile" and sliders[-1].label.startswith("Expression ")
    assert json.loads(json.dumps([asdict(s) for s in sliders]))[0]["members"] == [26]


def test_without_known_words_the_strongest_come_first_and_what_cannot_move_is_left_out():
    sliders = plan([f"flame {i}" for i in range(20)], np.arange(20))
    assert sliders[0].label == "Flame 19"
    assert [s.first for s in sliders] == [True] * FEW + [False] * (20 - FEW)
    assert slider_plan(["a", "b"], [0, 0], [0, 1], [0, 0])[0].members == (1,)
    assert group_of("browDown_L") == "Brows" and group_of("xyz") == "Other"
    with pytest.raises(IdfError, match="3 names"):
        slider_plan(["a", "b", "c"], [0, 0], [1, 1], [0, 0])
