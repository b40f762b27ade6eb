"""One 3D face mesh from the landmarks of many calibrated views.

Landmarks are detected in each picture on its own, so some are wrong: a face on the back of a
head, a profile guessed from memory. Random pairs of views are triangulated and every other view
votes (RANSAC, Fischler and Bolles 1981); the views that agree are then triangulated together by
iteratively reweighted least squares. The mesh, not the single picture, carries the profiles.
"""

from __future__ import annotations

import numpy as np

from ...errors import IdfError
from ...face.mesh import FaceMesh, vertex_normals
from ...face.topology import POINTS
from .refine import ROUNDS as REFINE_ROUNDS
from .refine import point_equations, refine_face

PAIRS = 60  # random pairs of views tried
SEED = 0  # of the random pairs
MIN_ANGLE = 8.0  # degrees between the two viewing directions of a pair; less gives no depth
# A view agrees when its median reprojection error is below this share of its face (longer side of
# the landmarks' box).
INLIER = 0.045
ROBUST = 0.011  # error, as a share of the face, at which a landmark's weight is halved
# Degrees; a view's weight falls with exp(-(angle to the face's front / FRONTAL)^2 / 2). Landmarks
# of turned faces are biased alike (cheeks slide toward the camera), which no robust weight can see.
FRONTAL = 25.0
ROUNDS = 10  # of reweighting
MIN_VIEWS = 3  # fewest agreeing views that make a mesh


def fit_face(frames, landmarks, refine_rounds: int = REFINE_ROUNDS) -> FaceMesh:
    """Fit one mesh to the landmarks of many views.

    frames: things with `.camera` and `.image()` -> (H, W, 3 or 4) uint8.
    landmarks: one entry a frame: None, the landmarks (an object with `.points` (468, 2 or 3) in
    pixels, or that array), or a list of such faces, of which the first counts.
    refine_rounds: how often the mesh is corrected by the pictures; 0 for cameras without pictures.

    Views that do not agree with the rest are left out and marked in `FaceMesh.inliers`. Raises
    IdfError when fewer than MIN_VIEWS agree.
    """
    frames = list(frames)
    cameras = [f.camera for f in frames]
    points = [_points(face) for face in landmarks]
    if len(points) != len(cameras):
        raise ValueError(f"{len(cameras)} frames but {len(points)} landmark entries")
    seen = [i for i, p in enumerate(points) if p is not None]
    if len(seen) < MIN_VIEWS:
        raise _too_few(len(seen), len(seen), len(cameras))
    xy = np.stack([points[i] for i in seen])  # (S, 468, 2)
    size = np.ptp(xy, axis=1).max(1)  # (S,) longer side of the face, pixels
    P = np.stack([cameras[i].K @ cameras[i].w2c_cv[:3] for i in seen])  # (S, 3, 4)
    eye = np.stack([cameras[i].position for i in seen])

    agree = _vote(P, xy, size, np.stack([cameras[i].forward for i in seen]))
    vertices = None
    for _ in range(2):  # the joint mesh is better than any pair's: let every view vote again
        if agree.sum() < MIN_VIEWS:
            raise _too_few(int(agree.sum()), len(seen), len(cameras))
        vertices, normals = _refine(P[agree], xy[agree], size[agree], eye[agree])
        error = np.median(_errors(P, xy, vertices), axis=1)
        agree = error < INLIER * size
    if agree.sum() < MIN_VIEWS:
        raise _too_few(int(agree.sum()), len(seen), len(cameras))
    inliers = np.zeros(len(cameras), bool)
    inliers[np.array(seen)[agree]] = True
    residuals = np.full(len(cameras), np.nan)
    residuals[seen] = error
    return refine_face(FaceMesh(vertices, normals, inliers, residuals), frames, refine_rounds)


def _points(face):
    if isinstance(face, (list, tuple)) and not (face and np.isscalar(face[0])):
        face = face[0] if face else None
    if face is None:
        return None
    p = np.asarray(getattr(face, "points", face), np.float64)
    if p.ndim != 2 or p.shape[0] != POINTS or p.shape[1] < 2:
        raise ValueError(f"landmarks of shape {p.shape}; expected ({POINTS}, 2 or 3)")
    return p[:, :2] if np.isfinite(p[:, :2]).all() else None


def _too_few(agree: int, seen: int, total: int) -> IdfError:
    return IdfError(
        "No 3D face could be fitted: too few views agree on one face",
        f"a face was found in {seen} of {total} views, {agree} of them agree; "
        f"{MIN_VIEWS} are needed",
        "check that the cameras belong to the pictures and that the face is seen from several "
        "sides, or swap every picture by itself with --backend mesh")


def triangulate(P, xy, weight) -> np.ndarray:
    """Return the least-squares points (V, 3) of many views; arguments as of `point_equations`."""
    lhs, rhs = point_equations(P, xy, weight)
    lhs += 1e-9 * np.trace(lhs, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.linalg.solve(lhs, rhs[..., None])[..., 0]


def _errors(P, xy, vertices):
    """(S, V) reprojection error in pixels; infinite behind a camera."""
    h = vertices @ P[:, :, :3].transpose(0, 2, 1) + P[:, None, :, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        e = np.linalg.norm(h[..., :2] / h[..., 2:] - xy, axis=-1)
    return np.where(h[..., 2] > 0, e, np.inf)


def _vote(P, xy, size, forward):
    """(S,) bool: the views that agree with the best pair."""
    rng = np.random.default_rng(SEED)
    i, j = np.triu_indices(len(P), 1)
    wide = (forward[i] * forward[j]).sum(1) < np.cos(np.radians(MIN_ANGLE))
    i, j = i[wide], j[wide]
    pick = rng.permutation(len(i))[:PAIRS]
    some = slice(None, None, 4)  # a quarter of the points is enough to tell a view's median
    best, best_score = np.zeros(len(P), bool), -np.inf
    for a, b in zip(i[pick], j[pick], strict=True):
        X = triangulate(P[[a, b]], xy[[a, b], some], np.ones((2, len(xy[0, some]))))
        error = np.median(_errors(P, xy[:, some], X), axis=1) / (INLIER * size)
        agree = error < 1
        # Most views first, then the smallest error among them.
        score = agree.sum() - (error[agree].mean() if agree.any() else 1)
        if score > best_score:
            best, best_score = agree, score
    return best


def _refine(P, xy, size, eye):
    """IRLS: w = frontal * clip((facing + 0.2) / 0.4, 0.001, 1) / (1 + (e / s)^2) / depth^2."""
    weight = np.ones(xy.shape[:2])
    for _ in range(ROUNDS):
        X = triangulate(P, xy, weight)
        normals = vertex_normals(X)
        view = eye[:, None] - X
        distance = np.linalg.norm(view, axis=-1)
        facing = (view * normals).sum(-1) / distance  # (S, V)
        to_eye = eye - X.mean(0)
        cosine = to_eye @ normals.mean(0)
        cosine /= np.linalg.norm(to_eye, axis=1) * np.linalg.norm(normals.mean(0))
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        frontal = np.exp(-0.5 * (angle / FRONTAL) ** 2) + 1e-4
        robust = 1 + (_errors(P, xy, X) / (ROBUST * size)[:, None]) ** 2
        # 1 / depth^2 turns the algebraic rows into pixels.
        weight = frontal[:, None] * np.clip((facing + 0.2) / 0.4, 0.001, 1) / robust / distance**2
    return X, normals
