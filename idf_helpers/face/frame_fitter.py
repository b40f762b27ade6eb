"""Pose and expression of a face in one frame, by Gauss-Newton on its landmarks.

Six numbers of the pose are free, the weights of the expressions lie in [0, 1] and cost a little
each (least squares with bounds, ridge and an l1 term), so that noise and shapes that resemble each
other do not switch everything on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from .head_model import FaceModel, toward, view_terms
from .pose import fit_pose, project, rotation
from .solve import bounded_quadratic, normal_equations
from .topology import POINTS

NOISE = 0.15  # cm, of a landmark: the unit of the data term
POINTS_EACH = 4.0  # neighboring landmarks err together: so many count as one
# What faces do all the time, and what they seldom do or landmarks tell badly: standard deviation
# of a weight, and cost of a weight of 1 (in units of half a squared standard error).
USUAL = ("browDown", "browInnerUp", "browOuterUp", "eyeBlink", "jawOpen", "mouthFunnel",
         "mouthPucker", "mouthSmile")
RIDGE, RIDGE_RARE = 0.6, 0.35
SPARSE, SPARSE_RARE = 0.5, 1.5
SIDES = 0.25  # standard deviation of a weight's difference between left and right
OWN_TERMS, OWN_TURN = 5, 0.2  # terms up to squares that are fitted to one face, cm per unit
ROBUST = 3.0  # NOISE: error at which a landmark's weight is halved


@dataclass(frozen=True)
class Lens:
    """Focal lengths and principal point, pixels."""

    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def of(cls, fov: float, width: int, height: int) -> Lens:
        """Return the lens of a horizontal field of view, degrees; square pixels, centered."""
        f = 0.5 * width / np.tan(np.radians(fov) / 2)
        return cls(f, f, width / 2, height / 2)


@dataclass(frozen=True, eq=False)
class BrowSight:
    """What one frame's picture shows of the brows, for `FrameFitter`.

    center: (6, 3) cm, where the stretches are at rest. seen: (6, 2) pixels, where they are now; up:
    (2,) unit vector, the direction in the image along which that counts. weight: (6,) 1 / cm^2, of
    a squared error along it. trust: (6,) in [0, 1].
    """

    center: np.ndarray
    seen: np.ndarray
    up: np.ndarray
    weight: np.ndarray
    trust: np.ndarray


class FrameFitter:
    """Pose and expression of one frame at a time.

    neutral: (468, 3) cm. turned: (5, 468, 3) cm, this face's own terms
    of what the landmark model makes of it when it turns, beside those of all faces.
    """

    def __init__(self, model: FaceModel, lens: Lens, neutral=None, turned=None):
        self.model, self.lens = model, lens
        self.turned = np.zeros((OWN_TERMS, POINTS, 3)) if turned is None else turned
        self.neutral = np.asarray(model.rest if neutral is None else neutral, np.float64)
        self.columns = np.array([n in model.seen for n in model.expression_names])
        self.shapes = model.expression[self.columns].astype(np.float64)
        self._flat = np.ascontiguousarray(self.shapes.transpose(1, 2, 0))  # (468, 3, S)
        self.brow_shapes = model.brows[self.columns].astype(np.float64).transpose(1, 0, 2)
        self._with_brows = np.concatenate([self._flat, self.brow_shapes.transpose(0, 2, 1)])
        self.weights = 1 / (model.point_noise.astype(np.float64) ** 2 + NOISE**2)
        names = model.seen
        usual = np.array([n.removesuffix("_L").removesuffix("_R") in USUAL for n in names])
        self.l1 = np.where(usual, SPARSE, SPARSE_RARE)
        self.prior = np.diag(1 / np.where(usual, RIDGE, RIDGE_RARE) ** 2)
        for i, n in enumerate(names):
            if n.endswith("_L") and n[:-1] + "R" in names:
                j = names.index(n[:-1] + "R")
                self.prior[[i, j], [i, j]] += 1 / SIDES**2
                self.prior[[i, j], [j, i]] -= 1 / SIDES**2
        self.f = np.array([lens.fx, lens.fy])
        self.c = np.array([lens.cx, lens.cy])

    def shape(self, weights, pose=None) -> np.ndarray:
        """Return (468, 3) cm; weights: (S,) of the expressions that are seen. With a pose: as the
        landmark model sees it from there (`FaceModel.displacement`)."""
        v = self.neutral + self._flat @ weights
        if pose is None:
            return v
        own = np.tensordot(view_terms(toward(pose))[:OWN_TERMS], self.turned, 1)
        return v + self.model.displacement(pose) + own

    def project(self, weights, pose) -> np.ndarray:
        """Return (468, 2) pixels where the landmark model should see the face."""
        return project(pose, self.shape(weights, pose), self.f, self.c)

    def fit(self, points, pose=None, weights=None, rounds: int = 6, brow: BrowSight | None = None,
            known: dict[str, float] | None = None):
        """Fit one frame: points (468, 2) pixels -> (pose (4, 4), weights (S,), errors (468,)
        pixels).

        pose, weights: where to start, e.g. of the frame before. brow: what the picture shows of the
        brows. known: weights by name that are not asked for, in [0, 1]. IdfError as `fit_pose`.
        """
        p = np.asarray(points, np.float64)[:, :2]
        x = np.zeros(len(self.shapes)) if weights is None else np.array(weights, np.float64)
        if pose is None:
            pose = fit_pose(p, self.lens, self.shape(x), model=self.model).pose
        low, high = np.zeros(len(x)), np.ones(len(x))
        for name, value in (known or {}).items():
            if name in self.model.seen:
                k = self.model.seen.index(name)
                low[k] = high[k] = x[k] = value
        for _ in range(rounds):
            v = self.shape(x, pose)
            turned = v @ pose[:3, :3].T
            q = turned + pose[:3, 3]
            if q[:, 2].max() >= 0:
                raise IdfError("No pose of a head explains these landmarks", "behind the camera",
                               "check that they belong to one face and to this camera")
            r = project(pose, v, self.f, self.c) - p
            unit = self.f.mean() / -pose[2, 3]  # pixels of a centimeter at the head
            w = self.data_weights((r**2).sum(1) / unit**2 * self.weights, unit)
            w, flat = np.stack([w, 0 * w, w], 1), self._flat
            if brow is not None:
                flat = self._with_brows
                r2, w2, turned2 = self._brow_terms(brow, x, pose, unit)
                r, w, turned = (np.concatenate(p) for p in ((r, r2), (w, w2), (turned, turned2)))
            H, g = normal_equations(pose[:3, :3].copy(), pose[:3, 3].copy(), turned, flat, r, w,
                                    *self.f)
            # the pose is free: eliminate it (Schur complement), solve for the weights, put back
            pp, pe = H[:6, :6] + 1e-9 * np.diag(np.diag(H[:6, :6])), H[:6, 6:]
            solved = np.linalg.solve(pp, np.column_stack([pe, g[:6]]))
            S = H[6:, 6:] - pe.T @ solved[:, :-1]
            b = g[6:] - pe.T @ solved[:, -1]
            # in terms of the new weights y = x + dx: y'(S + ridge) y / 2 - (b + S x - l1)' y
            y = bounded_quadratic(S + self.prior, b + S @ x - self.l1, x, low, high, 60)
            step = solved[:, -1] - solved[:, :-1] @ (y - x)
            change = np.abs(y - x).max(initial=0.0)
            x = y
            new = np.eye(4)
            new[:3, :3] = rotation(step[:3]) @ pose[:3, :3]
            new[:3, 3] = pose[:3, 3] + step[3:]
            pose = new
            if change < 2e-3 and np.abs(step[:3]).max() < 1e-4:
                break
        return pose, x, np.linalg.norm(self.project(x, pose) - p, axis=1)

    def data_weights(self, e2, unit: float) -> np.ndarray:
        """Return (468,) weights of squared pixels. e2: (468,) squared errors over their variance;
        unit: pixels of a centimeter at the head. Cauchy's loss; neighbors err together."""
        return self.weights / (1 + e2 / ROBUST**2) / (unit**2 * POINTS_EACH)

    def brow_seen(self, brow: BrowSight, weights, pose) -> np.ndarray:
        """Return (6, 2) pixels where the brows should be; weights as for `shape`."""
        return project(pose, brow.center + self._with_brows[POINTS:] @ weights, self.f, self.c)

    def _brow_terms(self, brow: BrowSight, weights, pose, unit: float):
        """Residuals (6, 2), their weights (6, 3) and turned points (6, 3) of followed brows."""
        v = brow.center + self._with_brows[POINTS:] @ weights
        r = self.brow_seen(brow, weights, pose) - brow.seen
        e2 = (r @ brow.up) ** 2 / unit**2 * brow.weight
        w = brow.weight / (1 + e2 / ROBUST**2) / unit**2
        a, b = brow.up
        return r, w[:, None] * (a * a, a * b, b * b), v @ pose[:3, :3].T

    def full(self, weights) -> np.ndarray:
        """Return (E,) with zeros for the expressions that are not seen."""
        out = np.zeros(len(self.columns))
        out[self.columns] = weights
        return out
