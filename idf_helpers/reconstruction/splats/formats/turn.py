"""Gaussians turned about the origin, with their view-dependent color."""

from __future__ import annotations

import numpy as np

from ..gaussians import Gaussians

# 32 directions spread over the sphere (Fibonacci): enough to solve for 7 harmonics of a degree.
_I = np.arange(32) + 0.5
_Z = 1 - 2 * _I / 32
_PHI = np.pi * (1 + 5**0.5) * _I
PROBES = np.stack([np.sqrt(1 - _Z**2) * np.cos(_PHI), np.sqrt(1 - _Z**2) * np.sin(_PHI), _Z], 1)


def basis(d: np.ndarray) -> np.ndarray:
    """Return (N, 16) real harmonics of degree 0 to 3 of unit directions, in the order and with the
    signs of 3DGS (`kernels.harmonics`)."""
    x, y, z = np.asarray(d, np.float64).T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack([
        np.full_like(x, 0.28209479177387814), -0.4886025119029199 * y, 0.4886025119029199 * z,
        -0.4886025119029199 * x, 1.0925484305920792 * x * y, -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy), -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy), -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z, -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy), 1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy)], axis=1)


def sh_rotation(R: np.ndarray, degree: int) -> list[np.ndarray]:
    """Return for each degree from 1 the (2l + 1, 2l + 1) matrix that turns coefficients by R:
    Y(R d)·(D s) = Y(d)·s."""
    before, after = basis(PROBES @ R), basis(PROBES)  # a row d @ R is R^T d
    return [np.linalg.lstsq(after[:, l * l:(l + 1) ** 2], before[:, l * l:(l + 1) ** 2],
                            rcond=None)[0] for l in range(1, degree + 1)]


def matrix_quat(R: np.ndarray) -> np.ndarray:
    """Return the unit quaternion w, x, y, z of a rotation matrix."""
    K = np.array([
        [R[0, 0] - R[1, 1] - R[2, 2], 0, 0, 0],
        [R[1, 0] + R[0, 1], R[1, 1] - R[0, 0] - R[2, 2], 0, 0],
        [R[2, 0] + R[0, 2], R[2, 1] + R[1, 2], R[2, 2] - R[0, 0] - R[1, 1], 0],
        [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], np.trace(R)]])
    x, y, z, w = np.linalg.eigh(K)[1][:, -1]  # the lower triangle of a symmetric matrix
    return np.array([w, x, y, z])


def multiplied(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products a·b of quaternions (…, 4), w first."""
    w, x, y, z = np.moveaxis(np.asarray(a), -1, 0)
    p, q, r, s = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack([w * p - x * q - y * r - z * s, w * q + x * p + y * s - z * r,
                     w * r - x * s + y * p + z * q, w * s + x * r - y * q + z * p], -1)


def turned(g: Gaussians, R: np.ndarray, scale: float = 1.0, shift=(0.0, 0.0, 0.0)) -> Gaussians:
    """Return Gaussians at x -> scale · R x + shift; R: (3, 3), a rotation."""
    R, shift = np.asarray(R, np.float64), np.asarray(shift, np.float64)
    if np.allclose(R, np.eye(3), atol=1e-9) and scale == 1 and not shift.any():
        return g
    sh, rotations = g.sh.copy(), sh_rotation(R, g.sh_degree)
    for part, _ in g.blocks():
        for l, D in enumerate(rotations, 1):
            degree = sh[part, l * l:(l + 1) ** 2]
            degree[...] = D.astype(np.float32) @ degree
    means = (g.means @ (scale * R.T).astype(np.float32) + shift.astype(np.float32))
    return Gaussians(means, g.log_scales + np.float32(np.log(scale)),
                     multiplied(matrix_quat(R).astype(np.float32), g.quats),
                     g.opacity_logits, sh).checked()


def mirrored(g: Gaussians) -> Gaussians:
    """Return Gaussians at x -> -x, with what they look like."""
    flip = np.float32([-1, 1, 1])
    parity = np.sign((basis(PROBES * flip) * basis(PROBES)).sum(axis=0)).astype(np.float32)
    return Gaussians(g.means * flip, g.log_scales, g.quats * np.float32([1, 1, -1, -1]),
                     g.opacity_logits, g.sh * parity[:g.sh.shape[1], None]).checked()
