"""Normal equations of a posed face, least squares with bounds, smoothing over time."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from ..kernels.compile import exact_kernel


@exact_kernel
def normal_equations(R, t, turned, shapes, r, w, fx, fy):
    """Return H (n, n) = A'WA and g (n,) = -A'Wr of a face of V points, n = 6 + S.

    R (3, 3), t (3,): head to camera, OpenGL axes; turned: (V, 3) = vertices @ R'. shapes: (V, 3, S)
    what moves the vertices, in the head's frame. r: (V, 2) residuals, pixels; w: (V, 3) entries
    uu, uv, vv of each one's symmetric weight matrix.
    Columns of A: turning about the head's origin, moving, the shapes. In numba rather than by
    matrix products, so that small ones do not start a pool of threads thousands of times.
    """
    V, _, S = shapes.shape
    n = 6 + S
    H = np.zeros((n, n))
    g = np.zeros(n)
    a = np.empty((2, n))
    for v in range(V):
        if w[v, 0] == 0.0 and w[v, 2] == 0.0:
            continue
        x, y, z = turned[v, 0] + t[0], turned[v, 1] + t[1], turned[v, 2] + t[2]
        # u = cx - fx x / z, v = cy + fy y / z: rows of d pixel / d camera point
        for k in range(2):
            if k == 0:
                jx, jy, jz = -fx / z, 0.0, fx * x / (z * z)
            else:
                jx, jy, jz = 0.0, fy / z, -fy * y / (z * z)
            p, q, s = turned[v, 0], turned[v, 1], turned[v, 2]
            a[k, 0] = jz * q - jy * s  # J (e_k x turned)
            a[k, 1] = jx * s - jz * p
            a[k, 2] = jy * p - jx * q
            a[k, 3], a[k, 4], a[k, 5] = jx, jy, jz
            bx = jx * R[0, 0] + jy * R[1, 0] + jz * R[2, 0]
            by = jx * R[0, 1] + jy * R[1, 1] + jz * R[2, 1]
            bz = jx * R[0, 2] + jy * R[1, 2] + jz * R[2, 2]
            for e in range(S):
                a[k, 6 + e] = bx * shapes[v, 0, e] + by * shapes[v, 1, e] + bz * shapes[v, 2, e]
        for i in range(n):
            c0 = w[v, 0] * a[0, i] + w[v, 1] * a[1, i]
            c1 = w[v, 1] * a[0, i] + w[v, 2] * a[1, i]
            g[i] -= c0 * r[v, 0] + c1 * r[v, 1]
            for j in range(i, n):
                H[i, j] += c0 * a[0, j] + c1 * a[1, j]
    for i in range(n):  # element by element: slices take numba three seconds to compile
        for j in range(i):
            H[i, j] = H[j, i]
    return H, g


@exact_kernel
def bounded_quadratic(H, g, x, low, high, sweeps):
    """Return argmin_x x'Hx / 2 - g'x with low <= x <= high, by coordinate descent from `x`.

    H: (n, n) float64 symmetric, positive on the diagonal. g, x, low, high: (n,) float64.
    sweeps: at most; ends earlier where nothing moves by more than 1e-6. Returns a new (n,).
    """
    x = np.minimum(np.maximum(x, low), high)
    slack = g - H @ x  # minus the gradient
    for _ in range(sweeps):
        most = 0.0
        for i in range(len(x)):
            value = min(max(x[i] + slack[i] / H[i, i], low[i]), high[i])
            step = value - x[i]
            if step != 0.0:
                for j in range(len(x)):
                    slack[j] -= H[j, i] * step
                x[i] = value
                most = max(most, abs(step))
        if most < 1e-6:
            break
    return x


def smooth(values: np.ndarray, weights: np.ndarray, stiffness: float) -> np.ndarray:
    """Return values smoothed along the first axis by Whittaker's smoother (Eilers 2003).

    values: (N, D); rows of weight 0 are filled in. weights: (N,) >= 0, not all 0. stiffness >= 0:
    min sum_t w_t |y_t - z_t|^2 + stiffness sum_t |z_{t-1} - 2 z_t + z_{t+1}|^2; 0 changes nothing
    but those rows. Half a step of a jump comes out over about 2 stiffness^(1/4) frames.
    """
    n = len(values)
    y = np.where(weights[:, None] > 0, values, 0.0)
    w = weights / weights.max()
    if n < 3:
        mean = (w[:, None] * y).sum(0) / w.sum()
        return np.where(w[:, None] > 0, y, mean)
    k = max(float(stiffness), 1e-6)
    bands = np.zeros((3, n))  # upper form: bands[2] the diagonal
    for offset, c in ((0, 1.0), (1, -2.0), (2, 1.0)):
        bands[2, offset:n - 2 + offset] += k * c * c
    bands[1, 1:n - 1] += -2 * k
    bands[1, 2:n] += -2 * k
    bands[0, 2:] += k
    bands[2] += w + 1e-12
    return solveh_banded(bands, w[:, None] * y)
