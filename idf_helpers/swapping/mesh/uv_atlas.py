"""The face mesh unrolled onto a plane, and the target's own colors there.

The chart is a cylinder around the head's upright axis, unrolled. Unlike the plane of a photo it
neither squeezes the cheeks nor folds over under the nose, and any number of views can fill it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...data.sequence import farthest_first
from ...face import topology
from ...face.mesh import eye_caps, vertex_normals, with_eyes
from ...face.raster import rasterize
from ...kernels.compile import exact_kernel


def head_axes(vertices) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors of the head, by its 468 points: where it looks, up, and its own left."""
    up = vertices[topology.FOREHEAD] - vertices[topology.CHIN]
    left = vertices[topology.FACE_LEFT] - vertices[topology.FACE_RIGHT]
    up = up / np.linalg.norm(up)
    left = left - up * (left @ up)
    left = left / np.linalg.norm(left)
    return np.cross(left, up), up, left


def unroll(vertices) -> np.ndarray:
    """Return (468, 2) float64, world units from 0: x = angle times mean radius (its left = right),
    y down.

    The axis is upright and runs a tenth of the face's width behind the line between the ears, so
    that every part of the face looks away from it and no triangle folds over.
    """
    front, up, left = head_axes(vertices)
    ears = vertices[[topology.FACE_RIGHT, topology.FACE_LEFT]]
    q = vertices - ears.mean(0) + 0.1 * np.linalg.norm(ears[1] - ears[0]) * front
    across, ahead = q @ left, q @ front
    uv = np.stack([np.arctan2(across, ahead) * np.hypot(across, ahead).mean(), -(q @ up)], 1)
    return uv - uv.min(0)


@dataclass(frozen=True, eq=False)
class Chart:
    """The unrolled face as a picture of h x w cells.

    uv: (468, 2) float32 place of each vertex in cells, first center (0.5, 0.5). cell: its size in
    world units. face: the face's width in cells. covered: (h, w) bool. place, normal: (h, w, 3)
    float32, the point of the surface in the world and its normal (not unit). extra: (h, w, A)
    float32, further values of the vertices. eyes: whether the eyes' openings are covered too.
    """

    uv: np.ndarray
    cell: float
    face: float
    covered: np.ndarray
    place: np.ndarray
    normal: np.ndarray
    extra: np.ndarray
    eyes: bool = False


def make_chart(mesh, cell: float, extra=None, uv=None, eyes: bool = False) -> Chart:
    """Return the unrolled face of a FaceMesh.

    cell: world units. extra: (468, A) values to carry along, or None. uv: (468, 2) the places of
    another chart of the same cells, for the same face bent. eyes: cover the eyes' openings too, by
    the front of their balls.
    """
    if uv is None:
        uv = (unroll(mesh.vertices) / cell + 2).astype(np.float32)
    w, h = (np.ceil(uv.max(0)) + 2).astype(int)
    extra = np.zeros((len(uv), 0)) if extra is None else extra
    attributes, places = np.concatenate([mesh.normals, extra], axis=1), uv
    vertices, triangles = mesh.vertices, mesh.triangles
    if eyes:
        vertices, caps = eye_caps(vertices, mesh.normals, triangles)
        triangles = np.concatenate([triangles, caps])
        if len(caps):
            attributes, places = with_eyes(attributes), with_eyes(uv)
    attr, ids, _ = rasterize(triangles, places, np.zeros(len(places)),
                             np.concatenate([vertices, attributes], axis=1), h, w)
    return Chart(uv, cell, mesh.width / cell, ids >= 0, attr[..., :3], attr[..., 3:6],
                 attr[..., 6:], eyes)


@dataclass(frozen=True, eq=False)
class FaceView:
    """One picture of the face, cut out.

    image: (h, w, 4) uint8 RGBA. P: (3, 4) float64, world to pixels of `image`. eye: (3,) camera
    center. scale: pixels per world unit at the face. index: of the frame. shape: (468, 3) the
    face's vertices in this picture where it moves, else None.
    """

    image: np.ndarray
    P: np.ndarray
    eye: np.ndarray
    scale: float
    index: int
    shape: np.ndarray | None = None

    def project(self, points) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (N, 2) and depths (N,) of points (N, 3)."""
        h = points @ self.P[:, :3].T + self.P[:, 3]
        return h[:, :2] / h[:, 2:], h[:, 2]

    def facing(self, points, normals) -> np.ndarray:
        """Return (N,) cosine between unit normals and the direction to the camera."""
        view = self.eye - points
        return (view * normals).sum(1) / np.linalg.norm(view, axis=1)


def load_views(mesh, frames, indices, max_face: float, margin: float = 0.1, shapes=None
               ) -> list[FaceView]:
    """Return the pictures numbered `indices`, cut to the face and reduced so that a face is at most
    `max_face` pixels wide. margin: share of the face's width. shapes: (N, 468, 3) vertices of the
    face in each frame, NaN where it is not seen; None = it does not move. Views without the face
    are left out."""
    views = []
    for i in indices:
        camera = frames[i].camera
        shape = None if shapes is None else np.asarray(shapes[i], np.float64)
        xy, z = camera.project(mesh.vertices if shape is None else shape)
        if not (z > 0).all():
            continue
        scale = 0.5 * (camera.fx + camera.fy) / float(np.median(z))
        gap = margin * mesh.width * scale
        lo = np.maximum(np.floor(xy.min(0) - gap), 0).astype(int)
        hi = np.minimum(np.ceil(xy.max(0) + gap), (camera.width, camera.height)).astype(int)
        if (hi - lo < 8).any():
            continue
        image = frames[i].image()[lo[1]:hi[1], lo[0]:hi[0]]
        if image.shape[2] == 3:
            image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        shrink = min(1.0, max_face / (mesh.width * scale))
        if shrink < 1:
            size = np.maximum(np.round((hi - lo) * shrink), 1).astype(int)
            sx, sy = size / (hi - lo)
            image = cv2.resize(image, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
        else:
            sx = sy = 1.0
        cut = np.array([[sx, 0, -sx * lo[0]], [0, sy, -sy * lo[1]], [0, 0, 1]])
        P = cut @ camera.K @ camera.w2c_cv[:3]
        views.append(FaceView(np.ascontiguousarray(image), P, camera.position, scale * shrink, i,
                              shape))
    return views


def spread_views(vertices, cameras, candidates, limit: int) -> np.ndarray:
    """Return at most `limit` of the view numbers `candidates`, spread over directions (farthest
    first)."""
    candidates = np.asarray(candidates)
    d = np.stack([cameras[i].position for i in candidates]) - vertices.mean(0)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    front = int(np.argmax(d @ head_axes(vertices)[0]))
    return candidates[np.sort(farthest_first(lambda i: 1 - d @ d[i], front, limit))]


def mean_colors(mesh, chart: Chart, views) -> tuple[np.ndarray, np.ndarray]:
    """Return the target's own face in the chart:

        sum w c / sum w,   w = alpha clip((facing - 0.2) / 0.8)^3

    Returns colors (h, w, 3) float32 0-255 (0 where never seen) and seen (h, w) bool.
    """
    still = _points(chart)
    total, weight = np.zeros((len(still[0]), 3)), np.zeros(len(still[0]))
    for view in views:
        shown, (X, N) = mesh, still
        if view.shape is not None:
            shown = replace(mesh, vertices=view.shape, normals=vertex_normals(view.shape))
            X, N = _points(make_chart(shown, chart.cell, uv=chart.uv, eyes=chart.eyes))
        vertices, caps = eye_caps(shown.vertices, shown.normals, shown.triangles)
        xy, z = view.project(vertices)
        _, _, zbuf = rasterize(np.concatenate([mesh.triangles, caps]), xy, z,
                               np.zeros((len(xy), 0)), *view.image.shape[:2], perspective=True)
        _gather(X, N, view.P, view.eye, view.image, zbuf, 0.02 * mesh.width, total, weight)
    colors = np.zeros((*chart.covered.shape, 3), np.float32)
    seen = np.zeros(chart.covered.shape, bool)
    colors[chart.covered] = total / np.maximum(weight, 1e-6)[:, None]
    seen[chart.covered] = weight > 1e-3
    return colors * seen[..., None], seen


def _points(chart: Chart) -> tuple[np.ndarray, np.ndarray]:
    """Places (M, 3) and unit normals (M, 3) of the covered cells."""
    N = chart.normal[chart.covered].astype(np.float64)
    N /= np.maximum(np.linalg.norm(N, axis=1, keepdims=True), 1e-9)
    return np.ascontiguousarray(chart.place[chart.covered], np.float64), N


@exact_kernel
def _gather(X, N, P, eye, image, zbuf, tolerance, total, weight):
    """Add one view's colors at the points X to `total` and `weight`."""
    height, width = image.shape[:2]
    for n in range(X.shape[0]):
        z = P[2, 0] * X[n, 0] + P[2, 1] * X[n, 1] + P[2, 2] * X[n, 2] + P[2, 3]
        if z <= 0:
            continue
        vx, vy, vz = eye[0] - X[n, 0], eye[1] - X[n, 1], eye[2] - X[n, 2]
        facing = (vx * N[n, 0] + vy * N[n, 1] + vz * N[n, 2]) / np.sqrt(vx * vx + vy * vy + vz * vz)
        if facing <= 0.2:
            continue
        px = (P[0, 0] * X[n, 0] + P[0, 1] * X[n, 1] + P[0, 2] * X[n, 2] + P[0, 3]) / z - 0.5
        py = (P[1, 0] * X[n, 0] + P[1, 1] * X[n, 1] + P[1, 2] * X[n, 2] + P[1, 3]) / z - 0.5
        x0, y0 = int(np.floor(px)), int(np.floor(py))
        if x0 < 0 or y0 < 0 or x0 + 1 >= width or y0 + 1 >= height:
            continue
        if z > zbuf[int(py + 0.5), int(px + 0.5)] + tolerance:
            continue  # hidden behind another part of the face
        fx, fy = px - x0, py - y0
        w00, w10, w01, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
        alpha = (w00 * image[y0, x0, 3] + w10 * image[y0, x0 + 1, 3]
                 + w01 * image[y0 + 1, x0, 3] + w11 * image[y0 + 1, x0 + 1, 3]) / 255.0
        w = alpha * ((facing - 0.2) / 0.8) ** 3
        weight[n] += w
        for c in range(3):
            total[n, c] += w * (w00 * image[y0, x0, c] + w10 * image[y0, x0 + 1, c]
                                + w01 * image[y0 + 1, x0, c] + w11 * image[y0 + 1, x0 + 1, c])
