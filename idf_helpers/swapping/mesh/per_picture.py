"""Per-frame face swap: the source's face, bent over the target's landmarks in the picture plane.

For single pictures and where cameras are not known. Each frame is matched on its own, so frames
do not agree with each other as those of the 3D swap do; beyond about 60 degrees of yaw the
landmarks are no longer good enough and the frame is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from ...errors import IdfError
from ...face import topology
from ...face.color import blur, feather, fill_rings, lab_to_rgb, rgb_to_lab, smoothstep
from ...face.detector import LandmarkDetector
from ...face.landmarks import FaceLandmarks
from ...face.shape_fit import FittedFace, fit_picture
from ..in_front import in_front, kept, placed
from ..occluders import Hidden
from ..result import SwapResult
from ..source import MIN_FACE, SourceFace
from .aligned import Aligned
from .bend import bend
from .compositor import compose
from .proportions import at_rest, moved_by, proportions
from .warp import Warp, expressions_apart, warp

# Lengths are shares of the face's size (root of its area).
FEATHER = 0.045  # width of the soft border, besides that of the source
HOLE_BLUR = 0.008  # softness of the border of what stays the target's inside the face
# Cosine to the camera below which the source is not drawn, and the range over which it then fades
# in.
FACING_MIN, FACING_SOFT = 0.10, 0.25
# Degrees as the landmarks give them (`FaceLandmarks.yaw`, which reads some 15 % low); beyond it the
# frame is left as it is.
MAX_YAW = 66.0

# (both faces aligned, the composed one (h, w, 3) Lab): called where they are known
Watch = Callable[[Aligned, np.ndarray], None]


def swap_picture(image: np.ndarray, source: SourceFace, detector: LandmarkDetector) -> SwapResult:
    """Find the face in a (H, W, 3|4) uint8 picture and swap it; see `swap_mesh`."""
    found = detector.detect(image)
    if not found:
        return SwapResult.unchanged(image, "no_face", "no face was found")
    return swap_mesh(image, found[0], source)


def toward(target: FaceLandmarks, fitted: FittedFace, source: SourceFace,
           amount: float = 1.0) -> np.ndarray:
    """Return (468, 3) pixels by which the target's landmarks move toward the source's shape."""
    return proportions(at_rest(target.points, fitted), [source.rest], amount)


def swap_mesh(image: np.ndarray, target: FaceLandmarks, source: SourceFace,
              amount: float = 1.0, motion: np.ndarray | None = None,
              hidden: Hidden | None = None, watch: Watch | None = None) -> SwapResult:
    """Put the source's face onto one face of a picture.

    image: (H, W, 3) RGB or (H, W, 4) RGBA uint8. target: its landmarks, at any roll. amount: share
    of the way that the face's proportions go toward the source's, in [0, 1]; the picture bends
    along. motion: (468, 3) pixels, that motion where it is known already (a video's is the same in
    all frames). hidden: what stands before the face, where that is known. watch: sees what the
    compositor is given and what it makes of it. IdfError for another kind of array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise IdfError("A face is swapped in an RGB or RGBA picture",
                       f"{image.dtype} array of shape {image.shape}",
                       "give uint8 (H, W, 3) or (H, W, 4)")
    if turns := target.quarter_turns:
        return _on_its_side(turns, image, target, source, amount, motion, hidden, watch)
    if target.size < MIN_FACE:
        return SwapResult.unchanged(image, "low_confidence",
                                    f"the face is {target.size:.0f} pixels high, and below "
                                    f"{MIN_FACE} there is nothing to be seen of it")
    if abs(target.yaw) > MAX_YAW:
        return SwapResult.unchanged(
            image, "extreme_pose",
            f"the head is turned by about {abs(target.yaw):.0f} degrees, more than the "
            f"{MAX_YAW:.0f} up to which landmarks can be trusted")
    try:
        fitted = fit_picture(target, image.shape[1], image.shape[0])
    except IdfError as error:
        return SwapResult.unchanged(image, "low_confidence", error.what)
    if motion is None and amount > 0:
        motion = toward(target, fitted, source, amount)
    before = in_front(image, target) if hidden is None else placed(hidden, target,
                                                                   *image.shape[:2])
    if motion is not None:  # what stands before the face stays where it is, and as it is
        motion = motion * (1 - before.near(target))[:, None]
    bent, changed, moved = image, np.zeros(image.shape[:2], bool), target
    if motion is not None:
        moved = moved_by(target, motion)
        bent, changed = bend(image, target.xy, moved.xy, target.width)
    low = np.maximum(np.floor(moved.box[:2]).astype(int) - 2, 0)
    high = np.minimum(np.ceil(moved.box[2:]).astype(int) + 2, image.shape[1::-1])
    if (high - low).min() < 8:
        return SwapResult.unchanged(image, "no_face", "the face lies outside the picture")
    window = bent[low[1]:high[1], low[0]:high[0]]
    face, alpha = _draw(window, moved, fitted, source, low,
                        before.mask[low[1]:high[1], low[0]:high[0]], watch)
    if alpha.max(initial=0) <= 0:
        return SwapResult.unchanged(image, "no_face", "no part of the face is visible")
    # out = alpha * face + (1 - alpha) * frame; where alpha is 0 the frame's own bytes stay.
    mixed = window[..., :3] + alpha[..., None] * (face * 255 - window[..., :3])
    out = bent.copy() if bent is image else bent
    region = out[low[1]:high[1], low[0]:high[0], :3]
    region[...] = np.where(alpha[..., None] > 0, (mixed + 0.5).astype(np.uint8), region)
    mask = np.zeros(image.shape[:2], np.float32)
    mask[low[1]:high[1], low[0]:high[0]] = alpha
    # What was only bent is changed too: the mask has the least weight there that it can.
    mask = np.maximum(mask, changed * np.float32(1 / 255))
    return kept(SwapResult(out, mask, "swapped"), before, image)


def _on_its_side(turns: int, image, target: FaceLandmarks, source: SourceFace, amount: float,
                 motion, hidden, watch) -> SwapResult:
    """Return `swap_mesh` of the picture turned `turns` times by 90 degrees, turned back: in there
    the face is upright, or leans by at most 45 degrees."""
    if motion is not None:
        quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # np.rot90 takes (x, y) to (y, -x)
        motion = motion @ np.linalg.matrix_power(quarter, turns)
    upright = np.ascontiguousarray(np.rot90(image, turns))
    result = swap_mesh(upright, target.turned(turns, image.shape[1], image.shape[0]), source,
                       amount, motion, hidden, watch)
    return replace(result, image=np.ascontiguousarray(np.rot90(result.image, -turns)),
                   mask=np.ascontiguousarray(np.rot90(result.mask, -turns)))


def _draw(window, target: FaceLandmarks, fitted: FittedFace, source: SourceFace, origin,
          hidden, watch: Watch | None):
    """Return the new face (h, w, 3) and its share (h, w) in the window, float32 in [0, 1].

    hidden: (h, w) float32 in [0, 1], what stands before the face.
    """
    h, w = window.shape[:2]
    level = source.at_size(target.size)
    drawn = warp(target, level.points, level.iris, (h, w), origin,
                 expressions_apart(source.fitted, fitted))
    size = drawn.size
    picture = level.cleaned if drawn.enlarged > 1 else level.image
    warped = cv2.remap(picture, drawn.at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if drawn.enlarged > 1.5:  # what cubic interpolation leaves of the source's pixels
        warped = cv2.GaussianBlur(warped, (0, 0), 0.35 * drawn.enlarged)
    weight = cv2.remap(level.weight, drawn.at, None, cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE) * drawn.covered
    solid = window[..., 3] >= 128 if window.shape[2] == 4 else np.ones((h, w), bool)
    usable = drawn.covered & solid & (weight > 0)
    pair = _aligned(warped, window, target, drawn, weight * usable * (hidden < 0.1), origin)
    face = compose(pair)
    if watch:
        watch(pair, face)
    # Holes belong to the inside, else the border would feather around them too.
    inside = (usable | (drawn.holes > 0.5)) & solid
    border = blur(feather(inside, FEATHER * size), HOLE_BLUR * size)
    steep = smoothstep((drawn.facing - FACING_MIN) / FACING_SOFT)
    hole = blur(drawn.holes, max(1.0, HOLE_BLUR * size))
    alpha = np.minimum(border, weight) * steep * (1 - np.clip(1.3 * hole, 0, 1)) * usable \
        * (1 - hidden)
    if window.shape[2] == 4:
        alpha = alpha * (window[..., 3] > 0)
    return lab_to_rgb(face), alpha.astype(np.float32)


def _aligned(warped, window, target: FaceLandmarks, drawn: Warp, weight, origin) -> Aligned:
    h, w = weight.shape
    brows = fill_rings([target.xy[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW)],
                       h, w, origin)
    lips = fill_rings([target.xy[topology.OUTER_LIPS]], h, w, origin)
    own = rgb_to_lab(window[..., :3])
    other = cv2.remap(own, drawn.twin, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Aligned(rgb_to_lab(warped), own, (weight * (1 - drawn.holes)).astype(np.float32), brows,
                   lips, np.maximum(drawn.holes, drawn.eyes), drawn.trust, drawn.enlarged,
                   drawn.size, 0.5 * (own - other), drawn.paired, drawn.rim)
