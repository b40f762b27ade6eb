"""Where Gaussians are too few and where they are of no use: growth, relocation, pruning.

Dead Gaussians (nearly transparent, or huge) move to where the picture is still wrong, and new
ones are added there, both as halves of a split Gaussian. "Still wrong" is the size of the gradient
of the screen position, as in 3DGS; drawing in proportion to it instead of thresholding it keeps the
number of Gaussians in hand, as 3DGS-MCMC does (arXiv 2404.09591), whose rule for splits this uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...kernels.adam import PART, Adam
from ...kernels.compile import kernel
from ...kernels.threads import first_item, next_item, run_on_threads
from .gaussians import Gaussians

INVISIBLE = 1.0 / 255.0  # opacity below which no rasterizer draws a Gaussian


class DensifyRules(NamedTuple):
    """max_gaussians: at most. growth: new ones per round as a share of those there are. Dead are
    those below dead_opacity and those wider than max_scale, a standard deviation in scene radii."""

    max_gaussians: int
    growth: float
    dead_opacity: float
    max_scale: float


@dataclass
class ScreenStatistics:
    """Since the last round: total (N,) float32, sum of the screen gradients; count (N,) int32, in
    how many steps each Gaussian was in the picture."""

    total: np.ndarray
    count: np.ndarray

    @classmethod
    def empty(cls, n: int) -> ScreenStatistics:
        return cls(np.zeros(n, np.float32), np.zeros(n, np.int32))

    def add(self, screen: np.ndarray, visible: np.ndarray) -> None:
        """Add a step. screen (N,) float32, visible (N,) bool: see `rasterizer.Gradients`."""
        run_on_threads(_add_seen, self.total, self.count, screen, visible)

    @property
    def mean(self) -> np.ndarray:
        return self.total / np.maximum(self.count, 1)


@kernel
def _add_seen(total, count, screen, visible, counter):
    part = first_item(counter)
    while part * PART < len(total):
        rows = slice(part * PART, (part + 1) * PART)
        t, c, s, v = total[rows], count[rows], screen[rows], visible[rows]
        for i in range(len(t)):  # from zero, so that it compiles to vectors
            if v[i]:
                t[i] += s[i]
                c[i] += 1
        part = next_item(counter)


def densify(gaussians: Gaussians, adam: Adam, statistics: ScreenStatistics,
            rules: DensifyRules, radius: float, grow: bool, rng: np.random.Generator
            ) -> tuple[Gaussians, int, int]:
    """Do one round; return the new Gaussians, how many were relocated and how many added.

    `gaussians` stays as it was; `adam` gets the moments of the new rows. radius: of the scene, in
    world units. grow: whether Gaussians are added, else only relocated.
    """
    n = len(gaussians)
    opacity = gaussians.opacities
    largest = gaussians.log_scales.max(axis=1)
    dead = (opacity < rules.dead_opacity) | (largest > np.log(rules.max_scale * radius))
    weight = np.where(dead | (opacity < 2 * rules.dead_opacity), 0, statistics.mean)
    slots = np.flatnonzero(dead)
    room = min(rules.max_gaussians - n, int(np.ceil(rules.growth * n))) if grow else 0
    sources = _draw(weight, len(slots) + max(room, 0), rng)
    relocated = min(len(slots), len(sources))
    added = len(sources) - relocated
    if not len(sources):
        return gaussians, 0, 0

    # Dead places are filled first, then new ones at the end.
    targets = np.concatenate([slots[:relocated], n + np.arange(added)])
    rows = np.concatenate([np.arange(n), sources[relocated:]])
    out = gaussians[rows]  # fancy indexing copies
    first = {k: a[rows] for k, a in adam.first.items()}
    second = {k: a[rows] for k, a in adam.second.items()}
    for table in (out.arrays(), second):
        for values in table.values():
            values[targets] = values[sources]
    for values in first.values():
        values[targets] = 0
        values[sources] = 0
    _split(out, sources, targets, rng)
    adam.first, adam.second = first, second
    return out, relocated, added


def prune_invisible(gaussians: Gaussians) -> Gaussians:
    """Return those that a picture can show (opacity 1/255 or more): renders stay the same to the
    bit."""
    return gaussians[gaussians.opacities >= INVISIBLE]


def _draw(weight: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `count` different indices, drawn with probability in proportion to weight (N,) >= 0.

    Exponential races: the smallest of e_i / w_i, e_i ~ Exp(1), wins with probability w_i / Σ w.
    """
    noise = rng.exponential(size=len(weight))
    candidates = np.flatnonzero(weight > 0)
    count = min(count, len(candidates))
    if count == 0:
        return candidates[:0]
    time = noise[candidates] / weight[candidates]
    return candidates[np.argsort(time, kind="stable")[:count]]


def _split(g: Gaussians, sources: np.ndarray, targets: np.ndarray,
           rng: np.random.Generator) -> None:
    """Make two of one, in place: rows `targets` already are copies of rows `sources`.

    Both get the opacity at which two of them let through as much light as one did,
    o' = 1 - √(1 - o), and the width that keeps their sum as bright, 3DGS-MCMC eq. 9 for two copies:
    factor o / (2o' - o'²/√2). They are set apart along the longest extents, so a bit smaller still.
    """
    o = np.clip(g.opacities[sources].astype(np.float64), 1e-6, 1 - 1e-6)
    half = 1 - np.sqrt(1 - o)
    factor = 0.85 * np.clip(o / (2 * half - half**2 / np.sqrt(2)), 0.3, 1.2)
    half = np.clip(half, 1e-6, 1 - 1e-6)
    logit = np.log(half / (1 - half)).astype(np.float32)
    scales = np.exp(g.log_scales[sources])
    local = 0.7 * scales * rng.standard_normal((len(sources), 3), np.float32)
    # e = R (s ∘ noise); R from the unit quaternion, applied as v + 2w(u×v) + 2u×(u×v).
    q = g.quats[sources]
    q = q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
    t = 2 * np.cross(q[:, 1:], local)
    offset = local + q[:, :1] * t + np.cross(q[:, 1:], t)
    log_scales = g.log_scales[sources] + np.log(factor)[:, None].astype(np.float32)
    g.means[targets] = g.means[sources] + offset
    g.means[sources] -= 0.5 * offset
    for rows in (sources, targets):
        g.opacity_logits[rows] = logit
        g.log_scales[rows] = log_scales
