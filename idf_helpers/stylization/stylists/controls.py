"""The pictures that guide a ControlNet, from what is known of a view: edges, depth, normals.

Depth and normals are our own, of the scene; nothing is estimated from the picture.
"""

from __future__ import annotations

import numpy as np

from ...data.media import to_uint8
from ...errors import IdfError
from ..config import CONTROLS
from ..stylist import View

CANNY = (100, 200)  # hysteresis thresholds of the gray levels' gradient, those of ControlNet's demo
FARTHEST = 80  # gray of the head's farthest part; what lies behind is 0


def control_picture(view: View, kind: str) -> np.ndarray:
    """Return (H, W, 3) uint8 of kind canny, depth or normal; IdfError where the view lacks it."""
    lacks = {"canny": False, "depth": view.depth is None, "normal": view.normal is None}
    if kind not in lacks:
        raise IdfError("This kind of control picture is unknown", repr(kind),
                       f"use {', '.join(CONTROLS)}")
    if lacks[kind]:
        raise IdfError(f"The view {view.name} has no {kind} to guide the picture", "none known",
                       "make it from a scene (splats), or use --controlnet canny")
    return {"canny": _canny, "depth": _depth, "normal": _normal}[kind](view)


def _canny(view: View) -> np.ndarray:
    """Return white edges on black (Canny 1986) of the view, not of what a picture starts from."""
    import cv2

    gray = cv2.cvtColor(np.ascontiguousarray(to_uint8(view.source())), cv2.COLOR_RGB2GRAY)
    return np.repeat(cv2.Canny(gray, *CANNY)[..., None], 3, axis=2)


def _depth(view: View) -> np.ndarray:
    """Return inverse depth: near is white, as MiDaS has it and ControlNets expect; the head's own
    range (1st to 99th percentile) stretched over FARTHEST to 255."""
    seen = np.isfinite(view.depth) & (view.depth > 0)
    gray = np.zeros(view.depth.shape, np.float32)
    if seen.any():
        near = 1.0 / view.depth[seen]
        low, high = np.percentile(near, (1, 99))
        scaled = np.clip((near - low) / max(high - low, 1e-9), 0, 1)
        gray[seen] = FARTHEST + (255 - FARTHEST) * scaled
    return np.repeat(np.rint(gray).astype(np.uint8)[..., None], 3, axis=2)


def _normal(view: View) -> np.ndarray:
    """Return the colors of ScanNet's normals, on which `normalbae` was trained: red to the left,
    green up, blue toward the camera; (0.5, 0.5, 1) where nothing is known."""
    known = np.linalg.norm(view.normal, axis=-1, keepdims=True) > 0.5
    n = np.where(known, view.normal * np.float32([-1, 1, 1]), np.float32([0, 0, 1]))
    return to_uint8(0.5 * n + 0.5)
