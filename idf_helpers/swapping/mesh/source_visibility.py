"""The parts of the face that a source photo shows, in the chart of the fitted mesh."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...face import topology
from ...face.color import fill_rings, masked_blur, rgb_to_lab, smoothstep
from ...face.raster import rasterize
from .uv_atlas import Chart


@dataclass(frozen=True, eq=False)
class Layer:
    """A source's face in the chart.

    lab: (h, w, 3) float32. taken: (h, w) float32 in [0, 1], how well the photo shows the place.
    skin: (h, w) float32 in [0, 1], bare skin among it (no hair, brows, eyes or lips).
    straight: (h, w) float32, cosine between the surface and the direction to the photo's camera.
    """

    lab: np.ndarray
    taken: np.ndarray
    skin: np.ndarray
    straight: np.ndarray


def photo_attributes(mesh, landmarks) -> np.ndarray:
    """Return (468, 8): the photo's x, y, depth and facing for each vertex, then those of its mirror
    twin.

    landmarks: (468, >= 2) pixels in the photo. The photo's camera is taken as affine and fitted to
    the landmarks, x = A X + b; it looks along the one direction that A does not see.
    """
    points = np.asarray(landmarks, np.float64)[:, :2]
    X = np.concatenate([mesh.vertices, np.ones((len(points), 1))], 1)
    A = np.linalg.lstsq(X, points, rcond=None)[0][:3].T  # (2, 3)
    toward = np.cross(A[0], A[1])
    toward /= np.linalg.norm(toward)
    if toward @ mesh.normals.mean(0) < 0:
        toward = -toward
    own = np.column_stack([points, -(mesh.vertices @ toward), mesh.normals @ toward])
    return np.concatenate([own, own[topology.MIRROR]], axis=1)


def photo_layer(mesh, chart: Chart, source, mirrored: bool, hidden, number: int = 0) -> Layer:
    """Return the photo seen in a chart whose `extra` are the `photo_attributes` of some photos.

    mirrored: take each place from its twin on the other side of the face. hidden: facing at which
    a surface counts as not seen, and as fully seen. number: which of the photos it is.
    """
    first = 8 * number + (4 if mirrored else 0)
    values = chart.extra[..., first:first + 4]
    at, depth, facing = values[..., :2], values[..., 2], values[..., 3]
    h, w = chart.covered.shape
    face, covered = chart.face, chart.covered.astype(np.float32)
    colors, hairless = _sample(source, at, chart)
    lab = rgb_to_lab(colors / 255)
    low, high = hidden
    seen = smoothstep((facing - low) / (high - low)) * ~_covered_up(mesh, source, at, depth)
    taken = covered * hairless * masked_blur(seen, covered, 0.01 * face)
    bare = bare_skin(lab, taken, chart.uv)
    # One step inward, so that no half-covered cell is left along hair.
    grow = _disc(0.015 * face)
    clear = masked_blur(cv2.erode(bare, grow), covered, 0.012 * face)
    taken *= 1 - _side(chart.uv, h, w, face) * (1 - clear)
    return Layer(lab, taken.astype(np.float32),
                 (bare * ~features(chart.uv, h, w, face) * taken).astype(np.float32), facing)


def _sample(source, at, chart):
    """Source colors (h, w, 3) 0-255 and its `skin` (h, w), filtered to the chart's cells."""
    even = source.image if source.even is None else source.even
    image = np.ascontiguousarray(even[..., :3])
    skin = np.ascontiguousarray(source.skin, np.float32)
    p = np.asarray(source.landmarks.points)
    width = float(np.linalg.norm(p[topology.FACE_LEFT, :2] - p[topology.FACE_RIGHT, :2]))
    shrink = width / chart.face  # source pixels per cell
    if shrink > 1.3:  # a picture finer than the chart would alias
        size = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
        at = at * (np.array(size, np.float32) / (image.shape[1], image.shape[0]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        skin = cv2.resize(skin, size, interpolation=cv2.INTER_AREA)
    where = np.where(chart.covered[..., None], at - 0.5, -9).astype(np.float32)
    colors = cv2.remap(image, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.remap(skin, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return colors.astype(np.float32), weight


def _covered_up(mesh, source, at, at_depth):
    """(h, w) bool: another part of the face (the nose, in a turned photo) lies in front."""
    points = np.asarray(source.landmarks.points, np.float64)[:, :2]
    depth = photo_attributes(mesh, points)[:, 2:3]
    lo = np.floor(points.min(0))
    step = max(1.0, np.ptp(points, axis=0).max() / 256)  # a coarse buffer is enough
    grid = np.ceil((points.max(0) - lo) / step).astype(int) + 1
    _, _, zbuf = rasterize(mesh.triangles, (points - lo) / step, depth[:, 0],
                           np.zeros((len(points), 0)), grid[1], grid[0])
    k = np.clip(np.floor((at - lo) / step).astype(int), 0, grid - 1)
    return at_depth > zbuf[k[..., 1], k[..., 0]] + 0.06 * mesh.width


def _disc(radius: float):
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def features(uv, h: int, w: int, face: float) -> np.ndarray:
    """Return (h, w) bool: brows, eyes with lids and lips, which are no measure of the skin's color.
    """
    rings = [uv[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW, topology.LEFT_EYE,
                             topology.RIGHT_EYE, topology.OUTER_LIPS)]
    return cv2.dilate(fill_rings(rings, h, w), _disc(0.035 * face)) > 0


def bare_skin(lab, weight, uv):
    """Return (h, w) in [0, 1]: what is neither darker nor of another color than the cheeks.

    weight: (h, w), where to look for the cheeks.
    """
    h, w = weight.shape
    rings = [uv[r] for r in topology.SKIN_PATCHES]
    patch = (fill_rings(rings, h, w) > 0.5) & (weight > 0.5)
    if not patch.any():
        return weight.astype(np.float32)
    median = np.median(lab[patch], axis=0)
    dark = smoothstep((lab[..., 0] / median[0] - 0.55) / 0.25)
    off = np.linalg.norm(lab[..., 1:] - median[1:], axis=-1) / np.linalg.norm(median[1:])
    return (dark * (1 - smoothstep((off - 0.45) / 0.3))).astype(np.float32)


def _side(uv, h, w, face):
    """(h, w) in [0, 1]: beside the eyes and before the ears, down to the nose.

    What is not skin there is sideburns, hair or background; lower down it may be a beard, which
    belongs to the face.
    """
    x = np.arange(w, dtype=np.float32)[None]
    y = np.arange(h, dtype=np.float32)[:, None]
    right, left = uv[[topology.RIGHT_EYE_OUTER, topology.LEFT_EYE_OUTER], 0]
    out = np.maximum(right - x, x - left) / face - 0.1
    lips = uv[[topology.MOUTH_RIGHT, topology.MOUTH_LEFT], 1].mean()
    up = (lips - y) / max(lips - uv[topology.NOSE_TIP, 1], 1.0)
    return smoothstep(out / 0.05) * smoothstep(up)
