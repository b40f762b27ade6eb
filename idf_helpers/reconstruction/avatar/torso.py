"""Where the shoulders are that do not turn with the head.

NeRFace's camera carries the head's pose: the head stands still in its world and everything else
moves. A layer in the camera's frame stands still in the room instead. The lower rim of the pictures
shows whether it is needed: shoulders that stay have an outline that stays, a bust that turns with
the head sweeps over the background.
"""

from __future__ import annotations

import numpy as np

from ...data.training_views import TrainingViews
from ..splats.gaussians import SH_C0, Gaussians
from .layer import BlendLayer

RIM = 0.04  # of the height, where shoulders leave the picture
SWEPT = 0.25  # of the rim's foreground that may be uncertain for shoulders that stay
STEADY = 0.06  # standard deviation of a color, of 1, that still counts as the same
WIDTH = 0.7  # standard deviation in distances between neighbors


def steady_region(views: TrainingViews, mode: str, chin: np.ndarray | None = None
                  ) -> np.ndarray | None:
    """Return (H, W) bool, pixels of shoulders that stay in the room; None where they turn with the
    head.

    views: frames with their silhouettes as alpha. mode: "auto", "on" (whatever the rim shows) or
    "off". chin: (3,) its point in the world, above which nothing is shoulder: hair of one color
    looks steady, too, and turns with the head. None where it is not known.
    """
    if mode == "off":
        return None
    front = np.stack([p[3] for p in views.pixels]).astype(np.float32) / 255
    often = front.mean(axis=0)
    rim = often[-max(2, round(RIM * len(often))):]
    there = rim > 0.05
    if not there.any():
        return None
    swept = (there & (rim < 0.95)).sum() / there.sum()
    if mode == "auto" and swept > SWEPT:
        return None
    colors = np.stack([p[:3] for p in views.pixels]).astype(np.float32) / 255
    steady = (often > 0.95) & (colors.std(axis=0).max(axis=0) < STEADY)
    if chin is not None:
        row = np.median([c.project(chin[None])[0][0, 1] for c in views.cameras])
        steady[:max(0, round(float(row)))] = False
    return _reaching_down(steady)


def _reaching_down(mask: np.ndarray) -> np.ndarray | None:
    """Return the parts of a mask that touch the lower rim; None where they are negligible."""
    import cv2

    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    below = np.setdiff1d(labels[-1], 0)
    found = np.isin(labels, below) if len(below) else np.zeros_like(mask)
    return found if found.sum() >= 16 else None


def initial_torso(views: TrainingViews, region: np.ndarray, rng: np.random.Generator, config,
                  rank: int, depth: float) -> BlendLayer:
    """Return a layer in the camera's frame that shows `region` (H, W) bool: a sheet that is a
    little thick, `depth` from the camera, in the mean color of the frames."""
    rows, columns = np.nonzero(region)
    count = int(np.clip(config.initial // 4, 64, 8 * len(rows)))
    pick = rng.integers(len(rows), size=count)
    camera = views.cameras[0]
    z = depth * rng.uniform(0.97, 1.05, count)
    u, v = columns[pick] + rng.random(count), rows[pick] + rng.random(count)
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    means = np.stack([x * z, -y * z, -z], axis=1)
    colors = np.stack([p[:3] for p in views.pixels]).mean(axis=0)[:, rows, columns].T[pick] / 255
    spacing = WIDTH * depth / camera.fx * np.sqrt(len(rows) / count) * 1.5
    quats = np.zeros((count, 4), np.float32)
    quats[:, 0] = 1
    g = Gaussians(means.astype(np.float32),
                  np.full((count, 3), np.log(spacing), np.float32), quats,
                  np.full(count, np.log(0.1 / 0.9), np.float32),
                  ((colors - 0.5) / SH_C0)[:, None].astype(np.float32))
    return BlendLayer(g, rank)
