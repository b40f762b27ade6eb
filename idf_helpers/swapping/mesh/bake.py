"""The source's face, painted once onto the fitted mesh.

The target's own views are averaged in the mesh's chart, and the source is moved to their colors
and light there, once for all views: that is what makes the swap agree between views.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import IdfError
from ...face import topology
from ...face.color import feather, fill_rings, lab_to_rgb, masked_blur, rgb_to_lab, smoothstep
from ...face.mesh import FaceMesh
from ...runtime.npz import ArrayRecord
from .relight import relight
from .source_visibility import bare_skin, features, photo_attributes, photo_layer
from .uv_atlas import load_views, make_chart, mean_colors, spread_views

# Lengths are shares of the face's width.
SCALE = 1.0  # texture cells per pixel of the largest face; above 1 finer, and it flickers
MAX_FACE = 512  # pixels; larger faces are reduced first (bounds memory and time)
VIEWS = 40  # most views averaged into the target's mean colors
BORDER = 0.12  # width of the fade at the outer rim of the face
HOLE = 0.03  # width of the fade round eyes and mouth
# Cosine to the source's camera below which its surface counts as not seen, and above which it
# counts fully.
HIDDEN = (0.15, 0.4)


@dataclass(frozen=True, eq=False)
class FaceTexture(ArrayRecord):
    """What `render_swap` paints.

    uv: (468, 2) float32, place of each mesh vertex in the texture, cells, first center (0.5, 0.5).
    rgba: (h, w, 4) uint8; colors 0-255 are defined everywhere (not premultiplied), alpha is the
        share of the source.
    target: (h, w, 4) uint8, the target's mean colors there; the fourth is 255 where they are
        bare skin, so that something else in a frame must be an occluder, else 0.
    """

    uv: np.ndarray
    rgba: np.ndarray
    target: np.ndarray


def bake(mesh: FaceMesh, frames, source, shapes=None, mirror: bool = True) -> FaceTexture:
    """Paint `source` onto `mesh` in the colors of `frames`.

    frames: the frames given to `fit_face` (`.camera`, `.image()` -> (H, W, 3 or 4) uint8); only
    those that the mesh was made from are opened, at most VIEWS.
    source: a `SourceFace`: `.image` (H, W, 3) uint8, `.landmarks` (468 points), `.skin` (H, W)
    weight of what may be taken from it (0 on hair and background); or several of one person, of
    which each place takes those that look at it straightest.
    shapes: (N, 468, 3) the face's vertices in every frame where it moves (`follow`).
    mirror: fill what the photo does not show from the other side of the face.

    Raises IdfError when no view shows the face.
    """
    frames = list(frames)
    if len(frames) != len(mesh.inliers):
        raise ValueError(f"the mesh was fitted to {len(mesh.inliers)} frames, not {len(frames)}")
    used = spread_views(mesh.vertices, [f.camera for f in frames], np.flatnonzero(mesh.inliers),
                        VIEWS)
    views = load_views(mesh, frames, used, MAX_FACE, shapes=shapes)
    if not views:
        raise _no_view(len(used))
    cell = 1 / (SCALE * max(v.scale for v in views))
    sources = list(source) if isinstance(source, (list, tuple)) else [source]
    chart = make_chart(mesh, cell, np.concatenate(
        [photo_attributes(mesh, s.landmarks.points) for s in sources], axis=1))
    target, seen = mean_colors(mesh, chart, views)
    if not seen.any():
        raise _no_view(len(used))
    uv, face = chart.uv, chart.face
    target_lab = rgb_to_lab(target / 255)
    skin = bare_skin(target_lab, seen.astype(np.float32), uv) * ~features(uv, *seen.shape, face)

    # What the photo does not show it may show on the other side of the face.
    rgb, taken = target, np.zeros(seen.shape, np.float32)
    for mirrored in (True, False) if mirror else (False,):
        layers = [photo_layer(mesh, chart, s, mirrored, HIDDEN, k) for k, s in enumerate(sources)]
        matched = [255 * lab_to_rgb(relight(layer.lab, target_lab, layer.skin, skin, face))
                   for layer in layers]
        color, share = _merge(layers, matched, chart.covered, face)
        # Where neither shows anything the target's own colors stand in, so that no interpolated
        # cell along the rim brings in hair or background.
        rgb = rgb + share[..., None] * (color - rgb)
        taken = taken + share * (1 - taken)
    alpha = source_share(mesh, uv, chart.covered.astype(np.float32), taken, face)
    rgb = _grow(rgb, seen)
    rgba = np.concatenate([rgb, 255 * alpha[..., None]], -1)
    guard = np.concatenate([target, 255 * (skin > 0.5)[..., None]], -1)
    return FaceTexture(uv, _bytes(rgba), _bytes(guard))


def _merge(layers, colors, covered, face: float):
    """One picture (h, w, 3) and its share (h, w) of several photos' layers: a mean that the
    straightest look dominates, with soft borders between photos."""
    if len(layers) == 1:
        return colors[0], layers[0].taken
    best = np.max([layer.straight * (layer.taken > 0.05) for layer in layers], axis=0)
    some = covered.astype(np.float32)
    total, weight = np.zeros_like(colors[0]), np.zeros(covered.shape, np.float32)
    for layer, color in zip(layers, colors, strict=True):
        w = np.exp((layer.straight - best) / 0.04) * (layer.taken > 0.05)
        w = masked_blur(w.astype(np.float32), some, 0.03 * face) * layer.taken
        total += w[..., None] * color
        weight += w
    share = np.max([layer.taken for layer in layers], axis=0)
    return total / np.maximum(weight, 1e-6)[..., None], share * (weight > 1e-6)


def _bytes(values) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _no_view(count: int) -> IdfError:
    return IdfError("No view shows the face that was fitted", f"{count} views, the face in none",
                    "check that the cameras belong to the pictures")


def source_share(mesh, uv, covered, taken, face) -> np.ndarray:
    """Return (h, w) in [0, 1]: share of the source. Fades at the rim, round eyes and an open mouth,
    and where the photo shows no skin."""
    h, w = taken.shape
    rim = feather(fill_rings([uv[topology.FACE_OVAL]], h, w) > 0.5, BORDER * face)
    alpha = rim * masked_blur(taken, covered, 0.02 * face)
    v = mesh.vertices
    gap = np.linalg.norm(v[topology.LIP_UPPER] - v[topology.LIP_LOWER])
    gap /= np.linalg.norm(v[topology.MOUTH_LEFT] - v[topology.MOUTH_RIGHT])
    # Closed lips hide nothing of the target's that would have to stay.
    opened = float(smoothstep((gap - 0.03) / 0.05))
    for rings, strength in (((topology.LEFT_EYE, topology.RIGHT_EYE), 1.0),
                            ((topology.INNER_MOUTH,), opened)):
        hole = fill_rings([uv[r] for r in rings], h, w) > 0.5
        alpha = alpha * (1 - strength * (1 - feather(~hole, HOLE * face)))
    return alpha


def _grow(rgb, known):
    """Colors carried outward from `known` cells, so that filtering at a border stays clean."""
    out = rgb * known[..., None]
    for sigma in (1.5, 6, 24):
        near = masked_blur(out, known.astype(np.float32), sigma)
        reach = cv2.dilate(known.astype(np.uint8), None, iterations=int(2 * sigma)) > 0
        new = reach & ~known
        out[new] = near[new]
        known = known | reach
    return out
