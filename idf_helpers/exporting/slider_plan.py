"""Expression coefficients as sliders with plain names: pairs, groups, the most useful ones first.

The widgets and the exported page show the same sliders: this plan is made here once and sent to
the page as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import IdfError

# What a newcomer tries first, in this order (names of ARKit's 52 shapes, without the side).
FIRST = ("jawOpen", "mouthSmile", "eyeBlink", "browInnerUp", "browDown", "mouthPucker",
         "mouthFunnel", "mouthFrown", "eyeWide", "cheekPuff")
FEW = 8  # sliders shown at first
MOVES = 1e-6  # a range below this is none
# Both eyes look the same way: what is "out" for one is "in" for the other.
GAZE = {"Look left": ("eyeLookOut_L", "eyeLookIn_R"), "Look right": ("eyeLookIn_L", "eyeLookOut_R")}
GROUPS = (("jaw|mouth|tongue|lip|teeth", "Mouth and jaw"), ("eye(?!brow)|look|blink|gaze", "Eyes"),
          ("brow", "Brows"), ("cheek|nose", "Cheeks and nose"), ("", "Other"))


@dataclass(frozen=True)
class Slider:
    """One slider of the left-and-right plan.

    label: what is shown. members: indices of the coefficients that it sets, two where a left and a
    right one go together; parts: their own labels. group: heading. first: shown before a search.
    low, high: range of the coefficients; start: the neutral value.
    """

    label: str
    members: tuple[int, ...]
    parts: tuple[str, ...]
    group: str
    first: bool
    low: tuple[float, ...]
    high: tuple[float, ...]
    start: tuple[float, ...]


def slider_plan(names: Sequence[str], low, high, neutral, influence=None) -> list[Slider]:
    """Return sliders for the coefficients `names` (E,), in the order to show them.

    low, high, neutral: (E,) trained range and rest. A coefficient without a range gets no slider.
    influence: (E,) >= 0, how much each changes; those without a common name come in its order.
    Raises IdfError where the lengths differ.
    """
    names = [str(n) for n in names]
    low, high, neutral = (np.asarray(v, np.float64).ravel() for v in (low, high, neutral))
    if not len(names) == len(low) == len(high) == len(neutral):
        raise IdfError("The expression's names and ranges do not belong together",
                       f"{len(names)} names, {len(low)} and {len(high)} bounds, "
                       f"{len(neutral)} neutral values", "train the avatar again")
    weight = np.zeros(len(names)) if influence is None else np.asarray(influence, np.float64)
    moves = high - low > MOVES
    at = {n: i for i, n in enumerate(names)}
    sliders, seen = [], set()

    def add(label, members, key):
        seen.update(members)
        if moves[list(members)].any():
            sliders.append((key, max(weight[list(members)]), label, tuple(members)))

    for label, pair in GAZE.items():
        found = [at.get(n, at.get(arkit_name(n))) for n in pair]
        if None not in found:
            add(label, found, label)
    for i, name in enumerate(names):
        if i in seen:
            continue
        stem, side = split_side(name)
        other = at.get(_mirror(name)) if side else None
        if side == "L" and other is not None and other not in seen:
            add(_words(stem), (i, other), stem)
        elif side == "R" and other is not None and other > i:
            continue  # its left one follows
        else:
            add(_words(name), (i,), name)
    rank = {n: k for k, n in enumerate(FIRST)}
    known = sorted((s for s in sliders if s[0] in rank), key=lambda s: rank[s[0]])
    rest = sorted((s for s in sliders if s[0] not in rank), key=lambda s: -s[1])
    ordered = known + rest
    few = {id(s) for s in (known if len(known) >= 3 else ordered)[:FEW]}
    return [Slider(label, members, tuple(_words(names[m]) for m in members), group_of(key),
                   id(s) in few, *(tuple(round(float(v[m]), 5) for m in members)
                                   for v in (low, high, neutral)))
            for s in ordered for key, _, label, members in [s]]


def full_names(names: Sequence[str], length: int) -> tuple[str, ...]:
    """Return `length` names: datasets name only the first coefficients."""
    return (*names, *(f"expression {i + 1}" for i in range(len(names), length)))[:length]


def split_side(name: str) -> tuple[str, str]:
    """Return ("mouthSmile", "L") of mouthSmile_L or mouthSmileLeft, ("jawLeft", "") of that."""
    found = re.fullmatch(r"(.+?)(?:_([LR])|(Left|Right))", name)
    if not found or (found[3] and found[1] in ("jaw", "mouth", "head", "tongue")):
        return name, ""
    return found[1], (found[2] or found[3])[0]


def group_of(name: str) -> str:
    """Return the heading of a coefficient's group."""
    return next(title for pattern, title in GROUPS if re.match(pattern, name, re.IGNORECASE))


def arkit_name(name: str) -> str:
    """Return "eyeBlinkLeft" of "eyeBlink_L", as other trackers write it."""
    return name.replace("_L", "Left").replace("_R", "Right")


def _mirror(name: str) -> str:
    for a, b in (("_L", "_R"), ("_R", "_L"), ("Left", "Right"), ("Right", "Left")):
        if name.endswith(a):
            return name[:-len(a)] + b
    return name


def _words(name: str) -> str:
    """"mouthSmile_L" -> "Mouth smile (left)"."""
    stem, side = split_side(name)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", stem).lower().strip()
    return text[:1].upper() + text[1:] + {"L": " (left)", "R": " (right)", "": ""}[side]
