"""Correct the fitted mesh by what the pictures show.

Landmark models place a cheek or a lid by the look of the whole face, and are wrong in the same way
in every turned view, so that triangulation keeps the error. Here the face's mean colors, painted
onto the mesh and drawn into each view, are compared with the picture itself by optical flow: what
moved shows where the surface really is. Detection is not needed, so profiles help too.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from ...face.mesh import FaceMesh, vertex_normals
from ...face.raster import rasterize
from ...runtime.machine import cpu_count
from ...runtime.parallel import pmap
from .uv_atlas import head_axes, load_views, make_chart, mean_colors, spread_views

# Lengths are shares of the face's width.
ROUNDS = 5  # of painting, comparing and moving
VIEWS = 32  # most pictures compared
MAX_ANGLE = 80.0  # degrees between the face's front and a camera up to which a view is compared
DETAIL = 0.025  # width of the high-pass that takes light and highlights out before comparing
TEXTURE = 1.0  # gray levels of detail at which a point's flow is trusted half
FAR = 0.04  # flow at which a point's weight is halved
STIFFNESS = 0.3  # how much neighbors move together, relative to what the pictures show
MAX_FACE = 256  # pixels; larger faces are reduced first


def refine_face(mesh: FaceMesh, frames, rounds: int = ROUNDS) -> FaceMesh:
    """Return the mesh, moved to agree with the pictures.

    frames: as given to `fit_face`, with `.camera` and `.image()`. Every round solves

        min_D sum_views w |project(X + D) - (project(X) + flow)|^2 + stiffness |laplacian D|^2

    with the projection linearized as in `triangulate`. Needs at least three usable views; with
    fewer it returns the mesh as it is (flow in one plane shows no depth).
    rounds: 0 leaves the mesh as it is.
    """
    cameras = [f.camera for f in frames]
    front = head_axes(mesh.vertices)[0]
    d = np.stack([c.position for c in cameras]) - mesh.vertices.mean(0)
    cosine = d @ front / np.linalg.norm(d, axis=1)
    near = np.flatnonzero(cosine > np.cos(np.radians(MAX_ANGLE)))
    if rounds < 1 or len(near) < 3:
        return mesh
    picked = spread_views(mesh.vertices, cameras, near, VIEWS)
    views = load_views(mesh, frames, picked, MAX_FACE)
    if len(views) < 3:
        return mesh
    for _ in range(rounds):
        cell = 1 / max(v.scale for v in views)
        chart = make_chart(mesh, cell)
        # Steep views see the colors too blurred to paint with, but they are compared.
        steady = [v for v in views if cosine[v.index] > 0.5]
        colors, seen = mean_colors(mesh, chart, steady)
        rgba = np.dstack([colors, 255 * seen]).astype(np.float32)
        look = partial(_observe, mesh, chart, rgba)
        P, xy, weight = (np.stack(a) for a in zip(*pmap(look, views, "threads", cpu_count()),
                                                  strict=True))
        vertices = mesh.vertices + move_vertices(mesh, P, xy, weight)
        mesh = FaceMesh(vertices, vertex_normals(vertices), mesh.inliers, mesh.residuals)
    return mesh


def _observe(mesh, chart, rgba, view):
    """P (3, 4), where each vertex is seen (468, 2), and how sure that is (468,)."""
    h, w = view.image.shape[:2]
    xy, z = view.project(mesh.vertices)
    facing = view.facing(mesh.vertices, mesh.normals)
    attributes = np.concatenate([chart.uv, facing[:, None]], axis=1)
    attr, ids, zbuf = rasterize(mesh.triangles, xy, z, attributes, h, w, perspective=True)
    at = np.where((ids >= 0)[..., None], attr[..., :2] - 0.5, -9).astype(np.float32)
    painted = cv2.remap(rgba, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    a = view.image[..., 3:] / np.float32(255)
    actual = view.image[..., :3] * a + 128 * (1 - a)
    shown = (painted[..., 3] > 250) & (attr[..., 2] > 0.1)
    drawn = np.where(shown[..., None], painted[..., :3], actual)  # beyond the face nothing moves

    size = mesh.width * view.scale  # face width, pixels
    before, after = (_detail(p, DETAIL * size) for p in (drawn, actual))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # works on one at a time
    moved = flow.calc(before, after, None)
    at = (xy - 0.5).astype(np.float32)[:, None]
    step = cv2.remap(moved, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    # How much there is to see at a point: the mean squared gradient around it.
    gx, gy = (cv2.Sobel(before, cv2.CV_32F, 1 - k, k) / (8 * _GAIN) for k in (0, 1))
    energy = cv2.GaussianBlur(gx * gx + gy * gy, (0, 0), 0.02 * size)
    energy = cv2.remap(energy, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    clear = energy / (energy + (TEXTURE / 3) ** 2) + 0.02
    k = np.clip(xy.astype(int), 0, (w - 1, h - 1))
    visible = (z < zbuf[k[:, 1], k[:, 0]] + 0.03 * mesh.width) & (xy > 0).all(1) \
        & (xy < (w, h)).all(1)
    robust = 1 + ((step / (FAR * size)) ** 2).sum(1)
    sure = visible * np.clip((facing - 0.15) / 0.35, 0, 1) * clear / robust
    return view.P, xy + step, sure / z**2


_GAIN = 3  # of the high-pass, so that faint detail uses the 8 bits that the flow works on


def _detail(rgb, sigma):
    """(H, W) uint8: gray without its smooth part."""
    gray = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2GRAY)
    high = 128 + _GAIN * (gray - cv2.GaussianBlur(gray, (0, 0), max(sigma, 1.0)))
    return np.clip(high, 0, 255).astype(np.uint8)


def point_equations(P, xy, weight, start=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal equations lhs (V, 3, 3), rhs (V, 3) of points seen in many views.

    P: (S, 3, 4) projection matrices to pixels. xy: (S, V, 2) pixels. weight: (S, V). start: (V, 3),
    the solution is a motion from there. Rows a = x P_3 - P_1 and y P_3 - P_2 of every view,
    a . (X, 1) = 0 (Hartley and Zisserman 2004, section 12.2).
    """
    rows = np.concatenate([xy[..., :1, None] * P[:, None, 2:3] - P[:, None, 0:1],
                           xy[..., 1:, None] * P[:, None, 2:3] - P[:, None, 1:2]], axis=2)
    A = rows[..., :3]
    b = -rows[..., 3]
    if start is not None:
        b = b - np.einsum("svki,vi->svk", A, start)
    wA = A * weight[..., None, None]
    return (np.einsum("svki,svkj->vij", wA, A, optimize=True),
            np.einsum("svki,svk->vi", wA, b, optimize=True))


def move_vertices(mesh, P, xy, weight, stiffness: float = STIFFNESS) -> np.ndarray:
    """Return (468, 3) displacements: weighted observations and a membrane between neighbors."""
    lhs, rhs = point_equations(P, xy, weight, mesh.vertices)
    t = mesh.triangles
    edges = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    n = len(mesh.vertices)
    laplacian = np.zeros((n, n))
    laplacian[edges[:, 0], edges[:, 1]] = laplacian[edges[:, 1], edges[:, 0]] = -1
    laplacian[np.diag_indices(n)] = -laplacian.sum(1)
    # Stiffness in units of what a typical vertex knows; the last term holds what no view sees.
    unit = stiffness * np.median(np.trace(lhs, axis1=1, axis2=2)) / 3
    D = _solve(lhs, unit * (laplacian + 1e-3 * np.eye(n)), rhs)
    length = np.linalg.norm(D, axis=1, keepdims=True)
    return D * np.minimum(1, 0.03 * mesh.width / np.maximum(length, 1e-12))


def _solve(blocks, coupling, rhs, tolerance: float = 1e-6) -> np.ndarray:
    """x (V, 3) of blocks_v x_v + sum_u coupling_vu x_u = rhs_v.

    blocks: (V, 3, 3), coupling: (V, V), together symmetric positive definite. Conjugate gradients,
    preconditioned by the 3x3 blocks of the diagonal.
    """
    inverse = np.linalg.inv(blocks + np.diag(coupling)[:, None, None] * np.eye(3))
    x = np.zeros_like(rhs)
    r = rhs.copy()
    z = np.einsum("vij,vj->vi", inverse, r)
    p, rz = z, (r * z).sum()
    start = rz
    for _ in range(3 * len(rhs)):
        if rz <= tolerance**2 * start:
            break
        Ap = np.einsum("vij,vj->vi", blocks, p) + coupling @ p
        step = rz / (p * Ap).sum()
        x, r = x + step * p, r - step * Ap
        z = np.einsum("vij,vj->vi", inverse, r)
        rz, old = (r * z).sum(), rz
        p = z + rz / old * p
    return x
