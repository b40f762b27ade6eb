"""The shape of a face, of one picture or of a clip: what is the same in all its frames.

Shape, pose and expression are fitted in turns: frames by `FrameFitter`, the shape by least squares
over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from ..runtime.progress import Reporter
from .frame_fitter import OWN_TERMS, OWN_TURN, POINTS_EACH, ROBUST, FrameFitter, Lens
from .head_model import FaceModel, toward, view_terms
from .landmarks import FaceLandmarks
from .pose import project_jacobian
from .topology import POINTS

OFFSET = 0.12  # cm, standard deviation of a point's own offset
ALIKE = 4.0  # frames of one clip count as so many that err independently
FOVS = (14.0, 20.0, 28.0, 38.0, 50.0, 65.0)  # degrees tried where many frames may tell it
FOV_PRIOR = (40.0, 0.5)  # degrees, and standard deviation of its logarithm
FOV = 30.0  # degrees, across the longer side of a picture of which nothing is known


@dataclass(frozen=True, eq=False)
class FittedFace:
    """A face of one picture, as the linear model has it.

    pose: (4, 4) head to camera, cm, OpenGL axes. weights: (S,) float64 in [0, 1] of the expressions
    `fitter.model.seen`. fitter: of this face's shape. errors: (468,) pixels between the
    landmarks and the model.
    """

    pose: np.ndarray
    weights: np.ndarray
    fitter: FrameFitter
    errors: np.ndarray

    def weight_of(self, *prefixes: str) -> np.ndarray:
        """Return (S,) the weights, 0 for expressions whose name starts with none of `prefixes`."""
        chosen = np.array([n.startswith(prefixes) for n in self.fitter.model.seen])
        return self.weights * chosen

    def seen_moved(self, weights) -> np.ndarray:
        """Return (468, 3) pixels, x right, y down, z away from the camera: by how much `weights`
        (S,) move each landmark in the picture. To first order, seen orthographically."""
        moved = np.tensordot(weights, self.fitter.shapes, 1) @ self.pose[:3, :3].T
        return moved * (self.fitter.f.mean() / -self.pose[2, 3]) * (1, -1, -1)


def fit_picture(face: FaceLandmarks, width: int, height: int) -> FittedFace:
    """Fit one face of a picture of `width` x `height` pixels, of whose camera nothing is known.

    Raises IdfError where no pose of a head explains the landmarks.
    """
    model, lens = FaceModel.load(), guessed_lens(width, height)
    xy = np.asarray(face.xy, np.float64)
    fitter, pose, weights = FrameFitter(model, lens), None, None
    for rounds in (5, 2, 2):
        pose, weights, _ = fitter.fit(xy, pose, weights, rounds)
        _, neutral, turned, _ = shape_step(model, [(xy, pose, weights, fitter)])
        fitter = FrameFitter(model, lens, neutral, turned)
    pose, weights, errors = fitter.fit(xy, pose, weights, 3)
    return FittedFace(pose, weights, fitter, errors)


def guessed_lens(width: int, height: int) -> Lens:
    """Return the lens of a picture, pixels, of whose camera nothing is known."""
    fov = 2 * np.degrees(np.arctan(np.tan(np.radians(FOV) / 2) * width / max(width, height)))
    return Lens.of(fov, width, height)


def fit_shape(xy, lens: Lens, model: FaceModel, rounds: int = 6,
              reporter: Reporter | None = None):
    """Fit the shape of one face to some frames of it.

    xy: (K, 468, 2) pixels. Returns identity (I,), the neutral face (468, 3) cm, its own turned
    terms (5, 468, 3) and what the fit costs: minus the log likelihood up to a constant. rounds 0
    leaves everybody the mean face.
    """
    reporter = reporter or Reporter()
    fitter = FrameFitter(model, lens)
    identity, total = np.zeros(len(model.identity)), np.inf
    poses, weights = [None] * len(xy), [None] * len(xy)
    for k in range(rounds):
        rows = []
        for i, p in enumerate(xy):
            try:
                poses[i], weights[i], _ = fitter.fit(p, poses[i], weights[i],
                                                     5 if poses[i] is None else 2)
                rows.append(i)
            except IdfError:
                poses[i] = weights[i] = None
        if not rows:
            break
        identity, neutral, turned, total = shape_step(
            model, [(xy[i], poses[i], weights[i], fitter) for i in rows])
        fitter = FrameFitter(model, lens, neutral, turned)
        reporter.step("fitting the face's shape", (k + 1) / rounds)
    return identity, fitter.neutral, fitter.turned, total


def find_fov(xy, width: int, height: int, model: FaceModel,
             reporter: Reporter | None = None) -> float:
    """Return the horizontal field of view, degrees, under which identity, poses and expressions of
    frames explain their landmarks best, with what cameras usually have as a prior.

    xy: (K, 468, 2) pixels, of a face that is seen from several sides; ten of them are taken.
    """
    reporter = reporter or Reporter()
    some = xy[np.linspace(0, len(xy) - 1, min(len(xy), 10)).astype(int)]

    def cost(fov):
        *_, total = fit_shape(some, Lens.of(fov, width, height), model, 3)
        return total + 0.5 * ((np.log(fov) - np.log(FOV_PRIOR[0])) / FOV_PRIOR[1]) ** 2

    costs = []
    for k, fov in enumerate(FOVS):
        costs.append(cost(fov))
        reporter.step("finding the field of view", (k + 1) / len(FOVS))
    k = int(np.clip(np.argmin(costs), 1, len(FOVS) - 2))
    x = np.log(FOVS[k - 1:k + 2])
    a, b, _ = np.polyfit(x, costs[k - 1:k + 2], 2)  # a parabola through the best three
    best = -b / (2 * a) if a > 0 else np.log(FOVS[int(np.argmin(costs))])
    return float(np.exp(np.clip(best, x[0], x[2])))


def shape_step(model: FaceModel, views):
    """Do one step of least squares for the face's shape, poses and expressions kept.

    views: (points (468, 2), pose, weights, fitter) of each frame, the fitters sharing one face.
    Returns identity (I,), neutral (468, 3), turned terms (5, 468, 3) and minus the log likelihood,
    up to a constant, of the views before the step and the identity after it.

    What the identity modes cannot express is an offset of every point, and one that follows the
    direction of the camera, both small (`OFFSET`, `OWN_TURN`).
    """
    total, n = 0.0, 3 * (1 + OWN_TERMS)
    M = model.identity.astype(np.float64)
    per_point, per_rhs = np.zeros((POINTS, n, n)), np.zeros((POINTS, n))
    fitter = views[0][3]
    now = np.concatenate([(fitter.neutral - model.rest)[None], fitter.turned])  # (1 + 5, 468, 3)
    now = now.transpose(1, 0, 2).reshape(POINTS, n)
    for p, pose, x, fitter in views:
        unit = fitter.f.mean() / -pose[2, 3]
        r = fitter.project(x, pose) - p
        e2 = (r**2).sum(1) / unit**2 * fitter.weights
        total += 0.5 * ROBUST**2 * np.log1p(e2 / ROBUST**2).sum() / POINTS_EACH
        total += 0.5 * x @ fitter.prior @ x + fitter.l1 @ x
        # expressions that are on may be taken for identity: quiet frames count more
        w = fitter.data_weights(e2, unit) / (1 + x.sum())
        q = fitter.shape(x, pose) @ pose[:3, :3].T + pose[:3, 3]
        J = project_jacobian(q, fitter.f) @ pose[:3, :3]  # (468, 2, 3) pixels per cm
        phi = np.concatenate([[1.0], view_terms(toward(pose))[:OWN_TERMS]])
        A = (phi[:, None] * J[:, :, None]).reshape(POINTS, 2, n)
        wA = A * w[:, None, None]
        per_point += wA.transpose(0, 2, 1) @ A
        per_rhs -= (wA.transpose(0, 2, 1) @ r[..., None])[..., 0]
    share = ALIKE / max(len(views), ALIKE)  # frames of one clip err alike
    rhs = per_rhs + (per_point @ now[..., None])[..., 0]
    # the modes, by the offset's part of the equations with the other terms as they are
    own = now.copy()
    own[:, :3] = 0
    left = (rhs - (per_point @ own[..., None])[..., 0])[:, :3]
    MP = np.einsum("avi,vij->avj", M, per_point[:, :3, :3], optimize=True)
    identity = np.linalg.solve(
        share * np.einsum("avj,bvj->ab", MP, M, optimize=True) + np.eye(len(M)),
        share * np.einsum("avi,vi->a", M, left, optimize=True))
    shape = np.tensordot(identity, M, 1)
    rest = rhs - (per_point[:, :, :3] @ shape[..., None])[..., 0]
    ridge = np.repeat([1 / OFFSET**2] + [1 / OWN_TURN**2] * OWN_TERMS, 3)
    each = share * POINTS_EACH
    own = np.linalg.solve(each * per_point + np.diag(ridge), each * rest[..., None])[..., 0]
    own = own.reshape(POINTS, 1 + OWN_TERMS, 3).transpose(1, 0, 2)
    return identity, model.rest + shape + own[0], own[1:], total + 0.5 * float((identity**2).sum())
