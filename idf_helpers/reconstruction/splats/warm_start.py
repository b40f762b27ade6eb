"""Splats of a scene given the colors of other pictures of it: the shape stays, so that a training
on restyled views has only the rest to learn."""

from __future__ import annotations

import numpy as np

from ...data.training_views import TrainingViews
from .gaussians import SH_C0, Gaussians

NEAR = 0.06  # scene radii between a Gaussian and the surface seen there that still count as on it
SOLID = 230  # alpha, of 255, from which a pixel's color is taken
PROBES = 4  # views on which old and new colors are compared


def recolored(g: Gaussians, views: TrainingViews, rasterizer) -> Gaussians:
    """Return a copy of `g` whose colors are the mean of what the pictures show at each Gaussian
    that a view sees (its depth is that of the surface there), the same from all sides; or `g`
    itself where its own colors are nearer to the pictures."""
    black = np.zeros(3, np.float32)
    total, count = np.zeros((len(g), 3)), np.zeros(len(g))
    near = NEAR * views.scene.radius
    for camera, pixels in zip(views.cameras, views.pixels, strict=True):
        depth = rasterizer.forward(g, camera, black, sh_degree=0, train=False).depth
        uv, z = camera.project(g.means)
        inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < camera.width) & (uv[:, 1] < camera.height)
        j, i = uv[inside].astype(np.int64).T
        seen = np.abs(z[inside] - depth[i, j]) < near  # NaN is not seen
        if len(pixels) == 4:
            seen &= pixels[3, i, j] >= SOLID
        index = np.flatnonzero(inside)[seen]
        total[index] += pixels[:3, i[seen], j[seen]].T / 255.0
        count[index] += 1
    sh = g.sh.copy()
    known = count > 0
    sh[known] = 0
    sh[known, 0] = (total[known] / count[known, None] - 0.5) / SH_C0
    new = Gaussians(g.means, g.log_scales, g.quats, g.opacity_logits, sh)
    return new if _error(new, views, rasterizer) < _error(g, views, rasterizer) else g


def _error(g: Gaussians, views: TrainingViews, rasterizer) -> float:
    """Mean squared difference from some of the pictures, over white."""
    white, found = np.ones(3, np.float32), []
    for k in np.unique(np.linspace(0, len(views) - 1, PROBES).astype(int)):
        made = rasterizer.forward(g, views.cameras[k], white, train=False).rgb
        found.append(float(((made - views.target(int(k), white)) ** 2).mean()))
    return float(np.mean(found))
