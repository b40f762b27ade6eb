"""Per-frame face swap: the source's face, bent over the target's landmarks in the picture plane.

For single pictures and where cameras are not known. Each frame is matched on its own, so frames
do not agree with each other as those of the 3D swap do; beyond about 60 degrees of yaw the
landmarks are no longer good enough and the frame is left as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...errors import IdfError
from ...face.color import (
    blur,
    feather,
    fill_rings,
    lab_to_rgb,
    masked_blur,
    match_color,
    rgb_to_lab,
    smoothstep,
)
from ...face.landmarks import FaceLandmarks, LandmarkDetector, vertex_facing
from ...face.raster import rasterize
from ...face.topology import INNER_MOUTH, LEFT_EYE, RIGHT_EYE, TRIANGLES
from ..hidden_skin import hair_on_forehead
from ..result import SwapResult
from ..source import SourceFace

# Lengths are shares of the face's size (root of its area).
FEATHER = 0.10  # width of the soft border
HOLE_BLUR = 0.008  # softness of the border of eyes and mouth, which stay the target's
# Cosine to the camera below which the source is not drawn, the range over which it then fades in,
# and how smooth the facing is taken.
FACING_MIN, FACING_SOFT, FACING_BLUR = 0.10, 0.25, 0.04
# Degrees as the landmarks give them (`FaceLandmarks.yaw`, which reads some 10 % low); beyond it the
# frame is left as it is.
MAX_YAW = 57.0


def swap_picture(image: np.ndarray, source: SourceFace, detector: LandmarkDetector) -> SwapResult:
    """Find the face in a (H, W, 3|4) uint8 picture and swap it; see `swap_mesh`."""
    found = detector.detect(image)
    if not found:
        return SwapResult.unchanged(image, "no_face", "no face was found")
    return swap_mesh(image, found[0], source)


def swap_mesh(image: np.ndarray, target: FaceLandmarks, source: SourceFace,
              keep_hair: bool = True) -> SwapResult:
    """Put the source's face onto one face of a picture.

    image: (H, W, 3) RGB or (H, W, 4) RGBA uint8. target: its landmarks. Works only in the box round
    them. keep_hair: leave the target's own fringe in front of the new forehead. IdfError for
    another kind of array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise IdfError("A face is swapped in an RGB or RGBA picture",
                       f"{image.dtype} array of shape {image.shape}",
                       "give uint8 (H, W, 3) or (H, W, 4)")
    if abs(target.yaw) > MAX_YAW:
        return SwapResult.unchanged(
            image, "extreme_pose",
            f"the head is turned by about {abs(target.yaw):.0f} degrees, more than the "
            f"{MAX_YAW:.0f} up to which landmarks can be trusted")
    low = np.maximum(np.floor(target.box[:2]).astype(int) - 2, 0)
    high = np.minimum(np.ceil(target.box[2:]).astype(int) + 2, image.shape[1::-1])
    if (high - low).min() < 8:
        return SwapResult.unchanged(image, "no_face", "the face lies outside the picture")
    window = image[low[1]:high[1], low[0]:high[0]]
    face, alpha = _draw(window, target, source, low, keep_hair)
    if alpha.max(initial=0) <= 0:
        return SwapResult.unchanged(image, "no_face", "no part of the face is visible")
    # out = alpha * face + (1 - alpha) * frame; where alpha is 0 the frame's own bytes stay.
    mixed = window[..., :3] + alpha[..., None] * (face * 255 - window[..., :3])
    out = image.copy()
    region = out[low[1]:high[1], low[0]:high[0], :3]
    region[...] = np.where(alpha[..., None] > 0, (mixed + 0.5).astype(np.uint8), region)
    mask = np.zeros(image.shape[:2], np.float32)
    mask[low[1]:high[1], low[0]:high[0]] = alpha
    return SwapResult(out, mask, "swapped")


def _draw(window, target: FaceLandmarks, source: SourceFace, origin, keep_hair: bool):
    """Return the new face (h, w, 3) and its share (h, w) in the window, float32 in [0, 1]."""
    h, w = window.shape[:2]
    picture, points, weight = source.at_size(target.size)
    drawn, ids, _ = rasterize(TRIANGLES, target.xy, target.points[:, 2],
                              np.column_stack([points, vertex_facing(target.points)]),
                              h, w, origin)
    covered = ids >= 0
    size = float(np.sqrt(max(covered.sum(), 1)))
    # OpenCV counts from pixel centers.
    x, y = (np.ascontiguousarray(drawn[..., k] - 0.5) for k in (0, 1))
    warped = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.remap(weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * covered
    # Blurred, so that the small steep sides of the nose do not punch holes.
    facing = masked_blur(drawn[..., 2], covered, FACING_BLUR * size)

    rings = [target.xy[r] for r in (LEFT_EYE, RIGHT_EYE, INNER_MOUTH)]
    holes = fill_rings(rings, h, w, origin)
    solid = window[..., 3] >= 128 if window.shape[2] == 4 else np.ones((h, w), bool)
    usable = covered & solid & (weight > 0)
    if keep_hair:
        usable &= _target_hair(window[..., :3], target, origin) < 0.5

    face = match_color(rgb_to_lab(warped), rgb_to_lab(window[..., :3]),
                        usable * weight * (1 - holes), size)

    # Eyes and mouth belong to the inside, else the border would feather around them too.
    inside = (usable | (holes > 0.5)) & solid
    border = blur(feather(inside, FEATHER * size), HOLE_BLUR * size)
    steep = smoothstep((facing - FACING_MIN) / FACING_SOFT)
    hole = blur(holes, max(1.0, HOLE_BLUR * size))
    alpha = np.minimum(border, weight) * steep * (1 - np.clip(1.3 * hole, 0, 1)) * usable
    if window.shape[2] == 4:
        alpha = alpha * (window[..., 3] > 0)
    return lab_to_rgb(face), alpha.astype(np.float32)


def _target_hair(window, target: FaceLandmarks, origin) -> np.ndarray:
    """`hair_on_forehead` of the frame, looked at with the face at most about 160 pixels large."""
    h, w = window.shape[:2]
    scale = min(1.0, 160 / target.size)
    small = cv2.resize(window, (max(1, round(w * scale)), max(1, round(h * scale))),
                       interpolation=cv2.INTER_AREA)
    ratio = np.array([small.shape[1] / w, small.shape[0] / h, scale])
    points = (target.points - np.array([*origin, 0])) * ratio
    hair = hair_on_forehead(small, FaceLandmarks(points.astype(np.float32), 1.0, 1.0))
    return cv2.resize(hair, (w, h), interpolation=cv2.INTER_LINEAR)
