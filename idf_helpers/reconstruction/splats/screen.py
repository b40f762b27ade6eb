"""What is common to all kernels of the picture: the camera vector, and the record of a Gaussian on
the screen."""

from __future__ import annotations

import numpy as np

MIN_ALPHA = 1 / 255  # weaker contributions are not drawn
MAX_ALPHA = 0.99
PIXEL = 0.3  # pixels², added to the screen covariance: nothing is thinner than a pixel

# Columns of a record. The conic (a, b, c), inverse of the screen covariance, is stored times -1/8
# (a, c halved) because the blending loop wants t = -s/8 with s = a·dx²/2 + b·dx·dy + c·dy²/2.
# On a line x = const through the ellipse, t is largest at y = SLOPE_Y·x; so is x = SLOPE_X·y.
U, V, A8, B8, C8, T_MIN, OPACITY, RED, GREEN, BLUE, DEPTH, SLOPE_X, SLOPE_Y = range(13)
RECORD = 16  # floats: one cache line

# Entries of the camera vector made by `pack_camera`.
ROTATION, TRANSLATION, CENTER, FX, FY, CX, CY, X_MIN, X_MAX, Y_MIN, Y_MAX, NEAR, DILATION = (
    0, 9, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)
CAMERA = 25


def pack_camera(camera, near: float, dilation: float = PIXEL) -> np.ndarray:
    """Return (25,) float32: world-to-camera rotation and translation, center, intrinsics, limits of
    J, near plane, dilation.

    J is evaluated at x/z clamped to 1.3 times the half field of view (3DGS); for a principal
    point off the center: the picture's edge plus 0.3 of the half width (gsplat's form of it).
    """
    w2c = camera.w2c_cv
    half_x, half_y = 0.5 * camera.width / camera.fx, 0.5 * camera.height / camera.fy
    return np.concatenate([
        w2c[:3, :3].ravel(), w2c[:3, 3], camera.position,
        [camera.fx, camera.fy, camera.cx, camera.cy,
         -camera.cx / camera.fx - 0.3 * half_x,
         (camera.width - camera.cx) / camera.fx + 0.3 * half_x,
         -camera.cy / camera.fy - 0.3 * half_y,
         (camera.height - camera.cy) / camera.fy + 0.3 * half_y,
         near, dilation]]).astype(np.float32)
