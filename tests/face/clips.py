"""Landmarks of a made-up clip: what the model itself would be seen as."""

from __future__ import annotations

import numpy as np

from idf_helpers.face.fit import Lens
from idf_helpers.face.model import FaceModel
from idf_helpers.face.pose import project, rotation

SIZE = 320
NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "browInnerUp_L", "browInnerUp_R")


def make_clip(frames: int = 60, fov: float = 30.0, noise: float = 0.0, seed: int = 0):
    """points (N, 468, 3), poses (N, 4, 4), weights (N, 5) of NAMES, identity coefficients."""
    m, rng = FaceModel.load(), np.random.default_rng(seed)
    lens = Lens.of(fov, SIZE, SIZE)
    distance = 8.0 * SIZE / (2 * SIZE * np.tan(np.radians(fov) / 2)) * 4
    identity = rng.normal(size=8)
    t = np.arange(frames)
    weights = np.stack([np.clip(np.sin(t / p + k), 0, 1) * a for k, (p, a) in enumerate(
        ((5.0, 0.9), (7.0, 0.8), (7.0, 0.8), (9.0, 0.7), (9.0, 0.7)))], 1)
    weights[:, 2], weights[:, 4] = weights[:, 1], weights[:, 3]
    poses, points = [], []
    for i in t:
        pose = np.eye(4)
        pose[:3, :3] = rotation((0.15 * np.sin(i / 11), 0.4 * np.sin(i / 13), 0.1 * np.cos(i / 9)))
        pose[:3, 3] = (np.sin(i / 15), 0.5 * np.cos(i / 10), -distance)
        v = m.vertices(identity, dict(zip(NAMES, weights[i], strict=True)))
        uv = project(pose, v + m.displacement(pose), np.array([lens.fx, lens.fy]),
                     np.array([lens.cx, lens.cy]))
        points.append(np.column_stack([uv + rng.normal(0, noise, uv.shape), np.ones(len(uv))]))
        poses.append(pose)
    return np.array(points), np.array(poses), weights, identity
