"""What stands before a face: a small network looks at the face laid flat.

It was made, not downloaded: faces drawn from the head model with things drawn in front of them
(see assets/face/README.md). It sees colors, edges, the other side of the face, and where on the
face it looks, at `SIZE` pixels; things thinner than about 1 % of the face's height are missed.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from ..errors import IdfError
from . import topology
from .color import fill_rings, rgb_to_lab
from .flat import SIZE, flat_face, flatten
from .landmarks import FaceLandmarks

CLASSES = ("bare", "glasses", "mask", "hair", "object")
NETWORK = Path(__file__).with_name("data") / "occlusion.onnx"
BRIGHT = 165.0  # level of the brighter parts of the face after its exposure is evened
_LOCK = threading.Lock()


def hidden_classes(image: np.ndarray, face: FaceLandmarks
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how likely each pixel of the flat face belongs to each of `CLASSES`.

    image: (H, W, 3) uint8 RGB; face: landmarks in its pixels. Returns (K, SIZE, SIZE) float32 in
    [0, 1], summing to 1, how well each pixel is seen, and the flat picture (both of `flatten`).
    """
    flat, seen = flatten(image, face)
    with _LOCK:  # OpenCV's networks keep their buffers
        net = _network()
        net.setInput(fold(channels(flat, seen))[None])
        scores = net.forward()
    return _softmax(unfold(scores[0])), seen, flat


@cache
def _network():
    try:
        return cv2.dnn.readNetFromONNX(str(NETWORK))
    except cv2.error as e:
        raise IdfError(f"OpenCV cannot open {NETWORK}", str(e)[:300],
                       "install the package again") from e


def channels(flat: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return what the network sees, (C, SIZE, SIZE) float32: colors, colors of the other half,
    how the surface is seen, and the place on the face."""
    inside = seen > 0.1
    gray = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY)
    level = float(np.percentile(gray[inside], 80)) if inside.any() else BRIGHT
    bright = np.clip(flat * np.float32(np.clip(BRIGHT / max(level, 1), 0.6, 8)), 0, 255)
    lab = rgb_to_lab(bright / np.float32(255)) / np.float32(30) - np.float32([5 / 3, 0, 0])
    lab = (lab * inside[..., None]).transpose(2, 0, 1)
    return np.concatenate([lab, lab[..., ::-1], seen[None], _places()]).astype(np.float32)


@cache
def _places() -> np.ndarray:
    """(5, SIZE, SIZE) float32: height, distance from the middle, eyes, brows, lips."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / (SIZE / 2) - 1
    xy = flat_face().xy
    parts = [fill_rings([xy[r] for r in rings], SIZE, SIZE) for rings in (
        (topology.LEFT_EYE, topology.RIGHT_EYE), (topology.LEFT_BROW, topology.RIGHT_BROW),
        (topology.OUTER_LIPS,))]
    return np.stack([y, np.abs(x), *parts]).astype(np.float32)


def fold(x: np.ndarray) -> np.ndarray:
    """Return (C, 2 h, 2 w) -> (4 C, h, w): four pixels become the channels of one."""
    c, h, w = x.shape
    x = x.reshape(c, h // 2, 2, w // 2, 2).transpose(2, 4, 0, 1, 3)
    return np.ascontiguousarray(x.reshape(4 * c, h // 2, w // 2))


def unfold(x: np.ndarray) -> np.ndarray:
    """Return (4 C, h, w) -> (C, 2 h, 2 w), the inverse of `fold`."""
    c, h, w = x.shape
    x = x.reshape(2, 2, c // 4, h, w).transpose(2, 3, 0, 4, 1)
    return np.ascontiguousarray(x.reshape(c // 4, 2 * h, 2 * w))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(0))
    return e / e.sum(0)
