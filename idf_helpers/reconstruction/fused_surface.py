"""The surface that all views of a scene of Gaussians agree on, fine enough to carry pictures.

The depth pictures of the scene's own cameras are fused into a truncated signed distance (Curless
and Levoy 1996, as in `surface`), kept only near what they show, in bricks of 8 x 8 x 8 voxels.
Each view then casts its rays into it: what one view errs about, the others outvote.

Gaussians are blurred by a pixel, so the places where rays meet them lie inside what they look like.
By how much is read off the outlines: the surface is moved outwards until it covers as much of
the pictures as the splats do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.cameras import Camera
from ..errors import IdfError
from ..kernels.compile import inner, kernel
from ..kernels.threads import first_item, next_item, run_on_threads

SIZE = 256  # longer side of the fused depth pictures, pixels, at most
VIEWS = 48  # that are fused, at most
CELLS = 192  # along the longest side; 256 changes nothing that can be measured
LEAST_VOXEL = 1.3  # pixels: what blurs the Gaussians has to fit into the band that is kept
TRUNCATE = 3.0  # voxels
BRICK = 8  # voxels a side; stored with the first of the next one, to interpolate within a brick
OUTLIERS = 0.2  # per cent of the points at each end of each axis that do not widen the box
OFFSETS = np.array((0.0, 0.35, 0.7, 1.05, 1.4, 1.75, 2.1, 2.45))  # voxels outwards, tried
OUTLINES = 5  # views whose outlines are compared
STEP, JUMP = 0.7, 4.0  # voxels along a ray: near the surface, and where no brick is
FAR = np.float32(1e9)
AGREE = 1.5  # voxels within which the depth of another view confirms a place
FEW = 3.0  # views that confirm a place for full confidence


@dataclass(frozen=True, eq=False)
class FusedSurface:
    """values: (B, 9, 9, 9) float32, signed distance in TRUNCATE voxels, positive outside. index:
    (X, Y, Z) int32, number of a brick, -1 = none. origin: (3,) of the first voxel. offset: voxels
    outwards at which the surface is. cameras, depths: what was fused; FAR = nothing."""

    values: np.ndarray
    index: np.ndarray
    origin: np.ndarray
    voxel: float
    offset: float
    cameras: list[Camera]
    depths: list[np.ndarray]

    @classmethod
    def of(cls, scene, cameras: Sequence[Camera] = ()) -> FusedSurface:
        """Return the surface of a `HasFirstCrossing` scene, seen by its own cameras, or by
        `cameras` where it has none. IdfError: no camera, or nothing opaque before them."""
        own = list(scene.cameras) or list(cameras)
        if not own:
            raise IdfError("This scene has no cameras to look at it from", "no cameras",
                           "give a run folder, which holds the cameras that it was trained on")
        chosen = np.unique(np.linspace(0, len(own) - 1, VIEWS).round().astype(int))
        cameras = [own[k].fitted(min(SIZE, max(own[k].width, own[k].height))) for k in chosen]
        depths = [scene.first_crossing(c) for c in cameras]
        points = np.concatenate([_points(c, d) for c, d in zip(cameras, depths, strict=True)])
        if not len(points):
            raise IdfError("There is no surface in this scene",
                           f"nothing opaque in {len(cameras)} views", "train it longer")
        low, high = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
        pixel = float(np.median([np.nanmedian(d) / c.fx for c, d in zip(
            cameras, depths, strict=True) if np.isfinite(d).any()]))
        voxel = max(float((high - low).max()) / CELLS, LEAST_VOXEL * pixel)
        band = TRUNCATE + 1
        origin = low - (band + 1) * voxel
        shape = np.ceil((high + (band + 1) * voxel - origin) / (BRICK * voxel)).astype(int)
        near = np.zeros(shape, np.bool_)
        _mark((points - origin) / voxel, band, near)
        places = np.argwhere(near)
        index = np.full(shape, -1, np.int32)
        index[tuple(places.T)] = np.arange(len(places))
        values = np.empty((len(places), BRICK + 1, BRICK + 1, BRICK + 1), np.float32)
        depths = [np.where(np.isfinite(d), d, FAR) for d in depths]
        table = np.array([_row(c) for c in cameras])
        flat = np.concatenate([d.ravel() for d in depths])
        starts = np.cumsum([0] + [d.size for d in depths])
        run_on_threads(_fuse, origin, voxel, places, table, flat, starts, values)
        raw = cls(values, index, origin, voxel, 0.0, cameras, depths)
        return cls(values, index, origin, voxel, raw._outward(), cameras, depths)

    def _outward(self) -> float:
        """Return by how many voxels the surface has to move to cover as many pixels as the splats.
        """
        chosen = np.unique(np.linspace(0, len(self.cameras) - 1, OUTLINES).round().astype(int))
        excess = []
        for offset in OFFSETS:
            covered = sum(int(np.isfinite(self.depth(self.cameras[k], offset)).sum())
                          for k in chosen)
            excess.append(covered - sum(int((self.depths[k] < FAR).sum()) for k in chosen))
            if excess[-1] >= 0:
                break
        if len(excess) == 1:
            return 0.0
        if excess[-1] < 0:  # the outlines are wider than what can be explained
            return float(OFFSETS[int(np.argmax(excess))])
        share = -excess[-2] / (excess[-1] - excess[-2])
        n = len(excess)
        return float(OFFSETS[n - 2] + share * (OFFSETS[n - 1] - OFFSETS[n - 2]))

    def depth(self, camera: Camera, offset: float | None = None) -> np.ndarray:
        """Return (H, W) float32 along the optical axis, NaN where no ray meets the surface."""
        out = np.empty((camera.height, camera.width), np.float32)
        o, directions = camera.rays()
        along = np.ascontiguousarray(directions / (directions @ camera.forward)[..., None])
        extent = BRICK * np.array(self.index.shape)
        center = self.origin + self.voxel * extent / 2
        reach = self.voxel * float(np.linalg.norm(extent)) / 2
        middle = float((center - o) @ camera.forward)
        level = (self.offset if offset is None else offset) / TRUNCATE
        run_on_threads(_cast, self.values, self.index, (o - self.origin) / self.voxel,
                       along / self.voxel, max(middle - reach, self.voxel), middle + reach,
                       self.voxel, level, out)
        return out

    def confidence(self, camera: Camera, depth: np.ndarray) -> np.ndarray:
        """Return (H, W) float32 in [0, 1]: of the views that are not hidden from a place, the share
        that have their surface there, less where fewer than FEW do; 0 where depth is NaN."""
        seen = np.isfinite(depth)
        points = _points(camera, depth)
        confirm, deny = np.zeros((2, len(points)), np.float32)
        for c, d in zip(self.cameras, self.depths, strict=True):
            uv, z = c.project(points)
            inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < c.width) & (uv[:, 1] < c.height)
            j, i = np.where(inside[:, None], uv, 0).astype(np.int64).T
            # the fused surface lies before what the views' rays meet
            behind = (d[i, j] - z) / self.voxel - self.offset
            confirm += inside & (np.abs(behind) < AGREE + self.offset)
            deny += inside & (behind >= AGREE + self.offset)
        out = np.zeros(depth.shape, np.float32)
        out[seen] = confirm / np.maximum(confirm + deny, 1) * np.minimum(confirm / FEW, 1)
        return out


def _points(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """Return (N, 3) world points of the pixels that have a depth."""
    o, directions = camera.rays()
    seen = np.isfinite(depth)
    d = directions[seen]
    return o + d * (depth[seen] / (d @ camera.forward))[:, None]


def _row(c: Camera) -> list[float]:
    return [*c.w2c_cv[:3].ravel(), c.fx, c.fy, c.cx, c.cy, c.width, c.height]


@kernel
def _mark(points, band, near):
    """Mark the bricks within `band` voxels of points (N, 3) in voxels."""
    for p in range(len(points)):
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for a in range(3):
            low[a] = max(int(np.floor((points[p, a] - band) / BRICK)), 0)
            high[a] = min(int(np.floor((points[p, a] + band) / BRICK)) + 1, near.shape[a])
        for i in range(low[0], high[0]):
            for j in range(low[1], high[1]):
                for k in range(low[2], high[2]):
                    near[i, j, k] = True


@kernel
def _fuse(origin, voxel, places, cameras, depths, starts, values, counter):
    """Fill values: of the views that have a voxel in their picture and no surface far before it,
    the mean signed distance; -1 where none does."""
    b = first_item(counter)
    while b < len(places):
        for i in range(BRICK + 1):
            for j in range(BRICK + 1):
                for k in range(BRICK + 1):
                    x = origin[0] + voxel * (BRICK * places[b, 0] + i)
                    y = origin[1] + voxel * (BRICK * places[b, 1] + j)
                    z = origin[2] + voxel * (BRICK * places[b, 2] + k)
                    total, count = 0.0, 0
                    for v in range(len(cameras)):
                        d = _distance(cameras[v], depths, starts[v], x, y, z, voxel)
                        if d >= -1:
                            total += min(d, 1.0)
                            count += 1
                    values[b, i, j, k] = total / count if count else -1.0
        b = next_item(counter)


@inner
def _distance(c, depths, start, x, y, z, voxel):
    """How far a point lies before a view's surface, in TRUNCATE voxels; -2 = outside its picture.
    """
    away = c[8] * x + c[9] * y + c[10] * z + c[11]
    if away <= 0:
        return -2.0
    u = (c[0] * x + c[1] * y + c[2] * z + c[3]) / away * c[12] + c[14] - 0.5
    v = (c[4] * x + c[5] * y + c[6] * z + c[7]) / away * c[13] + c[15] - 0.5
    width, height = int(c[16]), int(c[17])
    if not (u >= -0.5 and v >= -0.5 and u < width - 0.5 and v < height - 0.5):
        return -2.0
    x0, y0 = min(max(int(u), 0), width - 2), min(max(int(v), 0), height - 2)
    fu, fv = min(max(u - x0, 0.0), 1.0), min(max(v - y0, 0.0), 1.0)
    at = start + y0 * width + x0
    a, b, e, f = depths[at], depths[at + 1], depths[at + width], depths[at + width + 1]
    if max(a, b, e, f) - min(a, b, e, f) < 4 * voxel:
        depth = (a * (1 - fu) + b * fu) * (1 - fv) + (e * (1 - fu) + f * fu) * fv
    else:  # not across an edge
        depth = depths[at + (width if fv > 0.5 else 0) + (1 if fu > 0.5 else 0)]
    return (depth - away) / (TRUNCATE * voxel)


@kernel
def _cast(values, index, origin, directions, near, far, voxel, level, out, counter):
    """Fill out (H, W): where rays first come from above `level` to below it. origin (3,),
    directions (H, W, 3): voxels, the latter for one world unit along the optical axis."""
    height, width = out.shape
    i = first_item(counter)
    while i < height:
        for j in range(width):
            d = directions[i, j]
            t, before, t_before, fine_until = near, -1.0, near, near
            jumped = False
            out[i, j] = np.nan
            while t < far:
                s = _sample(values, index, origin[0] + t * d[0], origin[1] + t * d[1],
                            origin[2] + t * d[2])
                if s > 1.5:  # no brick
                    before, jumped = -1.0, t >= fine_until
                    t += JUMP * voxel if jumped else STEP * voxel
                    continue
                if jumped:  # back to where the brick begins
                    jumped, fine_until = False, t
                    t += (STEP - JUMP) * voxel
                    continue
                s -= level
                if s <= 0 and before > 0:
                    out[i, j] = t_before + (t - t_before) * before / (before - s)
                    break
                before, t_before = s, t
                t += STEP * voxel
        i = next_item(counter)


@inner
def _sample(values, index, x, y, z):
    """Interpolate the distance at a place in voxels; 2 where there is no brick."""
    if not (x >= 0 and y >= 0 and z >= 0):
        return 2.0
    bx, by, bz = int(x) // BRICK, int(y) // BRICK, int(z) // BRICK
    if bx >= index.shape[0] or by >= index.shape[1] or bz >= index.shape[2]:
        return 2.0
    b = index[bx, by, bz]
    if b < 0:
        return 2.0
    x, y, z = x - BRICK * bx, y - BRICK * by, z - BRICK * bz
    i, j, k = int(x), int(y), int(z)
    x, y, z = x - i, y - j, z - k
    v = values[b]
    return (((v[i, j, k] * (1 - z) + v[i, j, k + 1] * z) * (1 - y)
             + (v[i, j + 1, k] * (1 - z) + v[i, j + 1, k + 1] * z) * y) * (1 - x)
            + ((v[i + 1, j, k] * (1 - z) + v[i + 1, j, k + 1] * z) * (1 - y)
               + (v[i + 1, j + 1, k] * (1 - z) + v[i + 1, j + 1, k + 1] * z) * y) * x)
