"""Lenses: what bends a ray on its way to the pixel, and pictures without that bend.

Every model maps a ray (x right, y down, z forward) to a point of the picture, as COLMAP defines it
(github.com/colmap/colmap, src/colmap/sensor/models.h); `FTHETA` and `EQUAL_AREA` are instant-ngp's
(common_device.cuh), `POLYNOMIAL` is nerfstudio's reading of k1 ... k4 (camera_utils.py). A straight
picture asks for each of its pixels where the lens saw that ray: no inverse is ever solved for.
Pixels whose ray the lens did not see become transparent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..errors import IdfError
from .cameras import Camera

Bend = Callable[..., tuple[np.ndarray, np.ndarray]]
FINE = 32  # parts of a pixel that OpenCV's fixed-point maps tell apart
WIDEST = 32_000  # pixels a side: what such maps can point at


def _perspective(x, y, z, k1=0.0, k2=0.0, p1=0.0, p2=0.0, k3=0.0, k4=0.0, k5=0.0, k6=0.0,
                 s1=0.0, s2=0.0, s3=0.0, s4=0.0):
    """OpenCV's order and meaning; k4 to k6 divide."""
    x, y = x / z, y / z
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if k4 or k5 or k6:
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + s2 * r2),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y) + r2 * (s3 + s4 * r2))


def _polynomial(x, y, z, k1=0.0, k2=0.0, p1=0.0, p2=0.0, k3=0.0, k4=0.0):
    x, y = x / z, y / z
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y))


def _on_the_angle(x, y, z):
    """Return x, y with the length of the ray's angle to the axis."""
    r = np.hypot(x, y)
    turn = np.arctan2(r, z) / np.maximum(r, 1e-12)
    return x * turn, y * turn


def _fisheye(x, y, z, *k):
    x, y = _on_the_angle(x, y, z)
    t2, radial = x * x + y * y, 1.0
    for power, value in enumerate(k, 1):
        radial = radial + value * t2**power
    return x * radial, y * radial


def _thin_prism_fisheye(x, y, z, k1, k2, p1, p2, k3, k4, sx1, sy1):
    x, y = _on_the_angle(x, y, z)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + sx1 * r2,
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y) + sy1 * r2)


def _fisheye624(x, y, z, *p):
    x, y = _fisheye(x, y, z, *p[:6])
    p0, p1, s0, s1, s2, s3 = p[6:]
    r2 = x * x + y * y
    return (x + 2 * p1 * x * y + p0 * (r2 + 2 * x * x) + r2 * (s0 + s1 * r2),
            y + 2 * p0 * x * y + p1 * (r2 + 2 * y * y) + r2 * (s2 + s3 * r2))


def _fov(x, y, z, omega):
    x, y = x / z, y / z
    r = np.maximum(np.hypot(x, y), 1e-12)
    if abs(omega) < 1e-6:
        return x, y
    factor = np.arctan(2 * r * np.tan(omega / 2)) / (r * omega)
    return x * factor, y * factor


def _division(x, y, z, k):
    inside = z * z - 4 * k * (x * x + y * y)
    r = 2 / (z + np.sqrt(np.where(inside < 0, np.nan, inside)))
    return x * r, y * r


def _eucm(x, y, z, alpha, beta):
    depth = alpha * np.sqrt(np.maximum(beta * (x * x + y * y) + z * z, 0)) + (1 - alpha) * z
    depth = np.where(depth <= 1e-9, np.nan, depth)
    return x / depth, y / depth


def _ftheta(x, y, z, *p):
    """Read the angle, a polynomial of the distance in pixels, backward from a table."""
    r = np.linspace(0, 4 * WIDEST, 1 << 17)
    angle = np.polyval(p[::-1], r)
    grows = np.concatenate([[True], np.diff(angle) > 0])
    end = len(r) if grows.all() else int(np.argmin(grows))
    x, y = _on_the_angle(x, y, z)
    theta = np.hypot(x, y)
    pixels = np.interp(theta, angle[:end], r[:end], right=np.nan)
    turn = pixels / np.maximum(theta, 1e-12)
    return x * turn, y * turn


def _panorama(x, y, z):
    return np.arctan2(x, z) / (2 * np.pi), np.arctan2(y, np.hypot(x, z)) / np.pi


def _equal_area(x, y, z):
    return np.arctan2(x, z) / (2 * np.pi), 0.5 * y / np.sqrt(x * x + y * y + z * z)


@dataclass(frozen=True)
class Model:
    """number: in COLMAP's binary files, None where it has none. focal: 1 where one focal length
    serves both axes, 2 for fx and fy, 0 for a panorama. names: of its distortion parameters."""

    number: int | None
    focal: int
    names: tuple[str, ...]
    bend: Bend

    @property
    def count(self) -> int:
        """How many parameters COLMAP stores."""
        return self.focal + 2 + len(self.names) if self.focal else 2


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MODELS = {
    "SIMPLE_PINHOLE": Model(0, 1, (), _perspective),
    "PINHOLE": Model(1, 2, (), _perspective),
    "SIMPLE_RADIAL": Model(2, 1, ("k1",), _perspective),
    "RADIAL": Model(3, 1, ("k1", "k2"), _perspective),
    "OPENCV": Model(4, 2, _names("k1 k2 p1 p2"), _perspective),
    "OPENCV_FISHEYE": Model(5, 2, _names("k1 k2 k3 k4"), _fisheye),
    "FULL_OPENCV": Model(6, 2, _names("k1 k2 p1 p2 k3 k4 k5 k6"), _perspective),
    "FOV": Model(7, 2, ("omega",), _fov),
    "SIMPLE_RADIAL_FISHEYE": Model(8, 1, ("k1",), _fisheye),
    "RADIAL_FISHEYE": Model(9, 1, ("k1", "k2"), _fisheye),
    "THIN_PRISM_FISHEYE": Model(10, 2, _names("k1 k2 p1 p2 k3 k4 sx1 sy1"), _thin_prism_fisheye),
    "RAD_TAN_THIN_PRISM_FISHEYE": Model(
        11, 2, _names("k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3"), _fisheye624),
    "SIMPLE_DIVISION": Model(12, 1, ("k",), _division),
    "DIVISION": Model(13, 2, ("k",), _division),
    "SIMPLE_FISHEYE": Model(14, 1, (), _fisheye),
    "FISHEYE": Model(15, 2, (), _fisheye),
    "EUCM": Model(16, 2, ("alpha", "beta"), _eucm),
    "EQUIRECTANGULAR": Model(17, 0, (), _panorama),
    "EQUAL_AREA": Model(None, 0, (), _equal_area),
    "FTHETA": Model(None, 2, _names("ftheta_p0 ftheta_p1 ftheta_p2 ftheta_p3 ftheta_p4"), _ftheta),
    "POLYNOMIAL": Model(None, 2, _names("k1 k2 p1 p2 k3 k4"), _polynomial),
    "THIN_PRISM": Model(None, 2, _names("k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4"), _perspective),
}
MODEL_OF_NUMBER = {m.number: name for name, m in MODELS.items() if m.number is not None}
PANORAMAS = tuple(name for name, m in MODELS.items() if not m.focal)
WIDE = tuple(name for name, m in MODELS.items() if m.bend in (
    _fisheye, _thin_prism_fisheye, _fisheye624, _ftheta, _eucm, _division)) + PANORAMAS


@dataclass(frozen=True)
class Lens:
    """How a picture on disk was bent. Hashable: one lens serves many frames.

    model: a name of MODELS. parameters: its distortion, in the order of the model's names.
    fx, fy, cx, cy, skew: pixels of the picture on disk, pixel centers at +0.5.
    width, height: of that picture, pixels.
    radius: beyond so many pixels from (cx, cy) the picture shows nothing; None without such a rim.
    turn: 9 numbers, the rotation from the straight camera's axes to those of the picture, rows
        first, OpenCV axes; None where they are the same.
    """

    model: str
    parameters: tuple[float, ...]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    skew: float = 0.0
    radius: float | None = None
    turn: tuple[float, ...] | None = None

    @property
    def is_straight(self) -> bool:
        """Whether a pinhole camera of the same intrinsics sees the same picture."""
        return (MODELS[self.model].bend in (_perspective, _polynomial) and not any(self.parameters)
                and not self.skew and self.radius is None and self.turn is None)

    @property
    def distortion(self) -> tuple[float, ...]:
        """The parameters; those of OpenCV's models filled up to k1, k2, p1, p2."""
        if MODELS[self.model].bend is _perspective:
            return (*self.parameters, 0.0, 0.0, 0.0, 0.0)[:max(4, len(self.parameters))]
        return self.parameters

    def resized(self, width: int, height: int) -> Lens:
        """Return the same lens for a picture of another size."""
        sx, sy = width / self.width, height / self.height
        return replace(self, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy,
                       skew=self.skew * sx, width=int(width), height=int(height),
                       radius=None if self.radius is None else self.radius * sx)

    def project(self, x, y, z) -> tuple[np.ndarray, np.ndarray]:
        """Return where rays meet the picture, pixels; NaN where the lens does not see them.

        x, y, z: arrays, right, down and forward of the straight camera."""
        x, y, z = (np.asarray(a, np.float64) for a in (x, y, z))
        if self.turn is not None:
            R = np.array(self.turn).reshape(3, 3)
            x, y, z = (R[i, 0] * x + R[i, 1] * y + R[i, 2] * z for i in range(3))
        if self.model not in WIDE:
            z = np.where(z > 1e-9, z, np.nan)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            u, v = MODELS[self.model].bend(x, y, z, *self.parameters)
            if self.model not in PANORAMAS:
                unseen = np.arctan2(np.hypot(x, y), z) > self._limit
                u = np.where(unseen, np.nan, u)
            rim = None if self.radius is None else np.hypot(self.fx * u, self.fy * v) > self.radius
            u, v = self.fx * u + self.skew * v + self.cx, self.fy * v + self.cy
        return (u if rim is None else np.where(rim, np.nan, u)), v

    @property
    def _limit(self) -> float:
        return _fold(self.model, self.parameters)

    def covered(self, camera: Camera) -> float:
        """Return how much of the picture on disk the straight `camera` shows, 0 to 1."""
        x, y = (np.linspace(0, n, 65) for n in (camera.width, camera.height))
        u, v = self.project((x[None] - camera.cx) / camera.fx + 0 * y[:, None],
                            (y[:, None] - camera.cy) / camera.fy + 0 * x[None],
                            np.ones((65, 65)))
        seen = (u >= 0) & (u <= self.width) & (v >= 0) & (v <= self.height)
        du, dv = np.gradient(u), np.gradient(v)
        area = np.abs(du[0] * dv[1] - du[1] * dv[0])
        total = float(np.nansum(np.where(seen, area, 0)))
        return min(1.0, total * (64 / 65) ** 2 / (self.width * self.height))

    def straighten(self, image: np.ndarray, camera: Camera) -> np.ndarray:
        """Return the picture (H, W, 3 or 4) uint8 as `camera`, without distortion, sees it.

        RGB stays RGB where every pixel was seen; else the unseen ones are transparent."""
        places, parts, seen = _map(self, camera.fx, camera.fy, camera.cx, camera.cy,
                                   camera.width, camera.height)
        alpha = None if image.shape[2] == 3 else image[..., 3]
        if alpha is None or alpha.min() == 255:
            out = _remap(np.ascontiguousarray(image[..., :3]), places, parts)
            if alpha is None and seen.all():
                return out
            out[~seen] = 0
            return np.dstack([out, np.where(seen, 255, 0).astype(np.uint8)])
        # the color of transparent pixels must not leak in: it counts by its alpha
        weighted = image.astype(np.float32)
        weighted[..., :3] *= weighted[..., 3:] / 255
        out = _remap(weighted, places, parts)
        rgb = out[..., :3] * (255 / np.maximum(out[..., 3:], 1e-3))
        out = np.dstack([np.where(out[..., 3:] > 0.25, rgb, 0), out[..., 3]])
        out[..., 3][~seen] = 0
        return np.clip(np.rint(out), 0, 255).astype(np.uint8)

    def seen(self, camera: Camera) -> np.ndarray:
        """Return (H, W) bool: the pixels of `camera` that the picture on disk shows."""
        return _map(self, camera.fx, camera.fy, camera.cx, camera.cy, camera.width,
                    camera.height)[2]


@lru_cache(maxsize=64)
def _fold(model: str, parameters: tuple[float, ...]) -> float:
    """Return the angle to the axis, in radians, up to which farther rays land farther out.

    Beyond it a polynomial turns back, and a second, false picture would appear."""
    wide = model in WIDE
    t = np.linspace(0, np.pi if wide else np.pi / 2 - 1e-3, 4097)[:, None]
    around = np.linspace(0, 2 * np.pi, 16, endpoint=False)[None]
    x, y, z = np.sin(t) * np.cos(around), np.sin(t) * np.sin(around), np.cos(t) + 0 * around
    with np.errstate(all="ignore"):
        u, v = MODELS[model].bend(x, y, z, *parameters)
        # how far out, in the ray's own direction
        out = u * np.cos(around) + v * np.sin(around)
    steps = np.diff(out, axis=0)
    bad = ~(steps > 0).all(axis=1)
    return float(t[-1, 0] if not bad.any() else t[int(np.argmax(bad)), 0])


@lru_cache(maxsize=2)
def _map(lens: Lens, fx: float, fy: float, cx: float, cy: float, width: int, height: int
         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each pixel comes from, whole pixels (H, W, 2) int16 and 32nd parts (H, W)
    uint16 as `cv2.remap` takes them, and (H, W) bool, whether it was seen at all."""
    if max(lens.width, lens.height) > WIDEST:
        raise IdfError(f"A picture of the lens {lens.model} is too large to be straightened",
                       f"{lens.width}x{lens.height} pixels",
                       f"make it smaller than {WIDEST} pixels a side")
    places = np.empty((height, width, 2), np.int16)
    parts = np.empty((height, width), np.uint16)
    seen = np.empty((height, width), bool)
    x = (np.arange(width) + 0.5 - cx) / fx
    for top in range(0, height, 256):  # in strips: a map of a large picture takes no gigabytes
        rows = slice(top, min(top + 256, height))
        y = (np.arange(rows.start, rows.stop) + 0.5 - cy)[:, None] / fy
        u, v = lens.project(x[None] + 0 * y, y + 0 * x[None], np.ones((len(y), width)))
        u, v = (u - 0.5) * FINE, (v - 0.5) * FINE  # OpenCV puts pixel centers at whole numbers
        right, low = FINE * (lens.width - 1), FINE * (lens.height - 1)
        if lens.model in PANORAMAS:  # it closes upon itself; the half pixel at its seam is shown
            u, v = np.clip(u, 0, right), np.clip(v, 0, low)
        u, v = np.rint(u), np.rint(v)
        good = (u >= 0) & (u <= right) & (v >= 0) & (v <= low)  # NaN fails
        seen[rows] = good
        u, v = (np.where(good, a, 0).astype(np.int64) for a in (u, v))
        places[rows] = np.stack([u >> 5, v >> 5], axis=-1)
        parts[rows] = (v & 31) * FINE + (u & 31)
    return places, parts, seen


def _remap(image: np.ndarray, places: np.ndarray, parts: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.remap(image, places, parts, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
