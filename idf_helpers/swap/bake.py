"""The source's face, painted once onto the fitted mesh.

The texture lives in a chart of the target's mesh: a cylinder round the head's upright axis,
unrolled. Unlike the plane of the source photo it neither squeezes the cheeks nor folds over
under the nose, and several photos could fill it. The target's own views are averaged into the same
chart, and the source is moved to their colours and light there, once for all views: that is what
makes the swap agree between views.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import IdfError
from . import topology
from .colour import (
    ColourConfig,
    feather,
    fill_rings,
    lab_to_rgb,
    masked_blur,
    match_colour,
    rgb_to_lab,
    smoothstep,
)
from .raster import rasterize
from .triangulate import FaceMesh, load_arrays, save_arrays


@dataclass(frozen=True)
class BakeConfig:
    """How the texture is made. Shares are of the face's width.

    scale: texture cells per pixel of the largest face among the views; above 1 to keep detail.
    max_width: widest chart in cells (bounds memory on large pictures).
    views: most views averaged into the target's mean colours.
    border: width of the fade at the outer rim of the face, share.
    hole: width of the fade round eyes and mouth, share.
    hidden: cosine to the source's camera below which its surface counts as not seen, and above
        which it counts fully.
    colour: how the source's colours become the target's.
    """

    scale: float = 1.5
    max_width: int = 768
    views: int = 40
    border: float = 0.12
    hole: float = 0.03
    hidden: tuple[float, float] = (0.12, 0.42)
    colour: ColourConfig = ColourConfig()


@dataclass(frozen=True, eq=False)
class FaceTexture:
    """What `render_swap` paints.

    uv: (468, 2) float32, place of each mesh vertex in the texture, cells, first centre (0.5, 0.5).
    rgba: (h, w, 4) uint8; colours 0-255 are defined everywhere (not premultiplied), alpha is the
        share of the source.
    target: (h, w, 3) uint8, the target's mean colours there (0 where never seen).
    """

    uv: np.ndarray
    rgba: np.ndarray
    target: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for `numpy.savez`; `FaceTexture(**arrays)` makes the texture again."""
        return {k: np.asarray(getattr(self, k)) for k in self.__dataclass_fields__}

    def save(self, path) -> None:
        """Write an .npz file, atomically."""
        save_arrays(path, self.arrays())

    @classmethod
    def load(cls, path) -> FaceTexture:
        """Read what `save` wrote."""
        return load_arrays(cls, path)


def chart(mesh: FaceMesh) -> np.ndarray:
    """(468, 2) float64 unrolled cylinder of the mesh: x = angle times mean radius, y = down.

    World units, both from 0. The axis is upright, half a face width behind the nose tip's plane of
    the ears, so that every part of the face looks away from it and no triangle folds over.
    """
    v = mesh.vertices
    front, up, side = axes(mesh)
    ears = v[[topology.FACE_RIGHT, topology.FACE_LEFT]].mean(0)
    q = v - ears + 0.1 * mesh.width * front
    across, ahead = q @ side, q @ front
    x = np.arctan2(across, ahead) * np.hypot(across, ahead).mean()
    uv = np.stack([x, -(q @ up)], 1)
    return uv - uv.min(0)


def axes(mesh: FaceMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors of the head: where the face looks, up, and to the picture's right (its left)."""
    v = mesh.vertices
    up = v[topology.FOREHEAD] - v[topology.CHIN]
    side = v[topology.FACE_LEFT] - v[topology.FACE_RIGHT]
    up = up / np.linalg.norm(up)
    side = side - up * (side @ up)
    side = side / np.linalg.norm(side)
    return np.cross(side, up), up, side


def bake(mesh: FaceMesh, frames, source, config: BakeConfig = BakeConfig()) -> FaceTexture:
    """Paint `source` onto `mesh` in the colours of `frames`.

    frames: the frames given to `fit_face` (`.camera`, `.image()` -> (H, W, 3 or 4) uint8); only
    those that the mesh was made from are opened, at most `config.views`.
    source: a `SourceFace`: `.image` (H, W, 3) uint8, `.landmarks` (468 points), `.skin` (H, W)
    weight of what may be taken from it (0 on hair and background).

    Raises IdfError when no view shows the face.
    """
    frames = list(frames)
    if len(frames) != len(mesh.inliers):
        raise ValueError(f"the mesh was fitted to {len(mesh.inliers)} frames, not {len(frames)}")
    used = _spread(mesh, frames, config.views)
    flat = chart(mesh)
    cell = _cell_size(mesh, [frames[i].camera for i in used], flat, config)
    uv = (flat / cell + 2).astype(np.float32)
    w, h = (np.ceil(uv.max(0)) + 2).astype(int)
    face = mesh.width / cell  # the face's width in cells

    # Every texel's place on the surface, its normal, and its place and depth in the source photo.
    points = np.asarray(source.landmarks.points, np.float64)[:, :2]
    toward = _source_direction(mesh, points)
    depth = -(mesh.vertices @ toward)[:, None]
    attributes = np.concatenate([mesh.vertices, mesh.normals, points, depth], axis=1)
    attr, ids, _ = rasterize(mesh.triangles, uv, np.zeros(len(uv)), attributes, h, w)
    covered = ids >= 0
    place, normal, at, at_depth = attr[..., :3], attr[..., 3:6], attr[..., 6:8], attr[..., 8]

    target, target_weight = _mean_target(mesh, [frames[i] for i in used], place, normal, covered)
    if not (target_weight > 0).any():
        raise IdfError("No view shows the face that was fitted",
                       f"{len(used)} views, none with a visible face",
                       "check that the cameras belong to the pictures")

    colours, skin = _sample_source(source, at, covered, cell, mesh)
    low, high = config.hidden
    seen = smoothstep((normal @ toward - low) / (high - low))
    seen *= ~_hidden_in_source(mesh, points, depth, at, at_depth)
    taken = covered * skin * masked_blur(seen, covered, 0.01 * face)
    matched = lab_to_rgb(match_colour(rgb_to_lab(colours / 255), rgb_to_lab(target / 255),
                                      (taken * (target_weight > 0)).astype(np.float32),
                                      face, config.colour)) * 255

    alpha = _alpha(uv, covered, taken, face, config)
    # Where the source shows nothing the target's own colours stand in, so that no interpolated
    # cell along the rim brings in hair or background.
    taken = taken[..., None]
    rgb = matched * taken + target * (1 - taken)
    rgb = _grow(rgb, covered & (target_weight > 0))
    rgba = np.concatenate([rgb, 255 * alpha[..., None]], -1)
    return FaceTexture(uv, np.clip(np.rint(rgba), 0, 255).astype(np.uint8),
                       np.clip(np.rint(target), 0, 255).astype(np.uint8))


def _spread(mesh, frames, limit):
    """At most `limit` inlier views, spread over directions (farthest point first)."""
    used = np.flatnonzero(mesh.inliers)
    d = np.stack([frames[i].camera.position for i in used]) - mesh.vertices.mean(0)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    pick = [int(np.argmax(d @ axes(mesh)[0]))]
    gap = 1 - d @ d[pick[0]]
    while len(pick) < min(limit, len(used)):
        pick.append(int(gap.argmax()))
        gap = np.minimum(gap, 1 - d @ d[pick[-1]])
        gap[pick] = -1
    return used[np.sort(pick)]


def _cell_size(mesh, cameras, flat, config):
    """World size of a texture cell, from the largest face in the views."""
    centre = mesh.vertices.mean(0, keepdims=True)
    pixels = max(0.5 * (c.fx + c.fy) / max(float(c.project(centre)[1][0]), 1e-9)
                 for c in cameras)  # pixels per world unit
    return max(1 / (config.scale * pixels), flat[:, 0].max() / config.max_width)


def _mean_target(mesh, frames, place, normal, covered):
    """The target's colours in the chart: sum w c / sum w, w = clip((facing - 0.2) / 0.8)^3."""
    h, w = covered.shape
    X, N = place[covered].astype(np.float64), normal[covered]
    total, weight = np.zeros((len(X), 3), np.float32), np.zeros(len(X), np.float32)
    for frame in frames:
        camera, image = frame.camera, frame.image()
        xy, z = camera.project(X)
        view = camera.position - X
        facing = (view * N).sum(1) / np.linalg.norm(view, axis=1)
        vxy, vz = camera.project(mesh.vertices)
        near = _nearest(mesh, vxy, vz, xy, image.shape)
        see = np.clip((facing - 0.2) / 0.8, 0, 1) ** 3 * (z < near + 0.02 * mesh.width)
        rgba = _lookup(image, xy)
        if rgba.shape[1] == 4:
            see = see * (rgba[:, 3] / 255)
        total += see[:, None].astype(np.float32) * rgba[:, :3]
        weight += see.astype(np.float32)
    colour, full = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
    colour[covered] = total / np.maximum(weight, 1e-6)[:, None]
    full[covered] = np.where(weight > 1e-3, weight, 0)
    return colour, full


def _nearest(mesh, vxy, vz, xy, shape):
    """(N,) depth of the mesh at pixels `xy`; inf where it is not drawn or outside the picture."""
    lo = np.floor(np.maximum(np.nan_to_num(vxy.min(0)), 0)).astype(int)
    hi = np.ceil(np.minimum(np.nan_to_num(vxy.max(0)), (shape[1], shape[0]))).astype(int)
    if (hi <= lo).any():
        return np.full(len(xy), np.inf)
    _, _, zbuf = rasterize(mesh.triangles, vxy, vz, np.zeros((len(vxy), 0)), hi[1] - lo[1],
                           hi[0] - lo[0], origin=lo, perspective=True)
    k = np.floor(np.nan_to_num(xy)).astype(int) - lo
    inside = ((k >= 0) & (k < hi - lo)).all(1)
    k[~inside] = 0
    return np.where(inside, zbuf[k[:, 1], k[:, 0]], np.inf)


def _lookup(image, xy):
    """(N, C) float32 bilinear colours at pixels (N, 2); 0 outside the picture."""
    xy = np.nan_to_num(xy, nan=-9, posinf=-9, neginf=-9).astype(np.float32) - np.float32(0.5)
    # remap wants fewer than 32768 rows and columns
    n = len(xy)
    cols = 4096
    pad = np.full((-n % cols, 2), -9, np.float32)
    grid = np.concatenate([xy, pad]).reshape(-1, cols, 2)
    out = cv2.remap(image, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return out.reshape(-1, image.shape[2])[:n].astype(np.float32)


def _sample_source(source, at, covered, cell, mesh):
    """Source colours (h, w, 3) and skin weight (h, w) in the chart, filtered to its cells."""
    image = np.ascontiguousarray(source.image[..., :3])
    skin = np.ascontiguousarray(source.skin, np.float32)
    p = source.landmarks.points
    width = float(np.linalg.norm(p[topology.FACE_LEFT, :2] - p[topology.FACE_RIGHT, :2]))
    shrink = width / (mesh.width / cell)  # source pixels per texture cell
    if shrink > 1.3:  # a picture finer than the chart would alias
        size = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
        at = at * (np.array(size, np.float32) / (image.shape[1], image.shape[0]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        skin = cv2.resize(skin, size, interpolation=cv2.INTER_AREA)
    where = np.where(covered[..., None], at - 0.5, -9).astype(np.float32)
    colours = cv2.remap(image, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.remap(skin, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return colours.astype(np.float32), weight


def _source_direction(mesh, points):
    """(3,) unit, from the face toward the camera of the source photo, in the mesh's frame.

    That camera is taken as affine and fitted to the landmarks, x = A X + b; it looks along the one
    direction that A does not see.
    """
    X = np.concatenate([mesh.vertices, np.ones((len(points), 1))], 1)
    A = np.linalg.lstsq(X, points, rcond=None)[0][:3].T  # (2, 3)
    toward = np.cross(A[0], A[1])
    toward /= np.linalg.norm(toward)
    return toward if toward @ mesh.normals.mean(0) > 0 else -toward


def _hidden_in_source(mesh, points, depth, at, at_depth):
    """(h, w) bool: another part of the face (the nose, in a turned photo) covers this one."""
    lo = np.floor(points.min(0))
    step = max(1.0, np.ptp(points, axis=0).max() / 256)  # a coarse buffer is enough
    grid = np.ceil((points.max(0) - lo) / step).astype(int) + 1
    _, _, zbuf = rasterize(mesh.triangles, (points - lo) / step, depth[:, 0],
                           np.zeros((len(points), 0)), grid[1], grid[0])
    k = np.clip(np.floor((at - lo) / step).astype(int), 0, grid - 1)
    return at_depth > zbuf[k[..., 1], k[..., 0]] + 0.06 * mesh.width


def _alpha(uv, covered, taken, face, config):
    """(h, w) in [0, 1]: share of the source. Fades at the rim, round eyes and mouth, and where
    the photo shows no skin."""
    h, w = covered.shape
    outer = fill_rings([uv[topology.FACE_OVAL]], h, w) > 0.5
    rim = feather(outer, config.border * face)
    holes = fill_rings([uv[r] for r in (topology.LEFT_EYE, topology.RIGHT_EYE,
                                        topology.INNER_MOUTH)], h, w)
    open_ = feather(holes < 0.5, config.hole * face)
    return rim * open_ * masked_blur(taken, covered.astype(np.float32), 0.02 * face)


def _grow(rgb, known):
    """Colours carried outward from `known` cells, so that filtering at a border stays clean."""
    out = rgb * known[..., None]
    for sigma in (1.5, 6, 24):
        near = masked_blur(out, known.astype(np.float32), sigma)
        reach = cv2.dilate(known.astype(np.uint8), None, iterations=int(2 * sigma)) > 0
        new = reach & ~known
        out[new] = near[new]
        known = known | reach
    return out
