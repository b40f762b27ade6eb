"""Gaussians that change linearly with a few driving numbers, and Adam for those changes.

    row_i(z, p) = base_i + sum_k z_k D_ik   (all parameters)  + sum_j p_j S_ij   (color alone)

z drives shape and color (the expression's weights; for the torso the head's pose), p only the
color (the head's pose, for light that stays in the room). One row holds the 14 numbers of a
Gaussian in the order means 3, log_scales 3, quats 4, opacity_logits 1, sh of degree 0 3.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ...kernels.adam import BETA1, BETA2, EPSILON, PART, Adam
from ...kernels.compile import inner, kernel
from ...kernels.threads import first_item, next_item, run_on_threads
from ..splats.densify import ScreenStatistics, densify
from ..splats.gaussians import Gaussians

WIDTH = 14
LANES = 16  # floats that are added up side by side
COLUMNS = {"means": slice(0, 3), "log_scales": slice(3, 6), "quats": slice(6, 10),
           "opacity_logits": slice(10, 11), "sh": slice(11, 14)}


class BlendLayer:
    """N Gaussians with K bases of change.

    gaussians: base. deltas: (N, K, 14). shade: (N, P, 3), P may be 0.
    moves: (N,) bool, rows that z changes; the others have no deltas and cost nothing.
    """

    def __init__(self, gaussians: Gaussians, rank: int, shades: int = 0):
        n = len(gaussians)
        self.gaussians = gaussians
        self.deltas = np.zeros((n, rank, WIDTH), np.float32)
        self.shade = np.zeros((n, shades, 3), np.float32)
        self.moves = np.ones(n, bool)
        self.adam = Adam(gaussians)
        self.first, self.second = np.zeros_like(self.deltas), np.zeros_like(self.deltas)
        self.shade_first, self.shade_second = np.zeros_like(self.shade), np.zeros_like(self.shade)
        self.statistics = ScreenStatistics.empty(n)

    def __len__(self) -> int:
        return len(self.gaussians)

    @property
    def rank(self) -> int:
        return self.deltas.shape[1]

    def at(self, z: np.ndarray, p: np.ndarray) -> Gaussians:
        """Return the Gaussians at z (K,) and p (P,), float32."""
        out = {k: np.empty_like(a) for k, a in self.gaussians.arrays().items()}
        run_on_threads(_blend, *_rows(self.gaussians.arrays()), self.deltas, self.shade, self.moves,
                       _f32(z), _f32(p), *_rows(out))
        return Gaussians(**out)

    def step(self, gradients, visible: np.ndarray, z: np.ndarray, p: np.ndarray,
             rates: dict[str, float], units: dict[str, float], delta_rate: float,
             shade_rate: float, decay: float, sparsity: float, step: int, coefficients: int
             ) -> None:
        """Move base, deltas and shade by one step of Adam.

        gradients: of the blended Gaussians, by the names of `Gaussians`. rates: of the base now.
        units: of the base at the start, what changes are measured in. delta_rate, shade_rate:
        factors on the rates. decay: part of every change that is taken away a step (AdamW).
        sparsity: penalty on the length of a Gaussian's whole change in those units, loss per unit
        (group lasso): a change that brings less is not made. step: 1, 2, …
        """
        arrays = gradients.arrays()
        self.adam.step(self.gaussians, gradients, visible, rates, step, coefficients)
        speed, unit = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
        for name, columns in COLUMNS.items():
            speed[columns], unit[columns] = rates[name], units[name]
        speed *= np.float32(1 / (1 - BETA1**step))
        rows = [a.reshape(len(a), -1) for a in (
            self.deltas, self.first, self.second, self.shade, self.shade_first, self.shade_second)]
        run_on_threads(_adam_deltas, *_rows(arrays), *rows, self.moves, visible, _f32(z), _f32(p),
                       np.tile(speed * np.float32(delta_rate), self.rank),
                       np.tile(speed[11:] * np.float32(shade_rate), self.shade.shape[1]),
                       np.tile(1 / unit, self.rank), np.float32(decay), np.float32(sparsity),
                       np.float32(1 / (1 - BETA2**step)))

    def motion(self) -> np.ndarray:
        """Return (N,) how much each Gaussian's place changes: length of its position deltas."""
        return np.sqrt((self.deltas[:, :, :3] ** 2).sum(axis=(1, 2)))

    def densify(self, config, radius: float, grow: bool, rng: np.random.Generator) -> None:
        """Run `splats.densify.densify`, with the changes copied along with the Gaussians.
        """
        extra = {"deltas": self.deltas, "shade": self.shade, "moves": self.moves,
                 "d2": self.second, "s2": self.shade_second}
        table = SimpleNamespace(
            first={**self.adam.first, "d1": self.first, "s1": self.shade_first},
            second={**self.adam.second, **extra})
        self.gaussians, _, _ = densify(self.gaussians, table, self.statistics, config, radius,
                                       grow, rng)
        first, second = dict(table.first), dict(table.second)
        self.first, self.shade_first = first.pop("d1"), first.pop("s1")
        self.deltas, self.shade, self.moves = (second.pop(k) for k in ("deltas", "shade", "moves"))
        self.second, self.shade_second = second.pop("d2"), second.pop("s2")
        self.adam.first, self.adam.second = first, second
        self.statistics = ScreenStatistics.empty(len(self))

    def __getitem__(self, index) -> BlendLayer:
        """Those at a mask or index array, without their moments."""
        out = BlendLayer(self.gaussians[index], self.rank, self.shade.shape[1])
        out.deltas, out.shade = self.deltas[index].copy(), self.shade[index].copy()
        out.moves = self.moves[index].copy()
        return out

    # --- state ------------------------------------------------------------------------------------

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return copies of everything that the rest of a training depends on."""
        out = {"deltas": self.deltas, "shade": self.shade, "moves": self.moves, "d1": self.first,
               "d2": self.second, "s1": self.shade_first, "s2": self.shade_second,
               "screen.total": self.statistics.total, "screen.count": self.statistics.count}
        out |= {f"gaussians.{k}": a for k, a in self.gaussians.arrays().items()}
        out |= {f"first.{k}": a for k, a in self.adam.first.items()}
        out |= {f"second.{k}": a for k, a in self.adam.second.items()}
        return {f"{prefix}{k}": a.copy() for k, a in out.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], prefix: str) -> BlendLayer:
        def part(start):
            start = prefix + start
            return {k.removeprefix(start): a.copy() for k, a in arrays.items()
                    if k.startswith(start)}

        deltas = arrays[prefix + "deltas"]
        out = cls(Gaussians(**part("gaussians.")), deltas.shape[1],
                  arrays[prefix + "shade"].shape[1])
        out.adam.first, out.adam.second = part("first."), part("second.")
        out.statistics = ScreenStatistics(**part("screen."))
        for name, key in (("deltas", "deltas"), ("shade", "shade"), ("moves", "moves"),
                          ("first", "d1"), ("second", "d2"), ("shade_first", "s1"),
                          ("shade_second", "s2")):
            setattr(out, name, arrays[prefix + key].copy())
        return out


def _f32(values) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def _rows(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return the five arrays as (N, ·), in the order of a row."""
    return tuple(np.ascontiguousarray(arrays[name]).reshape(len(arrays[name]), -1)
                 for name in COLUMNS)


@kernel
def _blend(means, log_scales, quats, opacities, sh, deltas, shade, moves, z, p,
           o_means, o_log_scales, o_quats, o_opacities, o_sh, counter):
    n, rank, width = deltas.shape
    shades = shade.shape[1]
    row = np.empty(14, np.float32)
    part = first_item(counter)
    while part * PART < n:
        for i in range(part * PART, min((part + 1) * PART, n)):
            row[:] = np.float32(0)
            if moves[i]:
                for k in range(rank):
                    for d in range(14):
                        row[d] += z[k] * deltas[i, k, d]
            for k in range(shades):
                for d in range(3):
                    row[11 + d] += p[k] * shade[i, k, d]
            for d in range(3):
                o_means[i, d] = means[i, d] + row[d]
                o_log_scales[i, d] = log_scales[i, d] + row[3 + d]
            for d in range(4):
                o_quats[i, d] = quats[i, d] + row[6 + d]
            o_opacities[i, 0] = opacities[i, 0] + row[10]
            for d in range(sh.shape[1]):
                o_sh[i, d] = sh[i, d]
            for d in range(3):
                o_sh[i, d] += row[11 + d]
        part = next_item(counter)


# Adam as in `kernels.adam`, of its own because the gradient z_k g_d of a change is never stored: it
# would be K times as large as that of the Gaussians. A Gaussian's K·14 changes are one row here, so
# that loops over them compile to whole vectors; what belongs to the 14 numbers comes K times.
@kernel
def _adam_deltas(g_means, g_log_scales, g_quats, g_opacities, g_sh, deltas, first, second, shade,
                 shade_first, shade_second, moves, visible, z, p, speed, shade_speed, per_unit,
                 decay, sparsity, correction, counter):
    n, changes = deltas.shape
    g, gradient = np.empty(14, np.float32), np.empty(changes, np.float32)
    shade_gradient = np.empty(shade.shape[1], np.float32)
    sums = np.empty(LANES, np.float32)
    part = first_item(counter)
    while part * PART < n:
        for i in range(part * PART, min((part + 1) * PART, n)):
            if not visible[i]:
                continue
            for d in range(3):
                g[d] = g_means[i, d]
                g[3 + d] = g_log_scales[i, d]
                g[11 + d] = g_sh[i, d]
            for d in range(4):
                g[6 + d] = g_quats[i, d]
            g[10] = g_opacities[i, 0]
            if moves[i]:
                for k in range(len(z)):
                    for d in range(14):
                        gradient[14 * k + d] = z[k] * g[d]
                if sparsity > 0:
                    pull = sparsity / np.sqrt(_length(deltas[i], per_unit, sums))
                    _add_pull(deltas[i], per_unit, pull, gradient)
                _adam_row(deltas[i], first[i], second[i], gradient, speed, decay, correction)
            for k in range(len(p)):
                for d in range(3):
                    shade_gradient[3 * k + d] = p[k] * g[11 + d]
            _adam_row(shade[i], shade_first[i], shade_second[i], shade_gradient, shade_speed,
                      decay, correction)
        part = next_item(counter)


@inner
def _length(row, per_unit, sums):
    """1 + the squares of a row's changes in their units: smooth at zero, where a change of one
    unit is nothing yet. LANES sums side by side, else each addition would wait for the one before.
    """
    sums[:] = np.float32(0)
    whole = len(row) // LANES * LANES
    for start in range(0, whole, LANES):
        for k in range(LANES):
            value = row[start + k] * per_unit[start + k]
            sums[k] += value * value
    total = np.float32(1)
    for k in range(whole, len(row)):
        value = row[k] * per_unit[k]
        total += value * value
    for k in range(LANES):
        total += sums[k]
    return total


@inner
def _add_pull(row, per_unit, pull, gradient):
    for k in range(len(row)):
        gradient[k] += pull * row[k] * per_unit[k] * per_unit[k]


@inner
def _adam_row(row, first, second, gradient, speed, decay, correction):
    b1, b2 = np.float32(BETA1), np.float32(BETA2)
    a1, a2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    eps, kept = np.float32(EPSILON), np.float32(1) - decay
    for k in range(len(row)):
        m = b1 * first[k] + a1 * gradient[k]
        v = b2 * second[k] + a2 * gradient[k] * gradient[k]
        first[k], second[k] = m, v
        row[k] = row[k] * kept - speed[k] * m / (np.sqrt(v * correction) + eps)
