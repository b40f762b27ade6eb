"""The source's face, painted once onto the fitted mesh.

The target's own views are averaged in the mesh's chart, and the source is moved to their colors
and light there, once for all views: that is what makes the swap agree between views.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import cv2
import numpy as np

from ...errors import IdfError
from ...face import topology
from ...face.color import (
    blur,
    feather,
    fill_rings,
    lab_to_rgb,
    masked_blur,
    rgb_to_lab,
    skin_field,
    smoothstep,
)
from ...face.mesh import FaceMesh
from ...runtime.npz import ArrayRecord
from .aligned import Aligned
from .beard import from_rim
from .chart_eyes import RINGS, Gaze, common_gaze, gaze_in_view, lit_eyes, turned
from .compositor import compose
from .head_bend import fit_mesh
from .hidden_target import hidden_target
from .mesh_tracking import bent
from .source_visibility import (
    Layer,
    bare_skin,
    disc,
    feature_areas,
    features,
    photo_attributes,
    photo_layer,
)
from .uv_atlas import load_views, make_chart, mean_colors, spread_views

# Lengths are shares of the face's width.
SCALE = 1.0  # texture cells per pixel of the largest face; above 1 finer, and it flickers
MAX_FACE = 512  # pixels; larger faces are reduced first (bounds memory and time)
VIEWS = 40  # most views averaged into the target's mean colors
BORDER = 0.12  # width of the fade at the outer rim of the face
HOLE = 0.03  # width of the fade round eyes and mouth
# The target's brows: how smooth the skin under them is, how far from their landmarks they reach,
# lightness over the skin's below which they are hair, and how much wider they are painted over.
# Photos of different cameras: how smooth the difference of their light is, and the most of it, Lab.
EVEN, MOST_APART = 0.15, 20.0
PLAY = 0.08  # how far from their landmarks brows and nostrils may be in a sequence
BROW_SHOWN = (0.6, 0.85)  # mean share of the photos on a brow, at which it begins to count as shown
BROW_SKIN, BROW_REACH, BROW_DARK, BROW_GROW = 0.06, 0.07, 0.85, 0.018
EYE_BLUR = 0.006  # softness of the line between an eye and its lids
RIM_LIGHT = 0.05  # how smooth the target's light and shade are where the face turns away
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
    shown: (h, w, 2) uint8, 255 times the share of what a photo shows itself, and what the share
        would be if it showed everything.
    iris: (2, 3) float64, centers and radius of the source's irises in the texture; (0, 3) where the
        eyes are the target's own.
    in_front: (N,) str, kinds of what hides the target in all views and stays.
    """

    uv: np.ndarray
    rgba: np.ndarray
    target: np.ndarray
    shown: np.ndarray
    iris: np.ndarray
    in_front: np.ndarray = field(default_factory=lambda: np.zeros(0, "U1"))

    schema: ClassVar = {"uv": "f! 468 2", "rgba": "u1 H W 4", "target": "u1 H W 4",
                        "shown": "u1 H W 2", "iris": "f! I 3", "in_front?": "U N"}

    @property
    def gaze(self) -> Gaze | None:
        """Where the source's eyes look; None where the eyes are the target's own."""
        return Gaze(self.iris[:, :2], float(self.iris[0, 2])) if len(self.iris) else None

    def in_frame(self, opened, gaze=None) -> FaceTexture:
        """Return the texture for one frame of a sequence.

        opened: (2,) in [0, 1], how open the right and the left eye are; a closed one is left the
        frame's own. gaze: (2, 2) where the irises are, shares of the unrolled face; None = as
        baked.
        """
        baked = self.gaze
        if baked is None:
            return self
        rgba, uv = self.rgba, self.uv
        if gaze is not None and np.isfinite(gaze).all():
            low = uv.min(0)
            rgba = turned(rgba, uv, baked, low + gaze * (uv.max(0) - low))
        if min(opened) < 1:
            h, w = rgba.shape[:2]
            face = float(np.linalg.norm(uv[topology.FACE_LEFT] - uv[topology.FACE_RIGHT]))
            alpha = rgba[..., 3].astype(np.float32)
            for ring, share in zip(RINGS, opened, strict=True):
                alpha *= 1 - (1 - share) * _hole([uv[ring]], h, w, face)
            rgba = np.dstack([rgba[..., :3], _bytes(alpha)])
        return replace(self, rgba=rgba)


def bake(mesh: FaceMesh, frames, source, shapes=None, mirror: bool = True, irises=None,
         hides: bool = True) -> FaceTexture:
    """Paint `source` onto `mesh` in the colors of `frames`.

    frames: the frames given to `fit_face` (`.camera`, `.image()` -> (H, W, 3 or 4) uint8); only
    those that the mesh was made from are opened, at most VIEWS.
    source: a `SourceFace`, or several of one person, of which each place takes those that look at
    it straightest.
    shapes: (N, 468, 3) the face's vertices in every frame where it moves (`follow`).
    mirror: fill what the photo does not show from the other side of the face.
    irises: one entry a frame, (10, >= 2) pixels or None: with them the source's eyes are drawn,
    looking where the target's do; None leaves the target's eyes.
    hides: leave open what hides the target in all views alike; False where each frame's is known.

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
    own, _ = fit_mesh(mesh)
    chart = make_chart(mesh, cell, np.concatenate(
        [*(photo_attributes(mesh, s, own) for s in sources), from_rim(mesh.vertices)[:, None]],
        axis=1), eyes=irises is not None)
    target, seen = mean_colors(mesh, chart, views)
    if not seen.any():
        raise _no_view(len(used))
    uv, face = chart.uv, chart.face
    target_lab = rgb_to_lab(target / 255)
    skin = bare_skin(target_lab, seen.astype(np.float32), uv) * ~features(uv, *seen.shape, face)
    gaze = None if irises is None else _target_gaze(mesh, uv, frames, used, irises, shapes)
    areas, drawn = feature_areas(uv, *seen.shape, face), gaze is not None
    rim = np.ascontiguousarray(chart.extra[..., -1])

    # What the photo does not show it may show on the other side of the face.
    brow, bare = without_brows(target_lab, skin, uv, face)
    rgb, taken, shown = 255 * lab_to_rgb(bare), np.zeros(seen.shape, np.float32), None
    for mirrored in (True, False) if mirror else (False,):
        layers = [photo_layer(mesh, chart, s, mirrored, HIDDEN, k, gaze)
                  for k, s in enumerate(sources)]
        layers = evened(layers, areas, face)
        matched = [_in_target(layer, target_lab, seen, areas, uv, face, drawn, rim)
                   for layer in layers]
        color, share = _merge(layers, matched, chart.covered, face)
        # Where neither shows anything the target's own colors stand in, so that no interpolated
        # cell along the rim brings in hair or background.
        rgb = rgb + share[..., None] * (color - rgb)
        taken, shown = taken + share * (1 - taken), share
    covered = chart.covered.astype(np.float32)
    alpha, own_share, whole = (source_share(mesh, uv, covered, t, face, drawn)
                               for t in (taken, shown, covered))
    # The target's brows never show beside the source's, even where the photo ends.
    near = smoothstep((masked_blur(taken, covered, BROW_SKIN * face) - 0.2) / 0.5)
    alpha = np.maximum(alpha, brow * near * _brows_shown(alpha, uv))
    hidden, kinds = hidden_target(mesh, chart, views, target_lab, seen) if hides else (0.0, ())
    alpha, own_share, whole = (a * (1 - hidden) for a in (alpha, own_share, whole))
    rgb = _grow(rgb, seen)
    rgba = np.concatenate([rgb, 255 * alpha[..., None]], -1)
    guard = np.concatenate([target, 255 * _guarded(skin, uv, face, shapes)[..., None]], -1)
    iris = np.column_stack([gaze.centers, [gaze.radius] * 2]) if drawn else np.zeros((0, 3))
    return FaceTexture(uv, _bytes(rgba), _bytes(guard),
                       _bytes(255 * np.dstack([own_share, whole])), iris, np.array(kinds, str))


def _target_gaze(mesh, uv, frames, used, irises, shapes) -> Gaze | None:
    """Where the target looks on the whole, in the chart."""
    seen = []
    for i in used:
        if irises[i] is not None and np.isfinite(irises[i]).all():
            camera = frames[i].camera
            shown = mesh if shapes is None else bent(mesh, shapes[i])
            seen.append(gaze_in_view(shown, uv, camera.project, camera.position, irises[i]))
    return common_gaze(seen)


def _in_target(layer, target_lab, seen, areas, uv, face: float, drawn: bool, rim) -> np.ndarray:
    """(h, w, 3) colors 0-255 of a photo's layer in the target's light. drawn: whether its eyes are.
    rim: (h, w), `from_rim`."""
    brows, lips, eyes = areas
    pair = Aligned(layer.lab, target_lab, layer.taken * seen, brows, lips, eyes, layer.trust,
                   layer.enlarged, face, rim=rim)
    lab = compose(pair)
    # Where the face turns away, shade and light are the room's of the photo, and end sharply.
    dark = smoothstep((0.8 - lab[..., 0] / np.maximum(target_lab[..., 0], 1)) / 0.2)
    skin = (pair.skin * (1 - dark)).astype(np.float32)
    near = np.clip(8 * blur(skin, RIM_LIGHT * face), 0, 1)
    lab += (layer.rim * near)[..., None] * masked_blur(target_lab - lab, skin, RIM_LIGHT * face)
    if drawn:
        eyes, inside = lit_eyes(layer.lab, target_lab, uv)
        lab += blur(inside, EYE_BLUR * face)[..., None] * (eyes - lab)
    return 255 * lab_to_rgb(lab)


def evened(layers: list[Layer], areas, face: float) -> list[Layer]:
    """Return the layers of several photos in the light and white balance of the one that shows
    most.

    Where two show the same skin they differ by their light and their camera: smoothly. That
    difference, and beyond what both show its mean, is taken off.
    """
    if len(layers) == 1:
        return layers
    first = max(range(len(layers)), key=lambda k: float(layers[k].taken.sum()))
    brows, lips, eyes = areas
    bare = (1 - brows) * (1 - lips) * (1 - eyes)
    out = []
    for k, layer in enumerate(layers):
        both = (np.minimum(layer.taken, layers[first].taken) * bare).astype(np.float32)
        if k != first and both.sum() > 64:
            apart = layers[first].lab - layer.lab
            typical = np.median(apart[both > 0.5], axis=0) if (both > 0.5).any() else 0.0
            near = np.clip(4 * blur(both, EVEN * face), 0, 1)[..., None]
            smooth = masked_blur(np.clip(apart - typical, -MOST_APART, MOST_APART), both,
                                 EVEN * face)
            layer = replace(layer, lab=(layer.lab + typical + near * smooth).astype(np.float32))
        out.append(layer)
    return out


def without_brows(lab, skin, uv, face: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the target's brows are, (h, w) in [0, 1], and its colors with skin there.

    lab: (h, w, 3), the target's. skin: (h, w) its bare skin.
    """
    h, w = skin.shape
    rings = fill_rings([uv[topology.LEFT_BROW], uv[topology.RIGHT_BROW]], h, w) > 0.3
    field = skin_field(lab, skin.astype(np.float32), BROW_SKIN * face)
    near = cv2.dilate(rings.astype(np.uint8), disc(BROW_REACH * face)) > 0
    eyes = fill_rings([uv[r] for r in RINGS], h, w) > 0  # with their lashes
    near &= ~(cv2.dilate(eyes.astype(np.uint8), disc(BROW_REACH * face)) > 0)
    dark = near & (lab[..., 0] < BROW_DARK * field[..., 0])
    hair = cv2.dilate((rings | dark).astype(np.float32), disc(BROW_GROW * face))
    share = np.clip(1.5 * blur(hair, 0.7 * BROW_GROW * face), 0, 1)
    return share, lab + share[..., None] * (field - lab)


def _guarded(skin, uv, face: float, shapes) -> np.ndarray:
    """(h, w) bool: where a frame that differs from the target's skin shows something before it."""
    if shapes is None:
        return skin > 0.5
    rings = [uv[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW, topology.NOSTRILS)]
    play = fill_rings(rings, *skin.shape) > 0.3
    return (skin > 0.5) & ~(cv2.dilate(play.astype(np.uint8), disc(PLAY * face)) > 0)


def _brows_shown(alpha, uv) -> np.ndarray:
    """(1, w) in [0, 1], by side of the face: whether the photos show the brow there."""
    h, w = alpha.shape
    out = []
    for ring in (topology.RIGHT_BROW, topology.LEFT_BROW):
        inside = fill_rings([uv[ring]], h, w) > 0.5
        out.append(smoothstep((alpha[inside].mean() - BROW_SHOWN[0]) / np.ptp(BROW_SHOWN))
                   if inside.any() else 0.0)
    return np.where(np.arange(w) < uv[topology.NOSE_TIP, 0], *out)[None].astype(np.float32)


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


def source_share(mesh, uv, covered, taken, face, eyes: bool = False) -> np.ndarray:
    """Return (h, w) in [0, 1]: share of the source. Fades at the rim, round an open mouth, and
    where the photo shows no skin. eyes: the source's are drawn; else it fades round them too."""
    h, w = taken.shape
    rim = feather(fill_rings([uv[topology.FACE_OVAL]], h, w) > 0.5, BORDER * face)
    alpha = rim * masked_blur(taken, covered, 0.02 * face)
    v = mesh.vertices
    gap = np.linalg.norm(v[topology.LIP_UPPER] - v[topology.LIP_LOWER])
    gap /= np.linalg.norm(v[topology.MOUTH_LEFT] - v[topology.MOUTH_RIGHT])
    # Closed lips hide nothing of the target's that would have to stay.
    opened = float(smoothstep((gap - 0.03) / 0.05))
    for rings, strength in (((topology.LEFT_EYE, topology.RIGHT_EYE), float(not eyes)),
                            ((topology.INNER_MOUTH,), opened)):
        alpha = alpha * (1 - strength * _hole([uv[r] for r in rings], h, w, face))
    return alpha


def _hole(rings, h: int, w: int, face: float) -> np.ndarray:
    """(h, w) in [0, 1]: 1 inside the rings, fading around them."""
    return 1 - feather(fill_rings(rings, h, w) <= 0.5, HOLE * face)


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
