"""Where the surface of a scene is, by its own renders: depth pictures fused into one volume.

The truncated signed distance of Curless and Levoy ("A Volumetric Method for Building Complex Models
from Range Images", 1996). It needs nothing of a scene but `render_full`, and what no ray reaches,
the inside of the head, is known from what rays pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.cameras import Camera
from ..errors import IdfError
from ..kernels.compile import kernel
from ..kernels.threads import first_item, next_item, run_on_threads

RESOLUTION = 200  # longer side of the rendered views, pixels, at most
TRUNCATE = 3.0  # voxels before and behind a surface that its depth says something about
OUTLIERS = 0.2  # per cent of the points at each end of each axis that do not widen the box


@dataclass(frozen=True, eq=False)
class View:
    """A camera with its render: rgb (H, W, 3) without the background, depth (H, W), NaN = nothing.
    """

    camera: Camera
    rgb: np.ndarray
    depth: np.ndarray

    def points(self) -> np.ndarray:
        """Return (N, 6) float32: world position and color of every pixel with a depth."""
        origin, directions = self.camera.rays()
        seen = np.isfinite(self.depth)
        along = self.depth[seen] / (directions[seen] @ self.camera.forward)
        p = origin + along[:, None] * directions[seen]
        return np.concatenate([p, self.rgb[seen]], axis=1).astype(np.float32)


def rendered_views(scene, views: int) -> list[View]:
    """Render of up to `views` cameras of the scene, evenly chosen. IdfError where it has none, or
    where they see nothing."""
    if not scene.cameras:
        raise IdfError("This scene has no cameras to look at it from", "no cameras.json",
                       "give a run folder, which holds the cameras that it was trained on")
    chosen = np.unique(np.linspace(0, len(scene.cameras) - 1, max(1, views)).round().astype(int))
    out = []
    for k in chosen:
        camera = scene.cameras[k]
        camera = camera.fitted(min(RESOLUTION, max(camera.width, camera.height)))
        r = scene.render_full(camera, background=(0.0, 0.0, 0.0))
        rgb = np.clip(r.rgb / np.maximum(r.alpha, 0.05)[..., None], 0, 1)
        out.append(View(camera, rgb, r.depth))
    if not any(np.isfinite(v.depth).any() for v in out):
        raise IdfError("There is no surface in this scene", f"nothing opaque in {len(out)} views",
                       "train it longer")
    return out


def volume_around(views: list[View], cells: int) -> tuple[np.ndarray, float, tuple]:
    """Return the origin (3,), voxel and shape of a grid about everything that the views see."""
    points = np.concatenate([v.points()[:, :3] for v in views])
    low, high = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
    voxel = float((high - low).max()) / cells
    low, high = low - 4 * voxel, high + 4 * voxel
    return low, voxel, tuple(int(n) for n in np.ceil((high - low) / voxel) + 1)


def fuse(views: list[View], origin, voxel: float, shape) -> np.ndarray:
    """Return (shape) float32 in [-1, 1], positive inside: minus the mean truncated signed distance.

    Each view that has a vertex in its picture counts: it lies in front of the surface by d voxels,
    d up to 3, or outside, where the view sees nothing; more than 3 voxels behind the surface the
    view does not count. A vertex for which no view counts is inside if enough of them have it in
    the picture.
    """
    table = np.array([[*v.camera.w2c_cv[:3].ravel(), v.camera.fx, v.camera.fy, v.camera.cx,
                       v.camera.cy, v.camera.width, v.camera.height] for v in views])
    depths = np.concatenate([np.nan_to_num(v.depth, nan=np.inf).ravel() for v in views])
    offsets = np.cumsum([0] + [v.depth.size for v in views])
    volume = np.empty(shape, np.float32)
    run_on_threads(_fuse, np.asarray(origin, np.float64), voxel, table, depths.astype(np.float32),
                   offsets, max(1, len(views) // 6), volume)
    return volume


@kernel
def _fuse(origin, voxel, cameras, depths, offsets, enough, volume, counter):
    nx, ny, nz = volume.shape
    i = first_item(counter)
    while i < nx:
        for j in range(ny):
            for k in range(nz):
                x, y, z = origin[0] + voxel * i, origin[1] + voxel * j, origin[2] + voxel * k
                total, count, hidden = 0.0, 0, 0
                for v in range(len(cameras)):
                    c = cameras[v]
                    away = c[8] * x + c[9] * y + c[10] * z + c[11]
                    if away <= 0:
                        continue
                    column = (c[0] * x + c[1] * y + c[2] * z + c[3]) / away * c[12] + c[14]
                    row = (c[4] * x + c[5] * y + c[6] * z + c[7]) / away * c[13] + c[15]
                    if column < 0 or row < 0 or column >= c[16] or row >= c[17]:
                        continue
                    depth = depths[offsets[v] + int(row) * int(c[16]) + int(column)]
                    d = (depth - away) / (TRUNCATE * voxel)
                    if d < -1:
                        hidden += 1
                    else:
                        total += min(d, 1.0)
                        count += 1
                if count:
                    volume[i, j, k] = -total / count
                else:
                    volume[i, j, k] = 1.0 if hidden >= enough else -1.0
        i = next_item(counter)


def seen_colors(views: list[View], points: np.ndarray, normals: np.ndarray,
                 within: float) -> np.ndarray:
    """Return (N, 3) float32 colors of surface points (N, 3): the mean over the views that see them,
    weighted by the squared cosine to their normals. within: difference of depth that still counts
    as seen, world units. What hardly a view sees takes the color of the nearest that is seen."""
    from scipy.spatial import cKDTree

    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for view in views:
        uv, z = view.camera.project(points)
        c = view.camera
        inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < c.width) & (uv[:, 1] < c.height)
        j, i = np.where(inside[:, None], uv, 0).astype(np.int64).T
        toward = c.position - points
        cosine = (normals * toward).sum(1) / np.linalg.norm(toward, axis=1)
        with np.errstate(invalid="ignore"):
            seen = inside & (np.abs(view.depth[i, j] - z) < within) & (cosine > 0.1)
        total[seen] += view.rgb[i, j][seen] * cosine[seen, None] ** 2
        weight[seen] += cosine[seen] ** 2
    known = weight > min(1.0, 0.25 * weight.max(initial=0))  # a single view may see a blurred rim
    if not known.any():
        return np.full((len(points), 3), 0.5, np.float32)
    colors = total / np.maximum(weight, 1e-9)[:, None]
    nearest = cKDTree(points[known]).query(points[~known])[1] if not known.all() else []
    colors[~known] = colors[known][nearest]
    return np.clip(colors, 0, 1).astype(np.float32)


def surface_points(scene, count: int = 20_000, views: int = 40, seed: int = 0) -> np.ndarray:
    """Return (N, 6) float32 with N <= count: random points of the surface that the scene's depth
    pictures show, world position and color in [0, 1]; what Gaussians can start from. One point at
    most in each cell of a grid, so that no part is crowded."""
    seen = rendered_views(scene, views)
    points = np.concatenate([v.points() for v in seen])
    rng = np.random.default_rng(seed)
    points = points[rng.permutation(len(points))]
    _, voxel, _ = volume_around(seen, 192)
    _, first = np.unique(np.floor(points[:, :3] / voxel).astype(np.int64), axis=0,
                         return_index=True)
    return points[np.sort(first)[:count]]


def slope_of(volume: np.ndarray, points: np.ndarray, smooth: float) -> np.ndarray:
    """Return (N, 3) float32 unit vectors against the slope of a volume (nx, ny, nz), smoothed over
    `smooth` voxels, at points (N, 3) in its grid."""
    from scipy import ndimage

    volume = ndimage.gaussian_filter(volume, smooth)

    def at(p):
        return ndimage.map_coordinates(volume, p.T, order=1, mode="nearest")

    slope = np.stack([at(points + step) - at(points - step) for step in np.eye(3)], axis=1)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return (-slope / np.maximum(length, 1e-9)).astype(np.float32)


def normals_of_depth(camera: Camera, depth: np.ndarray, smooth: float = 1.0) -> np.ndarray:
    """Return (H, W, 3) float32 unit normals of a depth picture (H, W), toward the camera; NaN where
    there is no depth and where a neighbor has none. smooth: pixels, standard deviation of a blur.
    """
    from scipy import ndimage

    seen = np.isfinite(depth)
    weight = ndimage.gaussian_filter(seen.astype(np.float64), smooth)
    blurred = ndimage.gaussian_filter(np.where(seen, depth, 0.0), smooth)
    smoothed = np.where(seen, blurred / np.maximum(weight, 1e-6), np.nan)
    origin, directions = camera.rays()
    points = origin + directions * (smoothed / (directions @ camera.forward))[..., None]
    out = np.full((*depth.shape, 3), np.nan)
    right = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, right)  # x right, y down, out of the picture
    with np.errstate(invalid="ignore", divide="ignore"):
        out[1:-1, 1:-1] = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return out.astype(np.float32)
