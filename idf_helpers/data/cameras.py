"""Cameras: the one convention of this project, conversions at its border, rays and paths.

Convention (that of `transforms.json`): OpenGL camera-to-world, +x right, +y up, the camera looks
along -z. Pixels: x to the right, y down, the center of the first pixel at (0.5, 0.5). Whoever
wants another convention (OpenCV: y down, looking along +z) asks for it here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..errors import IdfError

# OpenGL <-> OpenCV camera axes: y and z change sign; the same matrix in both directions.
BLIND = 90.0  # degrees without a camera, beyond which a scene's other side was not seen
GL_TO_CV = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion.

    c2w: (4, 4) float64, OpenGL camera-to-world, rigid.
    fx, fy, cx, cy: focal lengths and principal point, in pixels (both focal lengths > 0).
    width, height: pixels.
    front: (3,) unit, where in the world the face looks; None where nobody knows.
    """

    c2w: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    front: np.ndarray | None = None

    @classmethod
    def from_fov(cls, c2w: ArrayLike, fov_x: float, width: int, height: int) -> Camera:
        """Return a camera of square pixels, centered. fov_x: horizontal, in radians, in (0, pi)."""
        f = 0.5 * width / math.tan(0.5 * fov_x)
        return cls(np.asarray(c2w, np.float64), f, f, width / 2, height / 2, width, height)

    @classmethod
    def look_at(cls, position: ArrayLike, target: ArrayLike, up: ArrayLike, fov_x: float,
                width: int, height: int) -> Camera:
        """Return a camera at `position` looking at `target`, `up` pointing up in it; all (3,)."""
        return cls.from_fov(look_at_matrix(position, target, up), fov_x, width, height)

    @property
    def position(self) -> np.ndarray:
        """(3,) camera center in the world."""
        return self.c2w[:3, 3]

    @property
    def forward(self) -> np.ndarray:
        """(3,) unit viewing direction in the world."""
        return -self.c2w[:3, 2]

    @property
    def up(self) -> np.ndarray:
        """(3,) unit up direction in the world."""
        return self.c2w[:3, 1]

    @property
    def fov_x(self) -> float:
        """Horizontal field of view in radians (`camera_angle_x`)."""
        return 2 * math.atan(0.5 * self.width / self.fx)

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsic matrix, pixel centers at +0.5."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @cached_property
    def w2c_cv(self) -> np.ndarray:
        """(4, 4) world-to-camera with OpenCV axes (x right, y down, z forward)."""
        c2w = self.c2w @ GL_TO_CV
        R = c2w[:3, :3].T
        out = np.eye(4)
        out[:3, :3] = R
        out[:3, 3] = -R @ c2w[:3, 3]
        return out

    def project(self, points: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (N, 2) and depth (N,) on the optical axis (> 0 in front) of points (N, 3).
        """
        p = np.asarray(points, np.float64) @ self.w2c_cv[:3, :3].T + self.w2c_cv[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = p[:, :2] / p[:, 2:] * (self.fx, self.fy) + (self.cx, self.cy)
        return uv, p[:, 2]

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the origin (3,) and unit directions (H, W, 3) float64 through the pixel
        centers."""
        x = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        y = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        d = np.stack(np.broadcast_arrays(x[None, :], -y[:, None], -1.0), axis=-1)
        d = d @ self.c2w[:3, :3].T
        return self.position, d / np.linalg.norm(d, axis=-1, keepdims=True)

    def resized(self, width: int, height: int) -> Camera:
        """Return the same view at another picture size (intrinsics scaled per axis)."""
        sx, sy = width / self.width, height / self.height
        return replace(self, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy,
                       width=int(width), height=int(height))

    def every(self, step: int, x: int, y: int) -> Camera:
        """Return the camera that sees pixels [y::step, x::step] of this one's picture, 0 <= x, y <
        step.

        Its pixels are `step` times as far apart and no wider: a rasterizer that dilates splats by
        0.3 pixels² draws the full picture's values at them with a dilation of 0.3/step².
        """
        return replace(self, fx=self.fx / step, fy=self.fy / step,
                       cx=(self.cx - x - 0.5) / step + 0.5, cy=(self.cy - y - 0.5) / step + 0.5,
                       width=-(-(self.width - x) // step), height=-(-(self.height - y) // step))

    def fitted(self, resolution: int | None) -> Camera:
        """Return the camera scaled so that the longer side is `resolution` pixels; unchanged
        where None."""
        size = fitted_size(self.width, self.height, resolution)
        return self if size == (self.width, self.height) else self.resized(*size)


def fitted_size(width: int, height: int, resolution: int | None) -> tuple[int, int]:
    """Return (width, height) with the longer side at `resolution` pixels; each side at least 1."""
    if not resolution:
        return width, height
    s = resolution / max(width, height)
    return max(1, round(width * s)), max(1, round(height * s))


def look_at_matrix(position: ArrayLike, target: ArrayLike, up: ArrayLike) -> np.ndarray:
    """Return the (4, 4) OpenGL camera-to-world; IdfError where the directions are degenerate."""
    position, target, upward = (np.asarray(v, np.float64) for v in (position, target, up))
    back = position - target
    right = np.cross(upward, back)
    if np.linalg.norm(back) < 1e-9 or np.linalg.norm(right) < 1e-9 * np.linalg.norm(back):
        raise IdfError("This camera has no direction",
                       f"position {position}, target {target}, up {upward}",
                       "use a target away from the position and an up not along the view")
    back, right = back / np.linalg.norm(back), right / np.linalg.norm(right)
    c2w = np.eye(4)
    c2w[:3, :4] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return c2w


@dataclass(frozen=True)
class SceneFrame:
    """Where the head is, found from the cameras alone.

    center: (3,) the point nearest to all optical axes.
    up: (3,) unit. front: (3,) unit, at right angles to up: where the face looks, if the cameras
        know it, else from the center toward the mean camera.
    distance: median distance of the cameras from the center.
    radius: half the width seen at that distance, the project's unit of length for trainers.
    """

    center: np.ndarray
    up: np.ndarray
    front: np.ndarray
    distance: float
    radius: float


def scene_frame(cameras: Iterable[Camera]) -> SceneFrame:
    """Return center, up, front and size of what the cameras look at.

    The center solves sum_i (I - d_i d_i^T)(x - o_i) = 0 (least squares over the optical axes).
    Parallel axes leave it undetermined; then it is put before the first camera, as far away as the
    world's origin is (at least 1). Up: the axis about which camera 'right' vectors lie in a plane,
    signed by the mean up.
    """
    cameras = list(cameras)
    if not cameras:
        raise IdfError("There is no camera to place a scene with", "0 frames", "give at least one")
    o = np.array([c.position for c in cameras])
    d = np.array([c.forward for c in cameras])
    A = np.eye(3)[None] - d[:, :, None] * d[:, None, :]
    lhs, rhs = A.sum(0), np.einsum("nij,nj->i", A, o)
    if np.linalg.cond(lhs) < 1e6:
        center = np.linalg.solve(lhs, rhs)
    else:  # one camera, or all parallel
        center = o[0] + d[0] * max(np.linalg.norm(o[0]), 1.0)
    # 'right' vectors of upright cameras all lie in the plane normal to up.
    right = np.array([c.c2w[:3, 0] for c in cameras])
    mean_up = np.mean([c.up for c in cameras], axis=0)
    w, v = np.linalg.eigh(right.T @ right)
    up = v[:, 0] if len(cameras) > 2 and w[1] > 1e-2 * w[2] else mean_up
    if np.linalg.norm(up) < 1e-6:
        up = np.array([0.0, 0.0, 1.0])
    up = up / np.linalg.norm(up) * (1.0 if up @ mean_up >= 0 else -1.0)
    back = o - center
    known = [c.front for c in cameras if c.front is not None]
    front = known[0] if known else np.mean(
        back / np.maximum(np.linalg.norm(back, axis=1, keepdims=True), 1e-9), axis=0)
    front = front - up * (front @ up)
    if np.linalg.norm(front) < 0.05:  # cameras all around: the first one counts as the front
        front = back[0] - up * (back[0] @ up)
    if np.linalg.norm(front) < 1e-6:
        front = np.cross(up, [1.0, 0.0, 0.0]) + 1e-9
    front = front / np.linalg.norm(front)
    distance = float(np.median(np.linalg.norm(back, axis=1)))
    fov = float(np.median([c.fov_x for c in cameras]))
    return SceneFrame(center, up, front, distance, distance * math.tan(0.5 * fov))


def looking_away(cameras: Iterable[Camera]) -> bool:
    """Return whether the point that the optical axes meet in lies behind nearly all cameras."""
    cameras = list(cameras)
    if len(cameras) < 3:
        return False
    center = scene_frame(cameras).center
    to = center - np.array([c.position for c in cameras])
    ahead = np.einsum("nj,nj->n", to, np.array([c.forward for c in cameras]))
    return bool((ahead < -0.9 * np.linalg.norm(to, axis=1)).mean() > 0.9)


def orbit(cameras: Iterable[Camera], frames: int = 120, elevation: float = 6.0, turns: float = 1.0,
          resolution: int | None = None, start: float = 0.0) -> list[Camera]:
    """Return a path around the head that `cameras` look at, starting in front of it.

    elevation, start: degrees; start is counted counterclockwise seen from above. Intrinsics are
    those of the first camera, at `resolution` pixels on the longer side.
    """
    cameras = list(cameras)
    s = scene_frame(cameras)
    base = cameras[0].fitted(resolution)
    side = np.cross(s.up, s.front)
    out = []
    for k in range(frames):
        a = math.radians(start) + 2 * math.pi * turns * k / frames
        e = math.radians(elevation)
        d = math.cos(e) * (math.cos(a) * s.front + math.sin(a) * side) + math.sin(e) * s.up
        c2w = look_at_matrix(s.center + s.distance * d, s.center, s.up)
        out.append(replace(base, c2w=c2w))
    return out


def round_trip(cameras: Iterable[Camera], frames: int = 120, elevation: float = 6.0,
               resolution: int | None = None) -> list[Camera]:
    """Return a path that shows what `cameras` saw: a turn as `orbit` gives it, or, where they leave
    more than BLIND degrees out, a swing from one end of what they saw to the other and back."""
    cameras = list(cameras)
    low, high = seen_yaws(cameras)
    if high - low >= 360:
        return orbit(cameras, frames, elevation, resolution=resolution)
    middle, reach = 0.5 * (low + high), 0.5 * (high - low)
    first = math.asin(np.clip(-middle / max(reach, 1e-9), -1, 1))  # in front, where that was seen
    angles = [middle + reach * math.sin(first + 2 * math.pi * k / frames) for k in range(frames)]
    return [orbit(cameras, 1, elevation, resolution=resolution, start=a)[0] for a in angles]


def seen_yaws(cameras: Iterable[Camera]) -> tuple[float, float]:
    """Return the ends of the arc that cameras stand on, degrees as in `yaw_pitch`, the low one
    first; (-180, 180) where no gap between two of them is wider than BLIND."""
    cameras = list(cameras)
    scene = scene_frame(cameras)
    yaws = np.sort([yaw_pitch(c, scene)[0] for c in cameras])
    gaps = np.diff(np.append(yaws, yaws[0] + 360))
    k = int(gaps.argmax())
    if gaps[k] <= BLIND:
        return -180.0, 180.0
    low, high = float(yaws[(k + 1) % len(yaws)]), float(yaws[k])
    high += 360 * (low > high)
    around = 360 * (low + high > 360)
    return low - around, high - around


def yaw_pitch(camera: Camera, scene: SceneFrame) -> tuple[float, float]:
    """Return yaw and pitch of the camera seen from the scene's center, degrees: yaw 0 = front,
    pitch > 0 above."""
    d = camera.position - scene.center
    d = d / np.linalg.norm(d)
    side = np.cross(scene.up, scene.front)
    return (math.degrees(math.atan2(d @ side, d @ scene.front)),
            math.degrees(math.asin(np.clip(d @ scene.up, -1, 1))))
