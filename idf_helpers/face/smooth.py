"""Landmarks of a sequence, held still where the face is still and left alone where it moves.

GHOST averages each frame's landmarks with two on either side, and cuts the sequence where an eye or
the nose moves more than 5 pixels. A mean over five frames also flattens what is quick: lips that
close for two frames stay open. Here the same mean is taken only as far as it changes a point by no
more than the detector's noise, which is measured in the sequence itself; a point that it would
carry further is really moving, and stays. On the bundled talking head the mean keeps half of the
mouth's quickest motions and this nine tenths, with half of the shaking that the landmarks come
with. It needs no cut and no number of pixels: it holds for every picture size and frame rate. (A
bilateral filter in time was tried: it makes stairs of even motion, and a turning head shook more
than before.)
"""

from __future__ import annotations

import numpy as np

from ..runtime.settings import check_range

WINDOW = 2  # frames on either side that take part
# By how many standard deviations of the detector's noise the mean may change a point and still be
# taken exp(-1/2) = 61 % of the way; large values make it a plain mean.
REACH = 2.0


def noise_level(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (V,) standard deviation of the noise of each point, per coordinate.

    values: (N, V, C), NaN where unknown; times: (N,) int, in order. From what is left of a point
    when the mean of its two neighbors in time is taken away (variance 3/2 of the noise's), by the
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


def steady(values: np.ndarray, times: np.ndarray, window: int = WINDOW, reach: float = REACH,
           noise: np.ndarray | None = None) -> np.ndarray:
    """Return (N, V, C): every point's mean over the frames near it, where that is within the noise.

        m_t = mean of x_s, |s - t| <= window (as wide as both sides have frames: even motion is
              then not shifted),
        y_t = x_t + g (m_t - x_t),  g = exp(-|m_t - x_t|^2 / (2 C (reach noise)^2))

    values: (N, V, C), NaN where unknown (stays NaN). times: (N,) int frame numbers in order; frames
    that lie apart do not mix. window: in [0, 30], 0 changes nothing. reach: above 0. noise: (V,)
    standard deviation per coordinate, measured where None.
    """
    check_range("window", window, 0, 30)
    check_range("reach", reach, 1e-3, 1e6)
    if window < 1 or len(values) < 3:
        return values
    noise = noise_level(values, times) if noise is None else noise
    known = np.isfinite(values).all((1, 2))
    total, count = values.copy(), np.ones(len(values))
    growing = known.copy()  # frames whose window may still grow on both sides
    for k in range(1, window + 1):
        here = np.arange(k, len(values) - k)
        whole = (times[here + k] - times[here - k] == 2 * k) & known[here - k] & known[here + k]
        grows = np.zeros(len(values), bool)
        grows[here[whole]] = True
        growing &= grows
        here = np.flatnonzero(growing)
        total[here] += values[here - k] + values[here + k]
        count[here] += 2
    change = total / count[:, None, None] - values
    scale = 2 * values.shape[2] * np.maximum(reach * noise, 1e-12) ** 2  # (V,)
    return values + np.exp(-(change**2).sum(-1) / scale)[..., None] * change
