"""What people wear before the face: glasses and a fringe, as curves on a head. Numpy and scipy.

All in pack centimeters, on the vertices of a resting head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pack import HeadPack
from scipy.spatial import cKDTree

NAMES = ("glasses", "fringe")
RIM = 0.17  # radius of a spectacle frame
STRANDS = 1700  # of a fringe


@dataclass(frozen=True)
class Glasses:
    """rims: (2, 48, 3) closed outlines of the lenses; bars: (3, 8, 3) the bridge and two arms."""

    rims: np.ndarray
    bars: np.ndarray


def glasses(pack: HeadPack, vertices) -> Glasses:
    """Full-rim glasses before the eyes of a head; vertices: (V, 3)."""
    marks = pack.landmarks(vertices)
    front = marks[27, 2] + 0.35  # clear of the bridge of the nose
    angle = np.linspace(0, 2 * np.pi, 48)
    rims = []
    for eye in (marks[36:42].mean(0), marks[42:48].mean(0)):
        c, s = np.cos(angle), np.sin(angle)
        x = eye[0] + 2.55 * np.sign(c) * np.abs(c) ** 0.8
        y = eye[1] - 0.25 + 1.95 * np.sign(s) * np.abs(s) ** 0.8
        rims.append(np.stack([x, y, front - 0.025 * x ** 2], 1))
    middle = [r[np.abs(r[:, 0]).argmin()] for r in rims]
    height = marks[27, 1] + 0.1
    bars = [_arc((middle[0][0], height), (middle[1][0], height), front)]
    for rim in rims:
        outer = rim[np.abs(rim[:, 0]).argmax()] + (0, 0.8, 0)
        ear = np.array([np.sign(outer[0]) * 8.3, outer[1] + 0.2, -0.5])
        bars.append(outer + np.linspace(0, 1, 8)[:, None] * (ear - outer))
    return Glasses(np.stack(rims), np.stack(bars))


def _arc(left, right, z) -> np.ndarray:
    """(8, 3) a bridge: from `left` to `right` (x, y), raised by .3 in the middle."""
    t = np.linspace(0, 1, 8)
    x = left[0] + t * (right[0] - left[0])
    y = left[1] + t * (right[1] - left[1]) + 0.3 * np.sin(np.pi * t)
    return np.stack([x, y, np.full(8, z)], 1)


def fringe(pack: HeadPack, identity: str, vertices, seed: int = 0) -> np.ndarray:
    """(S, 10, 3) strands from the hairline down over the forehead to about the brows."""
    rng = np.random.default_rng(seed)
    marks, v = pack.landmarks(vertices), np.asarray(vertices)
    hair = pack.mask("scalp_" + pack.look(identity)["hairkind"])
    skin = pack.part("skin").vertex_ids
    front = skin[(v[skin, 2] > 2) & (pack.skin_normals(v)[skin, 2] > 0.05)]
    near_line = front[(hair[front] > 0.5) & (v[front, 1] > marks[19, 1] + 2.5)
                      & (v[front, 2] > 4.5)]
    root = v[rng.choice(near_line, STRANDS)] + rng.normal(0, 0.22, (STRANDS, 3))
    end = marks[17:27, 1].max() + rng.normal(0.7, 0.75, STRANDS)
    t = np.linspace(0, 1, 10)
    sweep = 1.1 + rng.normal(0, 0.25, STRANDS)  # to the head's left
    x = root[:, :1] * (1 - 0.06 * t) + sweep[:, None] * t ** 1.5
    y = root[:, 1:2] + (end - root[:, 1])[:, None] * t
    gap, near = cKDTree(v[front, :2]).query(np.stack([x, y], -1).reshape(-1, 2), k=4)
    weight = 1 / (gap + 0.02) ** 2
    z = (v[front, 2][near] * weight).sum(1) / weight.sum(1)
    lift = 0.15 + 0.45 * np.sin(np.pi * t) ** 0.7 + rng.uniform(0, 0.3, (STRANDS, 1)) * t
    return np.stack([x, y, z.reshape(x.shape) + lift], -1)
