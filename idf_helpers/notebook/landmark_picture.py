"""A picture of what the swap sees of a source photo."""

from __future__ import annotations

import numpy as np

from ..data.media import resize_area
from ..face.topology import TRIANGLES
from ..swapping.source import load_source


def source_picture(photo, width: int = 360) -> np.ndarray:
    """uint8 (H, 2·width, 3): left the photo with the face mesh, right what of it may be used.

    photo: path or bytes. IdfError as `load_source`.
    """
    import cv2

    face = load_source(photo)
    scale = width / face.image.shape[1]
    height = round(face.image.shape[0] * scale)
    left = resize_area(face.image, width, height).copy()
    points = face.landmarks.xy * scale
    corners = [np.round((points[t] - 0.5) * 16).astype(np.int32) for t in TRIANGLES]
    cv2.polylines(left, corners, True, (80, 255, 160), 1, cv2.LINE_AA, shift=4)
    weight = cv2.resize(face.weight, (width, height), interpolation=cv2.INTER_AREA)[..., None]
    right = resize_area(face.image, width, height) * weight + 255 * (1 - weight)
    return np.concatenate([left, right.astype(np.uint8)], axis=1)
