"""Do poses and expressions fit the pictures? Seen at once, before an avatar is trained on them.

`check_poses` finds the face in some frames of a dataset, fits one face shape and one similarity
between the dataset's head frame and the face model's to all of them, and measures how far off each
frame's own camera then puts the face. Right poses leave the landmark model's noise, about 1 % of
the face's width; mixed-up, mirrored or smoothed-away ones leave several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..data.frame import Frame
from ..errors import IdfError, shorten
from ..face.detector import LandmarkDetector
from ..face.frame_fitter import FrameFitter, Lens
from ..face.head_model import FaceModel
from ..face.pose import project_jacobian, rigid_inverse, rotation
from ..face.shape_fit import shape_step
from ..face.solve import bounded_quadratic
from .fit import rotation_vector

FRAMES = 24
LIMIT = 2.5  # % of the face's width, median over frames: beyond, training is a waste
WORST = 6.0  # %: a single frame beyond it is named


@dataclass(frozen=True, eq=False)
class PoseReport:
    """How well a dataset's cameras fit its pictures.

    names: of the frames looked at. errors: their median error, % of the face's width (NaN: no
        face found). median: over frames with a face. limit: what `ok` compares it with.
    worst: frames beyond twice the limit. expression_correlation: between the dataset's value
        of the mouth's opening (`jawOpen`) and what is seen, or NaN where it has no such name.
    points, seen: per frame (468, 2) pixels found and where the model is put, or None.
    similarity: (scale, (3, 3) rotation, (3,) position) of the head in the world,
        world = scale · rotation · cm + position. face: (468, 3) cm, its mesh at rest.
    """

    names: tuple[str, ...]
    errors: np.ndarray
    median: float
    limit: float
    worst: tuple[str, ...]
    expression_correlation: float
    points: tuple
    seen: tuple
    similarity: tuple
    face: np.ndarray

    @property
    def ok(self) -> bool:
        return bool(self.median <= self.limit)

    def text(self) -> str:
        """Return the result in one or two lines."""
        found = int(np.isfinite(self.errors).sum())
        out = (f"poses {'fit' if self.ok else 'DO NOT FIT'} the pictures: median error "
               f"{self.median:.1f} % of the face's width (limit {self.limit:g} %) on {found} "
               f"frames")
        if self.worst:
            out += f"; worst: {shorten(self.worst)}"
        if np.isfinite(self.expression_correlation):
            out += f"; jawOpen against the mouth seen: r = {self.expression_correlation:.2f}"
        return out

    def require(self) -> PoseReport:
        """Return itself; IdfError where the poses do not fit."""
        if not self.ok:
            raise IdfError("The dataset's poses do not fit its pictures",
                           f"median overlay error {self.median:.1f} % of the face's width, the "
                           f"limit is {self.limit:g} %; worst {shorten(self.worst) or 'none'}",
                           "look at the overlay; usual causes are frames out of step with their "
                           "poses, a mirrored axis, another focal length. `idf track` on the "
                           "frames gives poses that fit")
        return self


def check_poses(frames: Sequence[Frame], count: int = FRAMES, limit: float = LIMIT,
                detector: LandmarkDetector | None = None, names: Sequence[str] = ()
                ) -> PoseReport:
    """Compare a tracked dataset's cameras with the faces in its pictures.

    frames: of a dataset whose cameras move about one head (NeRFace). count: how many are looked
    at, spread evenly; about 40 ms each. names: of the frames' expressions, where they are known.

    IdfError where fewer than three of them show a face.
    """
    model = FaceModel.load()
    pick = [frames[i] for i in
            np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int))]
    detector = detector or LandmarkDetector()
    found = []
    for f in pick:
        faces = detector.detect(f.image())
        found.append(faces[0].xy.astype(np.float64) if faces else None)
    there = [i for i, p in enumerate(found) if p is not None]
    if len(there) < 3:
        raise IdfError("The poses cannot be compared with the pictures",
                       f"a face was found in {len(there)} of {len(pick)} frames",
                       "at least three frames must show the face, larger than about 64 pixels")
    cameras = [pick[i].camera for i in there]
    points = [found[i] for i in there]
    # Each frame by itself: pose and expression that fit, on one face shape
    own, weights, fitters = _own_fits(model, cameras, points)
    similarity = _similarity(cameras, own)
    errors = np.full(len(pick), np.nan)
    seen: list = [None] * len(pick)
    for _ in range(2):  # the similarity again, now by the points themselves, and the face's shape
        similarity = _refined(similarity, cameras, points, fitters, weights)
        _, neutral, turned, _ = shape_step(model, [(p, _pose(c, similarity), x, f) for p, c, x, f in
                                           zip(points, cameras, weights, fitters, strict=True)
                                           if _before(_pose(c, similarity), f)] or
                                   [(points[0], own[0], weights[0], fitters[0])])
        for f in fitters:
            f.neutral, f.turned = neutral, turned
    similarity = _refined(similarity, cameras, points, fitters, weights)
    for k, i in enumerate(there):
        pose = _pose(cameras[k], similarity)
        uv = fitters[k].project(weights[k], pose)
        width = np.linalg.norm(np.ptp(points[k], axis=0) * (1, 0))
        errors[i] = 100 * np.median(np.linalg.norm(uv - points[k], axis=1)) / width
        seen[i] = uv
    median = float(np.median(errors[there]))
    worst = [pick[i].name for i in sorted(there, key=lambda i: -errors[i])
             if errors[i] > max(WORST, 2 * limit)]
    return PoseReport(tuple(f.name for f in pick), errors, median, limit, tuple(worst),
                      _jaw_correlation(names, [pick[i] for i in there], weights, fitters),
                      tuple(found), tuple(seen), similarity, fitters[0].neutral.copy())


def _lens(camera) -> Lens:
    return Lens(camera.fx, camera.fy, camera.cx, camera.cy)


def _own_fits(model, cameras, points):
    own, weights, fitters = [], [], []
    for camera, p in zip(cameras, points, strict=True):
        fitter = FrameFitter(model, _lens(camera))
        pose, x, _ = fitter.fit(p)
        own.append(pose)
        weights.append(x)
        fitters.append(fitter)
    return own, weights, fitters


def _pose(camera, similarity) -> np.ndarray:
    """Head to camera in centimeters, from world = s R head + t.

    p_camera = w2c (s R v + t); divided by s the picture stays the same and lengths are cm."""
    s, R, t = similarity
    w2c = rigid_inverse(camera.c2w)
    out = np.eye(4)
    out[:3, :3] = w2c[:3, :3] @ R
    out[:3, 3] = (w2c[:3, :3] @ t + w2c[:3, 3]) / s
    return out


def _before(pose, fitter) -> bool:
    """Whether the whole face is before the camera."""
    return bool((fitter.neutral @ pose[2, :3] + pose[2, 3]).max() < -1)


def _similarity(cameras, own):
    """(s, R, t) of the head's frame into the world: the mean rotation, then scale and position by
    least squares over the cameras' positions and distances.

    own: the poses fitted frame by frame. Where the dataset's poses are wrong the rotations
    disagree, and the result is a compromise that shows in the errors.
    """
    rotations = [c.c2w[:3, :3] @ P[:3, :3] for c, P in zip(cameras, own, strict=True)]
    chosen = _medoid(rotations)
    near = [r for r in rotations if np.linalg.norm(rotation_vector(r @ chosen.T)) < 0.35]
    R = Rotation.from_matrix(np.stack(near)).mean().as_matrix()
    # world origin of the head seen by frame i: o_i + s c2w_i q_i, the same t for all
    q = np.stack([c.c2w[:3, :3] @ P[:3, 3] for c, P in zip(cameras, own, strict=True)])
    o = np.stack([c.position for c in cameras])
    A = np.concatenate([np.concatenate([-x[:, None], np.eye(3)], 1) for x in q])
    w = np.ones(len(A))
    for _ in range(10):  # robust against single wrong frames
        s, *t = np.linalg.lstsq(A * w[:, None], o.reshape(-1) * w, rcond=None)[0]
        r = np.linalg.norm((A @ np.array([s, *t]) - o.reshape(-1)).reshape(-1, 3), axis=1)
        w = np.repeat(1 / np.sqrt(1 + (r / max(np.median(r), 1e-9)) ** 2), 3)
    if s <= 0:  # positions show nothing (or are mirrored): only the distance counts
        s = float(np.median(np.linalg.norm(o - o.mean(0), axis=1)
                            / np.maximum(np.linalg.norm(q, axis=1), 1e-9)))
        s = max(s, 1e-6)
        t = np.median(o + s * q, axis=0)
    return float(s), R, np.asarray(t, np.float64)


def _medoid(rotations) -> np.ndarray:
    """Return the rotation with the smallest median angle to all others."""
    R = np.stack(rotations)
    cosine = (np.einsum("aij,bij->ab", R, R) - 1) / 2
    return R[np.median(np.arccos(np.clip(cosine, -1, 1)), axis=1).argmin()]


def _refined(similarity, cameras, points, fitters, weights, rounds: int = 4):
    """Return the similarity by Gauss-Newton on all landmarks (Cauchy weights), and each frame's
    expression under its own camera."""
    s, R, t = similarity
    for _ in range(rounds):
        lhs, rhs = np.zeros((7, 7)), np.zeros(7)
        for k, (camera, p) in enumerate(zip(cameras, points, strict=True)):
            pose = _pose(camera, (s, R, t))
            if not _before(pose, fitters[k]):
                continue
            weights[k] = _expression(fitters[k], p, pose, weights[k])
            base = fitters[k].project(weights[k], pose)
            r = (base - p).reshape(-1)
            J = np.empty((len(r), 7))
            for j, (move, step) in enumerate(_moves(s, R, t)):
                J[:, j] = (fitters[k].project(weights[k], _pose(camera, move)) - base).reshape(
                    -1) / step
            width = np.ptp(p[:, 0])
            w = 1 / (1 + (r / (0.02 * width)) ** 2) / width**2
            lhs += J.T @ (J * w[:, None])
            rhs -= J.T @ (r * w)
        if not lhs.any():
            break
        d = np.linalg.solve(lhs + 1e-9 * np.diag(np.diag(lhs)) + 1e-15 * np.eye(7), rhs)
        s, R, t = _moved(s, R, t, np.clip(d, -0.3, 0.3))
    return s, R, t


def _moved(s, R, t, d):
    """d: rotation vector, then translation and scale in units of the scale (t: 10 cm)."""
    return s * np.exp(d[6]), rotation(d[:3]) @ R, t + 10 * s * np.asarray(d[3:6])


def _moves(s, R, t, step: float = 1e-4):
    for j in range(7):
        d = np.zeros(7)
        d[j] = step
        yield _moved(s, R, t, d), step


def _expression(fitter, p, pose, x):
    """(S,) expression weights under a fixed pose."""
    v = fitter.shape(x, pose)
    q = v @ pose[:3, :3].T + pose[:3, 3]
    J = (project_jacobian(q, fitter.f) @ pose[:3, :3]) @ fitter._flat
    r = fitter.project(x, pose) - p
    unit = fitter.f.mean() / -pose[2, 3]
    e2 = (r**2).sum(1) / unit**2 * fitter.weights
    w = np.repeat(fitter.data_weights(e2, unit), 2)
    J = J.reshape(-1, J.shape[2])
    H = J.T @ (J * w[:, None])
    b = -J.T @ (r.reshape(-1) * w)
    S = H + fitter.prior
    return bounded_quadratic(S, b + H @ x - fitter.l1, x, np.zeros(len(x)), np.ones(len(x)), 60)


def _jaw_correlation(names, frames, weights, fitters) -> float:
    names, seen = list(names), list(fitters[0].model.seen)
    if "jawOpen" not in names or "jawOpen" not in seen or frames[0].expression is None:
        return float("nan")
    given = np.array([f.expression[names.index("jawOpen")] for f in frames])
    found = np.array([w[seen.index("jawOpen")] for w in weights])
    if given.std() < 0.02 or found.std() < 0.02:
        return float("nan")
    return float(np.corrcoef(given, found)[0, 1])
