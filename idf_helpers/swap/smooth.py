"""Landmarks of a sequence, held still where the face is still and left alone where it moves.

GHOST averages each frame's landmarks with two on either side and cuts the sequence where an eye or
the nose moves more than 5 pixels. A mean over five frames also flattens what is quick: lips that
close for two frames stay open. Here the mean is bilateral (Tomasi and Manduchi 1998), in time: a
neighbouring frame counts less the further its point lies, with the detector's own noise, measured
in the sequence, as the unit. That is the same mean where nothing moves, the same cut, made soft,
where something does, and needs no pixels: it holds for every picture size and frame rate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import IdfError


@dataclass(frozen=True)
class SmoothConfig:
    """How landmarks are smoothed in time.

    window: frames on either side that take part, 0 to 30; 0 leaves the landmarks as they are.
    reach: how far a point may have moved, in standard deviations of the detector's noise, for that
        frame to count exp(-1/2) = 61 %, > 0; large values make it a plain mean.
    """

    window: int = 2
    reach: float = 3.0

    def checked(self) -> SmoothConfig:
        """Itself; IdfError for values out of range."""
        for name, low, high in (("window", 0, 30), ("reach", 1e-3, 1e6)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise IdfError(f"The setting `{name}` of the smoothing is out of range",
                               f"{value}", f"give a value in [{low}, {high}]")
        return self


def noise_level(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(V,) standard deviation of the noise of each point, per coordinate.

    values: (N, V, C), NaN where unknown; times: (N,) int, in order. From what is left of a point
    when the mean of its two neighbours in time is taken away (variance 3/2 of the noise's), by the
    median, so that quick true motion counts little. 0 where there are no three frames in a row.
    """
    rows = np.flatnonzero((np.diff(times[:-1]) == 1) & (np.diff(times[1:]) == 1)) + 1
    if not len(rows):
        return np.zeros(values.shape[1])
    rest = values[rows] - 0.5 * (values[rows - 1] + values[rows + 1])
    rest = rest[np.isfinite(rest).all((1, 2))]
    if not len(rest):
        return np.zeros(values.shape[1])
    return 1.48 * np.median(np.abs(rest), axis=0).mean(-1) / np.sqrt(1.5)


def bilateral(values: np.ndarray, times: np.ndarray, config: SmoothConfig = SmoothConfig(),
              noise: np.ndarray | None = None) -> np.ndarray:
    """(N, V, C): every point averaged over the frames near it in time and in place.

        x_t = sum_s w_s x_s / sum_s w_s,  |s - t| <= window,
        w_s = exp(-|x_s - x_t|^2 / (2 C (reach noise)^2))

    values: (N, V, C), NaN where unknown (stays NaN). times: (N,) int frame numbers in order; frames
    that lie apart do not mix. noise: (V,) standard deviation per coordinate, measured where None.
    """
    config.checked()
    if config.window < 1 or len(values) < 2:
        return values
    noise = noise_level(values, times) if noise is None else noise
    scale = 2 * values.shape[2] * np.maximum(config.reach * noise, 1e-12) ** 2  # (V,)
    total, weight = np.zeros_like(values), np.zeros(values.shape[:2])
    known = np.isfinite(values).all((1, 2))
    for shift in range(-config.window, config.window + 1):
        here = np.arange(max(0, -shift), len(values) - max(0, shift))
        # Only frames whose distance in time is the distance in the list: no gap between them.
        near = times[here + shift] - times[here] == shift
        here = here[near & known[here] & known[here + shift]]
        other = values[here + shift]
        w = np.exp(-((other - values[here]) ** 2).sum(-1) / scale)
        total[here] += w[..., None] * other
        weight[here] += w
    out = np.full_like(values, np.nan)
    out[known] = total[known] / weight[known][..., None]
    return out


def frame_times(names: Sequence[str]) -> np.ndarray:
    """(N,) int: when each frame was taken, from the number that ends its name, in frames.

    Splits of one sequence are numbered through (train/f_0214, val/f_0215); where numbers repeat,
    every split is a sequence of its own, far from the others. Names without numbers count in the
    order given.
    """
    numbers = [re.search(r"(\d{1,12})$", n) for n in names]
    if not names or not all(numbers):
        return np.arange(len(names))
    times = np.array([int(n[1]) for n in numbers])
    if len(np.unique(times)) == len(times):
        return times
    folders = sorted({n.rpartition("/")[0] for n in names})
    apart = int(times.max()) + 1000
    times = times + np.array([apart * folders.index(n.rpartition("/")[0]) for n in names])
    return times if len(np.unique(times)) == len(times) else np.arange(len(names))
