"""From the gradients on the screen to those of the Gaussians' parameters.

The chain of `project.py` backwards, one Gaussian at a time: its slots are added up, then
color -> harmonics and view direction; conic -> screen covariance -> scale, rotation, J;
screen position, depth and J -> mean.
"""

from __future__ import annotations

import math

import numpy as np

from ...kernels.compile import inlined, kernel
from ...kernels.harmonics import sh_basis, sh_direction_gradient
from ...kernels.threads import first_item, next_item
from .project import (
    BLOCK,
    BLUE,
    CENTER,
    DILATION,
    FX,
    FY,
    GREEN,
    RED,
    ROTATION,
    TRANSLATION,
    X_MAX,
    X_MIN,
    Y_MAX,
    Y_MIN,
    clamp,
    covariance,
    rotation,
    screen_basis,
)
from .raster_backward import G_BLUE, G_DEPTH, G_GREEN, G_RED, M0, MX, MXX, MXY, MY, MYY, SUMS

f32 = np.float32


@inlined
def color_backward(i, means, sh, degree, cam, records, total, Y, s, d_means, d_sh):
    """dL/dsh = Y_k·dL/dcolor, and the share of the mean through the view direction.

    A channel that was clamped at 0 passes nothing.
    """
    one = f32(1)
    red = total[G_RED] if records[i, RED] > f32(0) else f32(0)
    green = total[G_GREEN] if records[i, GREEN] > f32(0) else f32(0)
    blue = total[G_BLUE] if records[i, BLUE] > f32(0) else f32(0)
    x, y, z = (means[i, 0] - cam[CENTER], means[i, 1] - cam[CENTER + 1],
               means[i, 2] - cam[CENTER + 2])
    inv = one / math.sqrt(x * x + y * y + z * z)
    x, y, z = x * inv, y * inv, z * inv
    sh_basis(degree, x, y, z, Y)
    active = (degree + 1) * (degree + 1)
    for k in range(active):
        d_sh[i, k, 0], d_sh[i, k, 1], d_sh[i, k, 2] = Y[k] * red, Y[k] * green, Y[k] * blue
        s[k] = sh[i, k, 0] * red + sh[i, k, 1] * green + sh[i, k, 2] * blue
    for k in range(active, d_sh.shape[1]):
        d_sh[i, k, 0] = d_sh[i, k, 1] = d_sh[i, k, 2] = f32(0)
    # d(m - c)/|m - c| = (I - d·d^T)/|m - c|
    gx, gy, gz = sh_direction_gradient(degree, x, y, z, s)
    along = gx * x + gy * y + gz * z
    d_means[i, 0] = (gx - along * x) * inv
    d_means[i, 1] = (gy - along * y) * inv
    d_means[i, 2] = (gz - along * z) * inv


@inlined
def quaternion_backward(r, d_r, i, d_quats):
    """dL/dq from dL/dR (9,) by R's bilinear form in the unit quaternion, then through q/|q|."""
    two, w, x, y, z, inv = f32(2), r[0], r[1], r[2], r[3], r[4]
    if inv >= f32(1e12):  # a zero quaternion stands for no rotation and has no direction to turn
        d_quats[i, 0] = d_quats[i, 1] = d_quats[i, 2] = d_quats[i, 3] = f32(0)
        return
    gw = two * (x * (d_r[7] - d_r[5]) + y * (d_r[2] - d_r[6]) + z * (d_r[3] - d_r[1]))
    gx = two * (-two * x * (d_r[4] + d_r[8]) + y * (d_r[1] + d_r[3]) + z * (d_r[2] + d_r[6])
                + w * (d_r[7] - d_r[5]))
    gy = two * (x * (d_r[1] + d_r[3]) - two * y * (d_r[0] + d_r[8]) + z * (d_r[5] + d_r[7])
                + w * (d_r[2] - d_r[6]))
    gz = two * (x * (d_r[2] + d_r[6]) + y * (d_r[5] + d_r[7]) - two * z * (d_r[0] + d_r[4])
                + w * (d_r[3] - d_r[1]))
    along = gw * w + gx * x + gy * y + gz * z
    d_quats[i, 0], d_quats[i, 1] = (gw - along * w) * inv, (gx - along * x) * inv
    d_quats[i, 2], d_quats[i, 3] = (gy - along * y) * inv, (gz - along * z) * inv


@inlined
def shape_backward(i, means, log_scales, quats, cam, total, T, M, d_r, d_means, d_log_scales,
                   d_quats):
    """Moments of dL/ds -> mean (adding to it), scales and rotation. Returns |dL/du| + |dL/dv|."""
    half, two = f32(0.5), f32(2)
    mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
    x = cam[0] * mx + cam[1] * my + cam[2] * mz + cam[TRANSLATION]
    y = cam[3] * mx + cam[4] * my + cam[5] * mz + cam[TRANSLATION + 1]
    z = cam[6] * mx + cam[7] * my + cam[8] * mz + cam[TRANSLATION + 2]
    s0, s1, s2 = (math.exp(log_scales[i, 0]), math.exp(log_scales[i, 1]),
                  math.exp(log_scales[i, 2]))
    r = rotation(quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3])
    u = screen_basis(cam, x, y, z, r, s0, s1, s2, T, M)
    A, B, C, det = covariance(u, cam[DILATION])
    a, b, c = C / det, -B / det, A / det
    # s = d^T X d / 2 with X the conic and d = (u, v) - pixel: dL/d(u, v) = X·(mx, my)
    du, dv = a * total[MX] + b * total[MY], b * total[MX] + c * total[MY]
    # dL/dX = V = [[mxx, mxy], [mxy, myy]]/2;  dL/dcovariance = -X·V·X
    v0, v1, v2 = half * total[MXX], half * total[MXY], half * total[MYY]
    h0, h1, h2, h3 = a * v0 + b * v1, a * v1 + b * v2, b * v0 + c * v1, b * v1 + c * v2
    g0, g1, g2 = -(h0 * a + h1 * b), -(h0 * b + h1 * c), -(h2 * b + h3 * c)
    # covariance = U·U^T + d·I: dU = 2·dcovariance·U
    w0, w1, w2 = (two * (g0 * u[0] + g1 * u[3]), two * (g0 * u[1] + g1 * u[4]),
                  two * (g0 * u[2] + g1 * u[5]))
    w3, w4, w5 = (two * (g1 * u[0] + g2 * u[3]), two * (g1 * u[1] + g2 * u[4]),
                  two * (g1 * u[2] + g2 * u[5]))
    # U = T·M: dM = T^T·dU; M = R·diag(s): dR = dM·diag(s), dlog s_k = s_k·sum_r dM_rk·R_rk
    l0 = l1 = l2 = f32(0)
    j00 = j02 = j11 = j12 = f32(0)
    for k in range(3):
        m0, m1, m2 = (T[k] * w0 + T[3 + k] * w3, T[k] * w1 + T[3 + k] * w4,
                      T[k] * w2 + T[3 + k] * w5)
        l0 += m0 * M[3 * k]
        l1 += m1 * M[3 * k + 1]
        l2 += m2 * M[3 * k + 2]
        d_r[3 * k], d_r[3 * k + 1], d_r[3 * k + 2] = m0 * s0, m1 * s1, m2 * s2
        # dT = dU·M^T; T = J·Rcam: dJ = dT·Rcam^T
        t0 = w0 * M[3 * k] + w1 * M[3 * k + 1] + w2 * M[3 * k + 2]
        t1 = w3 * M[3 * k] + w4 * M[3 * k + 1] + w5 * M[3 * k + 2]
        j00 += t0 * cam[ROTATION + k]
        j02 += t0 * cam[ROTATION + 6 + k]
        j11 += t1 * cam[ROTATION + 3 + k]
        j12 += t1 * cam[ROTATION + 6 + k]
    d_log_scales[i, 0], d_log_scales[i, 1], d_log_scales[i, 2] = l0, l1, l2
    quaternion_backward(r, d_r, i, d_quats)
    # u = fx·x/z + cx;  J = [[fx/z, 0, -fx·X/z], [0, fy/z, -fy·Y/z]], X = clamp(x/z), Y alike
    fx_z, fy_z = cam[FX] / z, cam[FY] / z
    x_z, y_z = x / z, y / z
    X, Y = clamp(x_z, cam[X_MIN], cam[X_MAX]), clamp(y_z, cam[Y_MIN], cam[Y_MAX])
    through_x = -fx_z / z * j02 if X == x_z else f32(0)  # dL/dX·dX/dx, dX/dx = 1/z
    through_y = -fy_z / z * j12 if Y == y_z else f32(0)
    gx = du * fx_z + through_x
    gy = dv * fy_z + through_y
    gz = (-(du * fx_z * x_z + dv * fy_z * y_z) - (fx_z * j00 + fy_z * j11) / z
          + (fx_z * X * j02 + fy_z * Y * j12) / z - through_x * x_z - through_y * y_z
          + total[G_DEPTH])
    for k in range(3):
        d_means[i, k] += cam[k] * gx + cam[3 + k] * gy + cam[6 + k] * gz
    return abs(du) + abs(dv)


@inlined
def sum_slots(first, last, slots, reached, total):
    """total (10,) = sum of the reached slots in [first, last); False where there are none."""
    found = False
    for c in range(SUMS):
        total[c] = f32(0)
    for k in range(first, last):
        if reached[k]:
            found = True
            for c in range(SUMS):
                total[c] += slots[k, c]
    return found


@inlined
def clear(i, d_means, d_log_scales, d_quats, d_logits, d_sh, screen):
    for c in range(3):
        d_means[i, c] = d_log_scales[i, c] = f32(0)
    for c in range(4):
        d_quats[i, c] = f32(0)
    d_logits[i] = screen[i] = f32(0)
    for k in range(d_sh.shape[1]):
        for c in range(3):
            d_sh[i, k, c] = f32(0)


@kernel
def project_backward(means, log_scales, quats, logits, sh, degree, cam, records, slot_start,
                     slots, reached, d_means, d_log_scales, d_quats, d_logits, d_sh, screen,
                     counter):
    """All Gaussians. Overwrites every row of the six outputs; zeros where no tile was reached."""
    n = len(means)
    blocks = (n + BLOCK - 1) // BLOCK
    total, Y, s = np.empty(SUMS, f32), np.empty(16, f32), np.empty(16, f32)
    T, M, d_r = np.empty(6, f32), np.empty(9, f32), np.empty(9, f32)
    block = first_item(counter)
    while block < blocks:
        for i in range(block * BLOCK, min(n, (block + 1) * BLOCK)):
            if not sum_slots(slot_start[i], slot_start[i + 1], slots, reached, total):
                clear(i, d_means, d_log_scales, d_quats, d_logits, d_sh, screen)
                continue
            color_backward(i, means, sh, degree, cam, records, total, Y, s, d_means, d_sh)
            screen[i] = shape_backward(i, means, log_scales, quats, cam, total, T, M, d_r,
                                       d_means, d_log_scales, d_quats)
            # alpha = op·exp(-s), op = sigmoid(logit): dL/dlogit = -m0·(1 - op)
            opacity = f32(1) / (f32(1) + math.exp(-logits[i]))
            d_logits[i] = -total[M0] * (f32(1) - opacity)
        block = next_item(counter)
