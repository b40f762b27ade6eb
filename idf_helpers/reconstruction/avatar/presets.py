"""An avatar's own expressions: a smile, surprise, a blink, if its frames hold one.

A preset is made of values that were seen together: where several frames show the expression most,
their mean, and only in the part of the face that it is about; the rest stays neutral. What the
frames do not hold is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

FRAMES = 3  # that show it most, of which the mean is taken
TALK = 75  # frames of the stretch in which the mouth moves most
TALKS = 0.04  # standard deviation of the jaw's opening from which somebody talks


def _recipe(score: dict[str, float], least: float, part: str):
    return score, least, re.compile(part)


# The names (of ARKit's shapes, without the side) that make the score, with their weights; the least
# score; the names that are taken over.
RECIPES = {
    "Smile": _recipe({"mouthSmile": 1.0, "jawOpen": -0.3, "mouthFrown": -0.5}, 0.25,
                     "mouth|cheek|jaw|eyeSquint"),
    "Surprise": _recipe({"browInnerUp": 0.5, "browOuterUp": 0.5, "eyeWide": 0.3, "jawOpen": 0.3},
                        0.3, "brow|eyeWide|jaw|mouth"),
    "Blink": _recipe({"eyeBlink": 1.0}, 0.5, "eyeBlink|eyeSquint"),
}


def find_presets(names: Sequence[str], expressions: np.ndarray, neutral: np.ndarray
                 ) -> dict[str, list[float]]:
    """Return {title: E values} of the presets that (N, E) expressions hold, in the order of
    RECIPES; {} where they have no names that say what they are."""
    stems = [stem(n) for n in names]
    out = {}
    for title, (score, least, part) in RECIPES.items():
        value = np.zeros(len(expressions))
        known = 0
        for name, weight in score.items():
            columns = [i for i, s in enumerate(stems) if s == name]
            if columns:
                value += weight * (expressions[:, columns] - neutral[columns]).mean(axis=1)
                known += weight > 0
        if not known or value.max(initial=0) < least:
            continue
        best = np.argsort(-value, kind="stable")[:FRAMES]
        best = best[value[best] >= 0.8 * value[best[0]]]
        mine = np.array([bool(part.match(s)) for s in stems])
        made = np.where(mine, expressions[best].mean(axis=0), neutral)
        out[title] = [round(float(v), 4) for v in made]
    return out


def find_talk(names: Sequence[str], expressions: np.ndarray) -> np.ndarray | None:
    """Return (F, E) float32, the stretch of consecutive expressions in which the jaw moves most;
    None where it hardly moves or has no name."""
    columns = [i for i, n in enumerate(names) if stem(n) == "jawOpen"]
    if not columns or len(expressions) < 3:
        return None
    jaw, length = expressions[:, columns[0]], min(TALK, len(expressions))
    moved = np.concatenate([[0], np.cumsum(np.abs(np.diff(jaw)))])
    start = int(np.argmax(moved[length - 1:] - moved[:len(jaw) - length + 1]))
    stretch = expressions[start:start + length]
    return stretch.astype(np.float32) if stretch[:, columns[0]].std() >= TALKS else None


def stem(name: str) -> str:
    """Return a name without its side."""
    return re.sub(r"(_[LR]|(?<!jaw)(?<!mouth)(Left|Right))$", "", name)
