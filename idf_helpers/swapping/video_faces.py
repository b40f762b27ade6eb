"""The face in every frame of a video: found, linked, smoothed, and a camera for each frame.

The cameras of a video are not known. The measured mean face (`idf_helpers.face`) is laid onto each
frame's landmarks (perspective n points), which gives the camera as the head sees it; the mean face
is then bent, a little, to what all frames show of this one. From there on a video is a sequence
like any other (`mesh_tracking`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ..data.cameras import Camera
from ..data.clips import VideoIndex, read_frames
from ..face.detector import LandmarkDetector
from ..face.head_model import FaceModel
from ..face.landmarks import FaceLandmarks
from ..face.mesh import FaceMesh, vertex_normals
from ..face.pose import fit_pose, rigid_inverse
from ..face.smooth import REACH, WINDOW, steady
from ..face.topology import IRIS_POINTS, POINTS
from ..runtime.npz import ArrayRecord
from .held import BYTES, held, packed, unpacked
from .mesh.mesh_tracking import bridge
from .mesh.refine import move_vertices
from .occluders import Hidden, look

MOST_FACES = 4  # looked at in a frame, so that one is not taken for another
FOCAL = 1.25  # assumed focal length over the longer side of the picture: a portrait or a phone
BLOCK = 1000  # frames that are smoothed in one go
FITTED = 120  # frames that the mesh is fitted to, at most


@dataclass(frozen=True)
class Part:
    """Frames start..stop-1 of a video: the unit of work, of resuming and of encoding."""

    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.number:05d}"


def make_parts(frames: int, size: int) -> list[Part]:
    return [Part(k, a, min(a + size, frames)) for k, a in enumerate(range(0, frames, size))]


@functools.lru_cache(maxsize=2)
def load_index(path: Path) -> VideoIndex:
    """Read a `VideoIndex` once a process."""
    return VideoIndex.load(path)


@functools.lru_cache(maxsize=1)
def _detector() -> LandmarkDetector:
    return LandmarkDetector()


def find_in_part(part: Part, video: Path, index: Path, folder: Path) -> Path:
    """Find the faces in a part and write them, in any process: `folder/faces_NUMBER.npz` with
    frame (F,) int32, points (F, 468, 3) and iris (F, 10, 3) float32, presence and score (F,), what
    stands before it (F, BYTES) uint8, best first in a frame.
    """
    frames, faces, before = [], [], []
    for k, image in enumerate(read_frames(video, load_index(index), part.start, part.stop)):
        for face in _detector().detect(image, max_faces=MOST_FACES):
            frames.append(part.start + k)
            faces.append(face)
            before.append(packed(look(image, face)))
    path = folder / f"faces_{part.name}.npz"
    Found(np.array(frames, np.int32),
          np.array([f.points for f in faces], np.float32).reshape(-1, POINTS, 3),
          np.array([f.iris for f in faces], np.float32).reshape(-1, IRIS_POINTS, 3),
          np.array([f.presence for f in faces], np.float32),
          np.array([f.score for f in faces], np.float32),
          np.array(before, np.uint8).reshape(-1, BYTES)).save(path)
    return path


@dataclass(frozen=True, eq=False)
class Found(ArrayRecord):
    """What `find_in_part` wrote."""

    frame: np.ndarray
    points: np.ndarray
    iris: np.ndarray
    presence: np.ndarray
    score: np.ndarray
    before: np.ndarray

    schema: ClassVar = {"frame": "i F", "points": f"f F {POINTS} 3",
                        "iris": f"f F {IRIS_POINTS} 3", "presence": "f F", "score": "f F",
                        "before": f"u1 F {BYTES}"}


@dataclass(frozen=True, eq=False)
class VideoFaces(ArrayRecord):
    """One face through a video.

    points: (N, 468, 3) float32 landmarks, smoothed; NaN where there is no face. seen: (N,) bool,
    where one was found (not bridged). times: (N,) int, frame numbers with a jump at every cut.
    iris: (N, 10, 3) float32 like `points`. before: (N, BYTES) uint8, what stands before the face
    (`held`).
    """

    points: np.ndarray
    seen: np.ndarray
    times: np.ndarray
    iris: np.ndarray
    before: np.ndarray

    schema: ClassVar = {"points": f"f N {POINTS} 3", "seen": "b N", "times": "iu N",
                        "iris": f"f N {IRIS_POINTS} 3", "before": f"u1 N {BYTES}"}

    def face(self, frame: int) -> FaceLandmarks | None:
        points = self.points[frame]
        return FaceLandmarks(points, 1.0, 1.0, self.iris[frame]) if np.isfinite(points).all() \
            else None

    def telling(self, most: int) -> list[int]:
        """Return at most so many frames, spread over the half that look at the camera best."""
        there = [(abs(face.yaw), i) for i in range(len(self.points)) if (face := self.face(i))]
        there = [i for _, i in sorted(there)]
        return there[::max(1, len(there) // 2 // most)][:most]

    def hidden(self, frame: int) -> Hidden:
        """Return what stands before the face in a frame."""
        return unpacked(self.before[frame])


@functools.lru_cache(maxsize=2)
def load_faces(path: Path) -> VideoFaces:
    """Read `VideoFaces` once a process."""
    return VideoFaces.load(path)


def link(found: Sequence[Found], frames: int) -> VideoFaces:
    """Return the face that is followed: first the clearest one, then the one nearest to where it
    was. A face that jumps by more than a third of its size between two frames is a cut."""
    points = np.full((frames, POINTS, 3), np.nan, np.float32)
    iris = np.full((frames, IRIS_POINTS, 3), np.nan, np.float32)
    before = np.zeros((frames, BYTES), np.uint8)
    times, cuts = np.arange(frames), 0
    last = None  # (frame, center, size)
    for part in found:
        for n in np.unique(part.frame):
            here = part.frame == n
            these = part.points[here]
            centers = these[..., :2].mean(1)
            sizes = np.ptp(these[..., :2], axis=1).max(1)
            best = 0
            if last is not None and len(these) > 1:
                best = int(np.linalg.norm(centers - last[1], axis=1).argmin())
            if last is not None:
                moved = np.linalg.norm(centers[best] - last[1]) / max(sizes[best], 1e-6)
                grown = abs(np.log(max(sizes[best], 1e-6) / max(last[2], 1e-6)))
                if max(moved, grown) > 0.34 * (n - last[0]) ** 0.5:
                    cuts += 1
            times[n:] = np.arange(n, frames) + 1000 * cuts
            points[n], iris[n] = these[best], part.iris[here][best]
            before[n] = part.before[here][best]
            last = (n, centers[best], sizes[best])
    return VideoFaces(points, np.isfinite(points).all((1, 2)), times, iris, before)


def smoothed(faces: VideoFaces, window: int = WINDOW, reach: float = REACH, gap: int = 3
             ) -> VideoFaces:
    """Smooth place, size and turn in the picture apart from the shape, each in time: so the shape
    is not blurred by the head's own motion. Gaps of at most `gap` frames are filled in.

    Long videos are done in blocks, which overlap by more than any frame's result depends on."""
    points, iris = np.empty_like(faces.points), np.empty_like(faces.iris)
    pad = window + 2 * gap + 2
    for start in range(0, len(points), BLOCK):
        low, high = max(0, start - pad), min(len(points), start + BLOCK + pad)
        block = VideoFaces(**{k: v[low:high] for k, v in faces.arrays().items()})
        stop = min(start + BLOCK, len(points))
        block = _smoothed(block, window, reach, gap)
        points[start:stop] = block.points[start - low:stop - low]
        iris[start:stop] = block.iris[start - low:stop - low]
    return replace(faces, points=points, iris=iris,
                   before=held(faces.before, faces.times, faces.seen))


def _smoothed(faces: VideoFaces, window: int, reach: float, gap: int) -> VideoFaces:
    p = np.concatenate([faces.points, faces.iris], axis=1).astype(np.float64)
    known = np.flatnonzero(faces.seen)
    if not len(known):
        return faces
    mean = p[known[0], :POINTS, :2] - p[known[0], :POINTS, :2].mean(0)
    mean /= np.linalg.norm(mean, axis=1).mean()
    shape = np.full_like(p, np.nan)
    frame = np.full((len(p), 2, 2), np.nan)  # the center, and a point one size beside it
    for i in known:
        c = p[i, :POINTS, :2].mean(0)
        q = p[i, :, :2] - c
        # The similarity z -> (a + ib) z that takes the mean to the mesh (least squares).
        m = q[:POINTS]
        a = (mean * m).sum() / (mean**2).sum()
        b = (mean[:, 0] * m[:, 1] - mean[:, 1] * m[:, 0]).sum() / (mean**2).sum()
        R = np.array([[a, -b], [b, a]])
        scale = np.hypot(a, b)
        shape[i] = np.column_stack([q @ np.linalg.inv(R).T, p[i, :, 2] / scale])
        frame[i] = c, c + (a, b)
    shape = bridge(steady(shape, faces.times, window, reach), faces.times, gap)
    frame = bridge(steady(frame, faces.times, window, reach), faces.times, gap)
    out = np.full_like(p, np.nan, np.float32)
    for i in np.flatnonzero(np.isfinite(shape).all((1, 2))):
        c, (a, b) = frame[i, 0], frame[i, 1] - frame[i, 0]
        out[i, :, :2] = shape[i, :, :2] @ np.array([[a, -b], [b, a]]).T + c
        out[i, :, 2] = shape[i, :, 2] * np.hypot(a, b)
    return replace(faces, points=out[:, :POINTS], iris=out[:, POINTS:])


@dataclass(frozen=True, eq=False)
class Clip:
    """A video whose face is known: what swappers for video are prepared from.

    video: the file. index: of its frames. saved: where `faces` lie, for other processes.
    """

    video: Path
    index: VideoIndex
    saved: Path
    faces: VideoFaces


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame as the swap of views wants it; `name` is its number."""

    camera: Camera
    name: str
    clip: Clip

    def image(self) -> np.ndarray:
        n = int(self.name)
        return next(read_frames(self.clip.video, self.clip.index, n, n + 1))


def video_camera(index: VideoIndex, c2w=None) -> Camera:
    """Return a camera of the assumed focal length; c2w: (4, 4) OpenGL, in the head's frame."""
    f = FOCAL * max(index.width, index.height)
    return Camera(np.eye(4) if c2w is None else np.asarray(c2w, np.float64), f, f,
                  index.width / 2, index.height / 2, index.width, index.height)


def head_poses(faces: VideoFaces, index: VideoIndex, vertices) -> np.ndarray:
    """Return (N, 4, 4) head-to-camera pose (OpenGL) of every frame, NaN where there is no face.

    vertices: (468, 3) of the head at rest. Each frame starts from the one before.
    """
    base = video_camera(index)
    out = np.full((len(faces.points), 4, 4), np.nan)
    pose, time = None, -10
    for i in np.flatnonzero(np.isfinite(faces.points).all((1, 2))):
        if faces.times[i] - time > 3:
            pose = None
        pose = fit_pose(faces.points[i], base, vertices, start=pose).pose
        out[i], time = pose, faces.times[i]
    return out


def smoothed_poses(poses: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (N, 4, 4): the rotation and the place of the head, each smoothed in time."""
    known = np.flatnonzero(np.isfinite(poses).all((1, 2)))
    if not len(known):
        return poses
    # Turns against the first pose are moderate, so that rotation vectors may be averaged.
    first = poses[known[0], :3, :3]
    turn, place = (np.full((len(poses), 1, 3), np.nan) for _ in range(2))
    for i in known:
        turn[i, 0] = cv2.Rodrigues(poses[i, :3, :3] @ first.T)[0][:, 0]
        place[i, 0] = poses[i, :3, 3]
    turn, place = (steady(v, times) for v in (turn, place))
    out = poses.copy()
    for i in known:
        out[i, :3, :3] = cv2.Rodrigues(turn[i, 0])[0] @ first
        out[i, :3, 3] = place[i, 0]
    return out


def fit_to_video(faces: VideoFaces, index: VideoIndex) -> tuple[FaceMesh, np.ndarray, np.ndarray]:
    """Return the mesh of the head at rest (cm), the cameras (N, 4, 4), and the numbers of the
    frames that it was fitted to.

    Every second round lays the mesh onto the frames, every other moves its points to where the
    landmarks are on the whole. Depth that no frame shows stays the mean face's.
    """
    known = np.flatnonzero(faces.seen & np.isfinite(faces.points).all((1, 2)))
    used = known[np.unique(np.linspace(0, len(known) - 1, min(FITTED, len(known))).astype(int))]
    some = VideoFaces(faces.points[used], faces.seen[used], 10 * np.arange(len(used)),
                      faces.iris[used], faces.before[used])
    vertices = FaceModel.load().rest.astype(np.float64)
    for _ in range(2):
        cameras = [video_camera(index, rigid_inverse(p)) for p in head_poses(some, index, vertices)]
        mesh = _mesh(vertices, len(used))
        P = np.stack([c.K @ c.w2c_cv[:3] for c in cameras])
        depth = np.stack([c.project(vertices)[1] for c in cameras])
        view = np.stack([c.position for c in cameras])[:, None] - vertices
        facing = (view * mesh.normals).sum(-1) / np.linalg.norm(view, axis=-1)
        weight = np.clip((facing + 0.2) / 0.4, 0.001, 1) / depth**2
        xy = some.points[..., :2].astype(np.float64)
        vertices = vertices + move_vertices(mesh, P, xy, weight, stiffness=0.5)
    poses = smoothed_poses(head_poses(faces, index, vertices), faces.times)
    cameras = np.stack([rigid_inverse(p) for p in poses])
    return _mesh(vertices, len(used)), cameras, used


def _mesh(vertices, views: int) -> FaceMesh:
    return FaceMesh(vertices, vertex_normals(vertices), np.ones(views, bool), np.zeros(views))
