"""The head over the room, pixel by pixel, with the frame's own exposure; and its gradient.

Of its own beside `data.training_views.composite`, which puts stored bytes over one color: here both
sides are pictures, and the gradient goes back to the head's color and alpha.
"""

from __future__ import annotations

import numpy as np

from ...kernels.compile import kernel
from ...kernels.threads import first_item, next_item

MARGIN = 0.05  # alpha this near to the silhouette costs less than its full distance


@kernel
def compose(rgb, alpha, behind, picture, gain, offset, target, shown, counter):
    """Compute shown = gain (rgb + (1 - alpha) behind) + offset; target = picture as planes."""
    height, width = alpha.shape
    one, scale = np.float32(1), np.float32(1 / 255)
    row = first_item(counter)
    while row < height:
        for c in range(3):
            for j in range(width):
                value = rgb[c, row, j] + (one - alpha[row, j]) * behind[c, row, j]
                shown[c, row, j] = gain[c] * value + offset[c]
                target[c, row, j] = np.float32(picture[row, j, c]) * scale
        row = next_item(counter)


@kernel
def split_gradient(gradient, rgb, alpha, behind, silhouette, gain, weight, d_rgb, d_alpha, sums,
                    counter):
    """Go back through `compose`, plus weight · d|alpha - silhouette|, rounded near zero; sums:
    (H, 6) of dL/dgain and dL/doffset by row."""
    height, width = alpha.shape
    one = np.float32(1)
    row = first_item(counter)
    while row < height:
        for j in range(width):
            away = alpha[row, j] - np.float32(silhouette[row, j]) / np.float32(255)
            d_alpha[row, j] = weight * min(max(away / np.float32(MARGIN), -one), one)
        for c in range(3):
            for j in range(width):
                g = gradient[c, row, j]
                value = rgb[c, row, j] + (one - alpha[row, j]) * behind[c, row, j]
                sums[row, c] += g * value
                sums[row, 3 + c] += g
                d_rgb[c, row, j] = g * gain[c]
                d_alpha[row, j] -= g * gain[c] * behind[c, row, j]
        row = next_item(counter)
