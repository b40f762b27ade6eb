"""Real spherical harmonics of degree 0 to 3 and their derivatives, for the kernels.

Order and signs as in 3DGS files (Sloan, "Efficient Spherical Harmonic Evaluation", 2013):
degree 1 is (-y, z, -x).
"""

from __future__ import annotations

import numpy as np

from .compile import inlined

f32 = np.float32
C0 = f32(0.28209479177387814)
C1 = f32(0.4886025119029199)
C2_XY = f32(1.0925484305920792)
C2_ZZ = f32(0.31539156525252005)
C2_XX = f32(0.5462742152960396)
C3_3 = f32(0.5900435899266435)
C3_2 = f32(2.890611442640554)
C3_1 = f32(0.4570457994644658)
C3_0 = f32(0.3731763325901154)
C3_22 = f32(1.445305721320277)


def sh_values(x, y, z) -> tuple:
    """Return Y_0 … Y_15 at a unit vector; the coordinates are float32 or `simd.Vector`s."""
    two, three, four = f32(2), f32(3), f32(4)
    xx, yy, zz = x * x, y * y, z * z
    return (C0 + f32(0) * x,
            -C1 * y, C1 * z, -C1 * x,
            C2_XY * x * y, -C2_XY * y * z, C2_ZZ * (two * zz - xx - yy), -C2_XY * x * z,
            C2_XX * (xx - yy),
            -C3_3 * y * (three * xx - yy), C3_2 * x * y * z, -C3_1 * y * (four * zz - xx - yy),
            C3_0 * z * (two * zz - three * xx - three * yy), -C3_1 * x * (four * zz - xx - yy),
            C3_22 * z * (xx - yy), -C3_3 * x * (xx - three * yy))


_sh_values = inlined(sh_values)


@inlined
def sh_basis(degree, x, y, z, Y):
    """Fill Y[k] = Y_k(x, y, z) for k < (degree + 1)²; (x, y, z) a unit vector, Y (16,) float32."""
    values = _sh_values(x, y, z)
    for k in range((degree + 1) * (degree + 1)):
        Y[k] = values[k]


def sh_direction_gradient(x, y, z, s) -> tuple:
    """Return sum_k s[k]·∇Y_k(x, y, z) of 16 s[k], three of the coordinates' kind; the polynomials
    are differentiated as they stand.

    The part along (x, y, z) has no meaning (Y lives on the sphere): the caller projects it out.
    """
    two, three, four, six, eight = f32(2), f32(3), f32(4), f32(6), f32(8)
    xx, yy, zz = x * x, y * y, z * z
    xy, yz, xz = x * y, y * z, x * z
    dx = (-C1 * s[3]
          + C2_XY * (y * s[4] - z * s[7]) + two * x * (C2_XX * s[8] - C2_ZZ * s[6])
          + (-C3_3 * six * xy * s[9] + C3_2 * yz * s[10] + C3_1 * two * xy * s[11]
             - C3_0 * six * xz * s[12] - C3_1 * (four * zz - three * xx - yy) * s[13]
             + C3_22 * two * xz * s[14] - C3_3 * three * (xx - yy) * s[15]))
    dy = (-C1 * s[1]
          + C2_XY * (x * s[4] - z * s[5]) - two * y * (C2_XX * s[8] + C2_ZZ * s[6])
          + (-C3_3 * three * (xx - yy) * s[9] + C3_2 * xz * s[10]
             - C3_1 * (four * zz - xx - three * yy) * s[11] - C3_0 * six * yz * s[12]
             + C3_1 * two * xy * s[13] - C3_22 * two * yz * s[14] + C3_3 * six * xy * s[15]))
    dz = (C1 * s[2]
          - C2_XY * (y * s[5] + x * s[7]) + four * z * C2_ZZ * s[6]
          + (C3_2 * xy * s[10] - C3_1 * eight * yz * s[11]
             + C3_0 * three * (two * zz - xx - yy) * s[12] - C3_1 * eight * xz * s[13]
             + C3_22 * (xx - yy) * s[14]))
    return dx, dy, dz
