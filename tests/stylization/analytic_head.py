"""A head made of ellipsoids, seen from a turntable: exact depth, normals, poses, and a painted
style that clings to the surface. Rays are met in closed form; colors are averaged over 4 x 4 rays
a pixel, so that edges and strokes do not alias."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from idf_helpers.data.cameras import Camera
from idf_helpers.kernels.compile import inner, kernel
from idf_helpers.stylization.stylist import View

# center x, y, z, radii x, y, z, material; the face looks along -y, z is up.
PARTS = np.array([
    (0.00, 0.05, 0.25, 0.62, 0.75, 0.68, 1),  # cranium: hair, skin on the forehead
    (0.00, -0.18, -0.22, 0.50, 0.50, 0.60, 0),  # face
    (0.00, -0.70, -0.08, 0.09, 0.16, 0.20, 0),  # nose
    (0.00, -0.60, -0.40, 0.17, 0.09, 0.06, 3),  # mouth
    (0.22, -0.56, 0.10, 0.10, 0.10, 0.06, 4),  # eyes
    (-0.22, -0.56, 0.10, 0.10, 0.10, 0.06, 4),
    (0.60, 0.06, 0.00, 0.08, 0.16, 0.21, 0),  # ears
    (-0.60, 0.06, 0.00, 0.08, 0.16, 0.21, 0),
    (0.00, 0.86, 0.52, 0.22, 0.22, 0.22, 1),  # bun
    (0.00, 0.08, -0.80, 0.32, 0.32, 0.60, 0),  # neck
    (0.00, 0.12, -1.40, 1.05, 0.55, 0.48, 2),  # clothes
], np.float64)
SAMPLES = 4  # a side
FOV = 0.5059
DISTANCE = 4.0


@inner
def _hit(ox, oy, oz, dx, dy, dz, parts):
    """Distance along the ray and part of the nearest hit; (inf, -1) for none."""
    best, which = math.inf, -1
    for k in range(parts.shape[0]):
        rx, ry, rz = parts[k, 3], parts[k, 4], parts[k, 5]
        px, py, pz = (ox - parts[k, 0]) / rx, (oy - parts[k, 1]) / ry, (oz - parts[k, 2]) / rz
        ex, ey, ez = dx / rx, dy / ry, dz / rz
        a = ex * ex + ey * ey + ez * ez
        b = px * ex + py * ey + pz * ez
        c = px * px + py * py + pz * pz - 1
        root = b * b - a * c
        if root > 0:
            t = (-b - math.sqrt(root)) / a
            if 0 < t < best:
                best, which = t, k
    return best, which


@inner
def _noise(x, y, z):
    """Smooth and without a period that the turntable could meet, about in [-1, 1]."""
    u = x + 0.35 * math.sin(3.1 * y + 1.7 * z)
    v = y + 0.35 * math.sin(2.7 * z + 2.3 * x)
    w = z + 0.35 * math.sin(3.7 * x + 1.3 * y)
    return (math.sin(7.3 * u + 3 * math.sin(5.1 * v)) + math.sin(8.9 * v + 2 * math.sin(6.3 * w))
            + math.sin(6.1 * w + 3 * math.sin(7.7 * u))) / 3


@inner
def _color(x, y, z, nx, ny, nz, material, styled, out):
    light = 0.35 + 0.65 * max(0.0, -0.35 * nx - 0.75 * ny + 0.56 * nz)
    if styled:
        metal = 0.25 + 0.75 * light
        dark = 0.75 if material == 1 else 1.0
        out[0], out[1], out[2] = 0.78 * metal * dark, 0.52 * metal * dark, 0.28 * metal * dark
        n = _noise(2.1 * x, 2.1 * y, 2.1 * z)
        s = 1 / (1 + math.exp(-9 * (n - 0.12)))  # strokes of verdigris, softly edged
        out[0] += s * (0.30 * metal - out[0])
        out[1] += s * (0.62 * metal - out[1])
        out[2] += s * (0.48 * metal - out[2])
        return
    out[0], out[1], out[2] = 0.86, 0.64, 0.53
    if material == 1 and not (y < -0.35 and z < 0.72):
        out[0], out[1], out[2] = 0.30, 0.19, 0.12
        streak = 0.06 * math.sin(60 * math.atan2(x, y + 0.001) + 4 * z)
        out[0] += streak
        out[1] += 0.7 * streak
    elif material == 2:
        out[0], out[1], out[2] = 0.16, 0.25, 0.42
    elif material == 3:
        out[0], out[1], out[2] = 0.72, 0.34, 0.34
    elif material == 4:
        out[0], out[1], out[2] = 0.9, 0.9, 0.9
        if (abs(x) - 0.22) ** 2 + (z - 0.1) ** 2 < 0.0016:
            out[0], out[1], out[2] = 0.15, 0.2, 0.1
    else:
        tone = 0.04 * _noise(1.2 * x, 1.2 * y, 1.2 * z)
        out[0] += tone
        out[2] -= tone
    for c in range(3):
        out[c] *= light


@kernel
def _render(parts, c2w, fx, fy, cx, cy, samples, styled, color, alpha, depth, normal):
    height, width = alpha.shape
    out = np.zeros(3)
    ox, oy, oz = c2w[0, 3], c2w[1, 3], c2w[2, 3]
    for i in range(height):
        for j in range(width):
            hits = 0
            for s in range(samples * samples + 1):
                center = s == samples * samples
                u = j + (0.5 if center else (s % samples + 0.5) / samples)
                v = i + (0.5 if center else (s // samples + 0.5) / samples)
                lx, ly = (u - cx) / fx, -(v - cy) / fy
                dx = c2w[0, 0] * lx + c2w[0, 1] * ly - c2w[0, 2]
                dy = c2w[1, 0] * lx + c2w[1, 1] * ly - c2w[1, 2]
                dz = c2w[2, 0] * lx + c2w[2, 1] * ly - c2w[2, 2]
                t, k = _hit(ox, oy, oz, dx, dy, dz, parts)
                if k < 0:
                    continue
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                nx = (x - parts[k, 0]) / parts[k, 3] ** 2
                ny = (y - parts[k, 1]) / parts[k, 4] ** 2
                nz = (z - parts[k, 2]) / parts[k, 5] ** 2
                m = 1 / math.sqrt(nx * nx + ny * ny + nz * nz)
                nx, ny, nz = nx * m, ny * m, nz * m
                if center:
                    depth[i, j] = t  # the direction has length 1 along the optical axis
                    for a in range(3):
                        normal[i, j, a] = nx * c2w[0, a] + ny * c2w[1, a] + nz * c2w[2, a]
                    continue
                hits += 1
                _color(x, y, z, nx, ny, nz, int(parts[k, 6]), styled, out)
                for c in range(3):
                    color[i, j, c] += out[c]
            if hits:
                alpha[i, j] = hits / (samples * samples)
                for c in range(3):
                    color[i, j, c] /= hits


def turntable(count: int, size: int, elevation: float = 6.0) -> list[Camera]:
    """Cameras on a circle, the first in front of the face; size: pixels of the square picture."""
    e = math.radians(elevation)
    angles = (2 * math.pi * k / count for k in range(count))
    return [Camera.look_at((DISTANCE * math.cos(e) * math.sin(a),
                            -DISTANCE * math.cos(e) * math.cos(a), DISTANCE * math.sin(e)),
                           (0, 0, 0), (0, 0, 1), FOV, size, size) for a in angles]


def render(camera: Camera, styled: bool):
    """color (H, W, 3) float32, not premultiplied; alpha (H, W); depth (H, W), NaN off the head;
    normal (H, W, 3) in camera axes."""
    shape = (camera.height, camera.width)
    color, alpha = np.zeros((*shape, 3)), np.zeros(shape)
    depth, normal = np.full(shape, np.nan), np.zeros((*shape, 3))
    _render(PARTS, np.ascontiguousarray(camera.c2w), camera.fx, camera.fy, camera.cx, camera.cy,
            SAMPLES, styled, color, alpha, depth, normal)
    return (color.astype(np.float32), alpha.astype(np.float32), depth.astype(np.float32),
            normal.astype(np.float32))


@dataclass(frozen=True, eq=False)
class HeadScene:
    """views: the plain head over white. styled: (H, W, 3) float32, the true style over white."""

    views: list[View]
    styled: list[np.ndarray]


def head_scene(count: int = 48, size: int = 256) -> HeadScene:
    views, styled = [], []
    for k, camera in enumerate(turntable(count, size)):
        rgb, alpha, depth, normal = render(camera, False)
        paint, _, _, _ = render(camera, True)
        a = alpha[..., None]
        views.append(View(rgb * a + 1 - a, alpha, depth, normal, camera, f"r_{k}"))
        styled.append(paint * a + 1 - a)
    return HeadScene(views, styled)
