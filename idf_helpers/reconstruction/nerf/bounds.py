"""Where the field lies: found from the cameras and, where there is one, from alpha."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...data.cameras import Camera
from ...data.training_views import TrainingViews
from ...errors import IdfError, shorten
from ...kernels.compile import kernel
from ...kernels.threads import first_item, next_item, run_on_threads

CUBE = 1.5  # half side of the cube that is searched for the head, in scene radii
OPAQUE_CUBE = 1.0  # half side of the field where the pictures say nothing about its bounds
SEARCH = 64  # cells along that cube
SOLID = 0.1  # alpha that counts as part of the silhouette
MARGIN = 2  # empty cells around the box


@dataclass(frozen=True)
class Bounds:
    """low, high: (3,) corners of the box, world units. near, far: of all cameras, the distances
    along their optical axes between which the box lies, near > 0.
    """

    low: np.ndarray
    high: np.ndarray
    near: float
    far: float

    @property
    def longest(self) -> float:
        return float((self.high - self.low).max())


def find_bounds(views: TrainingViews) -> Bounds:
    """Return the box of the visual hull (pictures with alpha), or of one scene radius about the
    point that the cameras look at. IdfError: empty alpha, silhouettes without a common volume,
    cameras inside the object."""
    scene = views.scene
    if not views.has_alpha:
        half = OPAQUE_CUBE * scene.radius
        return _bounds(scene.center - half, scene.center + half, views.cameras, scene.radius)
    empty = [i for i, p in enumerate(views.pixels) if p[3].max() < 255 * SOLID]
    if len(empty) == len(views):
        raise IdfError("The pictures' alpha is empty: there is nothing in them",
                       f"alpha below {round(255 * SOLID)} of 255 in all {len(views)} pictures",
                       "give pictures whose alpha is 255 on the head, or pictures without alpha")
    half = CUBE * scene.radius
    voxel = 2 * half / SEARCH
    # what few views have in the picture may reach far toward them: it has no say in the box
    mask = carve(views, scene.center - half, voxel, (SEARCH + 1,) * 3,
                 enough=max(1, len(views) // 3))
    if not mask.any():
        raise IdfError("The silhouettes leave no room for a head",
                       f"no point lies inside all {len(views)} of them"
                       + (f"; alpha is empty in {len(empty)} pictures" if empty else ""),
                       "check that alpha is 255 on the head and the cameras belong to the pictures")
    at = np.argwhere(mask)
    _check_outside(views.cameras, mask, scene.center - half, voxel)
    low, high = (scene.center - half + voxel * (at.min(0) - 1),
                 scene.center - half + voxel * (at.max(0) + 1))
    return _bounds(low, high, views.cameras, scene.radius)


def _bounds(low, high, cameras, radius: float) -> Bounds:
    corners = np.array([[(low, high)[k][a] for a, k in enumerate(which)]
                        for which in np.ndindex(2, 2, 2)])
    z = np.array([c.project(corners)[1] for c in cameras])
    near = max(float(z.min()), 0.02 * radius)
    return Bounds(np.asarray(low, float), np.asarray(high, float), near, float(z.max()))


def _check_outside(cameras: list[Camera], mask, origin, voxel: float) -> None:
    """IdfError where a camera stands in the visual hull: it would see the head from within."""
    inside = []
    for i, camera in enumerate(cameras):
        at = np.round((camera.position - origin) / voxel).astype(int)
        if (at >= 0).all() and (at < mask.shape).all() and mask[tuple(at)]:
            inside.append(i)
    if inside:
        raise IdfError("Cameras stand inside the object",
                       f"{len(inside)} of {len(cameras)}: training views {shorten(inside, 5)}",
                       "check the unit and the direction of their transform_matrix (OpenGL, "
                       "camera-to-world)")


def carve(views: TrainingViews, origin, voxel: float, shape, where=None,
          enough: int | None = None) -> np.ndarray:
    """Return the visual hull at the vertices of a grid: (shape) bool.

    A vertex stays where no view sees the outside of the silhouette within a voxel of it, and
    `enough` views (None: 6, or a third of a small set) have it in the picture. where: (shape)
    bool, the vertices to look at. Pictures without alpha carve nothing.
    """
    keep = np.ones(shape, np.uint8) if where is None else where.astype(np.uint8)
    if not views.has_alpha:
        return keep.astype(bool)
    center = np.asarray(origin) + voxel * (np.array(shape) - 1) / 2
    masks, offsets, table = [], [], np.empty((len(views), 18), np.float64)
    at = 0
    for k, (row, camera) in enumerate(zip(table, views.cameras, strict=True)):
        distance = max(float(camera.project(center[None])[1][0]), 1e-6)
        # pixels that half a cell's diagonal covers
        reach = max(1, round(0.87 * voxel * camera.fx / distance))
        solid = (views.silhouette(k) >= 255 * SOLID).astype(np.uint8)
        masks.append(cv2.dilate(solid, np.ones((2 * reach + 1,) * 2, np.uint8)).ravel())
        offsets.append(at)
        at += solid.size
        row[:12] = camera.w2c_cv[:3].ravel()
        row[12:] = camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height
    enough = enough or max(1, min(6, len(views) // 3))
    run_on_threads(_carve, np.asarray(origin, np.float64), voxel, table, np.concatenate(masks),
                   np.array(offsets), enough, keep)
    return keep.astype(bool)


@kernel
def _carve(origin, voxel, cameras, masks, offsets, enough, keep, counter):
    nx, ny, nz = keep.shape
    i = first_item(counter)
    while i < nx:
        for j in range(ny):
            for k in range(nz):
                if not keep[i, j, k]:
                    continue
                x, y, z = origin[0] + voxel * i, origin[1] + voxel * j, origin[2] + voxel * k
                seen, inside = 0, True
                for v in range(len(cameras)):
                    c = cameras[v]
                    depth = c[8] * x + c[9] * y + c[10] * z + c[11]
                    if depth <= 0:
                        continue
                    u = (c[0] * x + c[1] * y + c[2] * z + c[3]) / depth * c[12] + c[14]
                    w = (c[4] * x + c[5] * y + c[6] * z + c[7]) / depth * c[13] + c[15]
                    if u < 0 or w < 0 or u >= c[16] or w >= c[17]:
                        continue
                    if masks[offsets[v] + int(w) * int(c[16]) + int(u)] == 0:
                        inside = False
                        break
                    seen += 1
                keep[i, j, k] = inside and seen >= enough
        i = next_item(counter)
