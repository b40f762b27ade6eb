"""Camera-to-world matrices as other programs write them: mended where that is sure, else named.

A scale that is the same on all axes is divided out (instant-ngp does so), a matrix written column
after column is turned over. A mirrored one is refused: whether its cameras or its world were
mirrored does not show in the numbers. Neither does a stretch or a shear.
"""

from __future__ import annotations

import numpy as np

from ..errors import IdfError
from .remarks import Remarks

TOLERANCE = 5e-3  # of RᵀR against I: what four digits leave


def rigid_matrix(value, where: str, remarks: Remarks | None = None) -> np.ndarray:
    """Return (4, 4) float64, a rotation and a translation.

    where: for messages. remarks: is told what was mended; without it nothing is. IdfError names
    what is wrong with the matrix."""
    m = _four_by_four(value, where)
    last = np.array([0, 0, 0, 1.0])
    if remarks is not None and np.abs(m[3] - last).max() > 1e-6 \
            and np.abs(m[:, 3] - last).max() <= 1e-6:
        m = m.T
        remarks.add("matrices are written column after column: they were turned over")
    R = m[:3, :3]
    if np.abs(m[3] - last).max() > 1e-6:
        if remarks is not None and np.abs(m[3, :3]).max() <= 1e-6 and m[3, 3] > 1e-6:
            return rigid_matrix(m / m[3, 3], where, remarks)
        raise _refused(where, m, "its last row is no row of a camera's matrix",
                       "give rows [R | t], and 0 0 0 1 as the last")
    gram = R.T @ R
    if np.abs(gram - np.eye(3)).max() <= TOLERANCE and np.linalg.det(R) > 0:
        return m
    lengths = np.sqrt(np.maximum(np.diag(gram), 0))
    if lengths.min() < 1e-9:
        raise _refused(where, m, "it has an axis of no length", "export the cameras again")
    scale = float(np.cbrt(abs(np.linalg.det(R))))
    angles = np.abs(gram / np.outer(lengths, lengths) - np.eye(3)).max()
    if angles > TOLERANCE:
        raise _refused(where, m, f"its axes are sheared: they do not stand at right angles "
                       f"(off by {np.degrees(np.arcsin(min(angles, 1))):.2g} degrees)",
                       "export cameras without scale or shear: apply the scale of the parent "
                       "object first (Blender: Ctrl+A, All Transforms)")
    if np.ptp(lengths) > TOLERANCE * lengths.max():
        raise _refused(where, m, "its axes are stretched, by "
                       + ", ".join(f"{v:.4g}" for v in lengths),
                       "export cameras without scale or shear: apply the scale of the parent "
                       "object first (Blender: Ctrl+A, All Transforms)")
    if np.linalg.det(R) < 0:
        raise _refused(where, m, "it is mirrored (left-handed): one axis points the other way",
                       "if the cameras' x axis points left, change the sign of the first column "
                       "of every matrix; if the world is left-handed (Unity, Unreal), change the "
                       "sign of one row of every matrix")
    if remarks is None:
        raise _refused(where, m, f"it is scaled by {scale:.4g}",
                       "export cameras without scale or shear")
    remarks.add("matrices are scaled by {}: the scale was divided out, positions stay", scale)
    m = m.copy()
    m[:3, :3] = R / scale
    return m


def _four_by_four(value, where: str) -> np.ndarray:
    try:
        m = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        m = np.zeros(0)
    if m.shape in ((12,), (16,)):
        m = m.reshape(-1, 4)
    if m.shape == (3, 4):
        m = np.vstack([m, [0, 0, 0, 1]])
    if m.shape != (4, 4):
        raise IdfError(f"`transform_matrix` of {where} is not a 4x4 matrix",
                       f"shape {m.shape}" if m.size else repr(value)[:60],
                       "give four rows of four numbers")
    if not (np.abs(m) < 1e9).all():  # NaN fails too
        raise IdfError(f"`transform_matrix` of {where} holds NaN, infinity or a huge number",
                       f"{np.abs(m).max():.3g}", "export the cameras again")
    return m


def _refused(where: str, m: np.ndarray, found: str, do: str) -> IdfError:
    return IdfError(f"`transform_matrix` of {where} is not a rigid camera-to-world matrix",
                    f"{found}; determinant {np.linalg.det(m[:3, :3]):.4g}", do)
