"""Whether cut-out pictures and cameras belong together: the solid that all silhouettes allow must
fill each of them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..data.cameras import scene_frame
from ..data.frame import Frame

SIDE = 48  # points along each side of the block that is looked at, and cells across a silhouette
ENOUGH = 6  # silhouettes, below which nothing is said
FORGIVEN = 0.1  # share of the silhouettes that may miss a point: mattes have holes
# Bundled heads 1.00; with OpenCV's axes 0, with world-to-camera matrices 0 to 0.68. Pictures in
# another order are not noticed: heads are round.
COVERED = 0.85


def hull_share(frames: Sequence[Frame], pictures: Sequence[np.ndarray]) -> float | None:
    """Return the share of the silhouettes that is filled by what all of them allow: the median over
    the frames. None where too few pictures have alpha.

    pictures: uint8 (H, W, 3 or 4), one for each frame.
    """
    views = []
    for f, p in zip(frames, pictures, strict=True):
        if p.shape[2] == 4 and 0.003 < (p[..., 3] > 127).mean() < 0.9:
            solid = cv2.resize((p[..., 3] > 127).astype(np.uint8), (SIDE, SIDE),
                               interpolation=cv2.INTER_AREA)
            views.append((f.camera.resized(SIDE, SIDE), solid > 0))
    if len(views) < ENOUGH:
        return None
    scene = scene_frame(c for c, _ in views)
    line = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    block = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)
    block = scene.center + 1.1 * scene.radius * block
    cells, missed = [], np.zeros(len(block), np.int32)
    for camera, solid in views:
        uv, depth = camera.project(block)
        at = np.floor(np.nan_to_num(uv, nan=-1.0, posinf=-1.0, neginf=-1.0)).clip(-1, SIDE)
        seen = (depth > 0) & (at >= 0).all(1) & (at < SIDE).all(1)
        cell = np.where(seen, at[:, 1] * SIDE + at[:, 0], -1).astype(np.int64)
        grown = cv2.dilate(solid.astype(np.uint8), np.ones((3, 3), np.uint8)).ravel() > 0
        missed += (~seen & (depth <= 0)) | (seen & ~grown[cell])  # beside the picture: unknown
        cells.append(cell)
    inside = missed <= FORGIVEN * len(views)
    shares = []
    for (_, solid), cell in zip(views, cells, strict=True):
        filled = np.zeros(SIDE * SIDE, bool)
        filled[cell[inside & (cell >= 0)]] = True
        filled = cv2.dilate(filled.reshape(SIDE, SIDE).astype(np.uint8),
                            np.ones((3, 3), np.uint8)) > 0
        shares.append(float(filled[solid].mean()))
    return float(np.median(shares))
