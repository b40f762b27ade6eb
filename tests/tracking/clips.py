"""Landmarks of a made-up clip: what the model itself would be seen as; and its pictures."""

from __future__ import annotations

import cv2
import numpy as np

from idf_helpers.face.frame_fitter import Lens
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.pose import project, rotation
from idf_helpers.tracking import brows

SIZE = 320
NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "browInnerUp_L", "browInnerUp_R")


def make_clip(frames: int = 60, fov: float = 30.0, noise: float = 0.0, seed: int = 0,
              brow_error: float = 0.0):
    """points (N, 468, 3), poses (N, 4, 4), weights (N, 5) of NAMES, identity coefficients.

    brow_error: standard deviation of what the landmarks say too much or too little of the brows.
    """
    m, rng = FaceModel.load(), np.random.default_rng(seed)
    lens = Lens.of(fov, SIZE, SIZE)
    distance = 8.0 * SIZE / (2 * SIZE * np.tan(np.radians(fov) / 2)) * 4
    identity = rng.normal(size=8)
    t = np.arange(frames)
    weights = np.stack([np.clip(np.sin(t / p + k), 0, 1) * a for k, (p, a) in enumerate(
        ((5.0, 0.9), (7.0, 0.8), (7.0, 0.8), (9.0, 0.7), (9.0, 0.7)))], 1)
    weights[:, 2], weights[:, 4] = weights[:, 1], weights[:, 3]
    told = weights.copy()
    told[:, 3:] += brow_error * np.random.default_rng([seed, 1]).normal(size=(frames, 1))
    poses, points = [], []
    for i in t:
        pose = np.eye(4)
        pose[:3, :3] = rotation((0.15 * np.sin(i / 11), 0.4 * np.sin(i / 13), 0.1 * np.cos(i / 9)))
        pose[:3, 3] = (np.sin(i / 15), 0.5 * np.cos(i / 10), -distance)
        v = m.vertices(identity, dict(zip(NAMES, told[i], strict=True)))
        uv = project(pose, v + m.displacement(pose), np.array([lens.fx, lens.fy]),
                     np.array([lens.cx, lens.cy]))
        points.append(np.column_stack([uv + rng.normal(0, noise, uv.shape), np.ones(len(uv))]))
        poses.append(pose)
    return np.array(points), np.array(poses), weights, identity


def brow_motion(weights) -> np.ndarray:
    """(N, 6, 3) cm: what the skin under the brows does; weights: (N, 5) of NAMES."""
    m = FaceModel.load()
    shapes = m.brows[[m.expression_names.index(n) for n in NAMES]].astype(np.float64)
    return np.tensordot(weights, shapes, 1)


def paint(poses, weights, identity, fov: float = 30.0, cover=None, seed: int = 0):
    """[(SIZE, SIZE, 3) uint8] of a clip: skin, two eyes, and brows of single hairs that move with
    the weights. cover: "bare" leaves the brows out; "fringe" hangs hair over them that stays."""
    rng, lens = np.random.default_rng(seed), Lens.of(fov, SIZE, SIZE)
    neutral = FaceModel.load().vertices(identity).astype(np.float64)
    middle, motion = brows.centers(neutral), brow_motion(weights)
    hairs = []  # start, end (cm at rest), its brow
    for side in (0, 3):
        inner, outer = middle[side], middle[side + 2]
        t = rng.uniform(-0.25, 1.1, 160)[:, None]
        root = inner + t * (outer - inner) + rng.normal(0, (0.05, 0.12, 0), (160, 3))
        along = (outer - inner) / np.linalg.norm(outer - inner) * 0.5
        hairs += [(a, a + along + (0, d, 0), side) for a, d in
                  zip(root, rng.uniform(-0.1, 0.3, 160), strict=True)]
    start, end = (np.array([h[k] for h in hairs]) for k in (0, 1))
    side = np.array([h[2] for h in hairs])
    strands = np.array([((x, y, 11.0), (x + rng.normal(0, 0.2), y - 4.0, 11.0))
                        for x, y in zip(rng.uniform(-6, 6, 500),
                                        middle[:, 1].mean() + rng.uniform(1.2, 4, 500),
                                        strict=True)])
    eyes = neutral[[159, 145, 386, 374]].reshape(2, 2, 3).mean(1)
    f, c = np.array([lens.fx, lens.fy]), np.array([lens.cx, lens.cy])
    out = []
    for i, pose in enumerate(poses):
        picture = np.full((SIZE, SIZE), 185.0, np.float32)

        def lines(points, gray, pose=pose, picture=picture):
            uv = project(pose, points.reshape(-1, 3), f, c).reshape(-1, 2, 2)
            cv2.polylines(picture, list(np.rint((uv - 0.5) * 16).astype(np.int32)), False, gray, 1,
                          cv2.LINE_AA, shift=4)

        for e in project(pose, eyes, f, c):
            cv2.circle(picture, tuple(int(v) for v in e * 16), 90, 60.0, -1, cv2.LINE_AA, 4)
        if cover != "bare":
            by_side = {s: np.stack([np.interp(start[:, 0], np.sort(middle[s:s + 3, 0]),
                                              motion[i, s + np.argsort(middle[s:s + 3, 0]), k])
                                    for k in range(3)], 1) for s in (0, 3)}
            move = np.where((side == 0)[:, None], by_side[0], by_side[3])
            lines(np.stack([start + move, end + move], 1), 70.0)
        if cover == "fringe":
            lines(strands, 40.0)
        picture += rng.normal(0, 3, picture.shape)
        out.append(np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, 2))
    return out
