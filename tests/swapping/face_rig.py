"""A head that the tests make themselves: the 468-point mesh on a smooth face, cameras round it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np

from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.face import topology
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.mesh import FaceMesh, vertex_normals
from idf_helpers.face.raster import rasterize

SIZE = 160


def layout() -> np.ndarray:
    """(468, 2): oval, eyes and an open mouth on ellipses, every other point at the mean of its
    neighbors (Tutte 1963)."""
    n = topology.POINTS
    A = np.zeros((n, n))
    for t in topology.TRIANGLES:
        for i, j in ((0, 1), (1, 2), (2, 0)):
            A[t[i], t[j]] = A[t[j], t[i]] = 1
    A = np.diag(A.sum(1)) - A
    b = np.zeros((n, 2))
    # ring, center, half axes, angle of its first point, sense
    for ring, center, axes, start, sense in (
            (topology.FACE_OVAL, (0, 0), (0.5, 0.65), np.pi / 2, -1),
            (topology.LEFT_EYE, (0.2, 0.12), (0.09, 0.04), 0, -1),
            (topology.RIGHT_EYE, (-0.2, 0.12), (0.09, 0.04), np.pi, 1),
            (topology.INNER_MOUTH, (0, -0.33), (0.13, 0.03), np.pi, 1)):
        angle = start + sense * 2 * np.pi * np.arange(len(ring)) / len(ring)
        A[ring] = 0
        A[ring, ring] = 1
        b[ring] = np.add(center, np.multiply(axes, np.stack([np.cos(angle), np.sin(angle)], 1)))
    return np.linalg.solve(A, b)


def true_mesh(views: int = 0) -> FaceMesh:
    """The face: an ellipsoid cap with a nose, looking to -y, up +z, about 1 wide."""
    x, z = layout().T
    x, z = 1.1 * x, 1.1 * z
    y = -0.75 * np.sqrt(np.maximum(1.02 - (x / 0.62) ** 2 - (z / 0.85) ** 2, 0.02))
    tip = layout()[topology.NOSE_TIP] * 1.1
    y -= 0.12 * np.exp(-((x - tip[0]) ** 2 / 0.008 + (z - tip[1]) ** 2 / 0.02))
    vertices = np.stack([x, y + 0.3, z], 1)
    return FaceMesh(vertices, vertex_normals(vertices), np.ones(views, bool), np.zeros(views))


def camera(yaw: float, pitch: float = 0.0, size: int = SIZE, distance: float = 4.0) -> Camera:
    """Degrees; 0 looks the face in the eye, positive from its left."""
    a, e = np.radians(yaw), np.radians(pitch)
    position = distance * np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    return Camera.from_fov(look_at_matrix(position, (0, 0, 0), (0, 0, 1)), 0.42, size, size)


def paint(seed: int, tone) -> np.ndarray:
    """(468, 3) colors 0-255 of the points: a skin tone with patches as fine as the mesh."""
    rng = np.random.default_rng(seed)
    return np.clip(np.asarray(tone) + rng.normal(0, 14, (topology.POINTS, 1)), 5, 250)


@dataclass(frozen=True, eq=False)
class RigFrame:
    """A frame as the swap wants it."""

    camera: Camera
    picture: np.ndarray

    def image(self) -> np.ndarray:
        return self.picture


def render(mesh: FaceMesh, colors, cam: Camera, alpha: bool = True) -> np.ndarray:
    """(H, W, 4 or 3) uint8: the face before a dark ball (the head), openings in blue."""
    xy, z = cam.project(mesh.vertices)
    s = 2
    h, w = cam.height * s, cam.width * s
    rgb, ids, _ = rasterize(mesh.triangles, xy * s, z, colors, h, w, perspective=True)
    head = np.zeros((h, w), np.uint8)
    center, _ = cam.project(np.array([[0, 0.25, 0.05]]))
    middle = tuple(int(v) for v in np.round(center[0] * s))
    cv2.circle(head, middle, int(0.62 / 4 * cam.fx * s), 255, -1)
    seen = xy[(mesh.normals * (cam.position - mesh.vertices)).sum(1) > 0]
    if len(seen) > 2:
        cv2.fillConvexPoly(head, cv2.convexHull(np.int32(seen * s)), 255)
    picture = np.zeros((h, w, 4), np.float32)
    picture[head > 0] = (40, 60, 150, 255)
    # Only what faces the camera; from behind there is the head.
    p = xy[mesh.triangles]
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    front = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0)[ids] & (ids >= 0)
    picture[front, :3], picture[front, 3] = rgb[front], 255
    picture = cv2.resize(picture, (cam.width, cam.height), interpolation=cv2.INTER_AREA)
    picture = np.rint(picture).astype(np.uint8)
    return picture if alpha else np.ascontiguousarray(picture[..., :3])


def make_frames(mesh, colors, yaws, pitches=(0.0,)) -> list[RigFrame]:
    cameras = [camera(y, p) for p in pitches for y in yaws]
    return [RigFrame(c, render(mesh, colors, c)) for c in cameras]


def make_source(mesh, colors, size: int = 200, yaw: float = 0.0) -> SimpleNamespace:
    """A photo of the same geometry with other colors: what `bake` uses of a SourceFace."""
    cam = camera(yaw, size=size)
    xy, z = cam.project(mesh.vertices)
    points = np.column_stack([xy, (z - z.mean()) * size]).astype(np.float32)
    image = render(mesh, colors, cam, alpha=False)
    return SimpleNamespace(image=image, landmarks=FaceLandmarks(points, 1.0, 1.0),
                           skin=np.ones((size, size), np.float32))
