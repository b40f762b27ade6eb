"""Splats of a scene given the colors of other pictures of it: the shape stays, so that a training
on restyled views has only the rest to learn."""

from __future__ import annotations

import numpy as np

from ...data.training_views import TrainingViews
from ...kernels.harmonics import sh_values
from .gaussians import SH_C0, Gaussians

NEAR = 0.06  # scene radii between a Gaussian and the surface seen there that still count as on it
SOLID = 230  # alpha, of 255, from which a pixel's color is taken
RIDGE = 0.1  # of the mean's own weight, for what depends on the direction
PART = 20_000  # Gaussians whose equations are solved at a time
PROBES = 4  # views on which old and new colors are compared


def recolored(g: Gaussians, views: TrainingViews, rasterizer, degree: int = 0) -> Gaussians:
    """Return a copy of `g` whose colors are those that the pictures show at each Gaussian that a
    view sees (its depth is that of the surface there); or `g` itself where its own colors are
    nearer to the pictures.

    degree: of the colors; 0: the mean, the same from all sides; else the harmonics of least squares
    over the views, held back (RIDGE) where these say little.
    """
    black, bases = np.zeros(3, np.float32), (degree + 1) ** 2
    normal = np.zeros((len(g), bases, bases), np.float32)
    total = np.zeros((len(g), bases, 3), np.float32)
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
        way = (g.means[index] - camera.position).astype(np.float32)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        y = np.stack(sh_values(*way.T)[:bases], axis=1)
        normal[index] += y[:, :, None] * y[:, None]
        total[index] += y[:, :, None] * (pixels[:3, i[seen], j[seen]].T / 255.0 - 0.5)[:, None]
    sh = g.sh.copy()
    known = np.flatnonzero(normal[:, 0, 0])
    sh[known] = 0
    for part in np.array_split(known, 1 + len(known) // PART):
        a = normal[part].astype(np.float64)
        held = RIDGE * (a[:, 0, 0] + SH_C0**2)
        a[:, range(1, bases), range(1, bases)] += held[:, None]
        sh[part, :bases] = np.linalg.solve(a, total[part])
    new = Gaussians(g.means, g.log_scales, g.quats, g.opacity_logits, sh)
    return new if _error(new, views, rasterizer) < _error(g, views, rasterizer) else g


def _error(g: Gaussians, views: TrainingViews, rasterizer) -> float:
    """Mean squared difference from some of the pictures, over white."""
    white, found = np.ones(3, np.float32), []
    for k in np.unique(np.linspace(0, len(views) - 1, PROBES).astype(int)):
        made = rasterizer.forward(g, views.cameras[k], white, train=False).rgb
        found.append(float(((made - views.target(int(k), white)) ** 2).mean()))
    return float(np.mean(found))
