"""The splat model in memory: five float32 arrays, as on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ...errors import IdfError

SH_C0 = 0.28209479177387814  # real spherical harmonic of degree 0


@dataclass(repr=False)
class Gaussians:
    """N anisotropic Gaussians, float32, before any activation (3DGS, arXiv 2308.04079).

    means:          (N, 3) world units.
    log_scales:     (N, 3) natural log of the standard deviation along each local axis.
    quats:          (N, 4) rotation w, x, y, z; need not be of unit length.
    opacity_logits: (N,)   opacity = sigmoid(logit).
    sh:             (N, K, 3) real spherical harmonics of the color, K = (degree + 1)²,
                    color = max(0, 0.5 + sum_k Y_k(view direction) sh_k).
    """

    means: np.ndarray
    log_scales: np.ndarray
    quats: np.ndarray
    opacity_logits: np.ndarray
    sh: np.ndarray

    def __len__(self) -> int:
        return len(self.means)

    def __repr__(self) -> str:
        return f"Gaussians({len(self)}, {self.sh.shape[1]} harmonics)"

    @property
    def sh_degree(self) -> int:
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    @property
    def opacities(self) -> np.ndarray:
        """(N,) in (0, 1)."""
        return 1.0 / (1.0 + np.exp(-self.opacity_logits))

    def blocks(self, order: np.ndarray | None = None, size: int = 1 << 16):
        """Yield (slice, Gaussians) of a part at a time, in the order of these indices."""
        for i in range(0, len(self), size):
            part = slice(i, i + size)
            yield part, self[part if order is None else order[part]]

    def __getitem__(self, index) -> Gaussians:
        """Return the Gaussians at a mask, slice or index array."""
        return Gaussians(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the five arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def with_bases(self, count: int) -> Gaussians:
        """Return them with so many harmonics: cut, or filled up with zeros."""
        sh = np.zeros((len(self), count, 3), np.float32)
        common = min(count, self.sh.shape[1])
        sh[:, :common] = self.sh[:, :common]
        return replace(self, sh=sh)

    def joined(self, other: Gaussians) -> Gaussians:
        """Return both as one model, with as many harmonics as these have."""
        more = other.with_bases(self.sh.shape[1]).arrays()
        return Gaussians(**{n: np.concatenate([a, more[n]]) for n, a in self.arrays().items()})

    def checked(self) -> Gaussians:
        """Return self, contiguous float32; IdfError naming the array whose shape or values are off.
        """
        n = len(self.means)
        k = self.sh.shape[1] if self.sh.ndim == 3 else 0
        want = {"means": (n, 3), "log_scales": (n, 3), "quats": (n, 4), "opacity_logits": (n,),
                "sh": (n, k, 3)}
        for name, shape in want.items():
            array = np.ascontiguousarray(getattr(self, name), np.float32)
            if array.shape != shape or (name == "sh" and k not in (1, 4, 9, 16)):
                raise IdfError(f"Gaussians have a wrong `{name}`", f"shape {array.shape}",
                               f"give {shape}, with 1, 4, 9 or 16 coefficients in `sh`")
            if not np.isfinite(array).all():
                bad = int((~np.isfinite(array)).reshape(n, -1).any(1).sum())
                raise IdfError(f"Gaussians hold NaN or infinity in `{name}`", f"{bad} of {n}",
                               "give finite numbers")
            setattr(self, name, array)
        return self
