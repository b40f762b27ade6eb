"""From a Gaussian in the world to an ellipse with a color on the screen (forward).

One parallel loop over the Gaussians writes all that the tiles need: a record of 16 floats, the
box of tiles and which of them the ellipse truly touches.
Formulas: EWA splatting as in 3DGS (arXiv 2308.04079, section 4); opacity-aware bounds instead of
three sigma: alpha = op·exp(-s) >= 1/255  <=>  s <= ln(255·op).
"""

from __future__ import annotations

import math

import numpy as np

from ...kernels.compile import TILE, inlined, inner, kernel
from ...kernels.harmonics import sh_basis
from ...kernels.threads import first_item, next_item

f32 = np.float32

# Columns of a record. The conic (a, b, c), inverse of the screen covariance, is stored times -1/8
# (a, c halved) because the blending loop wants t = -s/8 with s = a·dx²/2 + b·dx·dy + c·dy²/2.
# On a line x = const through the ellipse, t is largest at y = SLOPE_Y·x; so is x = SLOPE_X·y.
U, V, A8, B8, C8, T_MIN, OPACITY, RED, GREEN, BLUE, DEPTH, SLOPE_X, SLOPE_Y = range(13)
RECORD = 16  # floats: one cache line

# Entries of the camera vector made by `pack_camera`.
ROTATION, TRANSLATION, CENTER, FX, FY, CX, CY, X_MIN, X_MAX, Y_MIN, Y_MAX, NEAR, DILATION = (
    0, 9, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)

MIN_ALPHA = 1 / 255  # weaker contributions are not drawn
MAX_ALPHA = 0.99
PIXEL = 0.3  # pixels², added to the screen covariance: nothing is thinner than a pixel
BLOCK = 256  # Gaussians handed to a thread at a time
MASK_BITS = 63  # boxes of up to so many tiles keep their hits as bits; larger ones test again


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


@inlined
def rotation(q0, q1, q2, q3):
    """Return unit quaternion (w, x, y, z) and 1/norm of q; the nine entries of R, row by row."""
    two, one = f32(2), f32(1)
    inv = one / max(math.sqrt(q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3), f32(1e-12))
    w, x, y, z = q0 * inv, q1 * inv, q2 * inv, q3 * inv
    return (w, x, y, z, inv,
            one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y),
            two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x),
            two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y))


@inlined
def clamp(x, low, high):
    return min(max(x, low), high)


@inner
def ceil_index(x):
    """ceil(x) as an integer, for small x >= 0, by truncation: libm's would be a call here."""
    whole = int(x)
    return whole + 1 if f32(whole) < x else whole


@inlined
def screen_basis(cam, x, y, z, r, s0, s1, s2, T, M):
    """U = J·Rcam·R·diag(s), the (2, 3) factor of the screen covariance U·Uᵀ + d·I.

    Leaves T = J·Rcam (6,) and M = R·diag(s) (9,) behind, which the backward pass needs.
    """
    # J = [[fx/z, 0, -fx·(x/z)/z], [0, fy/z, -fy·(y/z)/z]]
    j00, j11 = cam[FX] / z, cam[FY] / z
    j02 = -j00 * clamp(x / z, cam[X_MIN], cam[X_MAX])
    j12 = -j11 * clamp(y / z, cam[Y_MIN], cam[Y_MAX])
    for k in range(3):
        T[k] = j00 * cam[ROTATION + k] + j02 * cam[ROTATION + 6 + k]
        T[3 + k] = j11 * cam[ROTATION + 3 + k] + j12 * cam[ROTATION + 6 + k]
        M[3 * k] = r[5 + 3 * k] * s0
        M[3 * k + 1] = r[6 + 3 * k] * s1
        M[3 * k + 2] = r[7 + 3 * k] * s2
    return (T[0] * M[0] + T[1] * M[3] + T[2] * M[6], T[0] * M[1] + T[1] * M[4] + T[2] * M[7],
            T[0] * M[2] + T[1] * M[5] + T[2] * M[8],
            T[3] * M[0] + T[4] * M[3] + T[5] * M[6], T[3] * M[1] + T[4] * M[4] + T[5] * M[7],
            T[3] * M[2] + T[4] * M[5] + T[5] * M[8])


@inlined
def covariance(u, d):
    """Return (A, B, C) of U·Uᵀ + d·I and its determinant, free of cancellation.

    det = |u1 × u2|² + d·(|u1|² + |u2|²) + d² for the rows u1, u2 of U (Lagrange's identity).
    """
    p, q = u[0] * u[0] + u[1] * u[1] + u[2] * u[2], u[3] * u[3] + u[4] * u[4] + u[5] * u[5]
    B = u[0] * u[3] + u[1] * u[4] + u[2] * u[5]
    n0, n1, n2 = (u[1] * u[5] - u[2] * u[4], u[2] * u[3] - u[0] * u[5], u[0] * u[4] - u[1] * u[3])
    det = n0 * n0 + n1 * n1 + n2 * n2 + d * (p + q) + d * d
    return p + d, B, q + d, det


@inner
def touches(records, i, tile_x, tile_y):
    """Return whether the ellipse s <= ln(255·op) meets the pixel centers' rectangle of a tile:
    exact.

    The largest t = -s/8 on the rectangle lies at the mean if that is inside, else on an edge that
    faces the mean, where it is a parabola.
    """
    half = f32(0.5)
    a, b, c = records[i, A8], records[i, B8], records[i, C8]
    x0 = f32(tile_x * TILE) + half - records[i, U]
    x1 = x0 + f32(TILE - 1)
    y0 = f32(tile_y * TILE) + half - records[i, V]
    y1 = y0 + f32(TILE - 1)
    inside_x, inside_y = x0 <= f32(0) <= x1, y0 <= f32(0) <= y1
    if inside_x and inside_y:
        return True
    best = f32(-1e30)
    if not inside_x:
        dx = x0 if x0 > f32(0) else x1
        dy = clamp(records[i, SLOPE_Y] * dx, y0, y1)  # dt/dy = 0
        best = max(best, a * dx * dx + dy * (b * dx + c * dy))
    if not inside_y:
        dy = y0 if y0 > f32(0) else y1
        dx = clamp(records[i, SLOPE_X] * dy, x0, x1)
        best = max(best, a * dx * dx + dy * (b * dx + c * dy))
    return best >= records[i, T_MIN] - f32(1e-5)  # the pixel test decides; here only no miss


@inlined
def project_one(i, means, log_scales, quats, logits, sh, degree, cam, width, height, Y, T, M,
                records, boxes):
    """Fill record and box i (x0, x1, y0, y1 in tiles, ends excluded); False = not drawn."""
    half, one = f32(0.5), f32(1)
    mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
    x = cam[0] * mx + cam[1] * my + cam[2] * mz + cam[TRANSLATION]
    y = cam[3] * mx + cam[4] * my + cam[5] * mz + cam[TRANSLATION + 1]
    z = cam[6] * mx + cam[7] * my + cam[8] * mz + cam[TRANSLATION + 2]
    opacity = one / (one + math.exp(-logits[i]))
    if not (z >= cam[NEAR] and opacity >= f32(MIN_ALPHA)):
        return False
    u, v = cam[FX] * x / z + cam[CX], cam[FY] * y / z + cam[CY]
    r = rotation(quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3])
    basis = screen_basis(cam, x, y, z, r, math.exp(log_scales[i, 0]), math.exp(log_scales[i, 1]),
                         math.exp(log_scales[i, 2]), T, M)
    A, B, C, det = covariance(basis, cam[DILATION])
    if not (det < f32(1e30)):  # overflow, NaN
        return False
    s_max = math.log(f32(255) * opacity)
    # half extents of the ellipse s = s_max, a hair wider than exact against rounding
    ex = math.sqrt(f32(2) * s_max * A) * f32(1.0001) + f32(0.01)
    ey = math.sqrt(f32(2) * s_max * C) * f32(1.0001) + f32(0.01)
    # pixel centers at +0.5: columns [u - ex - 0.5, u + ex - 0.5]
    x_low, x_high = max(u - ex - half, f32(0)), min(u + ex - half, f32(width - 1))
    y_low, y_high = max(v - ey - half, f32(0)), min(v + ey - half, f32(height - 1))
    if not (x_low <= x_high and y_low <= y_high):
        return False
    first_x, first_y = ceil_index(x_low), ceil_index(y_low)
    if f32(first_x) > x_high or f32(first_y) > y_high:
        return False
    per = f32(1 / TILE)  # a power of two: exact, unlike slow int //
    boxes[i, 0], boxes[i, 1] = int(f32(first_x) * per), int(x_high * per) + 1
    boxes[i, 2], boxes[i, 3] = int(f32(first_y) * per), int(y_high * per) + 1

    records[i, U], records[i, V], records[i, DEPTH] = u, v, z
    # conic = [[C, -B], [-B, A]] / det
    records[i, A8] = -C / det * f32(1 / 16)
    records[i, B8] = B / det * f32(1 / 8)
    records[i, C8] = -A / det * f32(1 / 16)
    records[i, SLOPE_X], records[i, SLOPE_Y] = B / C, B / A  # -b/(2a), -b/(2c)
    records[i, T_MIN], records[i, OPACITY] = -s_max * f32(1 / 8), opacity
    # color = max(0, 0.5 + sum_k Y_k(direction) sh_k)
    dx, dy, dz = mx - cam[CENTER], my - cam[CENTER + 1], mz - cam[CENTER + 2]
    inv = one / math.sqrt(dx * dx + dy * dy + dz * dz)
    sh_basis(degree, dx * inv, dy * inv, dz * inv, Y)
    red = green = blue = half
    for k in range((degree + 1) * (degree + 1)):
        red += Y[k] * sh[i, k, 0]
        green += Y[k] * sh[i, k, 1]
        blue += Y[k] * sh[i, k, 2]
    records[i, RED] = max(red, f32(0))
    records[i, GREEN] = max(green, f32(0))
    records[i, BLUE] = max(blue, f32(0))
    return True


@inlined
def find_hits(records, boxes, i):
    """Return the number of tiles in box i that the ellipse touches, and the bits of them."""
    x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
    area = (x1 - x0) * (y1 - y0)
    if area == 1:
        return 1, 1
    hits, bits, place = 0, 0, 0
    for ty in range(y0, y1):
        for tx in range(x0, x1):
            if touches(records, i, tx, ty):
                hits += 1
                if area <= MASK_BITS:
                    bits |= 1 << place
            place += 1
    return hits, bits


@kernel
def project(means, log_scales, quats, logits, sh, degree, cam, width, height, records, boxes,
            bits, hits, counter):
    """All Gaussians. Writes records (N, 16) f32, boxes (N, 4) i32, bits (N,) i64, hits (N,) i32.

    hits[i] = 0 marks a Gaussian that is not drawn; its other rows are then undefined.
    """
    n = len(means)
    blocks = (n + BLOCK - 1) // BLOCK
    Y, T, M = np.empty(16, f32), np.empty(6, f32), np.empty(9, f32)
    block = first_item(counter)
    while block < blocks:
        for i in range(block * BLOCK, min(n, (block + 1) * BLOCK)):
            hits[i] = 0
            if project_one(i, means, log_scales, quats, logits, sh, degree, cam, width, height, Y,
                           T, M, records, boxes):
                hits[i], bits[i] = find_hits(records, boxes, i)
        block = next_item(counter)
