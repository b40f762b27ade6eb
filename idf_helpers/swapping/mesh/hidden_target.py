"""What hides a target's face in all its views alike: a fringe, glasses, a microphone.

What comes and goes is seen in a single frame, by its difference from the rest (`render_swap`). What
is always there has no rest to differ from: the views are looked at one by one, and their verdicts
averaged in the chart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np

from ...face import topology
from ...face.color import disc, fill_rings, masked_blur, smoothstep
from ...face.landmarks import FaceLandmarks
from ..in_front import in_front
from .source_visibility import like_face
from .uv_atlas import Chart, mean_colors

LOOKED_AT = 12  # views; each takes 10 ms
FRONTAL = 0.7  # least cosine between the face's front and the camera of such a view
AGREED = (0.4, 0.6)  # share of the views that see something, at which it begins to stay, and stays
# Lightness over the skin's at which a fringe begins to be one: from, fully from, fully to, to.
SKIN_SHADES = (0.62, 0.8, 1.3, 1.5)
BROW = 0.03  # how far around a brow its own hair may reach, share of the face's width


def hidden_target(mesh, chart: Chart, views, target_lab, seen) -> tuple[np.ndarray, tuple]:
    """Return where something hides the face, (h, w) float32 in [0, 1], and its kinds, of
    `occluders.KINDS`.

    views: `FaceView`s of the target. target_lab: (h, w, 3) its mean colors; seen: (h, w) bool.
    """
    by_views, kinds = _by_views(mesh, chart, views)
    hair = _fringe(target_lab, seen, chart)
    if (hair > 0.5).sum() > 0.004 * seen.sum() and "hair" not in kinds:
        kinds = (*kinds, "hair")
    return np.maximum(by_views, hair), kinds


def _by_views(mesh, chart: Chart, views):
    """Return what `in_front` says of the views on the whole."""
    front = mesh.normals.mean(0) / np.linalg.norm(mesh.normals.mean(0))
    chosen = []
    for view in views:
        d = view.eye - mesh.vertices.mean(0)
        if d @ front >= FRONTAL * np.linalg.norm(d):
            chosen.append(view)
    chosen = chosen[::-(-len(chosen) // LOOKED_AT)] if chosen else []
    counts, masks = Counter(), []
    for view in chosen:
        xy, z = view.project(mesh.vertices if view.shape is None else view.shape)
        points = np.column_stack([xy, (z - z.mean()) * view.scale]).astype(np.float32)
        found = in_front(np.ascontiguousarray(view.image[..., :3]), FaceLandmarks(points, 1.0, 1.0))
        counts.update(found.kinds)
        gray = np.rint(255 * found.mask).astype(np.uint8)
        masks.append(replace(view, image=np.dstack([gray, gray, gray, view.image[..., 3]])))
    kinds = tuple(k for k, n in counts.most_common() if n > 0.5 * len(chosen))
    if not kinds:
        return np.zeros(chart.covered.shape, np.float32), ()
    share = mean_colors(mesh, chart, masks)[0][..., 0] / 255
    return smoothstep((share - AGREED[0]) / (AGREED[1] - AGREED[0])).astype(np.float32), kinds


def _fringe(lab, seen, chart: Chart) -> np.ndarray:
    """(h, w) in [0, 1]: hair above the eyes, of another shade or hue than the skin, that comes from
    outside the face."""
    uv, face = chart.uv, chart.face
    h, w = seen.shape
    whole = seen.astype(np.float32)
    x, y = np.arange(w, dtype=np.float32)[None], np.arange(h, dtype=np.float32)[:, None]
    middle = uv[topology.NOSE_TIP]
    inner = 1 - smoothstep((np.hypot(x - middle[0], y - middle[1]) / face - 0.35) / 0.15)
    other = (1 - like_face(lab, whole, inner, uv, face, SKIN_SHADES)) * whole
    eyes = uv[[topology.RIGHT_EYE_OUTER, topology.LEFT_EYE_OUTER], 1].mean()
    other *= smoothstep((eyes - y) / (0.05 * face))
    brows = fill_rings([uv[topology.LEFT_BROW], uv[topology.RIGHT_BROW]], h, w)
    brows = cv2.dilate(brows, disc(BROW * face)) > 0.3
    # A brow is hair too: what lies over one is told by what lies around it.
    around = masked_blur(other, ~brows * whole, 2 * BROW * face)
    other = np.where(brows, smoothstep((around - 0.5) / 0.3), other)
    count, labels = cv2.connectedComponents((other > 0.5).astype(np.uint8))
    outside = cv2.dilate((~seen).astype(np.uint8), disc(0.02 * face)) > 0
    keep = np.zeros(count, bool)
    keep[labels[outside & (other > 0.5)]] = True
    keep[0] = False
    hair = cv2.dilate(keep[labels].astype(np.float32), disc(0.01 * face))
    return masked_blur(hair, whole, 0.01 * face)
