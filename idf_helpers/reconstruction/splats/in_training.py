"""Gaussians with Adam's moments, in whichever layout the rasterizer moves them fastest."""

from __future__ import annotations

import numpy as np

from ...kernels.adam import Adam
from .gaussians import Gaussians
from .packed import PackedGaussians, PackedMoments, pack, unpack
from .screen import PIXEL

TABLES = ("gaussians", "first", "second")


class GaussiansInTraining:
    """What a training moves: `forward`, then `step`, as often as wanted.

    A rasterizer with `adam_step` works on packed arrays, see `packed`; any other on the plain ones,
    with gradients in between. `gaussians` and `adam` are the plain form: what is changed in them,
    or assigned to them, counts until the next `forward`.
    """

    def __init__(self, rasterizer, gaussians: Gaussians):
        self.rasterizer = rasterizer
        self._fused = hasattr(rasterizer, "adam_step")
        self._packed: tuple[PackedGaussians, PackedMoments] | None = None
        self._plain: tuple[Gaussians, Adam] | None = (gaussians, Adam(gaussians))

    def __len__(self) -> int:
        return len((self._plain or self._packed)[0])

    def forward(self, camera, background, sh_degree: int, dilation: float = PIXEL) -> np.ndarray:
        """Return the colors (3, H, W) of the picture, see `CpuRasterizer.forward`."""
        if self._fused:
            if self._packed is None:
                g, adam = self._plain
                values, first, second = (pack(a) for a in (g.arrays(), adam.first, adam.second))
                self._packed = values, PackedMoments(first.values, second.values)
                self._plain = None
            return self.rasterizer.forward_packed(self._packed[0], camera, background, sh_degree,
                                                  dilation)
        return self.rasterizer.forward(self.gaussians, camera, background, sh_degree=sh_degree,
                                       train=True, dilation=dilation).rgb

    def step(self, d_rgb, rates: dict[str, float], step: int, sh_degree: int
             ) -> tuple[np.ndarray, np.ndarray]:
        """Move them by the gradient d_rgb (3, H, W) of the last `forward`; rates, step: see
        `Adam.step`. Return screen and visible, see `rasterizer.Gradients`."""
        if self._fused:
            return self.rasterizer.adam_step(d_rgb, self._packed[1], rates, step)
        found = self.rasterizer.backward(d_rgb)
        self.adam.step(self.gaussians, found, found.visible, rates, step, (sh_degree + 1) ** 2)
        return found.screen, found.visible

    # --- the plain form ---------------------------------------------------------------------------

    def _made_plain(self) -> tuple[Gaussians, Adam]:
        if self._plain is None:
            g, adam = self.copy(), Adam.__new__(Adam)
            adam.first, adam.second = self._table("first"), self._table("second")
            self._plain, self._packed = (g, adam), None
        return self._plain

    @property
    def gaussians(self) -> Gaussians:
        return self._made_plain()[0]

    @gaussians.setter
    def gaussians(self, new: Gaussians) -> None:
        self._plain = new, self._made_plain()[1]

    @property
    def adam(self) -> Adam:
        return self._made_plain()[1]

    @adam.setter
    def adam(self, new: Adam) -> None:
        self._plain = self._made_plain()[0], new

    def _table(self, name: str) -> dict[str, np.ndarray]:
        """Return the five arrays of one of TABLES; nobody else has those of a packed form."""
        if self._packed is None:
            g, adam = self._plain
            return {"gaussians": g.arrays(), "first": adam.first, "second": adam.second}[name]
        g, moments = self._packed
        values = g.values if name == "gaussians" else getattr(moments, name)
        return unpack(values, len(g))

    def copy(self) -> Gaussians:
        """Return a copy of the Gaussians."""
        return Gaussians(**self._copied("gaussians"))

    def _copied(self, name: str) -> dict[str, np.ndarray]:
        arrays = self._table(name)
        return arrays if self._packed else {k: a.copy() for k, a in arrays.items()}

    def copies(self) -> dict[str, np.ndarray]:
        """Return copies of all arrays: `gaussians.means`, …, `first.means`, …, `second.sh`."""
        return {f"{table}.{k}": a for table in TABLES for k, a in self._copied(table).items()}

    def not_finite(self) -> str | None:
        """Return the name of an array of the Gaussians that holds NaN or infinity."""
        if self._packed is not None and np.isfinite(self._packed[0].values).all():
            return None
        return next((k for k, a in self._table("gaussians").items() if not np.isfinite(a).all()),
                    None)
