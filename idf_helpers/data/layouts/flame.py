"""FLAME's parameters, as trackers leave them: where the head is, and what its face does.

FLAME turns the whole model about its root joint by `rotation`, the head against the body about the
neck joint by `neck_pose`, and moves it by `translation` (linear blend skinning, `lbs` in
https://github.com/ShenhanQian/VHAP vhap/model/lbs.py). The joints depend a little on the shape of
the person; here those of the average head stand in for them, since the model itself may not be
passed on: for other heads they are some millimeters off, which shifts the head as a whole and is
taken up where an avatar aligns its poses.
"""

from __future__ import annotations

import numpy as np

# meters in FLAME's frame (y up, the face looks to +z), as viewers of such avatars list the bones
ROOT = np.array([0.0, -0.144, -0.083])
NECK = np.array([0.0, -0.009, -0.054])
PARTS = (("expr", "flame"), ("jaw_pose", "jaw"), ("eyes_pose", "eyes"), ("neck_pose", "neck"))


def head_pose(turn, neck=None, translation=(0.0, 0.0, 0.0), scale: float = 1.0) -> np.ndarray:
    """Return (4, 4) float64: from the resting head to the posed one.

    turn, neck: rotation vectors (3,), radians. translation: (3,), in units of the result.
    scale: units of the result for one of FLAME's (meters).
    """
    out = np.eye(4) if neck is None else _about(NECK * scale, neck)
    out = _about(ROOT * scale, turn) @ out
    out[:3, 3] += translation
    return out


def _about(joint: np.ndarray, vector) -> np.ndarray:
    """Return (4, 4): a rotation by a vector about a point."""
    import cv2

    out = np.eye(4)
    out[:3, :3] = cv2.Rodrigues(np.asarray(vector, np.float64).reshape(3, 1))[0]
    out[:3, 3] = joint - out[:3, :3] @ joint
    return out


def expression_of(parameters: dict[str, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return (E,) float32 and its names: FLAME's expression, then jaw, eyes and neck where there
    are such."""
    parts = [(name, np.ravel(parameters[key])) for key, name in PARTS if key in parameters]
    names = tuple(f"{name}_{i}" for name, values in parts for i in range(len(values)))
    return np.concatenate([v for _, v in parts]).astype(np.float32), names
