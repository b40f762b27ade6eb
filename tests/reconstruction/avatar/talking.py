"""A tiny talking head for tests: a ball with a mouth, drawn by the splat rasterizer itself.

Its "mouth" opens by the first expression value, its "brow" rises by the second; the third never
changes. The head turns before a fixed room; with `torso` a bar at the bottom stays in the room.
"""

import json
import math
from functools import lru_cache

import numpy as np

from idf_helpers.data import media
from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer

SIZE = 48
NAMES = ("jawOpen", "browInnerUp", "unused")
FOV = 0.5


COUNT = 1500


@lru_cache(1)
def _ball():
    """Evenly spread directions (N, 3) and resting colors."""
    k = np.arange(COUNT) + 0.5
    z, a = 1 - 2 * k / COUNT, k * math.pi * (3 - math.sqrt(5))
    r = np.sqrt(1 - z * z)
    d = np.stack([r * np.cos(a), r * np.sin(a), z], axis=1)
    hair = 1 / (1 + np.exp(-30 * (z[:, None] - 0.5)))
    stripes = 0.06 * np.sin(9 * a % 6.28)[:, None]
    colors = (1 - hair) * (0.85, 0.6, 0.5) + hair * (0.25, 0.12, 0.05) + stripes
    return 0.075 * d * (1, 1, 1.1), colors, d


def head(e) -> Gaussians:
    """The splats at an expression: face toward -y, up z."""
    means, colors, d = _ball()
    front = d[:, 1] < -0.3
    mouth = front * np.exp(-((d[:, 2] + 0.35) / 0.2) ** 2 - (d[:, 0] / 0.25) ** 2)
    brow = front * np.exp(-((d[:, 2] - 0.25) / 0.08) ** 2 - (d[:, 0] / 0.4) ** 4)
    m = np.minimum(1.5 * mouth, 1)[:, None] * (0.15 + 0.85 * e[0])
    colors = colors * (1 - m) + m * (0.3, 0.02, 0.05)
    b = np.minimum(1.5 * brow, 1)[:, None]
    colors = colors * (1 - b) + b * (0.1, 0.05, 0.02)
    means = means + brow[:, None] * (0, 0, 0.014 * e[1]) + mouth[:, None] * (0, 0, -0.01 * e[0])
    n = len(means)
    quats = np.zeros((n, 4), np.float32)
    quats[:, 0] = 1
    return Gaussians(means.astype(np.float32), np.full((n, 3), math.log(0.005), np.float32), quats,
                     np.full(n, 3, np.float32),
                     ((colors - 0.5) / SH_C0)[:, None].astype(np.float32))


def room(size=SIZE) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    return media.to_uint8(np.stack([0.25 + 0.2 * x, 0.4 + 0.2 * y, 0.75 - 0.3 * x], axis=2))


def camera_at(yaw: float, pitch: float, size=SIZE) -> Camera:
    a, b = math.radians(yaw), math.radians(pitch)
    p = 0.5 * np.array([math.sin(a) * math.cos(b), -math.cos(a) * math.cos(b), math.sin(b)])
    return Camera.from_fov(look_at_matrix(p, (0, 0, 0), (0, 0, 1)), FOV, size, size)


def frames(count: int, seed=0):
    """(yaw, pitch, expression) of a smooth sequence."""
    rng = np.random.default_rng(seed)
    phase = rng.random(4) * 6.28
    t = np.arange(count)
    yaw = 20 * np.sin(t / 9 + phase[0])
    pitch = 8 * np.sin(t / 7 + phase[1])
    e = 0.5 + 0.5 * np.stack([np.sin(t / 3.1 + phase[2]), np.sin(t / 4.3 + phase[3])], axis=1)
    return yaw, pitch, np.concatenate([e, np.zeros((count, 1))], axis=1).astype(np.float32)


def picture(camera: Camera, e, torso=False) -> np.ndarray:
    out = CpuRasterizer().forward(head(e), camera, np.zeros(3, np.float32))
    behind = room(camera.width) / np.float32(255)
    if torso:
        behind = behind.copy()
        behind[-camera.height // 6:, camera.width // 4:-camera.width // 4] = (0.1, 0.5, 0.15)
    rgb = out.rgb.transpose(1, 2, 0) + (1 - out.alpha)[..., None] * behind
    return media.to_uint8(rgb)


def write_talking(root, train=40, test=8, size=SIZE, torso=False, background=True, names=NAMES,
                  seed=0, length=3):
    """A NeRFace folder; returns it."""
    yaw, pitch, e = frames(train + test, seed)
    e = np.pad(e, ((0, 0), (0, length - 3))) if length > 3 else e[:, :length]
    splits = {"train": range(train), "test": range(train, train + test)}
    for split, which in splits.items():
        entries = []
        for i in which:
            camera = camera_at(yaw[i], pitch[i], size)
            name = f"{split}/f_{i:04d}"
            media.write_image(root / f"{name}.png", picture(camera, e[i], torso))
            entries.append({"file_path": f"./{name}", "transform_matrix": camera.c2w.tolist(),
                            "expression": [round(float(v), 5) for v in e[i]],
                            "bbox": [0.1, 0.9, 0.1, 0.9]})
        head_of = {"camera_angle_x": FOV, "intrinsics": [camera.fx, camera.fy, 0.5 - 0.5 / size,
                                                         0.5 - 0.5 / size]}
        if names:
            head_of["expression_names"] = list(names)
        (root / f"transforms_{split}.json").write_text(json.dumps(head_of | {"frames": entries}))
    if background:
        media.write_image(root / "bg" / "00050.png", room(size))
    return root
