"""Upright square crops of a face, as the swap networks want them, and the way back.

Points and matrices here are in OpenCV's coordinates, where the center of the first pixel is at
(0, 0), because the networks' templates are; the rest of the package has it at (0.5, 0.5).
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face import topology
from ...face.landmarks import FaceLandmarks
from ..result import SwapResult

# Degrees as the landmarks give them; beyond it the frame is left as it is: networks trained on
# frontal faces smear profiles.
MAX_YAW = 70.0

# Where eye, eye, nose tip and mouth corners lie in a crop, as fractions of its side, in the order
# of the picture from left to right. Values: facefusion's face_helper.py; arcface_112_v2 and
# arcface_128 are insightface's template at 112 and, moved by 8 pixels, at 128.
TEMPLATES = {name: np.array(points) for name, points in {
    "arcface_112_v1": ((0.35473214, 0.45658929), (0.64526786, 0.45658929), (0.5, 0.61154464),
                       (0.37913393, 0.77687500), (0.62086607, 0.77687500)),
    "arcface_112_v2": ((0.34191607, 0.46157411), (0.65653393, 0.45983393), (0.50022500, 0.64050536),
                       (0.37097589, 0.82469196), (0.63151696, 0.82325089)),
    "arcface_128": ((0.36167656, 0.40387734), (0.63696719, 0.40235469), (0.50019687, 0.56044219),
                    (0.38710391, 0.72160547), (0.61507734, 0.72034453)),
    "ffhq_512": ((0.37691676, 0.46864664), (0.62285697, 0.46912813), (0.50123859, 0.61331904),
                 (0.39308822, 0.72541100), (0.61150205, 0.72490465)),
    "mtcnn_512": ((0.36562865, 0.46733799), (0.63305391, 0.46585885), (0.50019127, 0.61942959),
                  (0.39032951, 0.77598822), (0.61178945, 0.77476328)),
}.items()}


def five_points(points: np.ndarray) -> np.ndarray:
    """Return (5, 2) float64: eye centers, nose tip, mouth corners; the picture's left first.

    points: (468, >= 2) landmarks in this package's pixels.
    """
    p = np.asarray(points, np.float64)[:, :2]
    return np.stack([p[topology.RIGHT_EYE].mean(0), p[topology.LEFT_EYE].mean(0),
                     p[topology.NOSE_TIP], p[topology.MOUTH_RIGHT], p[topology.MOUTH_LEFT]]) - 0.5


def similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Return (2, 3) M = [sR | t] with the least sum of |M (src, 1) - dst|^2 (Umeyama 1991).

    src, dst: (N, 2), N >= 2. No reflection. NaN where all points of `src` coincide. The mean of
    `dst` is taken in its own precision, as scikit-image does, for the last bit of GHOST's crops.
    """
    src, dst = np.asarray(src, np.float64), np.asarray(dst)
    mean_s, mean_d = src.mean(0), dst.mean(0)
    s, d = src - mean_s, dst - mean_d
    U, S, Vt = np.linalg.svd(d.T @ s / len(src))
    flip = np.array([1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt)) or 1.0])
    R = U @ np.diag(flip) @ Vt
    variance = (s * s).sum() / len(src)
    scale = (S @ flip) / variance if variance > 0 else np.nan
    return np.column_stack([scale * R, mean_d - scale * R @ mean_s])


def template_matrix(five: np.ndarray, template: str, size: int) -> np.ndarray:
    """Return (2, 3) float64, picture -> crop of `size` pixels a side, as facefusion estimates it.

    five: from `five_points`. template: a key of TEMPLATES.
    """
    goal = TEMPLATES[template] * size
    M = cv2.estimateAffinePartial2D(np.asarray(five, np.float64), goal, method=cv2.RANSAC,
                                    ransacReprojThreshold=100)[0]
    return similarity(five, goal) if M is None else M


def crop(rgb: np.ndarray, M: np.ndarray, size: int, border: int = cv2.BORDER_REPLICATE
         ) -> np.ndarray:
    """Return (size, size, 3) uint8 crop of a (H, W, 3) picture; linear, beyond it `border`.

    A face more than twice as large as the crop is averaged down first, so that it does not alias.
    """
    scale = float(np.hypot(M[0, 0], M[1, 0]))
    factor = int(1 / scale) if scale > 0 else 1
    if factor >= 2:
        h, w = (-(-n // factor) for n in rgb.shape[:2])
        grown = cv2.copyMakeBorder(rgb, 0, h * factor - rgb.shape[0], 0, w * factor - rgb.shape[1],
                                   cv2.BORDER_REPLICATE)
        rgb = cv2.resize(grown, (w, h), interpolation=cv2.INTER_AREA)
        # index = factor * small index + (factor - 1) / 2
        M = np.column_stack([M[:, :2] * factor, M[:, 2] + M[:, :2].sum(1) * (factor - 1) / 2])
    return cv2.warpAffine(rgb, M, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def paste(image: np.ndarray, face: np.ndarray, mask: np.ndarray, M: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture with the crop put back, and its share (H, W) float32 in [0, 1] of each
    pixel.

    image: (H, W, 3|4) uint8; alpha is kept, and where it is 0 the pixel too. face: (n, n, 3) 0-255.
    mask: (n, n) in [0, 1]. M: picture -> crop. Only pixels with a share above 0 change.
    """
    inverse = cv2.invertAffineTransform(M)
    n = face.shape[0]
    corners = np.array([[0, 0], [n, 0], [n, n], [0, n]]) @ inverse[:, :2].T + inverse[:, 2]
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, limit)
    high = np.clip(np.ceil(corners.max(0)).astype(int), 0, limit)
    share = np.zeros(image.shape[:2], np.float32)
    w, h = (high - low).tolist()
    if min(w, h) <= 0:
        return image.copy(), share
    inverse = inverse - np.array([[0, 0, low[0]], [0, 0, low[1]]])
    part = np.clip(cv2.warpAffine(np.asarray(mask, np.float32), inverse, (w, h)), 0, 1)
    new = cv2.warpAffine(np.asarray(face, np.float32), inverse, (w, h),
                         borderMode=cv2.BORDER_REPLICATE)
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    if image.shape[2] == 4:
        part = part * (image[box][..., 3] > 0)
    part[part < 0.5 / 255] = 0  # cannot change a pixel
    out = image.copy()
    old = image[box][..., :3].astype(np.float32)
    mixed = np.clip(np.rint(old + part[..., None] * (new - old)), 0, 255)
    out[box][..., :3] = np.where(part[..., None] > 0, mixed, old).astype(np.uint8)
    share[box] = part
    return out, share


def box_mask(size: int, blur: float) -> np.ndarray:
    """Return (size, size) float32: 1 inside, fading to 0 at the crop's border. blur: in [0, 1], as
    facefusion's `face_mask_blur`."""
    amount = int(size * 0.5 * blur)
    rim = max(amount // 2, 1)
    mask = np.ones((size, size), np.float32)
    mask[:rim], mask[-rim:], mask[:, :rim], mask[:, -rim:] = 0, 0, 0, 0
    return cv2.GaussianBlur(mask, (0, 0), amount * 0.25) if amount > 0 else mask


def interleave(crops: np.ndarray, k: int) -> np.ndarray:
    """Return one picture (k n, k n, C) of k k crops (k k, n, n, C): crop number k i + j holds the
    pixels of rows i mod k and columns j mod k."""
    n, c = crops.shape[1], crops.shape[3]
    return crops.reshape(k, k, n, n, c).transpose(2, 0, 3, 1, 4).reshape(k * n, k * n, c)


def deinterleave(picture: np.ndarray, k: int) -> np.ndarray:
    """Return the inverse of `interleave`: (k n, k n, C) -> (k k, n, n, C)."""
    n, c = picture.shape[0] // k, picture.shape[2]
    return picture.reshape(n, k, n, k, c).transpose(1, 3, 0, 2, 4).reshape(k * k, n, n, c)


def too_far_turned(image: np.ndarray, face: FaceLandmarks) -> SwapResult:
    """Return the picture as it is, with the reason that the head is turned beyond MAX_YAW."""
    return SwapResult.unchanged(image, "extreme_pose", f"the head is turned by about "
                                f"{abs(face.yaw):.0f} degrees, more than {MAX_YAW:.0f}")
