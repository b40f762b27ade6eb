"""The parts of the face that a source photo shows, in the chart of the fitted mesh."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...face import topology
from ...face.color import (
    blur,
    disc,
    fill_rings,
    masked_blur,
    rgb_to_lab,
    skin_field,
    smoothstep,
)
from ...face.raster import rasterize
from ...face.shape_fit import FittedFace
from .chart_eyes import RINGS, Gaze, look, openness
from .uv_atlas import Chart
from .warp import FOLDS, expressions_apart, lips_without_teeth, tameness

# Lightness over that of the skin further within: from, fully from, fully to and to where a rim is
# still taken for skin in shade or light; the same over a beard's.
SHADES, BEARD_SHADES = (0.5, 0.68, 1.25, 1.45), (0.3, 0.5, 1.8, 2.4)
BEARD = 0.25  # share of the surroundings of the mouth that is dark where there is a beard
# Share of a source's trust that folds of another expression take: more than in a single picture,
# since from the side they are seen as what they are not.
FOLDS_TURNED = 0.9
PER_PHOTO = 5  # values of a vertex in a photo: x, y, depth, facing, difference of expression


@dataclass(frozen=True, eq=False)
class Layer:
    """A source's face in the chart.

    lab: (h, w, 3) float32. taken: (h, w) float32 in [0, 1], how well the photo shows the place.
    straight: (h, w) float32, cosine between the surface and the direction to the photo's camera.
    trust: (h, w) float32 in [0, 1], how far its detail is believable. enlarged: cells per pixel.
    rim: (h, w) float32 in [0, 1], where the face turns away from the photo's camera.
    """

    lab: np.ndarray
    taken: np.ndarray
    straight: np.ndarray
    trust: np.ndarray
    enlarged: float
    rim: np.ndarray


def photo_attributes(mesh, source, fitted: FittedFace) -> np.ndarray:
    """Return (468, 2 PER_PHOTO): the photo's x, y, depth, facing and difference of expression (cm,
    `expressions_apart`) for each vertex, then those of its mirror twin.

    fitted: the mesh's own expression. Lips that are open are taken from further within.
    """
    points = lips_without_teeth(np.asarray(source.landmarks.points, np.float64))
    depth, facing = _photo_camera(mesh, source.landmarks.points)
    own = np.column_stack([points[:, :2], depth, facing, expressions_apart(source.fitted, fitted)])
    return np.concatenate([own, own[topology.MIRROR]], axis=1)


def _photo_camera(mesh, landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Depth and facing (468,) of the vertices before a photo's camera, which is taken as affine and
    fitted to the landmarks, x = A X + b; it looks along the one direction that A does not see."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    X = np.concatenate([mesh.vertices, np.ones((len(points), 1))], 1)
    A = np.linalg.lstsq(X, points, rcond=None)[0][:3].T  # (2, 3)
    toward = np.cross(A[0], A[1])
    toward /= np.linalg.norm(toward)
    if toward @ mesh.normals.mean(0) < 0:
        toward = -toward
    return -(mesh.vertices @ toward), mesh.normals @ toward


def photo_layer(mesh, chart: Chart, source, mirrored: bool, hidden, number: int = 0,
                gaze: Gaze | None = None) -> Layer:
    """Return the photo seen in a chart whose `extra` are the `photo_attributes` of some photos.

    mirrored: take each place from its twin on the other side of the face. hidden: facing at which
    a surface counts as not seen, and as fully seen. number: which of the photos it is. gaze: of the
    target, where its eyes are to be drawn; None = they are not.
    """
    first = PER_PHOTO * (2 * number + mirrored)
    values = chart.extra[..., first:first + PER_PHOTO]
    depth, facing, apart = values[..., 2], values[..., 3], values[..., 4]
    h, w = chart.covered.shape
    face, covered, uv = chart.face, chart.covered.astype(np.float32), chart.uv
    points = np.asarray(source.landmarks.points)
    width = np.linalg.norm(points[topology.FACE_LEFT, :2] - points[topology.FACE_RIGHT, :2])
    # As large as it is in the chart, by its width, which is what both know.
    level = source.at_size(face * source.landmarks.size / width)
    scale = np.array(level.image.shape[1::-1]) / source.image.shape[1::-1]
    at = values[..., :2] * scale.astype(np.float32) - np.float32(0.5)
    trust, enlarged = tameness(at, chart.covered, face)
    folds = smoothstep((apart - FOLDS[0]) / (FOLDS[1] - FOLDS[0]))
    lips = blur(fill_rings([uv[topology.OUTER_LIPS]], h, w), 0.015 * face)
    trust = np.minimum(trust, 1 - FOLDS_TURNED * folds * (1 - np.clip(1.5 * lips, 0, 1)))
    opened = np.zeros(2)
    if gaze is not None and level.iris is not None:
        iris = np.roll(level.iris, 5, axis=0) if mirrored else level.iris
        at = look(at, uv, iris - 0.5, gaze)
        opened = openness(points)[::-1 if mirrored else 1]
    closed = np.ones((h, w), np.float32)  # what an eye that is not drawn leaves
    for ring, share in zip(RINGS, opened, strict=True):
        if share < 1:
            closed *= 1 - (1 - share) * cv2.dilate(fill_rings([uv[ring]], h, w), disc(0.02 * face))
    lab = _sample(level, at, chart.covered, enlarged)
    place = np.where(chart.covered[..., None], values[..., :2] - np.float32(0.5), -9)
    weight = cv2.remap(np.float32(source.skin), place.astype(np.float32), None, cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_CONSTANT) * closed
    low, high = hidden
    seen = smoothstep((facing - low) / (high - low)) \
        * ~_covered_up(mesh, source, values[..., :2], depth)
    taken = covered * weight * masked_blur(seen, covered, 0.01 * face)
    rim = 1 - smoothstep((masked_blur(facing, covered, 0.08 * face) - 0.5) / 0.25)
    like = like_face(lab, taken, 1 - rim, uv, face)
    other = cv2.dilate((1 - like) * (taken > 0.02), disc(0.015 * face))
    taken *= 1 - rim * masked_blur(other, (taken > 0.02).astype(np.float32), 0.012 * face)
    return Layer(lab, taken.astype(np.float32), facing, masked_blur(trust, covered, 0.03 * face),
                 enlarged, rim)


def _sample(level, at, covered, enlarged: float) -> np.ndarray:
    """Lab (h, w, 3) of a source's level in the chart's cells."""
    where = np.where(covered[..., None], at, -9).astype(np.float32)
    image = level.cleaned if enlarged > 1 else level.image
    colors = cv2.remap(image, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if enlarged > 1.5:  # what cubic interpolation leaves of the source's pixels
        colors = cv2.GaussianBlur(colors, (0, 0), 0.35 * enlarged)
    return rgb_to_lab(colors)


def _covered_up(mesh, source, at, at_depth):
    """(h, w) bool: another part of the face (the nose, in a turned photo) lies in front."""
    points = np.asarray(source.landmarks.points, np.float64)[:, :2]
    depth, _ = _photo_camera(mesh, points)
    lo = np.floor(points.min(0))
    step = max(1.0, np.ptp(points, axis=0).max() / 256)  # a coarse buffer is enough
    grid = np.ceil((points.max(0) - lo) / step).astype(int) + 1
    _, _, zbuf = rasterize(mesh.triangles, (points - lo) / step, depth,
                           np.zeros((len(points), 0)), grid[1], grid[0])
    k = np.clip(np.floor((at - lo) / step).astype(int), 0, grid - 1)
    return at_depth > zbuf[k[..., 1], k[..., 0]] + 0.06 * mesh.width


def feature_areas(uv, h: int, w: int, face: float) -> list[np.ndarray]:
    """Return brows, lips, and eyes with the inner mouth, (h, w) float32 in [0, 1] each, generous.
    """
    wide = disc(0.02 * face)
    brows, lips, eyes = (fill_rings([uv[r] for r in rings], h, w) for rings in (
        (topology.LEFT_BROW, topology.RIGHT_BROW), (topology.OUTER_LIPS,),
        (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH)))
    return [cv2.dilate((brows > 0.3).astype(np.float32), wide), lips, cv2.dilate(eyes, wide)]


def features(uv, h: int, w: int, face: float) -> np.ndarray:
    """Return (h, w) bool: brows, eyes with lids and lips, which are no measure of the skin's color.
    """
    rings = [uv[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW, topology.LEFT_EYE,
                             topology.RIGHT_EYE, topology.OUTER_LIPS)]
    return cv2.dilate(fill_rings(rings, h, w), disc(0.035 * face)) > 0


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


def like_face(lab, taken, inner, uv, face: float, shades=None) -> np.ndarray:
    """Return (h, w) in [0, 1]: what is no hair, background or collar, which landmarks put into the
    face's rim.

    lab: (h, w, 3). taken, inner: (h, w) where it shows anything, and the skin further within, which
    is carried outward to compare with. shades: see SHADES, None = these. Below the nose it may be
    a beard, where mouth and chin have one.
    """
    h, w = taken.shape
    smooth = masked_blur(lab, (taken > 0.05).astype(np.float32), 0.012 * face)
    within = (bare_skin(lab, taken, uv) * taken * inner
              * ~features(uv, h, w, face)).astype(np.float32)
    if within.sum() < 16:
        return np.ones((h, w), np.float32)
    field = skin_field(smooth, within, 0.12 * face)
    like = _alike(smooth, field, SHADES if shades is None else shades)
    lips = fill_rings([uv[topology.OUTER_LIPS]], h, w)
    around = (cv2.dilate(lips, disc(0.12 * face)) > 0.5) & (lips < 0.5) & (taken > 0.5)
    dark = around & (smooth[..., 0] < 0.75 * field[..., 0])
    if dark.sum() > BEARD * around.sum():
        color = np.median(smooth[dark], axis=0)
        y = np.arange(h, dtype=np.float32)[:, None]
        nose = uv[topology.NOSE_TIP, 1]
        below = smoothstep((y - nose) / max(uv[topology.LIP_UPPER, 1] - nose, 1.0))
        like = np.maximum(like, below * _alike(smooth, color.astype(np.float32), BEARD_SHADES))
    return like.astype(np.float32)


def _alike(lab, color, shades) -> np.ndarray:
    """(h, w) in [0, 1]: of a color's hue, and of a lightness within `shades` of its own (from,
    fully from, fully to, to)."""
    ratio = lab[..., 0] / np.maximum(color[..., 0], 1)
    hue = np.linalg.norm(lab[..., 1:] - color[..., 1:] * np.clip(ratio, 0.3, 1.1)[..., None],
                         axis=-1)
    low, full, most, end = shades
    return smoothstep((ratio - low) / (full - low)) * smoothstep((end - ratio) / (end - most)) \
        * (1 - smoothstep((hue - 8) / 8))
