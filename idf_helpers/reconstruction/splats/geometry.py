"""The geometry of a vector of Gaussians before a camera, which both directions compute.

Formulas: EWA splatting as in 3DGS (arXiv 2308.04079, section 4). With p the mean in camera axes,
W the camera's rotation, R and s the Gaussian's rotation and standard deviations,

    J = [[fx/z, 0, -fx·X/z], [0, fy/z, -fy·Y/z]],  X = x/z and Y = y/z within limits
    T = J·W   M = R·diag(s)   u = T·M   covariance = u·uᵀ + d·I,  d the dilation
"""

from __future__ import annotations

from contextlib import contextmanager

from llvmlite import ir

from ...kernels import vector_math as vm
from ...kernels.numba_private import cgutils
from ...kernels.simd import Lanes, Vector
from .packed import COLOR, GROUP, LOGIT, MEAN, QUAT, SCALE
from .screen import CAMERA, CENTER, DILATION, FX, FY, X_MAX, X_MIN, Y_MAX, Y_MIN

INDEX = ir.IntType(64)


class Rows:
    """The rows of a vector of Gaussians in a packed array, see `packed`. start: of row 0."""

    def __init__(self, L: Lanes, pointer, start):
        self.L, self.pointer, self.start = L, pointer, start

    def _at(self, row):
        b = self.L.builder
        return b.add(self.start, b.mul(INDEX(row) if isinstance(row, int) else row, INDEX(GROUP)))

    def load(self, row) -> Vector:
        return self.L.load(self.pointer, self._at(row))

    def store(self, vector: Vector, row) -> None:
        self.L.store(vector, self.pointer, self._at(row))


class Harmonics:
    """Sixteen vectors in memory, one for each harmonic, so that a loop can go through as many as
    are in use: code for every degree in one, and a quarter of it."""

    def __init__(self, L: Lanes, values):
        self.L = L
        self._slots = cgutils.alloca_once(L.builder, L.type, size=16)
        for k, value in enumerate(values):
            self.store(value, INDEX(k))

    def load(self, k) -> Vector:
        k = INDEX(k) if isinstance(k, int) else k
        return Vector(self.L, self.L.builder.load(self.L.builder.gep(self._slots, [k])))

    def store(self, vector, k) -> None:
        self.L.builder.store(self.L.vector(vector).value, self.L.builder.gep(self._slots, [k]))

    @contextmanager
    def loop(self, count):
        """Body once for each of `count` harmonics; yields its number, its value, and the rows of
        its three color coefficients."""
        b = self.L.builder
        with self.L.loop(INDEX(0), count) as k:
            first = b.add(b.mul(k, INDEX(3)), INDEX(COLOR))
            yield k, self.load(k), [b.add(first, INDEX(c)) for c in range(3)]


class Geometry:
    """All of it as vectors, from the pointer to a camera vector and `load(row)` of a group.

    x, y, z: mean in camera axes. T (6,), M (9,), u (6,): row by row. A, B, C, det: of the
    covariance [[A, B], [B, C]]. direction (3,): from the camera's center to the mean, of unit
    length, inv_distance: 1 / the distance.
    """

    def __init__(self, L: Lanes, camera, load):
        cam = self.cam = [L.broadcast(camera, k) for k in range(CAMERA)]
        mean = [load(MEAN + k) for k in range(3)]
        self.x, self.y, self.z = (
            cam[3 * r] * mean[0] + cam[3 * r + 1] * mean[1] + cam[3 * r + 2] * mean[2] + cam[9 + r]
            for r in range(3))
        self.s = [vm.exp(load(SCALE + k)) for k in range(3)]
        self._rotate([load(QUAT + k) for k in range(4)])
        self._flatten()
        # opacity = sigmoid(logit)
        self.opacity = 1.0 / (vm.exp(0.0 - load(LOGIT)) + 1.0)
        away = [mean[k] - cam[CENTER + k] for k in range(3)]
        self.inv_distance = 1.0 / vm.sqrt(dot(away, away))
        self.direction = [a * self.inv_distance for a in away]

    def _rotate(self, q: list[Vector]) -> None:
        """Set the unit quaternion (w, x, y, z), 1/norm of q, and R; a zero quaternion is no
        rotation."""
        self.inv_norm = 1.0 / vm.sqrt(dot(q, q)).maximum(1e-12)
        w, x, y, z = self.q = [k * self.inv_norm for k in q]
        self.R = [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
                  2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
                  2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)]

    def _flatten(self) -> None:
        """Set J, T, M, u and the covariance with its determinant, free of cancellation:
        det = |u1 × u2|² + d·(|u1|² + |u2|²) + d² for the rows u1, u2 of u (Lagrange's identity)."""
        cam, R, s = self.cam, self.R, self.s
        self.inv_z = 1.0 / self.z
        self.x_z, self.y_z = self.x * self.inv_z, self.y * self.inv_z
        self.X = self.x_z.maximum(cam[X_MIN]).minimum(cam[X_MAX])
        self.Y = self.y_z.maximum(cam[Y_MIN]).minimum(cam[Y_MAX])
        self.j00, self.j11 = cam[FX] * self.inv_z, cam[FY] * self.inv_z
        j02, j12 = 0.0 - self.j00 * self.X, 0.0 - self.j11 * self.Y
        T = self.T = ([self.j00 * cam[k] + j02 * cam[6 + k] for k in range(3)]
                      + [self.j11 * cam[3 + k] + j12 * cam[6 + k] for k in range(3)])
        M = self.M = [R[k] * s[k % 3] for k in range(9)]
        u = self.u = [T[r] * M[k] + T[r + 1] * M[3 + k] + T[r + 2] * M[6 + k]
                      for r in (0, 3) for k in range(3)]
        d = cam[DILATION]
        p, q = dot(u[:3], u[:3]), dot(u[3:], u[3:])
        normal = (u[1] * u[5] - u[2] * u[4], u[2] * u[3] - u[0] * u[5], u[0] * u[4] - u[1] * u[3])
        self.A, self.B, self.C = p + d, dot(u[:3], u[3:]), q + d
        self.det = dot(normal, normal) + d * (p + q) + d * d
        self.inv_det = 1.0 / self.det


def dot(a, b) -> Vector:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = x * y + total
    return total
