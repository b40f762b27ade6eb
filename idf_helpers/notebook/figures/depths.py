"""Depth as a picture."""

from __future__ import annotations

import numpy as np

from ...data.contact_sheet import PAPER


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Return depth (H, W), near = bright, NaN = the sheet's gray, in color: (H, W, 3) uint8."""
    from matplotlib import colormaps

    out = np.full((*depth.shape, 3), PAPER, np.uint8)
    there = np.isfinite(depth)
    if there.any():
        near, far = np.percentile(depth[there], (1, 99))
        share = np.clip((far - depth[there]) / max(far - near, 1e-9), 0, 1)
        out[there] = 255 * colormaps["magma"](0.1 + 0.9 * share)[:, :3] + 0.5
    return out
