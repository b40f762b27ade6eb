"""Where a head is, from its landmarks in one picture (perspective n points)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import IdfError
from .head_model import FaceModel
from .topology import POINTS

ROUNDS = 12  # Gauss-Newton steps; from a close start three do
ROBUST = 0.02  # of the face's size in the picture: error at which a point's weight is halved


@dataclass(frozen=True, eq=False)
class PoseFit:
    """A head before a camera.

    pose: (4, 4) float64 rigid, head to camera, OpenGL axes (x right, y up, the camera looks along
        -z); lengths as the vertices'. Its inverse is the camera-to-head matrix that a NeRFace
        file calls `transform_matrix`. Identity rotation: the face looks into the camera.
    residual: median distance of the projected vertices from the landmarks, pixels, over the
        half of the points that show most of the pose.
    errors: (468,) float64 pixels.
    """

    pose: np.ndarray
    residual: float
    errors: np.ndarray

    @property
    def c2w(self) -> np.ndarray:
        """(4, 4) OpenGL camera-to-world, the world being the head's frame."""
        return rigid_inverse(self.pose)


def fit_pose(points, camera, vertices=None, weights=None, start=None,
             model: FaceModel | None = None) -> PoseFit:
    """Return the pose under which `vertices` project to `points` best.

    points: (468, 2 or more) landmarks in pixels (x right, y down, the first pixel's center at 0.5),
        or an object with such `.points`; rows that are not finite do not count.
    camera: anything with fx, fy, cx, cy in pixels, e.g. `cameras.Camera` (its pose is not used).
    vertices: (468, 3) in the head's frame, cm; None = the measured rest face. What the landmark
        model makes of any face that is turned (`FaceModel.displacement`) is added to them.
    weights: (468,) >= 0; None = `FaceModel.rigid_weights`, which trusts the nose and the eyes'
        corners more than lips and chin, so that the rest face fits a talking one.
    model: where rest face, weights and displacements come from; None = the bundled one.
    start: (4, 4) head-to-camera nearby, e.g. of the frame before; None finds one.

    Minimizes sum w rho(|project(R v + t) - p|) with Cauchy's rho, by Gauss-Newton steps that are
    taken only where they help. Raises IdfError with fewer than six usable points or where no pose
    in front of the camera explains them.
    """
    model = model or FaceModel.load()
    v = np.asarray(model.rest if vertices is None else vertices, np.float64)
    w = np.array(model.rigid_weights if weights is None else weights, np.float64)
    p = np.asarray(getattr(points, "points", points), np.float64)
    if p.ndim != 2 or len(p) != POINTS or p.shape[1] < 2 or v.shape != (POINTS, 3) \
            or w.shape != (POINTS,):
        raise ValueError(f"points {p.shape}, vertices {v.shape}, weights {w.shape}; expected "
                         f"({POINTS}, 2), ({POINTS}, 3), ({POINTS},)")
    p = p[:, :2]
    usable = np.isfinite(p).all(1) & (w > 0)
    if usable.sum() < 6:
        raise IdfError("A head's pose needs at least six landmarks", f"{usable.sum()} usable",
                       "use a picture that shows the face")
    f = np.array([camera.fx, camera.fy], np.float64)
    c = np.array([camera.cx, camera.cy], np.float64)
    size = float(np.ptp(p[usable], axis=0).max())
    pose = _start(p[usable], v[usable], f, c) if start is None else np.array(start, np.float64)
    w = np.where(usable, w / w[usable].max(), 0.0)
    target = np.where(usable[:, None], p, 0.0)
    for _ in range(8):  # the displacement depends on the pose, but weakly
        before = pose
        pose = _gauss_newton(pose, v + model.displacement(pose), target, w, f, c, ROBUST * size)
        if np.abs(pose - before)[:3, :3].max() < 1e-5:
            break
    seen = project(pose, v + model.displacement(pose), f, c)
    errors = np.where(usable, np.linalg.norm(seen - target, axis=1), np.nan)
    order = np.argsort(-w)[:max(6, int(usable.sum()) // 2)]
    residual = float(np.median(errors[order]))
    if not np.isfinite(residual) or (v @ pose[2, :3] + pose[2, 3]).max() >= 0:
        raise IdfError("No pose of a head explains these landmarks", f"residual {residual:.3g} "
                       "pixels", "check that they belong to one face and to this camera")
    return PoseFit(pose, residual, errors)


def project(pose, vertices, f, c) -> np.ndarray:
    """Return (V, 2) pixels of `vertices` (V, 3) under a head-to-camera `pose`; f, c: (2,) pixels.
    """
    q = vertices @ pose[:3, :3].T + pose[:3, 3]
    return c + f * q[:, :2] / -q[:, 2:] * (1, -1)


def project_jacobian(q, f) -> np.ndarray:
    """Return (V, 2, 3): d pixel / d q for points q (V, 3) in OpenGL camera axes.

    u = cx + fx x / -z, v = cy - fy y / -z = cy + fy y / z.
    """
    z = q[:, 2]
    J = np.zeros((len(q), 2, 3))
    J[:, 0, 0] = -f[0] / z
    J[:, 0, 2] = f[0] * q[:, 0] / z**2
    J[:, 1, 1] = f[1] / z
    J[:, 1, 2] = -f[1] * q[:, 1] / z**2
    return J


def rigid_inverse(pose) -> np.ndarray:
    """Return (4, 4): the inverse of a rotation and translation."""
    out = np.eye(4)
    out[:3, :3] = pose[:3, :3].T
    out[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return out


def rotation(vector) -> np.ndarray:
    """Return (3, 3) rotation of a rotation vector (3,), radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(vector, np.float64) / angle
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def _start(p, v, f, c) -> np.ndarray:
    """Return a closed-form pose (SQPnP, Terzakis and Lourakis 2020) in OpenGL axes."""
    K = np.array([[f[0], 0, c[0]], [0, f[1], c[1]], [0, 0, 1.0]])
    try:
        ok, r, t = cv2.solvePnP(v, p, K, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:  # all points in one place
        ok = False
    if not ok or not np.isfinite(r).all() or not np.isfinite(t).all():
        raise IdfError("No pose of a head explains these landmarks", "no solution",
                       "check that they belong to one face and to this camera")
    pose = np.eye(4)
    flip = np.diag([1.0, -1.0, -1.0])  # OpenCV's camera axes to OpenGL's
    pose[:3, :3], pose[:3, 3] = flip @ rotation(r.reshape(3)), flip @ t.reshape(3)
    return pose


def _gauss_newton(pose, v, p, w, f, c, scale) -> np.ndarray:
    """Levenberg-Marquardt on Cauchy's loss: rho = s^2 log(1 + (e / s)^2), weight 1 / (1 + ...)."""
    def loss(candidate):
        q = v @ candidate[:3, :3].T + candidate[:3, 3]
        if (q[w > 0, 2] >= 0).any():
            return np.inf
        e = ((project(candidate, v, f, c) - p) ** 2).sum(1)
        return float((w * np.log1p(e / scale**2)).sum())

    best, damping = loss(pose), 1e-4
    for _ in range(ROUNDS):
        q = v @ pose[:3, :3].T + pose[:3, 3]
        r = project(pose, v, f, c) - p
        J = project_jacobian(q, f)
        # turning by a small vector d about the camera moves q by d x q = -[q]x d
        turn = np.stack([np.cross(q, e) for e in np.eye(3)], 2)  # (V, 3, 3): column k is q x e_k
        A = np.concatenate([-J @ turn, J], 2)  # (V, 2, 6)
        k = w / (1 + (r**2).sum(1) / scale**2)
        lhs = np.einsum("vki,v,vkj->ij", A, k, A, optimize=True)
        rhs = np.einsum("vki,v,vk->i", A, k, r, optimize=True)
        for _ in range(6):
            step = -np.linalg.solve(lhs + damping * np.diag(np.diag(lhs)), rhs)
            R = rotation(step[:3])
            candidate = np.eye(4)
            candidate[:3, :3] = R @ pose[:3, :3]
            candidate[:3, 3] = R @ pose[:3, 3] + step[3:]
            value = loss(candidate)
            if value < best:
                break
            damping *= 10
        else:
            break
        done = best - value < 1e-9 * max(best, 1e-12)
        pose, best, damping = candidate, value, max(damping / 10, 1e-9)
        if done:
            break
    return pose
