"""Cameras into the world of the bundled views: head upright, face to -y, of one size.

The 468 landmarks are triangulated over the frames that show the face, and the mean face is laid
onto them by a similarity. Where too few frames see it from different sides, one frame's pose of the
head gives the directions, and the cameras' common center the place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.cameras import GL_TO_CV, Camera, scene_frame
from ..errors import IdfError
from ..face.head_model import FaceModel, toward
from ..face.pose import fit_pose
from .cameras import Cameras, Frames

UNIT = 0.0630  # world units a centimeter: the bundled head, laid onto the mean face
ORIGIN = np.array([0.0, 0.125, -0.063])  # the face model's origin in the world
TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # head's frame -> z up, face to -y
DISTANCE = 4.0  # of the cameras, where no face tells the size
APART = 8.0  # degrees between the outermost frames from which a face is triangulated
WIDEST = 0.75  # of a direction's |x|: faces turned by more than 49 degrees are drawn too badly
ROUNDS = 8  # of reweighting
# Of the face's size: median distance in the pictures of its points from where the cameras say
# that they are. A still head has 0.002 to 0.007, one that sways by a twentieth of its size 0.013
# to 0.023.
MOVED = 0.012
MISFIT = 0.12  # of the face's size: median error from which the fit is doubted


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> scale * rotation x + offset."""

    scale: float
    rotation: np.ndarray
    offset: np.ndarray

    def points(self, x) -> np.ndarray:
        """Return points (..., 3) moved."""
        return self.scale * np.asarray(x) @ self.rotation.T + self.offset

    def camera(self, camera: Camera) -> Camera:
        """Return a camera moved."""
        c2w = camera.c2w.copy()
        c2w[:3, :3] = self.rotation @ c2w[:3, :3]
        c2w[:3, 3] = self.points(c2w[:3, 3])
        return replace(camera, c2w=c2w)


def place(frames: Frames, cameras: Cameras) -> Cameras:
    """Return the cameras and points in the world of the bundled views, with notes of doubts.

    IdfError: fewer than two frames have a camera.
    """
    known = [i for i, c in enumerate(cameras.cameras) if c is not None]
    if len(known) < 2:
        raise IdfError("There are too few cameras to place a head", f"{len(known)}",
                       "film the head from more sides")
    sim, notes, knows = find_world(frames, cameras)
    points = cameras.points
    if points is not None:
        points = np.concatenate([sim.points(points[:, :3]), points[:, 3:]], 1).astype(np.float32)
    front = np.array([0.0, -1.0, 0.0]) if knows else None
    return replace(cameras, cameras=tuple(None if c is None else
                                          replace(sim.camera(c), front=front)
                                          for c in cameras.cameras),
                   points=points, notes=(*cameras.notes, *notes))


def find_world(frames: Frames, cameras: Cameras) -> tuple[Similarity, list[str], bool]:
    """Return what brings the cameras' world to the bundled one, sentences of doubt, and whether
    the face is known to look to -y there."""
    seen = frames.seen
    rows = [i for i, c in enumerate(cameras.cameras) if c is not None and seen[i]]
    placed = [cameras.cameras[i] for i in rows]
    xy = [undistorted(frames.points[i, :, :2], c, cameras.distortion)
          for i, c in zip(rows, placed, strict=True)]
    poses = [_pose(p, c) for p, c in zip(xy, placed, strict=True)]
    front = [k for k, p in enumerate(poses)
             if p is not None and abs(_side(p)) < WIDEST]
    center = scene_frame([c for c in cameras.cameras if c is not None])
    if not front:
        return _without_face(center), [
            "no frame with a camera shows the face: size and front of the head are guessed"], False
    placed, xy, poses = ([v[k] for k in front] for v in (placed, xy, poses))
    if _spread(placed, poses) < APART:
        return _from_pose(placed, poses, center), [
            "the face is seen from one side only: the size of the head is guessed"], True
    model = FaceModel.load()
    shown = np.array([model.displacement(p) for p in poses]) @ TO_WORLD.T * UNIT
    points = triangulate(placed, np.array(xy), np.ones((len(xy), len(xy[0]))))
    sim, misfit = _fit(points, shown, model)
    notes = []
    moved = float(np.median([
        np.median(np.linalg.norm(c.project(points)[0] - p, axis=1)) / np.ptp(p, axis=0).max()
        for c, p in zip(placed, xy, strict=True)]))
    if moved > MOVED:
        notes.append(f"the face does not hold still (its points are off by {100 * moved:.1f} % of "
                     "its size): the head moved or made faces while it was filmed")
    if misfit > MISFIT:
        notes.append(f"the face fits badly into the cameras (its points are off by "
                     f"{100 * misfit:.0f} % of its size): look at the overlay")
    return sim, notes, True


def undistorted(xy, camera: Camera, distortion) -> np.ndarray:
    """Return pixels (N, 2) as a lens without distortion shows them; OpenCV's k1, k2, p1, p2."""
    xy = np.asarray(xy, np.float64)
    if distortion is None:
        return xy
    import cv2

    return cv2.undistortPoints(xy[:, None], camera.K, np.array(distortion), P=camera.K)[:, 0]


def _pose(xy, camera: Camera):
    try:
        return fit_pose(xy, camera).pose
    except IdfError:
        return None


def _side(pose) -> float:
    d = toward(pose)
    return float(d[0] / np.linalg.norm(d))


def _spread(placed, poses) -> float:
    """Return degrees between the two frames that see the face from the most different sides, by
    their cameras."""
    side = np.array([_side(p) for p in poses])
    a, b = placed[int(side.argmin())], placed[int(side.argmax())]
    R = a.c2w[:3, :3].T @ b.c2w[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


def triangulate(cameras: list[Camera], xy, weights) -> np.ndarray:
    """Return (P, 3): the points nearest to their rays, in pixels and robustly.

    xy: (F, P, 2) pixels. weights: (F, P) >= 0. Rays through a point count by the inverse square of
    its depth; those that miss by more than the median frame do count less (Cauchy).
    """
    centers = np.array([c.position for c in cameras])
    rays = np.stack([np.concatenate([(p - (c.cx, c.cy)) / (c.fx, c.fy), np.ones((len(p), 1))], 1)
                     @ (c.c2w @ GL_TO_CV)[:3, :3].T for c, p in zip(cameras, xy, strict=True)])
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]  # (F, P, 3, 3)
    w = np.asarray(weights, np.float64)
    for _ in range(ROUNDS):
        A = np.einsum("fp,fpij->pij", w, across)
        b = np.einsum("fp,fpij,fj->pi", w, across, centers)
        points = np.linalg.solve(A + 1e-12 * np.trace(A, axis1=1, axis2=2)[:, None, None]
                                 * np.eye(3), b[..., None])[..., 0]
        error = np.stack([np.linalg.norm(c.project(points)[0] - p, axis=1)
                          for c, p in zip(cameras, xy, strict=True)])
        scale = max(float(np.median(error)), 0.2)
        depth = np.stack([np.maximum(c.project(points)[1], 1e-9) for c in cameras])
        w = weights / (1 + (error / (2 * scale)) ** 2) / (depth / np.median(depth)) ** 2
    return points


def fit_similarity(x, y, weights) -> Similarity:
    """Return the similarity that brings x (P, 3) to y (P, 3) best (Umeyama 1991)."""
    w = np.asarray(weights, np.float64) / np.sum(weights)
    mx, my = w @ x, w @ y
    u, s, vt = np.linalg.svd((y - my).T @ (w[:, None] * (x - mx)))
    d = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ d @ vt
    scale = float((s * np.diag(d)).sum() / (w @ ((x - mx) ** 2).sum(1)))
    return Similarity(scale, rotation, my - scale * rotation @ mx)


def _fit(points, shown, model: FaceModel) -> tuple[Similarity, float]:
    """Return the similarity to the world, and the median error of the mean face as a share of the
    face's size.

    points: (468, 3) triangulated. shown: (F, 468, 3) by how much the landmark model displaces a
    face seen from each camera, world units: it does not cancel out where all frames are from one
    side.
    """
    target = model.rest.astype(np.float64) @ TO_WORLD.T * UNIT + ORIGIN
    size = float(np.ptp(target, axis=0).max())
    trust = model.rigid_weights
    sim = fit_similarity(points, target + shown.mean(0), trust)
    for _ in range(ROUNDS):
        error = np.linalg.norm(sim.points(points) - target - shown.mean(0), axis=1)
        w = trust / (1 + (error / (0.04 * size)) ** 2)
        sim = fit_similarity(points, target + shown.mean(0), w)
    return sim, float(np.median(error)) / size


def _from_pose(cameras, poses, center) -> Similarity:
    """Return the world of the frame that sees the face most from the front: its directions, and
    the head where the cameras look."""
    k = int(np.argmin([abs(_side(p)) for p in poses]))
    camera, pose = cameras[k], poses[k]
    rotation = TO_WORLD @ pose[:3, :3].T @ camera.c2w[:3, :3].T
    depth = float(camera.project(center.center[None])[1][0])
    # the head is as far away in centimeters as the center is in the cameras' units
    scale = UNIT * float(-pose[2, 3]) / max(depth, 1e-9)
    head = camera.c2w[:3, :3] @ pose[:3, 3] * (UNIT / scale) + camera.position
    return Similarity(scale, rotation, ORIGIN - scale * rotation @ head)


def _without_face(center) -> Similarity:
    """Return a world in which the cameras look at the origin from DISTANCE."""
    rotation = np.stack([np.cross(-center.front, center.up), -center.front, center.up])
    scale = DISTANCE / max(center.distance, 1e-9)
    return Similarity(scale, rotation, -scale * rotation @ center.center)
