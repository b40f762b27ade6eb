"""The view-consistent swap: one fitted face, one texture, painted into every view.

    mesh = fit_face(frames, landmarks)      # once a head
    texture = bake(mesh, frames, source)    # once a source
    result = render_swap(image, camera, mesh, texture)  # every frame; no detection needed

All three results are plain arrays in frozen dataclasses: they pickle, and `save`/`load` them.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, fill_rings, masked_blur
from ...face.landmarks import FaceLandmarks
from ...face.mesh import FaceMesh, eye_caps, with_eyes
from ...face.raster import rasterize
from ...kernels.compile import exact_kernel
from ..in_front import placed
from ..occluders import Hidden
from ..result import SwapResult
from .bake import FaceTexture
from .head_bend import HeadBend

SUPERSAMPLE = 2  # samples per pixel and axis; smooths the outline of the nose
# Cosine between normal and direction to the camera where the swap begins to show, and where it
# shows fully; hides texture that is stretched along the outline.
FACING = (0.02, 0.25)
# A frame's pixel that differs from the target's mean skin by more than this share of its brightness
# is hair or a hand in front, and stays.
OCCLUDER = 0.4
# Around the lips, as far as this share of the face's width, only what goes on beyond is: a mouth
# that opens quickly is not quite where the mesh has it.
LIPS = 0.1
# Deviation of a frame's overall brightness from the mean, per channel, that is not followed; what
# exceeds it is (cameras that set their own exposure).
EXPOSURE = 0.08
MIN_SHARE = 0.01  # of the frontal face's area that must show for a frame to count as swapped


def render_swap(image, camera, mesh: FaceMesh, texture: FaceTexture,
                shape: HeadBend | None = None, light: float = 0.0, occluder: float = OCCLUDER,
                before: Hidden | None = None) -> SwapResult:
    """Paint the texture into one view.

    image: (H, W, 3) RGB or (H, W, 4) RGBA uint8, seen by `camera`. Alpha is kept, and every pixel
    where the mask is 0 is the input's.
    shape: toward the source's proportions, which the frame follows; None = the target's own. With
    it alpha bends as well.
    light: share of the frame's own smooth light and shade that is followed, in [0, 1]; 0 keeps the
    texture's everywhere, which is what makes views agree. occluder: see OCCLUDER.
    before: what stands before the face in this frame, where that is known.
    Status "no_face" with the input unchanged where the face is turned away or outside the picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"image {image.shape} {image.dtype}; expected (H, W, 3|4) uint8")
    if image.shape[:2] != (camera.height, camera.width):
        raise ValueError(f"image {image.shape[1]}x{image.shape[0]} but camera "
                         f"{camera.width}x{camera.height}")
    if shape is not None:
        bent, moved, changed = shape.of_view(image, camera, mesh)
        result = render_swap(bent, camera, moved, texture, None, light, occluder, before)
        if result.status != "swapped":
            return SwapResult.unchanged(image, result.status, result.reason)
        # What was only bent is changed too: the mask has the least weight there that it can.
        return replace(result, mask=np.maximum(result.mask, changed * np.float32(1 / 255)))
    vertices, caps = eye_caps(mesh.vertices, mesh.normals, mesh.triangles)
    xy, z = camera.project(vertices)
    n = len(mesh.vertices)
    view = camera.position - mesh.vertices
    facing = (view * mesh.normals).sum(1) / np.linalg.norm(view, axis=1)
    if (z <= 0).any():
        return SwapResult.unchanged(image, "no_face", "the face is behind the camera")
    lo = np.maximum(np.floor(xy[:n].min(0)).astype(int) - 1, 0)
    hi = np.minimum(np.ceil(xy[:n].max(0)).astype(int) + 1, (camera.width, camera.height))
    if (hi - lo < 2).any():
        return SwapResult.unchanged(image, "no_face", "the face is outside the picture")

    box = (slice(lo[1], hi[1]), slice(lo[0], hi[0]))
    old = image[box]
    color, alpha, skin, shown = _paint(mesh, caps, texture, xy, z, facing, lo, hi)
    if old.shape[2] == 4:
        alpha = alpha * (old[..., 3] > 0)
    pixels = mesh.width * 0.5 * (camera.fx + camera.fy) / np.median(z)
    lips = fill_rings([xy[topology.OUTER_LIPS]], *alpha.shape, lo)
    lips = cv2.dilate(lips, np.ones((2 * round(LIPS * pixels) + 1,) * 2)) > 0
    hidden, gain = _compare(old, alpha, skin, occluder, lips)
    if before is not None and before.kinds:
        hidden = np.maximum(hidden, _before(before, xy[:n], z[:n], camera, box))
    if light > 0:
        gain = _follow_light(old, alpha * (1 - hidden), skin, gain, pixels, light)
    alpha, color = alpha * (1 - hidden), np.minimum(color * gain, 255)
    alpha[alpha < 0.5 / 255] = 0  # cannot change a pixel
    # What the same face would cover if it looked at this camera: width times 1.3 widths.
    if alpha.sum() < MIN_SHARE * 1.3 * pixels**2:
        return SwapResult.unchanged(image, "no_face", "the face is turned away or out of view")

    out, mask = image.copy(), np.zeros(image.shape[:2], np.float32)
    mask[box] = alpha
    rgb = old[..., :3].astype(np.float32)
    # out = alpha * texture + (1 - alpha) * frame
    new = np.rint(rgb + alpha[..., None] * (color - rgb))
    out[box][..., :3] = np.clip(new, 0, 255).astype(np.uint8)
    own, whole = (float(shown[..., k].sum()) for k in (0, 1))
    return SwapResult(out, mask, "swapped", guessed=1 - own / max(whole, 1e-9),
                      in_front=tuple(dict.fromkeys((*(before.kinds if before else ()),
                                                    *(str(k) for k in texture.in_front)))))


def _before(hidden: Hidden, xy, z, camera, box) -> np.ndarray:
    """(h, w) float32 in [0, 1]: what stands before the face, in the box of the view."""
    scale = 0.5 * (camera.fx + camera.fy) / np.median(z)
    points = np.column_stack([xy, (z - np.median(z)) * scale]).astype(np.float32)
    return placed(hidden, FaceLandmarks(points, 1.0, 1.0), camera.height, camera.width).mask[box]


def _paint(mesh, caps, texture, xy, z, facing, lo, hi):
    """Texture colors (h, w, 3) float32 0-255, alpha (h, w), the target's own mean skin
    (h, w, 4) uint8, and the shown and whole share (h, w, 2), in the box lo..hi of the view."""
    s = SUPERSAMPLE
    w, h = hi - lo
    # Triangles that look away are left out: they would shine through along the outline.
    p = xy[mesh.triangles]
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    front = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0  # y points down
    attributes = np.concatenate([texture.uv, facing[:, None]], axis=1)
    attributes = with_eyes(attributes) if len(caps) else attributes
    shown = mesh.triangles[front]
    attr, ids, _ = rasterize(np.concatenate([shown, caps]), (xy - lo) * s, z, attributes,
                             h * s, w * s, perspective=True)
    if texture.gaze is None:
        ids[ids >= len(shown)] = -1  # the eyes are the frame's own
    rgba = np.empty((h, w, 4), np.float32)
    _shade(attr, ids, texture.rgba, s, FACING[0], FACING[1], rgba)
    middle = (slice(s // 2, None, s), slice(s // 2, None, s))
    at = attr[middle][..., :2] - np.float32(0.5)
    at[ids[middle] < 0] = -9
    skin, share = (cv2.remap(t, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
                   for t in (texture.target, texture.shown))
    fade = np.clip((attr[middle][..., 2:] - FACING[0]) / (FACING[1] - FACING[0]), 0, 1)
    return rgba[..., :3], rgba[..., 3], skin, share * fade


@exact_kernel
def _shade(attr, ids, texture, s, low, high, out):
    """Texture and facing fade per sample (bilinear), averaged over the s x s samples of a pixel,
    colors weighted by alpha."""
    height, width = texture.shape[:2]
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            red = green = blue = total = 0.0
            for j in range(y * s, y * s + s):
                for i in range(x * s, x * s + s):
                    fade = (attr[j, i, 2] - low) / (high - low)
                    if ids[j, i] < 0 or fade <= 0:
                        continue
                    u, v = attr[j, i, 0] - 0.5, attr[j, i, 1] - 0.5
                    u0 = min(max(int(np.floor(u)), 0), width - 2)
                    v0 = min(max(int(np.floor(v)), 0), height - 2)
                    p, q = u - u0, v - v0
                    a, b, c, d = (1 - p) * (1 - q), p * (1 - q), (1 - p) * q, p * q
                    t00, t10 = texture[v0, u0], texture[v0, u0 + 1]
                    t01, t11 = texture[v0 + 1, u0], texture[v0 + 1, u0 + 1]
                    alpha = (a * t00[3] + b * t10[3] + c * t01[3] + d * t11[3]) / 255.0
                    alpha *= min(fade, 1.0)
                    red += alpha * (a * t00[0] + b * t10[0] + c * t01[0] + d * t11[0])
                    green += alpha * (a * t00[1] + b * t10[1] + c * t01[1] + d * t11[1])
                    blue += alpha * (a * t00[2] + b * t10[2] + c * t01[2] + d * t11[2])
                    total += alpha
            scale = 1.0 / max(total, 1e-6)
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red * scale, green * scale, blue * scale
            out[y, x, 3] = total / (s * s)


def _compare(frame, alpha, skin, occluder, lips):
    """Return what hides the face, (h, w) in [0, 1], and the frame's relative brightness, (3,).
    lips: (h, w) bool, where nothing hides it that does not go on beyond."""
    known = (skin[..., 3] > 250) & (alpha > 0.02)
    if known.sum() < 64:
        return np.float32(0), np.ones(3, np.float32)
    a, b = frame[..., :3][known].astype(np.float32) + 1, skin[..., :3][known] + np.float32(1)
    some = slice(None, None, max(1, len(a) // 2000))  # enough for a median
    ratio = np.median(a[some] / b[some], axis=0)
    gain = np.exp(np.sign(np.log(ratio)) * np.maximum(np.abs(np.log(ratio)) - EXPOSURE, 0))
    differs = np.zeros(alpha.shape, np.uint8)
    differs[known] = np.abs(a - b * ratio).mean(1) > occluder * (b * ratio).mean(1)
    # Single pixels are edges that do not quite meet; an occluder is thicker, and has soft rims.
    block = np.ones((3, 3), np.uint8)
    differs = cv2.morphologyEx(differs, cv2.MORPH_OPEN, block)
    count, areas = cv2.connectedComponents(differs)
    beyond = np.zeros(count, np.uint8)
    beyond[areas[~lips]] = 1
    beyond[0] = 0
    differs = beyond[areas]
    if not differs.any():
        return np.float32(0), gain.astype(np.float32)
    hidden = cv2.blur(cv2.dilate(differs, block, iterations=2).astype(np.float32), (3, 3))
    return hidden, gain.astype(np.float32)


def _follow_light(frame, alpha, skin, gain, size: float, share: float):
    """(h, w, 3) how bright the frame is against the mean, smoothly from place to place: the ratio
    of both blurred over their common bare skin, `share` of the way (in its logarithm)."""
    known = ((skin[..., 3] > 250) & (alpha > 0.02)).astype(np.float32)
    sigma = 0.1 * size
    a, b = (masked_blur(x[..., :3].astype(np.float32) + 1, known, sigma) for x in (frame, skin))
    m = blur(known, sigma)[..., None]
    trust = m / (m + 0.05)
    local = np.log(np.clip((a + 1e-3) / (b + 1e-3), 0.3, 3.0))
    return np.exp(trust * share * local + (1 - trust) * np.log(gain)).astype(np.float32)
