"""Pose and expression of a face in every frame of a clip, its shape shared by all of them.

Gauss-Newton on the landmarks: six numbers of the pose are free, the weights of the expressions lie
in [0, 1] and cost a little each (least squares with bounds, ridge and an l1 term), so that noise
and shapes that resemble each other do not switch everything on. The identity is found on a few
frames spread over the clip, alternating with their poses and expressions; what the modes cannot
express is a small offset of every point, common to all frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter, minimum_filter1d, uniform_filter1d
from scipy.spatial.transform import Rotation

from ..errors import IdfError
from ..face.frame_fitter import FrameFitter, Lens
from ..face.gaze import weights_of
from ..face.head_model import FaceModel
from ..face.pose import project
from ..face.shape_fit import find_fov, fit_shape
from ..face.solve import smooth
from ..face.topology import FACE_LEFT, FACE_RIGHT
from ..runtime.progress import Reporter
from . import eyes
from .brows import sights
from .config import TrackConfig

KEYFRAMES = 32
ROUNDS = 6  # of the fit of the face's shape
STEPS = (0.8, 0.01, 0.08)  # what smoothing may move: degrees, share of the distance, weight
LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of smoothing, see `_smoothed`
CLOSE, NEAR = 1.12, 9  # how much worse the landmarks may be met; frames that decide together


@dataclass(frozen=True, eq=False)
class Track:
    """A clip, fitted.

    lens: see `Lens`. fov: horizontal field of view, degrees.
    neutral: (468, 3) float64 cm, this face without expression, in the model's frame.
    identity: (I,) coefficients. names: the expressions, all of the model's.
    poses: (N, 4, 4) float64 head to camera (cm, OpenGL axes), NaN where there is no face.
    expressions: (N, E) float32 in [0, 1]. resting: (E,) float32, the face's usual state: mean of
        the tenth of the frames with the least expression.
    errors: (N,) float64 median distance of landmarks and model, % of the face's width; NaN
        where there is no face. used: (N,) bool, frames that may be trained on.
    brows: how far the brows' heights in the pictures could be trusted, mean over the used frames,
        in [0, 1]; 0 where they were not taken.
    gaze: (N, 2) degrees to the head's left and up, both eyes alike; gaze_trust: (N,) in [0, 1], 0 =
        taken from frames before and after. None where the irises are not known: the weights
        `eyeLook*` are then what the lids tell.
    """

    lens: Lens
    fov: float
    neutral: np.ndarray
    identity: np.ndarray
    names: tuple[str, ...]
    poses: np.ndarray
    expressions: np.ndarray
    resting: np.ndarray
    errors: np.ndarray
    used: np.ndarray
    brows: float = 0.0
    gaze: np.ndarray | None = None
    gaze_trust: np.ndarray | None = None

    def seen(self, i: int, model: FaceModel) -> np.ndarray:
        """Return (468, 2) pixels of the fitted face in frame `i`."""
        vertices = self.neutral + np.tensordot(self.expressions[i].astype(np.float64),
                                               model.expression, 1)
        f, c = np.array([self.lens.fx, self.lens.fy]), np.array([self.lens.cx, self.lens.cy])
        return project(self.poses[i], vertices, f, c)


def fit_clip(points, width: int, height: int, config: TrackConfig | None = None,
             model: FaceModel | None = None,
             reporter: Reporter | None = None,
             pictures: Callable[[int], np.ndarray] | None = None, iris=None) -> Track:
    """Fit a clip.

    points: (N, 468, 2 or 3) landmarks in pixels, rows of NaN where there is no face.
    width, height: of the frames, pixels.
    pictures: number of a row of `points` -> that frame (height, width, 3) uint8 RGB, in which the
        brows are followed; None, or a config without `brows`, goes by the landmarks alone.
    iris: (N, 10, 3) irises in pixels (`FaceLandmarks.iris`), NaN where not known; with them gaze
        and blinks are measured, see `eyes`.

    Raises IdfError where fewer than three frames show a face.
    """
    config, model = config or TrackConfig(), model or FaceModel.load()
    reporter = reporter or Reporter()
    xy = np.asarray(points, np.float64)[..., :2]
    there = np.isfinite(xy).all((1, 2))
    if there.sum() < 3:
        raise IdfError("A clip needs a face in at least three frames",
                       f"{there.sum()} of {len(xy)} frames show one",
                       "check that the video shows one face, larger than about 64 pixels")
    keys = _keyframes(xy, there, KEYFRAMES)
    fov = config.fov or find_fov(xy[keys], width, height, model, reporter)
    lens = Lens.of(fov, width, height)
    identity, neutral, turned, _ = fit_shape(xy[keys], lens, model, ROUNDS * config.identity,
                                             reporter)
    fitter = FrameFitter(model, lens, neutral, turned)

    n = len(xy)
    poses = np.full((n, 4, 4), np.nan)
    weights = np.zeros((n, len(fitter.shapes)))
    scale = np.full(n, np.nan)  # pixels of the face's width
    pose = x = None
    for i in range(n):
        if not there[i]:
            pose = None
            continue
        try:
            pose, x, _ = fitter.fit(xy[i], pose, x)
            if not np.isfinite(pose).all():
                raise IdfError("No pose of a head explains these landmarks", "NaN",
                               "check that they belong to one face and to this camera")
        except IdfError:
            there[i], pose, x = False, None, None
            continue
        poses[i], weights[i] = pose, x
        scale[i] = lens.fx / -pose[2, 3] * _width(neutral)
        if i % 50 == 49:
            reporter.step("fitting frames", (i + 1) / n)
    if there.sum() < 3:
        raise IdfError("A clip needs a face in at least three frames",
                       f"the model fits {there.sum()} of {len(xy)} frames",
                       "check that the video shows one face, larger than about 64 pixels")
    errors = _errors(fitter, xy, poses, weights, there, scale)
    used = there & (errors < config.max_error)
    if not used.any():
        raise IdfError("The landmarks of no frame fit the face model",
                       f"median error {np.nanmedian(errors):.1f} % of the face's width",
                       f"the limit is {config.max_error:g} %; a wrong --fov is one cause")
    gaze = None
    if iris is not None and np.isfinite(iris).any():
        gaze = eyes.without_constant(eyes.measure(
            xy, iris, np.where(used[:, None, None], poses, np.nan), neutral, lens, model),
            poses, neutral)
    brow_sights = {}
    if pictures is not None and config.brows:
        reporter.step("following the brows", 0.0)
        brow_sights = sights(fitter, pictures, xy, poses, weights, used)
    followed = 0.0  # share of what could be seen of the brows
    for i in np.flatnonzero(used) if gaze is not None else brow_sights:
        brow = brow_sights.get(i)
        looks = None if gaze is None else weights_of([gaze.angles[i]] * 2)
        try:
            pose, x, _ = fitter.fit(xy[i], poses[i], weights[i], brow=brow, known=looks)
        except IdfError:
            continue  # the frame keeps what its landmarks said, and does not count as followed
        if np.isfinite(pose).all():
            poses[i], weights[i] = pose, x
            followed += float(brow.trust.mean()) / used.sum() if brow is not None else 0.0
    if config.smoothing > 0:
        poses, weights = _smoothed(poses, weights, used, config.smoothing, lambda p, x: _errors(
            fitter, xy, p, x, used, scale))
    errors = _errors(fitter, xy, poses, weights, there, scale)
    full = np.zeros((n, len(model.expression_names)), np.float32)
    full[:, fitter.columns] = weights
    if gaze is not None:
        _look(full, model.expression_names, xy, iris, gaze)
    quiet = np.argsort(np.where(used, weights.sum(1), np.inf))[:max(1, int(used.sum()) // 10)]
    return Track(lens, float(fov), neutral, identity, model.expression_names,
                 np.where(used[:, None, None], poses, np.nan), full, full[quiet].mean(0), errors,
                 used, followed, None if gaze is None else gaze.angles,
                 None if gaze is None else gaze.trust)


def _look(full, names, xy, iris, gaze) -> None:
    """Write the eyes' weights into (N, E)."""
    lids = [names.index("eyeBlink_R"), names.index("eyeBlink_L")]
    full[:, lids] = eyes.blinks(xy, iris, full[:, lids], gaze.opening)
    for i, angles in enumerate(gaze.angles):
        for name, value in weights_of([angles] * 2).items():
            full[i, names.index(name)] = value


# --- identity and focal length --------------------------------------------------------------------

def _keyframes(xy, there, count: int) -> np.ndarray:
    """Numbers of frames that differ as much as can be: the farthest of the aligned landmarks from
    those taken already."""
    index = np.flatnonzero(there)
    if len(index) > 1500:
        index = index[np.linspace(0, len(index) - 1, 1500).astype(int)]
    p = xy[index, ::6]
    p = p - p.mean(1, keepdims=True)
    p = (p / np.sqrt((p**2).sum((1, 2), keepdims=True))).reshape(len(index), -1)
    taken = [int(np.linalg.norm(p - np.median(p, axis=0), axis=1).argmin())]
    distance = np.linalg.norm(p - p[taken[0]], axis=1)
    while len(taken) < min(count, len(index)):
        # of the farthest few per cent none: those are wrong landmarks rather than rare faces
        limit = np.quantile(distance, 0.97)
        k = int(np.where(distance <= limit, distance, -1).argmax())
        if distance[k] <= 0:
            break
        taken.append(k)
        distance = np.minimum(distance, np.linalg.norm(p - p[k], axis=1))
    return index[sorted(taken)]


# --- over time ------------------------------------------------------------------------------------

def _smoothed(poses, weights, used, frames: float, errors_of):
    """Poses and weights smoothed, as strongly as the landmarks allow; gaps are bridged.

    A head that rests shakes by the landmarks' noise; one that turns quickly, or talks before 12
    frames a second, must not be smoothed. So there are LEVELS of smoothing, in units of `frames`,
    and each stretch of the clip gets the strongest under which the face fits its landmarks almost
    as well as without (CLOSE). errors_of: (poses, weights) -> (N,) how badly it fits.

    (A Kalman smoother with the noise and motion that the clip shows left twice the shaking on the
    bundled head: the landmarks' errors last over several frames.)
    """
    first = poses[np.flatnonzero(used)[0], :3, :3]
    raw = np.zeros((len(poses), 6))
    for i in np.flatnonzero(used):  # turns away from one of the rotations: short, so unambiguous
        raw[i, :3] = rotation_vector(poses[i, :3, :3] @ first.T)
        raw[i, 3:] = poses[i, :3, 3]
    results = [_smoothed_alike(raw, weights, used, max(level * frames, 1e-2)) for level in LEVELS]
    plain = errors_of(_poses(results[0][0], first), results[0][1])
    level = np.zeros(len(poses))
    for k, (moved, soft) in enumerate(results[1:], 1):
        ratio = np.where(used, errors_of(_poses(moved, first), soft) / plain, np.nan)
        ratio = np.where(used, ratio, 1.0)
        near = median_filter(ratio, NEAR, mode="nearest")
        level = np.where((near <= CLOSE) & (level == k - 1), k, level)
    level = uniform_filter1d(minimum_filter1d(level, NEAR // 2), NEAR)
    low = np.minimum(level.astype(int), len(LEVELS) - 2)
    share = (level - low)[:, None]
    rows = np.arange(len(poses))
    moved, soft = ((1 - share) * np.stack([r[k] for r in results])[low, rows]
                   + share * np.stack([r[k] for r in results])[low + 1, rows] for k in (0, 1))
    return _poses(moved, first), np.clip(soft, 0, 1)


def _smoothed_alike(raw, weights, used, frames: float):
    """Rotation vectors with places (N, 6) and weights smoothed over about `frames` frames, the
    weights over half as many; none moves further than STEPS from where its own frame had it."""
    stiffness, w = frames**4 / 4, used.astype(np.float64)
    moved = smooth(raw, w, stiffness)
    far = float(np.median(-raw[used, 5]))
    for part, limit in ((slice(0, 3), np.radians(STEPS[0])), (slice(3, 6), STEPS[1] * far)):
        step = moved[used, part] - raw[used, part]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        moved[used, part] = raw[used, part] + step * np.minimum(1, limit / np.maximum(length, 1e-9))
    soft = smooth(weights, w, stiffness / 16)
    soft[used] = weights[used] + np.clip(soft[used] - weights[used], -STEPS[2], STEPS[2])
    return moved, soft


def _poses(moved, first) -> np.ndarray:
    """(N, 4, 4) of rotation vectors away from `first` and places, (N, 6)."""
    out = np.tile(np.eye(4), (len(moved), 1, 1))
    out[:, :3, :3] = Rotation.from_rotvec(moved[:, :3]).as_matrix() @ first
    out[:, :3, 3] = moved[:, 3:]
    return out


def rotation_vector(R) -> np.ndarray:
    """Return (3,) rotation vector of a rotation matrix, radians in [0, pi]."""
    return Rotation.from_matrix(R).as_rotvec()


def _errors(fitter, xy, poses, weights, there, scale) -> np.ndarray:
    """(N,) median distance of landmarks and model, % of the face's width."""
    out = np.full(len(xy), np.nan)
    for i in np.flatnonzero(there):
        uv = fitter.project(weights[i], poses[i])
        out[i] = 100 * np.median(np.linalg.norm(uv - xy[i], axis=1)) / scale[i]
    return out


def _width(vertices) -> float:
    return float(np.linalg.norm(vertices[FACE_LEFT] - vertices[FACE_RIGHT]))
