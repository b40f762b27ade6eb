"""Where eyes look, and its names among the expressions.

Gaze is two angles an eye, degrees in the head's frame: to the head's left, and up; 0 = straight
ahead. Among the expressions it has ARKit's names, `eyeLookIn`, `Out`, `Up`, `Down` with a side; a
weight of 1 is FULL degrees, so that eyes at rest are all zeros and two weights of an eye are never
on at once for one axis.
"""

from __future__ import annotations

import numpy as np

FULL = 30.0  # degrees at weight 1
NAMES = tuple(f"eyeLook{way}_{side}" for side in "RL" for way in ("In", "Out", "Up", "Down"))


def weights_of(gaze) -> dict[str, float]:
    """Return the eight weights of a gaze. gaze: (2, 2) degrees, rows the head's right and left eye,
    columns to the head's left and up."""
    out = {}
    for side, (left, up) in zip("RL", np.asarray(gaze, np.float64) / FULL, strict=True):
        inward = left if side == "R" else -left
        for way, value in (("In", inward), ("Out", -inward), ("Up", up), ("Down", -up)):
            out[f"eyeLook{way}_{side}"] = float(np.clip(value, 0, 1))
    return out


def gaze_of(names, weights) -> np.ndarray:
    """Return (..., 2, 2) degrees of expression weights (..., E); 0 for names that are missing."""
    w, names = np.asarray(weights, np.float64), list(names)

    def of(name):
        return w[..., names.index(name)] if name in names else np.zeros(w.shape[:-1])

    inward = {s: of(f"eyeLookIn_{s}") - of(f"eyeLookOut_{s}") for s in "RL"}
    return FULL * np.stack([np.stack([sign * inward[s],
                                      of(f"eyeLookUp_{s}") - of(f"eyeLookDown_{s}")], -1)
                            for s, sign in (("R", 1), ("L", -1))], -2)
