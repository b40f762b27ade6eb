"""Inside a swap by `uv`: the mesh on the head, the face unrolled into a flat map, and back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...data.contact_sheet import PAPER, contact_sheet
from ...data.dataset import Dataset
from ...data.media import over, to_uint8
from ...data.sequence import frames_by_yaw
from ...face.topology import TRIANGLES
from ...runtime.progress import Reporter
from ...swapping.config import SwapConfig
from ...swapping.methods import SWAPPERS
from ...swapping.source import load_source
from ...swapping.uv_method import Fitted

FEW = 24  # views that are enough to fit a face for a picture
LINES = (80, 255, 160)


def unwrapped_picture(target: Dataset, swapped: Dataset, photo, cell: int = 170) -> np.ndarray:
    """Return a view with the fitted mesh, the target's face unrolled, the photo's face in the same
    map, how much of it is used, and the view painted with it: (H, 5·cell, 3) uint8.

    swapped: by `uv`, whose run folder holds mesh and texture; for one by another swapper they are
    fitted here. photo: as for `load_source`.
    """
    (_, view), = frames_by_yaw(target.frames, [0])
    moving = view.expression is not None
    fitted = Fitted.read(Path(swapped.root), moving) or SWAPPERS.find("uv").load().prepare(
        list(target.frames)[::-(-len(target.frames) // FEW)], [load_source(photo)], None,
        Reporter(), SwapConfig("uv")).fitted
    texture = fitted.texture
    on_head = to_uint8(over(view.image(), np.array(PAPER) / 255))
    pixels, _ = view.camera.project(fitted.mesh.vertices)
    share = texture.rgba[..., 3:] / 255
    inside = np.zeros(share.shape[:2], np.uint8)  # of the map: the rest is empty
    for corners in texture.uv[TRIANGLES]:
        cv2.fillConvexPoly(inside, np.round(corners - 0.5).astype(np.int32), 1)
    beside = (inside == 0)[..., None]
    used = texture.rgba[..., :3] * share + np.array(PAPER) * (1 - share)
    painted = next(f for f in swapped.frames if f.name == view.name).image()
    pictures = [_square(with_mesh(on_head, pixels)),
                _square(with_mesh(np.where(beside, PAPER, texture.target[..., :3]).astype(np.uint8),
                                  texture.uv)),
                _square(used.astype(np.uint8)),
                _square(np.where(beside, PAPER, texture.rgba[..., 3:]).astype(np.uint8)),
                _square(painted)]
    captions = ["1. the mesh, fitted to the views", "2. the target's skin on it, unrolled",
                "3. the photo's face in the same map", "4. how much of it is used: white = all",
                "5. painted back onto the view"]
    return contact_sheet(pictures, len(pictures), cell, captions)


def with_mesh(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return a copy of a uint8 (H, W, 3) picture with the face mesh drawn on it."""
    out = np.ascontiguousarray(picture).copy()
    corners = [np.round((points[t] - 0.5) * 16).astype(np.int32) for t in TRIANGLES]
    cv2.polylines(out, corners, True, LINES, 1, cv2.LINE_AA, shift=4)
    return cv2.addWeighted(out, 0.6, np.ascontiguousarray(picture), 0.4, 0)


def _square(picture: np.ndarray) -> np.ndarray:
    """Return a picture in the middle of a square as large as its longer side."""
    h, w = picture.shape[:2]
    side = max(h, w)
    paper = np.zeros((side, side, picture.shape[2]), np.uint8)
    paper[..., :3] = PAPER
    top, left = (side - h) // 2, (side - w) // 2
    paper[top:top + h, left:left + w] = picture
    return paper
