"""A tiny dataset with exact cameras: a patterned ball, ray-traced, 64² RGBA."""

import math
from dataclasses import dataclass

import numpy as np

from idf_helpers.data.cameras import Camera

CENTER, RADIUS = np.array([0.3, -0.2, 0.5]), 0.6
SIZE = 64


@dataclass
class BallFrame:
    camera: Camera
    alpha: bool

    def image(self) -> np.ndarray:
        """uint8 (64, 64, 4), or (64, 64, 3) over white."""
        fine = self.camera.fitted(2 * SIZE)
        origin, d = fine.rays()
        o = origin - CENTER
        b = d @ o
        root = b * b - (o @ o - RADIUS**2)
        hit = root > 0
        p = (o + d * (-b - np.sqrt(np.maximum(root, 0)))[..., None]) / RADIUS
        color = 0.5 + 0.35 * np.stack([np.sin(4 * p[..., 0]), np.sin(4 * p[..., 1] + 1),
                                        np.cos(3 * p[..., 2])], axis=-1)
        rgba = np.concatenate([color * hit[..., None], hit[..., None]], axis=-1)
        rgba = rgba.reshape(SIZE, 2, SIZE, 2, 4).mean((1, 3))  # premultiplied average
        if not self.alpha:
            return np.rint(255 * (rgba[..., :3] + 1 - rgba[..., 3:])).astype(np.uint8)
        rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
        return np.rint(255 * rgba).astype(np.uint8)


class BallDataset:
    """20 training views all round, 4 for testing between them."""

    def __init__(self, alpha: bool = True):
        self.train = [BallFrame(_camera(i, 20, 0), alpha) for i in range(20)]
        self.test = [BallFrame(_camera(i, 4, 0.13), alpha) for i in range(4)]


def _camera(i: int, count: int, shift: float) -> Camera:
    yaw, pitch = 2 * math.pi * (i / count + shift), 0.6 * math.sin(2.4 * i + shift)
    d = [math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)]
    return Camera.look_at(CENTER + 4 * np.array(d), CENTER, [0, 0, 1], 0.36, SIZE, SIZE)
