"""Bundle adjustment: poses, points and one lens that explain where points are seen.

Levenberg and Marquardt's steps on Cauchy's loss; the points are eliminated (Schur complement), so
that a step solves six equations a frame and two for the lens (Triggs et al. 2000).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from .tracks import Tracks

PRIOR_TURN, PRIOR_MOVE = np.radians(8.0), 0.08  # where poses began: radians, shares of the distance
PRIOR_FOCAL, PRIOR_RADIAL = 0.25, 0.05  # of the focal length's logarithm, and of k1
NEAR, FAR = 0.2, 5.0  # of the head's distance: where points may lie


@dataclass(frozen=True, eq=False)
class Bundle:
    """Cameras and points.

    R (N, 3, 3), t (N, 3): world to camera, OpenCV axes. f, k1: focal length in pixels and one
    radial term, of all frames. center: (2,) principal point. points: (P, 3).
    """

    R: np.ndarray
    t: np.ndarray
    f: float
    k1: float
    center: np.ndarray
    points: np.ndarray

    def errors(self, tracks: Tracks) -> np.ndarray:
        """Return (M,) pixels between sights and where their points project."""
        return np.linalg.norm(_residuals(self, tracks)[0], axis=1)


def adjust(start: Bundle, tracks: Tracks, scale: float, rounds: int = 8, lens: bool = True,
           first: Bundle | None = None) -> Bundle:
    """Return a bundle that explains the sights better.

    scale: pixels at which a sight counts half. lens: whether focal length and radial term move.
    first: where a weak prior holds poses and lens; None = `start`.
    """
    first = first or start
    n, damping = len(start.R), 1e-3
    distance = np.linalg.norm(first.t, axis=1)
    now, cost = start, _cost(start, tracks, scale, first)
    for _ in range(rounds):
        system = _system(now, tracks, scale, first, distance, lens)
        for _ in range(6):
            step = _solved(*system, damping, n)
            there = _moved(now, *step) if step is not None else now
            value = _cost(there, tracks, scale, first) if step is not None else np.inf
            if value < cost:
                break
            damping *= 8
        else:
            break
        done = cost - value < 1e-5 * cost
        now, cost, damping = there, value, max(damping / 8, 1e-9)
        if done:
            break
    return now


def _residuals(b: Bundle, tracks: Tracks):
    """Return residuals (M, 2), points in camera axes (M, 3), turned points (M, 3), and of the
    pinhole: x (M, 2) and its squared length (M,)."""
    turned = np.einsum("mij,mj->mi", b.R[tracks.frame], b.points[tracks.point])
    q = turned + b.t[tracks.frame]
    z = np.where(q[:, 2] > 1e-6, q[:, 2], 1e-6)
    x = q[:, :2] / z[:, None]
    r2 = (x**2).sum(1)
    seen = b.f * (1 + b.k1 * r2)[:, None] * x + b.center
    return seen - tracks.xy, q, turned, x, r2


def _cost(b: Bundle, tracks: Tracks, scale: float, first: Bundle) -> float:
    r, q, *_ = _residuals(b, tracks)
    if (q[:, 2] <= 0).any() or not np.isfinite(r).all():
        return np.inf
    turn, move, focal, radial = _prior(b, first)
    distance = np.linalg.norm(first.t, axis=1)[:, None]
    prior = (turn**2).sum() / PRIOR_TURN**2 + ((move / distance) ** 2).sum() / PRIOR_MOVE**2 \
        + (focal / PRIOR_FOCAL) ** 2 + (radial / PRIOR_RADIAL) ** 2
    return float(scale**2 * np.log1p((r**2).sum(1) / scale**2).sum() + prior)


def _prior(b: Bundle, first: Bundle):
    turn = Rotation.from_matrix(b.R @ first.R.transpose(0, 2, 1)).as_rotvec()
    return turn, b.t - first.t, float(np.log(b.f / first.f)), b.k1 - first.k1


def _system(b: Bundle, tracks: Tracks, scale: float, first: Bundle, distance, lens: bool):
    """Return the normal equations: of cameras and lens U (C, C), g (C,); of points V (P, 3, 3),
    h (P, 3); between them W (C, 3P)."""
    r, q, turned, x, r2 = _residuals(b, tracks)
    m, n, p = len(r), len(b.R), len(b.points)
    w = 1 / (1 + (r**2).sum(1) / scale**2)
    d = 1 + b.k1 * r2
    # d seen / d x = f (d I + 2 k1 x x'), d x / d q = [I, -x] / z
    dx = b.f * (d[:, None, None] * np.eye(2) + 2 * b.k1 * x[:, :, None] * x[:, None])
    dq = np.concatenate([np.broadcast_to(np.eye(2), (m, 2, 2)), -x[:, :, None]], 2) \
        / q[:, 2, None, None]
    J = dx @ dq  # (M, 2, 3)
    zero = np.zeros(m)
    cross = np.stack([np.stack([zero, turned[:, 2], -turned[:, 1]], 1),
                      np.stack([-turned[:, 2], zero, turned[:, 0]], 1),
                      np.stack([turned[:, 1], -turned[:, 0], zero], 1)], 1)  # -[turned]x
    Jc = np.concatenate([J @ cross, J], 2)  # (M, 2, 6)
    Jl = np.stack([d[:, None] * x * b.f, b.f * r2[:, None] * x], 2) * float(lens)  # log f, k1
    Jp = J @ b.R[tracks.frame]
    rows = np.arange(2 * m).reshape(m, 2, 1)
    size = 6 * n + 2
    columns = np.concatenate([np.broadcast_to((6 * tracks.frame[:, None] + np.arange(6))[:, None],
                                              (m, 2, 6)),
                              np.broadcast_to(6 * n + np.arange(2), (m, 2, 2))], 2)
    root = np.sqrt(w)[:, None, None]
    A = sparse.csr_matrix(((np.concatenate([Jc, Jl], 2) * root).ravel(),
                           (np.broadcast_to(rows, (m, 2, 8)).ravel(), columns.ravel())),
                          (2 * m, size))
    B = sparse.csr_matrix(((Jp * root).ravel(),
                           (np.broadcast_to(rows, (m, 2, 3)).ravel(),
                            np.broadcast_to((3 * tracks.point[:, None] + np.arange(3))[:, None],
                                            (m, 2, 3)).ravel())), (2 * m, 3 * p))
    e = (r * root[:, 0]).ravel()
    U, g = (A.T @ A).toarray(), -(A.T @ e)
    turn, move, focal, radial = _prior(b, first)
    k = 6 * np.arange(n)[:, None] + np.arange(6)
    inverse = np.concatenate([np.full((n, 3), 1 / PRIOR_TURN**2),
                              np.repeat(1 / (PRIOR_MOVE * distance[:, None]) ** 2, 3, 1)], 1)
    U[k, k] += inverse
    g[k] -= inverse * np.concatenate([turn, move], 1)
    ends = 6 * n + np.arange(2)
    inverse = np.array([1 / PRIOR_FOCAL**2, 1 / PRIOR_RADIAL**2])
    U[ends, ends] += inverse if lens else 1e12
    g[ends] -= inverse * (focal, radial) if lens else 0
    V = np.zeros((p, 3, 3))
    np.add.at(V, tracks.point, Jp.transpose(0, 2, 1) @ (Jp * w[:, None, None]))
    h = -(B.T @ e).reshape(p, 3)
    return U, g, V, h, A.T @ B


def _solved(U, g, V, h, W, damping: float, n: int):
    """Return the step of cameras (N, 6), lens (2,) and points (P, 3); None where there is none."""
    p = len(V)
    V = V + damping * np.einsum("pii->pi", V)[:, :, None] * np.eye(3) + 1e-12 * np.eye(3)
    try:
        inverse = np.linalg.inv(V)
        block = sparse.bsr_matrix((inverse, np.arange(p), np.arange(p + 1)), (3 * p, 3 * p))
        WV = W @ block
        S = U + damping * np.diag(np.diag(U)) - (WV @ W.T).toarray()
        c = np.linalg.solve(S, g - WV @ h.ravel())
    except np.linalg.LinAlgError:
        return None
    points = np.einsum("pij,pj->pi", inverse, h - (W.T @ c).reshape(p, 3))
    return c[:6 * n].reshape(n, 6), c[6 * n:], points


def _moved(b: Bundle, cameras, lens, points) -> Bundle:
    R = Rotation.from_rotvec(cameras[:, :3]).as_matrix() @ b.R
    return replace(b, R=R, t=b.t + cameras[:, 3:],
                   f=float(b.f * np.exp(np.clip(lens[0], -0.3, 0.3))), k1=float(b.k1 + lens[1]),
                   points=b.points + points)
