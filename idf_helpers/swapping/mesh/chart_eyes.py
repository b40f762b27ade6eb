"""The eyes in the chart: where the target's look, and the source's made to look there.

An eye opening is closed by the front of its ball, so it has a place in the chart like skin. The
source's eye is drawn there between the target's lids; inside it moves as one, so that its iris
lies where the target's does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, fill_rings, smoothstep
from ...face.landmarks import lid_gaps
from ...face.mesh import eye_caps, with_eyes

RINGS = (topology.RIGHT_EYE, topology.LEFT_EYE)  # in the order of `FaceLandmarks.iris`
FACING = 0.7  # least cosine between an eye and a camera that tells where the eye looks
GAZE = 0.85  # share of the way that the source's iris goes to the target's place
# Distance from the iris, in its radii, up to which the eye moves as one, and over which that ends.
IRIS, AROUND_IRIS = 1.1, 1.3
# Height of an opening over its width at which an eye counts as closed, and as open; and the same
# over what it is at rest, in a sequence.
SHUT, BLINK = (0.06, 0.14), (0.45, 0.7)
# The iris of all people is alike, 11.7 mm across in a face of 140 mm: bounds of its radius, as
# shares of the face's width.
RADIUS = (0.030, 0.052)
# Percentiles of an eye's lightness that stand for its pupil and its white, and bounds of the ratio
# of what lies between them; most that the color of the whites is moved by.
LIMITS, EYE_CONTRAST, CAST = (4, 92), (0.6, 1.25), 14.0
MIN_VIEWS = 3  # fewest views that tell where a head looks


@dataclass(frozen=True, eq=False)
class Gaze:
    """Where both eyes look: centers (2, 2) of the irises in the chart, cells, the head's right eye
    first, and their radius, cells."""

    centers: np.ndarray
    radius: float


def _opening(points) -> np.ndarray:
    """(2,) height over width of the right and the left eye's opening."""
    gaps, widths = lid_gaps(points)
    return gaps.mean(1) / widths


def openness(points) -> np.ndarray:
    """Return (2,) in [0, 1]: how open the right and the left eye are, by their rims, of (468, 2 or
    3) points; 0 = closed."""
    return smoothstep((_opening(points) - SHUT[0]) / (SHUT[1] - SHUT[0]))


def openness_beside(points, rest) -> np.ndarray:
    """Return the same for a face whose eyes are known at rest, where they may be closed too."""
    ratio = _opening(points) / np.maximum(_opening(rest), 1e-9)
    return np.minimum(smoothstep((ratio - BLINK[0]) / (BLINK[1] - BLINK[0])), openness(points))


def gaze_in_view(mesh, uv, project, eye, iris) -> np.ndarray:
    """Return (2, 3): center and radius of each iris in the chart, by one view; NaN for an eye that
    is closed or looks away from the camera.

    mesh: the face in this view. uv: (468, 2) places in the chart. project: points (N, 3) -> pixels
    (N, 2), depth (N,). eye: (3,) camera center. iris: (10, >= 2) pixels.
    """
    vertices, caps = eye_caps(mesh.vertices, mesh.normals)
    places, (xy, _) = with_eyes(uv), project(vertices)
    out, opened = np.full((2, 3), np.nan), openness(mesh.vertices)
    half = len(caps) // 2
    width = np.linalg.norm(uv[topology.FACE_LEFT] - uv[topology.FACE_RIGHT])
    for k, ring in enumerate(RINGS):
        normal, view = mesh.normals[ring].mean(0), eye - mesh.vertices[ring].mean(0)
        cosine = view @ normal / (np.linalg.norm(view) * np.linalg.norm(normal))
        if opened[k] < 0.5 or cosine < FACING:
            continue
        triangles = caps[half:] if k == 0 else caps[:half]
        points = np.asarray(iris[5 * k:5 * k + 5], np.float64)[:, :2]
        center = _carried(points[0], xy[triangles], places[triangles])
        if center is None:
            continue
        # Up and down: a turn of the head leaves that as it is.
        n = len(ring)
        tall = np.linalg.norm(points[2] - points[4]) / 2
        across = np.linalg.norm(xy[ring[0]] - xy[ring[n // 2]])
        scale = np.linalg.norm(uv[ring[0]] - uv[ring[n // 2]]) / max(across, 1e-9)
        out[k] = *center, np.clip(tall * scale / width, *RADIUS) * width
    return out


def _carried(point, corners, values):
    """Value (2,) at a pixel inside the triangles (T, 3, 2); None outside of all."""
    a, b, c = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    d, area = point - a, b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        v = (d[:, 0] * c[:, 1] - d[:, 1] * c[:, 0]) / area
        w = (b[:, 0] * d[:, 1] - b[:, 1] * d[:, 0]) / area
    inside = np.flatnonzero((v >= -1e-6) & (w >= -1e-6) & (v + w <= 1 + 1e-6))
    if not len(inside):
        return None
    t = inside[0]
    return np.array([1 - v[t] - w[t], v[t], w[t]]) @ values[t]


def common_gaze(seen: list[np.ndarray]) -> Gaze | None:
    """Return what several views of `gaze_in_view` agree on, their median; None where too few show
    it."""
    if not seen:
        return None
    seen = np.stack(seen)
    known = np.isfinite(seen[..., 0])
    if known.sum(0).min() < min(MIN_VIEWS, len(seen)):
        return None
    middle = np.nanmedian(seen, axis=0)
    return Gaze(middle[:, :2], float(middle[:, 2].mean()))


def look(at, uv, iris, gaze: Gaze) -> np.ndarray:
    """Return `at` (h, w, 2), places in a photo, moved inside each eye so that the photo's iris
    comes to where the target looks.

    iris: (10, >= 2) in the photo's pixels, OpenCV's like `at`.
    """
    h, w = at.shape[:2]
    out = at.copy()
    for k, ring in enumerate(RINGS):
        center = gaze.centers[k] - 0.5
        column, row = (int(v) for v in np.clip(np.rint(center), 0, (w - 1, h - 1)))
        move = GAZE * (np.asarray(iris[5 * k])[:2] - at[row, column])
        opening = fill_rings([uv[ring]], h, w)
        y, x = np.ogrid[:h, :w]
        weight = _as_one(np.hypot(x - center[0], y - center[1]), gaze.radius) \
            * blur(opening, max(0.5, 0.12 * gaze.radius))
        out += weight[..., None].astype(np.float32) * move.astype(np.float32)
    return out


def _as_one(distance, radius: float):
    """In [0, 1]: how far a place moves with the iris."""
    return 1 - smoothstep((distance / radius - IRIS) / AROUND_IRIS)


def turned(rgba, uv, baked: Gaze, now: np.ndarray) -> np.ndarray:
    """Return a texture (h, w, 4) whose eyes, baked looking one way, look another.

    now: (2, 2) centers of the irises in the chart, cells. Its alpha stays.
    """
    out = rgba.copy()
    for k, ring in enumerate(RINGS):
        move = GAZE * (np.asarray(now[k]) - baked.centers[k])
        if not np.isfinite(move).all() or np.abs(move).max() < 0.02:
            continue
        low = np.maximum(np.floor(uv[ring].min(0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(uv[ring].max(0)).astype(int) + 3, rgba.shape[1::-1])
        w, h = high - low
        opening = blur(fill_rings([uv[ring]], h, w, low), max(0.5, 0.12 * baked.radius))
        x, y = np.meshgrid(np.arange(w, dtype=np.float32) + low[0],
                           np.arange(h, dtype=np.float32) + low[1])
        center = baked.centers[k] + move - 0.5
        weight = _as_one(np.hypot(x - center[0], y - center[1]), baked.radius) * opening
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        out[box][..., :3] = cv2.remap(
            rgba[..., :3], (x - weight * move[0]).astype(np.float32),
            (y - weight * move[1]).astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE)
    return out


def lit_eyes(source, target, uv) -> tuple[np.ndarray, np.ndarray]:
    """Return the source's eyes in the target's light, (h, w, 3) Lab, and where they are, (h, w) in
    [0, 1].

    source, target: (h, w, 3) float32 Lab in the chart. Skin tells nothing of an eye: white and
    pupil are alike in all people, so they are what both are matched by:

        L = the source's, with its darkest and, as far as EYE_CONTRAST allows, its brightest
            LIMITS per cent at the target's
        a, b = the source's in proportion to lightness, without the difference of both whites
    """
    h, w = source.shape[:2]
    out, where = source.copy(), np.zeros((h, w), np.float32)
    for ring in RINGS:
        opening = fill_rings([uv[ring]], h, w)
        inside = opening > 0.9
        if inside.sum() < 12:
            continue
        (a, b), (p, q) = (np.percentile(x[..., 0][inside], LIMITS) for x in (source, target))
        gain = np.clip((q - p) / max(b - a, 1e-3), *EYE_CONTRAST)
        L = np.clip(p + gain * (source[..., 0] - a), 0, 100)
        white = np.stack([x[inside & (x[..., 0] > np.percentile(x[..., 0][inside], 75)), 1:].mean(0)
                          for x in (source, target)])
        shade = np.clip(L / np.maximum(source[..., 0], 1), 0.5, 1.5)[..., None]
        cast = np.clip(white[1] - white[0], -CAST, CAST) * (L / max(q, 1.0))[..., None]
        share = opening > 0
        out[share] = np.dstack([L, source[..., 1:] * shade + cast])[share]
        where = np.maximum(where, opening)
    return out, where
