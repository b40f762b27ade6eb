"""Normal equations against numerical derivatives, bounds against scipy, smoothing against a dense
solve."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import lsq_linear

from idf_helpers.face.pose import project, rotation
from idf_helpers.face.solve import bounded_quadratic, normal_equations, smooth


def test_normal_equations_are_those_of_the_projection():
    rng = np.random.default_rng(0)
    R, t = rotation(rng.normal(size=3) * 0.4), np.array([1.0, -2, -60])
    v, shapes = rng.normal(size=(30, 3)) * 5, rng.normal(size=(30, 3, 4))
    f, c, w = np.array([500.0, 480]), np.array([100.0, 90]), rng.normal(size=(30, 2, 2))
    w = w @ w.transpose(0, 2, 1)  # any symmetric weights, not along the axes

    def pixels(d):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation(d[:3]) @ R, t + d[3:6]
        return project(pose, v + shapes @ d[6:], f, c)

    r = pixels(np.zeros(10)) - rng.uniform(0, 200, (30, 2))
    A = np.stack([(pixels(1e-6 * e) - pixels(-1e-6 * e)).reshape(-1) / 2e-6 for e in np.eye(10)], 1)
    W = block_diag(*w)
    H, g = normal_equations(R, t, v @ R.T, shapes, r, w.reshape(30, 4)[:, [0, 1, 3]], *f)
    np.testing.assert_allclose(H, A.T @ W @ A, rtol=1e-6, atol=1e-6 * np.abs(H).max())
    np.testing.assert_allclose(g, -A.T @ W @ r.reshape(-1), rtol=1e-5)


def test_bounded_least_squares():
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(60, 20)), rng.normal(size=60) * 3
    low, high = np.zeros(20), np.full(20, 0.3)
    x = bounded_quadratic(A.T @ A, A.T @ b, np.full(20, 0.1), low, high, 1000)
    np.testing.assert_allclose(x, lsq_linear(A, b, (0, 0.3)).x, atol=1e-5)
    assert (x == 0).any() and (x == 0.3).any()


def test_smoother():
    rng = np.random.default_rng(2)
    y, w = rng.normal(size=(40, 2)), rng.uniform(0.5, 1, 40)
    w[7] = 0
    y[7] = np.nan
    D = np.diff(np.eye(40), 2, axis=0)
    W = w / w.max()
    dense = np.linalg.solve(np.diag(W) + 3 * D.T @ D, W[:, None] * np.nan_to_num(y))
    np.testing.assert_allclose(smooth(y, w, 3.0), dense, atol=1e-9)
    line = np.outer(np.arange(40.0), [1, -2])  # a steady move is left as it is
    np.testing.assert_allclose(smooth(line, w, 1e6), line, atol=1e-4)
