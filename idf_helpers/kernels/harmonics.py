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


@inlined
def sh_basis(degree, x, y, z, Y):
    """Fill Y[k] = Y_k(x, y, z) for k < (degree + 1)²; (x, y, z) a unit vector, Y (16,) float32."""
    Y[0] = C0
    if degree < 1:
        return
    Y[1] = -C1 * y
    Y[2] = C1 * z
    Y[3] = -C1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    Y[4] = C2_XY * x * y
    Y[5] = -C2_XY * y * z
    Y[6] = C2_ZZ * (f32(2) * zz - xx - yy)
    Y[7] = -C2_XY * x * z
    Y[8] = C2_XX * (xx - yy)
    if degree < 3:
        return
    Y[9] = -C3_3 * y * (f32(3) * xx - yy)
    Y[10] = C3_2 * x * y * z
    Y[11] = -C3_1 * y * (f32(4) * zz - xx - yy)
    Y[12] = C3_0 * z * (f32(2) * zz - f32(3) * xx - f32(3) * yy)
    Y[13] = -C3_1 * x * (f32(4) * zz - xx - yy)
    Y[14] = C3_22 * z * (xx - yy)
    Y[15] = -C3_3 * x * (xx - f32(3) * yy)


@inlined
def sh_direction_gradient(degree, x, y, z, s):
    """Return sum_k s[k]·∇Y_k(x, y, z), three floats; the polynomials are differentiated as they
    stand.

    The part along (x, y, z) has no meaning (Y lives on the sphere): the caller projects it out.
    """
    dx = dy = dz = f32(0)
    if degree < 1:
        return dx, dy, dz
    dx -= C1 * s[3]
    dy -= C1 * s[1]
    dz += C1 * s[2]
    if degree < 2:
        return dx, dy, dz
    two = f32(2)
    dx += C2_XY * (y * s[4] - z * s[7]) + two * x * (C2_XX * s[8] - C2_ZZ * s[6])
    dy += C2_XY * (x * s[4] - z * s[5]) - two * y * (C2_XX * s[8] + C2_ZZ * s[6])
    dz += -C2_XY * (y * s[5] + x * s[7]) + f32(4) * z * C2_ZZ * s[6]
    if degree < 3:
        return dx, dy, dz
    three, six, eight = f32(3), f32(6), f32(8)
    xx, yy, zz = x * x, y * y, z * z
    xy, yz, xz = x * y, y * z, x * z
    dx += (-C3_3 * six * xy * s[9] + C3_2 * yz * s[10] + C3_1 * two * xy * s[11]
           - C3_0 * six * xz * s[12] - C3_1 * (f32(4) * zz - three * xx - yy) * s[13]
           + C3_22 * two * xz * s[14] - C3_3 * three * (xx - yy) * s[15])
    dy += (-C3_3 * three * (xx - yy) * s[9] + C3_2 * xz * s[10]
           - C3_1 * (f32(4) * zz - xx - three * yy) * s[11] - C3_0 * six * yz * s[12]
           + C3_1 * two * xy * s[13] - C3_22 * two * yz * s[14] + C3_3 * six * xy * s[15])
    dz += (C3_2 * xy * s[10] - C3_1 * eight * yz * s[11]
           + C3_0 * three * (two * zz - xx - yy) * s[12] - C3_1 * eight * xz * s[13]
           + C3_22 * (xx - yy) * s[14])
    return dx, dy, dz
