"""Drawn heads that look somewhere: the eyeballs turn, and the lids follow them.

The pack's `eyeLook*` shapes move the lids alone. Here an eyeball turns about its own middle, and
the lids get the shapes in the measure of `idf_helpers.face.gaze`: weight 1 is `FULL` degrees.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from idf_helpers.face.gaze import weights_of

PARTS = (("scr", "irr"), ("scl", "irl"))  # of the head's right eye, of its left


def eyeball(pack, vertices, side: int) -> np.ndarray:
    """(3,) cm: the middle of an eyeball, from the sphere through the visible front of its white.
    side: 0 = the head's right."""
    v = np.asarray(vertices)[np.unique(pack.part(PARTS[side][0]).vertex_ids)]
    ring = np.linalg.norm(v[:, :2] - v[v[:, 2].argmax(), :2], axis=1)
    v = v[(ring > 0.65) & (v[:, 2] > v[:, 2].max() - 1.3)]  # without the bulge of the cornea
    found = np.linalg.lstsq(np.c_[2 * v, np.ones(len(v))], (v**2).sum(1), rcond=None)[0]
    return found[:3]


def turn_eyes(pack, vertices, gaze) -> np.ndarray:
    """(V, 3) cm with eyeballs turned from straight ahead. pack: a `HeadPack`; gaze: (2, 2) degrees,
    rows the head's right and left eye, columns to the head's left and up."""
    out = np.array(vertices, np.float64)
    for side, parts in enumerate(PARTS):
        turn = Rotation.from_euler("yx", [gaze[side][0], -gaze[side][1]], degrees=True)
        middle = eyeball(pack, vertices, side)
        ids = np.unique(np.concatenate([pack.part(p).vertex_ids for p in parts]))
        out[ids] = turn.apply(out[ids] - middle) + middle
    return out


def looking(heads, neutral, weights: dict[str, float], gaze) -> np.ndarray:
    """(V, 3) cm: `DrawnHeads.expressed` with eyes that look, see `turn_eyes`; any eyeLook* among
    the weights is replaced."""
    face = {n: w for n, w in weights.items() if not n.startswith("eyeLook")}
    return turn_eyes(heads.pack, heads.expressed(neutral, face | weights_of(gaze)), gaze)
