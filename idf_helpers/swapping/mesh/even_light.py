"""Light from the side, taken out of a source photo by the face's own symmetry."""

from __future__ import annotations

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, masked_blur
from ...face.landmarks import FaceLandmarks, vertex_facing
from ...face.raster import rasterize

SMOOTH = 0.10  # of the face's size: how smooth light is
IGNORED = 0.06  # difference of the sides, in logarithms, that is left as it is
MOST = 1.2  # the most that is corrected: sides 11 times as bright as each other


def even_light(image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return the photo with both sides of the face equally bright: (H, W, 3) uint8, itself where
    they are.

    image: (H, W, 3) uint8; face: landmarks in its pixels.

    Every place of the face is compared with its twin on the other side, where the photo shows both.
    Skin, brows and beard are alike there; what differs smoothly is light. Each side goes half way,
    so that an even photo stays as it is, and light from the front does too:

        r = G(m (log I - log I_twin)) / G(m),   I' = I exp(-r / 2)
    """
    h, w = image.shape[:2]
    facing = vertex_facing(face.points)
    twin = face.xy[topology.MIRROR]
    values = np.column_stack([twin, np.minimum(facing, facing[topology.MIRROR])])
    drawn, ids, _ = rasterize(topology.TRIANGLES, face.xy, face.points[:, 2], values, h, w)
    both = ((ids >= 0) & (drawn[..., 2] > 0.15)).astype(np.float32)
    if both.sum() < 64:
        return image
    other = cv2.remap(image, (drawn[..., :2] - 0.5).astype(np.float32), None, cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
    # Pupils and nostrils are black on both sides: the offset keeps their ratio near 1.
    ratio = np.log((image.astype(np.float32) + 8) / (other.astype(np.float32) + 8))
    sigma = SMOOTH * face.size
    r = masked_blur(ratio * both[..., None], both, sigma)
    # Beyond the face the correction runs on a little and ends.
    r *= np.clip(4 * blur(both, sigma), 0, 1)[..., None]
    r = np.sign(r) * np.clip(np.abs(r) - IGNORED, 0, MOST)
    if not r.any():
        return image
    out = (image.astype(np.float32) + 8) * np.exp(-0.5 * r) - 8
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)
