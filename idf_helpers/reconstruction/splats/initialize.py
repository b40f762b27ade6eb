"""Where the first Gaussians lie: in the visual hull, on given points, or anywhere in a cube."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ...data.training_views import TrainingViews
from ...errors import IdfError
from .gaussians import SH_C0, Gaussians

CUBE = 1.5  # half side of the cube that is searched, in scene radii
BATCH = 100_000  # candidate points at a time
WIDTH = 0.7  # standard deviation as a share of the distance to the neighbors
MAX_BATCHES = 40  # a hull that fills less than 1/400 of the cube at 10 000 points is given up


def initial_gaussians(views: TrainingViews, count: int, sh_degree: int,
                      rng: np.random.Generator, points=None,
                      limit: int | None = None) -> Gaussians:
    """Return `count` round, faint Gaussians (opacity 0.1), each as wide as 0.7 of the distance to
    its neighbors (root mean square over three).

    points: optional (N, 3) positions to start from, with or without (N, 3) colors in [0, 1] as
    columns 3 to 5; `count` is then ignored, and a random `limit` of them taken where
    there are more. Else the visual hull if the pictures have alpha,
    else a cube around the center of the scene.
    """
    if points is not None:
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] not in (3, 6) or len(points) < 4 \
                or not np.isfinite(points).all():
            raise IdfError("These points cannot start a training", f"shape {points.shape}",
                           "give at least 4 finite points (N, 3), or (N, 6) with colors")
        if limit is not None and len(points) > limit:
            points = points[np.sort(rng.choice(len(points), limit, replace=False))]
        means = points[:, :3]
        colors = points[:, 3:] if points.shape[1] == 6 else np.full_like(means, 0.5)
    elif views.has_alpha:
        means, colors = visual_hull(views, count, rng)
    else:
        means, colors = random_cube(views, count, rng)
    n = len(means)
    distance = cKDTree(means).query(means, k=4, workers=1)[0][:, 1:]
    scale = WIDTH * np.sqrt((distance**2).mean(axis=1))
    scale = np.maximum(scale, 1e-4 * views.scene.radius)  # points may coincide
    sh = np.zeros((n, (sh_degree + 1) ** 2, 3), np.float32)
    sh[:, 0] = (colors - 0.5) / SH_C0
    quats = np.zeros((n, 4), np.float32)
    quats[:, 0] = 1
    return Gaussians(
        means=np.ascontiguousarray(means, np.float32),
        log_scales=np.repeat(np.log(scale)[:, None], 3, axis=1).astype(np.float32),
        quats=quats,
        opacity_logits=np.full(n, np.log(0.1 / 0.9), np.float32),
        sh=sh,
    ).checked()


def random_cube(views: TrainingViews, count: int, rng: np.random.Generator):
    """Return (count, 3) points within one scene radius of its center along each axis, and gray (..,
    3)."""
    scene = views.scene
    means = scene.center + scene.radius * rng.uniform(-1, 1, (count, 3))
    return means.astype(np.float32), np.full((count, 3), 0.5, np.float32)


def visual_hull(views: TrainingViews, count: int, rng: np.random.Generator):
    """Return random points that no view sees outside the silhouette: (count, 3), and their mean
    color.

    A point goes as soon as one view sees it at alpha < 0.3; it stays if enough views (6, or a third
    of a small set) have it in the picture. Colors ignore occlusion. Raises IdfError where the
    silhouettes leave no volume (alpha empty, or cameras that do not fit the pictures).
    """
    scene = views.scene
    enough = max(1, min(6, len(views) // 3))
    found, colors, total = [], [], 0
    for batch in range(MAX_BATCHES):
        p = scene.center + CUBE * scene.radius * rng.uniform(-1, 1, (BATCH, 3))
        p, c = _carve(p, views, enough)
        found.append(p)
        colors.append(c)
        total += len(p)
        if total >= count or total <= batch // 4:  # enough, or next to nothing: hopeless
            break
    if total < max(16, count // 20):
        raise IdfError("The silhouettes leave no room for a head",
                       f"{total} of {(batch + 1) * BATCH} random points lie inside all of them",
                       "check that alpha is 255 on the head and the cameras belong to the pictures")
    return (np.concatenate(found)[:count].astype(np.float32),
            np.concatenate(colors)[:count].astype(np.float32))


def _carve(points: np.ndarray, views: TrainingViews, enough: int):
    """Of points (N, 3): those inside every silhouette, and their mean premultiplied color."""
    seen = np.zeros(len(points), np.int32)
    color = np.zeros((len(points), 3), np.float32)
    for k, (camera, pixels) in enumerate(zip(views.cameras, views.pixels, strict=True)):
        uv, z = camera.project(points)
        inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < camera.width) & (uv[:, 1] < camera.height)
        if k in views.unseen:  # which says nothing of these points
            j, i = uv[inside].astype(np.int32).T
            inside[inside] = ~views.unseen[k][i, j]
        j, i = uv[inside].astype(np.int32).T
        alpha = pixels[3, i, j]
        color[inside] += pixels[:3, i, j].T / np.maximum(alpha, 1)[:, None]
        seen += inside
        keep = np.ones(len(points), bool)
        keep[inside] = alpha >= 0.3 * 255
        points, seen, color = points[keep], seen[keep], color[keep]
    keep = seen >= enough
    return points[keep], np.clip(color[keep] / seen[keep, None], 0, 1)
