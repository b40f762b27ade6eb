"""From the gradients on the screen to those of the Gaussians' parameters, a vector of them at a
time.

The chain of `project` backwards: the slots of each Gaussian are added up, then
color -> harmonics and view direction; conic -> screen covariance -> scale, rotation, J;
screen position, depth and J -> mean. Each gradient goes where it is wanted as soon as it is there:
into a packed array, or straight into a step of Adam, so that none is ever stored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...kernels import vector_math as vm
from ...kernels.adam import BETA1, BETA2, EPSILON
from ...kernels.compile import inner, kernel
from ...kernels.harmonics import sh_direction_gradient, sh_values
from ...kernels.simd import Lanes, Vector, data_pointer
from ...kernels.threads import first_item, next_item
from .geometry import Geometry, Harmonics, Rows, dot
from .packed import COLOR, GROUP, LOGIT, MEAN, PORTION, QUAT, SCALE
from .raster_backward import G_BLUE, G_DEPTH, G_RED, M0, MX, MXX, MXY, MY, MYY, SLOT
from .screen import RED, ROTATION

f32 = np.float32
INDEX = ir.IntType(64)
TENSORS = 5  # means, log_scales, quats, opacity_logits, sh
MEANS, SCALES, QUATS, LOGITS, COLORS = range(TENSORS)


def emit_backward(L: Lanes, camera, values: Rows, coefficients, total: list[Vector],
                  give: Callable) -> Vector:
    """Call give(row, old value, gradient, tensor) once for each number of the Gaussians; return
    |dL/du| + |dL/dv|. total: the ten sums of a slot. `give` may overwrite the row."""
    old = [values.load(row) for row in range(COLOR)]
    g = Geometry(L, camera, lambda row: old[row])
    d_mean = _color(L, g, values, coefficients, total, give)
    d_screen, d_axes = _shape(L, g, total, old, give)
    for k in range(3):
        turned = dot([g.cam[ROTATION + 3 * r + k] for r in range(3)], d_axes)
        give(MEAN + k, old[MEAN + k], d_mean[k] + turned, MEANS)
    # alpha = op·exp(-s), op = sigmoid(logit): dL/dlogit = -m0·(1 - op)
    give(LOGIT, old[LOGIT], total[M0] * (g.opacity - 1.0), LOGITS)
    return d_screen


def _color(L, g: Geometry, values: Rows, coefficients, total, give) -> list[Vector]:
    """dL/dsh = Y_k·dL/dcolor; return the share of the mean through the view direction."""
    d_color = total[G_RED:G_BLUE + 1]
    basis = Harmonics(L, sh_values(*g.direction))
    along = Harmonics(L, [0.0] * 16)  # s[k] = sh_k·dL/dcolor, 0 for those that are not used
    with basis.loop(coefficients) as (k, Y, rows):
        old = [values.load(row) for row in rows]
        along.store(dot(old, d_color), k)
        for row, value, d in zip(rows, old, d_color, strict=True):
            give(row, value, Y * d, COLORS)
    # d(m - c)/|m - c| = (I - d·d^T)/|m - c|
    d = sh_direction_gradient(*g.direction, [along.load(k) for k in range(16)])
    outward = dot(d, g.direction)
    return [(d[k] - outward * g.direction[k]) * g.inv_distance for k in range(3)]


def _shape(L, g: Geometry, total, old, give) -> tuple[Vector, list[Vector]]:
    """Moments of dL/ds -> scales and rotation. Return |dL/du| + |dL/dv|, and dL/d(mean in camera
    axes)."""
    a, b, c = g.C * g.inv_det, 0.0 - g.B * g.inv_det, g.A * g.inv_det  # the conic X
    # s = d^T X d / 2 with d = (u, v) - pixel: dL/d(u, v) = X·(mx, my)
    du, dv = a * total[MX] + b * total[MY], b * total[MX] + c * total[MY]
    # dL/dX = V = [[mxx, mxy], [mxy, myy]]/2;  dL/dcovariance = -X·V·X
    v0, v1, v2 = 0.5 * total[MXX], 0.5 * total[MXY], 0.5 * total[MYY]
    h0, h1, h2, h3 = a * v0 + b * v1, a * v1 + b * v2, b * v0 + c * v1, b * v1 + c * v2
    g0, g1, g2 = (0.0 - (h0 * a + h1 * b), 0.0 - (h0 * b + h1 * c), 0.0 - (h2 * b + h3 * c))
    # covariance = u·u^T + d·I: du = 2·dcovariance·u
    u = g.u
    w = ([2.0 * (g0 * u[k] + g1 * u[3 + k]) for k in range(3)]
         + [2.0 * (g1 * u[k] + g2 * u[3 + k]) for k in range(3)])
    # u = T·M: dM = T^T·du; M = R·diag(s): dR = dM·diag(s), dlog s_k = sum_r dM_rk·M_rk
    T, M = g.T, g.M
    dM = [T[r] * w[k] + T[3 + r] * w[3 + k] for r in range(3) for k in range(3)]
    for k in range(3):
        gradient = dot([dM[3 * r + k] for r in range(3)], [M[3 * r + k] for r in range(3)])
        give(SCALE + k, old[SCALE + k], gradient, SCALES)
    _rotation(g, [dM[k] * g.s[k % 3] for k in range(9)], old, give)
    # dT = du·M^T; T = J·W: dJ = dT·W^T
    dT = [dot(w[row:row + 3], M[3 * r:3 * r + 3]) for row in (0, 3) for r in range(3)]
    W = [g.cam[ROTATION + 3 * r:ROTATION + 3 * r + 3] for r in range(3)]
    d00, d02 = dot(dT[:3], W[0]), dot(dT[:3], W[2])
    d11, d12 = dot(dT[3:], W[1]), dot(dT[3:], W[2])
    # u = fx·x/z + cx;  J = [[fx/z, 0, -fx·X/z], [0, fy/z, -fy·Y/z]]
    fx_z, fy_z = g.j00, g.j11
    # dL/dX·dX/dx, where X is x/z itself; dX/dx = 1/z
    through_x = (0.0 - fx_z * g.inv_z * d02).where(g.X.compare("==", g.x_z), 0.0)
    through_y = (0.0 - fy_z * g.inv_z * d12).where(g.Y.compare("==", g.y_z), 0.0)
    d_z = ((fx_z * g.X * d02 + fy_z * g.Y * d12 - fx_z * d00 - fy_z * d11) * g.inv_z
           - (du * fx_z + through_x) * g.x_z - (dv * fy_z + through_y) * g.y_z + total[G_DEPTH])
    screen = du.maximum(0.0 - du) + dv.maximum(0.0 - dv)
    return screen, [du * fx_z + through_x, dv * fy_z + through_y, d_z]


def _rotation(g: Geometry, dR: list[Vector], old, give) -> None:
    """dL/dq from dL/dR (9,) by R's bilinear form in the unit quaternion, then through q/|q|."""
    w, x, y, z = g.q
    d = [2.0 * (x * (dR[7] - dR[5]) + y * (dR[2] - dR[6]) + z * (dR[3] - dR[1])),
         2.0 * (-2.0 * x * (dR[4] + dR[8]) + y * (dR[1] + dR[3]) + z * (dR[2] + dR[6])
                + w * (dR[7] - dR[5])),
         2.0 * (x * (dR[1] + dR[3]) - 2.0 * y * (dR[0] + dR[8]) + z * (dR[5] + dR[7])
                + w * (dR[2] - dR[6])),
         2.0 * (x * (dR[2] + dR[6]) + y * (dR[5] + dR[7]) - 2.0 * z * (dR[0] + dR[4])
                + w * (dR[3] - dR[1]))]
    outward = dot(d, g.q)
    turns = g.inv_norm.compare("<", 1e12)  # a zero quaternion has no direction to turn
    for k in range(4):
        gradient = ((d[k] - outward * g.q[k]) * g.inv_norm).where(turns, 0.0)
        give(QUAT + k, old[QUAT + k], gradient, QUATS)


def _sums(L: Lanes, totals) -> list[Vector]:
    """Return column by column what totals (L, 16) has row by row."""
    columns: list[Vector] = []
    for part in range(0, SLOT, L.count):
        rows = [L.load(totals, INDEX(lane * SLOT + part)) for lane in range(L.count)]
        columns += L.transposed(rows)
    return columns


@intrinsic
def gradient_vector(typingctx, lanes, values, gradients, start, coefficients, cam, totals, drawn,
                    screen, i):
    """Write the gradients of Gaussians i … i + L - 1 to a packed array, zero where drawn (L,) is.

    start: of their first row in `values` and `gradients`.
    """
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        values, gradients, cam, totals, drawn, screen = (
            data_pointer(context, builder, signature, args, k) for k in (1, 2, 5, 6, 7, 8))
        out = Rows(L, gradients, args[3])
        seen = L.load(drawn, INDEX(0)).compare(">", 0.0)

        def give(row, value, gradient, tensor):
            out.store(gradient.where(seen, 0.0), row)

        moved = emit_backward(L, cam, Rows(L, values, args[3]), args[4], _sums(L, totals), give)
        L.store(moved.where(seen, 0.0), screen, args[9])
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, values, gradients, n, n, cam, totals, drawn, screen, n), codegen


@intrinsic
def adam_vector(typingctx, lanes, values, first, second, start, coefficients, cam, totals, drawn,
                screen, i, speed, correction):
    """Take a step of Adam with the gradients of Gaussians i … i + L - 1; those where drawn (L,) is
    zero stay as they are.

    speed (5,): learning rate / (1 - β1ᵗ) of each tensor. correction: 1 / (1 - β2ᵗ).
    """
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        values, first, second, cam, totals, drawn, screen, speed = (
            data_pointer(context, builder, signature, args, k) for k in (1, 2, 3, 6, 7, 8, 9, 11))
        values, first, second = (Rows(L, p, args[4]) for p in (values, first, second))
        seen = L.load(drawn, INDEX(0)).compare(">", 0.0)
        rates = [L.broadcast(speed, k) for k in range(TENSORS)]
        correction = L.splat(args[12])

        def give(row, value, gradient, tensor):
            # m̂ = m/(1-β1ᵗ), v̂ = v/(1-β2ᵗ), p -= lr·m̂/max(√v̂, ε)
            m0, v0 = first.load(row), second.load(row)
            m = BETA1 * m0 + (1 - BETA1) * gradient
            v = BETA2 * v0 + (1 - BETA2) * gradient * gradient
            step = rates[tensor] * m * vm.rsqrt((v * correction).maximum(EPSILON**2))
            first.store(m.where(seen, m0), row)
            second.store(v.where(seen, v0), row)
            values.store((value - step).where(seen, value), row)

        moved = emit_backward(L, cam, values, args[5], _sums(L, totals), give)
        L.store(moved.where(seen, 0.0), screen, args[10])
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, values, first, second, n, n, cam, totals, drawn, screen, n, speed,
                      types.float32), codegen


@intrinsic
def add_slots(typingctx, lanes, slots, reached, first, last, totals, lane):
    """totals[lane] (16,) = sum of the reached slots in [first, last)."""
    def codegen(context, builder, signature, args):
        L = Lanes(builder, signature.args[0].count)
        slots, reached, totals = (data_pointer(context, builder, signature, args, k)
                                  for k in (1, 2, 5))
        parts = range(0, SLOT, L.count)
        sums = [L.accumulator() for _ in parts]
        with L.loop(args[3], args[4]) as k:
            is_reached = builder.load(builder.gep(reached, [k]))
            with builder.if_then(builder.icmp_unsigned("!=", is_reached, is_reached.type(0))):
                at = builder.mul(k, INDEX(SLOT))
                for part, total in zip(parts, sums, strict=True):
                    total.add(L.load(slots, builder.add(at, INDEX(part))))
        at = builder.mul(args[6], INDEX(SLOT))
        for part, total in zip(parts, sums, strict=True):
            L.store(total.get(), totals, builder.add(at, INDEX(part)))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, slots, reached, n, n, totals, n), codegen


@inner
def gather_sums(lanes, records, hits, slot_start, slots, reached, first, totals, drawn):
    """Fill totals (L, 16) and drawn (L,) for Gaussians first … first + L - 1; a color channel that
    was clamped at 0 passes nothing. Returns whether any of them was drawn."""
    some = False
    for lane in range(len(lanes)):
        i = first + lane
        drawn[lane] = f32(0)
        if hits[i] > 0:
            some, drawn[lane] = True, f32(1)
        add_slots(lanes, slots, reached, slot_start[i], slot_start[i + 1], totals, lane)
        for c in range(3):
            if not records[i, RED + c] > f32(0):
                totals[lane, G_RED + c] = f32(0)
    return some


@kernel
def project_backward(lanes, values, gradients, coefficients, cam, records, hits, slot_start, slots,
                     reached, screen, counter):
    """All Gaussians of packed `values`. Overwrites gradients, packed, and screen (N,); zeros where
    nothing was drawn and for harmonics that were not used."""
    groups, rows = values.shape[:2]
    portions = -(-groups // PORTION)
    totals, drawn = np.empty((len(lanes), SLOT), f32), np.empty(len(lanes), f32)
    item = first_item(counter)
    while item < portions:
        for group in range(item * PORTION, min((item + 1) * PORTION, groups)):
            gradients[group, COLOR + 3 * coefficients:] = f32(0)
            for part in range(0, GROUP, len(lanes)):
                first = group * GROUP + part
                gather_sums(lanes, records, hits, slot_start, slots, reached, first, totals, drawn)
                gradient_vector(lanes, values, gradients, group * rows * GROUP + part, coefficients,
                                cam, totals, drawn, screen, first)
        item = next_item(counter)


@kernel
def project_backward_adam(lanes, values, first_moments, second_moments, coefficients, cam, records,
                          hits, slot_start, slots, reached, screen, speed, correction, counter):
    """As `project_backward`, but each gradient goes straight into a step of Adam: changes values
    and moments, all packed, of what was drawn. Fills screen (N,)."""
    groups, rows = values.shape[:2]
    portions = -(-groups // PORTION)
    totals, drawn = np.empty((len(lanes), SLOT), f32), np.empty(len(lanes), f32)
    item = first_item(counter)
    while item < portions:
        for group in range(item * PORTION, min((item + 1) * PORTION, groups)):
            for part in range(0, GROUP, len(lanes)):
                first = group * GROUP + part
                if gather_sums(lanes, records, hits, slot_start, slots, reached, first, totals,
                               drawn):
                    adam_vector(lanes, values, first_moments, second_moments,
                                group * rows * GROUP + part, coefficients, cam, totals, drawn,
                                screen, first, speed, correction)
                else:
                    for lane in range(len(lanes)):
                        screen[first + lane] = f32(0)
        item = next_item(counter)
