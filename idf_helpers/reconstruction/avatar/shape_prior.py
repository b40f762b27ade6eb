"""What keeps an avatar's Gaussians a head: a start on its surface, and a pull back to it.

Frames that turn a head by 25 degrees leave its depth open: Gaussians that look right from where the
camera was are shards from elsewhere. So they start on the surface of `HeadShape`, rear of the head
included, in the colors that the frames show there, opaque below the skin, so that hair at the rear
shows through no gap; and every few steps those that left a shell around it are drawn back. What no
frame shows has the color of its mirror image, else of its surroundings; nothing moves it in
training, so it stays.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ...data.training_views import TrainingViews
from ...face.head_shape import HeadShape
from ..splats.gaussians import SH_C0, Gaussians

SEEN_AT = 0.3  # cosine between normal and view above which a frame shows a point
SEEN_IN = 2.0  # sum of such cosines from which a point counts as shown
MIRRORED = 1.5  # cm, to the nearest point that a frame shows, opposite
CROWN = 9.0  # cm; what the frames show above is hair where a head has hair
# Height and depth of the hairline beside and behind a head, from above the ear to the nape, cm.
HAIRLINE = np.array([(4.5, 1.0), (0.0, -3.0), (-3.0, -5.5)])
NEIGHBORS = 12  # whose colors complete what no frame shows
OPACITY = 0.6
SOLID, CLOSED = 0.97, 1.6  # opacity of what is hidden, factor on the width of what is below
DEPTHS = (0.3, 1.2)  # cm below the surface of the two layers at the start: skin, and what is opaque
INNER = 0.12  # part of the Gaussians in the inner one
WIDTH = 0.7  # standard deviation as a share of the distance to the neighbors
THICKNESS = 0.4  # of that along the normal
SHELL = (0.3, 1.5)  # cm outside and inside of the surface within which Gaussians are free
THICK = 0.35  # cm, most that a Gaussian's standard deviation may be along the normal
SHOULDERS = -10.5  # level on the average head, cm; what lies below is free: every body is different
PULL = 0.2  # of the way back, each time
EVERY = 10  # steps between two pulls


class ShapePrior:
    """The start and the pull; `HeadShape` says where the head is, positions (V, 3) of cameras from
    where it was seen."""

    def __init__(self, shape: HeadShape, positions: np.ndarray):
        self.shape, self.positions = shape, positions

    def start(self, views: TrainingViews, count: int, sh_degree: int, rng: np.random.Generator
              ) -> Gaussians:
        """Return about `count` Gaussians on the surface, colored by `views`: translucent where
        frames show it and it may become anything, opaque below and where they show nothing."""
        inner = round(INNER * count)
        layers = [self.shape.surface(count - inner, rng, DEPTHS[0]),
                  self.shape.surface(inner, rng, DEPTHS[1])]
        width = np.concatenate([f * _spacing(p) for f, p in zip((1.0, CLOSED), layers, strict=True)
                                ]) * WIDTH * self.shape.frame.scale
        points = np.concatenate(layers)
        _, normals = self.shape.sample(points)
        n, outer = len(points), len(layers[0])
        colors, shown = self._colors(layers[0], normals[:outer], views)
        near = cKDTree(layers[0]).query(layers[1], k=3, workers=1)[1]
        colors = np.concatenate([colors, colors[near].mean(axis=1)])
        opacity = np.full(n, SOLID)
        opacity[:outer][shown] = OPACITY
        sh = np.zeros((n, (sh_degree + 1) ** 2, 3), np.float32)
        sh[:, 0] = (colors - 0.5) / SH_C0
        scales = np.log(width)[:, None] + np.log([1.0, 1.0, THICKNESS])
        return Gaussians(self.shape.frame.to_world(points).astype(np.float32),
                         scales.astype(np.float32),
                         _facing(normals @ self.shape.frame.rotation.T),
                         np.log(opacity / (1 - opacity)).astype(np.float32), sh).checked()

    def _colors(self, points: np.ndarray, normals: np.ndarray, views: TrainingViews
                ) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, 3) in [0, 1]: what the frames show, completed where they show nothing; and
        (N,) bool, where they do."""
        world = self.shape.frame.to_world(points)
        outward = normals @ self.shape.frame.rotation.T
        weight, color = np.zeros(len(points)), np.zeros((len(points), 3))
        for camera, pixels in zip(views.cameras, views.pixels, strict=True):
            uv, z = camera.project(world)
            inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < camera.width) \
                & (uv[:, 1] < camera.height)
            toward = camera.position - world
            facing = (toward * outward).sum(1) / np.linalg.norm(toward, axis=1)
            at = np.flatnonzero(inside & (facing > SEEN_AT))
            j, i = uv[at].astype(np.int32).T
            alpha = pixels[3, i, j]
            w = facing[at] * (alpha > 250)
            weight[at] += w
            color[at] += w[:, None] * pixels[:3, i, j].T
        shown = weight > SEEN_IN
        if not shown.any():
            return np.full((len(points), 3), 0.5), shown
        color /= 255 * np.maximum(weight, 1e-9)[:, None]
        tree = cKDTree(points[shown])
        rest = np.flatnonzero(~shown)
        distance, near = tree.query(points[rest] * (-1, 1, 1), workers=1)
        color[rest] = color[shown][near]
        level, depth = self.shape.on_average(points)
        crown = shown & (level > CROWN)
        scalp = (level > HAIRLINE[-1, 0]) & (depth < np.interp(level, *HAIRLINE[::-1].T))
        for to, source in ((~shown & scalp, crown), (~shown & ~scalp, shown)):
            far = to.copy()
            far[rest] &= (distance > MIRRORED) | scalp[rest]
            if far.any() and source.any():
                k = min(NEIGHBORS, int(source.sum()))
                _, near = cKDTree(points[source]).query(points[far], k=k, workers=1)
                color[far] = color[source][near.reshape(-1, k)].mean(axis=1)
        return np.clip(color, 0, 1), shown

    def well_seen(self, g: Gaussians) -> np.ndarray:
        """Return (N,) bool: Gaussians that some camera sees from the front rather than along the
        surface. On all others pictures show the outline's mixture with the room, no color."""
        cm = self.shape.frame.to_head(g.means)
        _, normal = self.shape.sample(cm)
        outward = normal @ self.shape.frame.rotation.T
        best = np.full(len(g), -1.0)
        for position in self.positions:
            toward = position - g.means
            best = np.maximum(best, (toward * outward).sum(1) / np.linalg.norm(toward, axis=1))
        return (best > SEEN_AT) | (self.shape.on_average(cm)[0] < SHOULDERS)

    def pull(self, g: Gaussians, strength: float = PULL) -> None:
        """Draw Gaussians that left the shell back toward it, and flatten those that stick out of
        the surface; in place."""
        frame = self.shape.frame
        cm = frame.to_head(g.means)
        here, normal = self.shape.sample(cm)
        head = self.shape.on_average(cm)[0] > SHOULDERS
        away = np.where(head, here - np.clip(here, -SHELL[1], SHELL[0]), 0)
        out = np.flatnonzero(away)
        outward = normal @ frame.rotation.T
        g.means[out] -= (strength * frame.scale * away[out])[:, None] * outward[out]
        axes = _axes(g.quats)  # (N, 3, 3), columns
        along = np.abs(np.einsum("nij,ni->nj", axes, outward))
        most = np.log(THICK * frame.scale / np.maximum(along, 1e-3))
        over = np.maximum(g.log_scales - most, 0) * head[:, None]
        g.log_scales -= (strength * over).astype(np.float32)


def _spacing(points: np.ndarray) -> np.ndarray:
    """Return (N,) distance to the neighbors, root mean square over three."""
    distance = cKDTree(points).query(points, k=4, workers=1)[0][:, 1:]
    return np.sqrt((distance**2).mean(axis=1))


def _facing(normals: np.ndarray) -> np.ndarray:
    """Return (N, 4) quaternions (w, x, y, z) that turn z to the normals."""
    half = normals + (0, 0, 1)
    half[np.linalg.norm(half, axis=1) < 1e-6] = (1, 0, 0)  # half a turn about x
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    # half a turn about the bisector takes z to the normal
    return np.concatenate([np.zeros((len(half), 1)), half], axis=1).astype(np.float32)


def _axes(quats: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quats[:, [1, 2, 3, 0]]).as_matrix()
