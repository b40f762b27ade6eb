"""Hair on the forehead of a photo, by its color: what `in_front` may miss of a fringe."""

from __future__ import annotations

import cv2
import numpy as np

from ..face import topology
from ..face.color import blur, disc, fill_rings, rgb_to_lab
from ..face.landmarks import FaceLandmarks

# The forehead, the temples and the strips before the ears: along the oval from the right ear lobe
# over the top to the left one, back along the strips' inner edge and the brows' upper edges.
_FOREHEAD = np.array([93, 234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389,
                      356, 454, 323, 366, 447, 264, 300, 293, 334, 296, 336, 107, 66, 105, 63, 70,
                      34, 227, 137])
_FOREHEAD_TOP = 19  # so many of them lie on the oval


def hair_on_forehead(rgb: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: 1 where the forehead is hidden by something that is not
    skin.

    Forehead and temple pixels that look unlike the skin (`_unlike_skin`) count as hair where they
    are connected with the forehead's upper border, as a fringe is (a birthmark or a wrinkle is
    not).

    rgb: (H, W, 3) uint8; face: landmarks in its pixels.
    """
    around = _Surroundings(rgb, face)
    if around.distance is None:
        return around.placed(None)
    xy, k = face.xy, around.step
    brows = around.filled(topology.LEFT_BROW, topology.RIGHT_BROW, above=0.1, grow=2)
    forehead = around.filled(_FOREHEAD, above=0.5) & ~brows
    suspect = ((around.distance > 3.0) & forehead).astype(np.uint8)
    suspect = cv2.morphologyEx(suspect, cv2.MORPH_CLOSE, around.kernel)  # strands belong together
    # The upper border: the part of the forehead within a band below the oval's top.
    down = xy[topology.CHIN] - xy[topology.FOREHEAD]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    line = xy[_FOREHEAD[:_FOREHEAD_TOP]] + 0.5 * k * down - around.low - 0.5
    edge = np.zeros_like(suspect)
    cv2.polylines(edge, [np.round(line).astype(np.int32)], False, 1, thickness=2 * k + 1)
    return around.placed(_touching(suspect, edge > 0, 2 * k * k))


class _Surroundings:
    """The window of a picture around a face.

    distance: (h, w) how unlike the skin each pixel is, None where there is too little face. low:
    the window's first pixel (x, y). kernel: a disc of radius `step`, 1.2 % of the face's size.
    """

    def __init__(self, rgb: np.ndarray, face: FaceLandmarks):
        self.shape, self.face = rgb.shape[:2], face
        self.distance, self.low = _unlike_skin(rgb, face) or (None, None)
        self.step = max(1, round(0.012 * face.size))
        self.kernel = disc(self.step)

    def filled(self, *rings, above: float = 0.2, grow: int = 0) -> np.ndarray:
        """Return (h, w) bool: the insides of rings of points, widened by so many discs."""
        area = fill_rings([self.face.xy[r] for r in rings], *self.distance.shape, self.low) > above
        if not grow:
            return area
        return cv2.dilate(area.astype(np.uint8), self.kernel, iterations=grow) > 0

    def placed(self, area: np.ndarray | None) -> np.ndarray:
        """Return an area (h, w) bool, widened and softened, in the whole picture; 0 for None."""
        out = np.zeros(self.shape, np.float32)
        if area is not None and area.any():
            part = blur(cv2.dilate(area.astype(np.float32), self.kernel), 0.006 * self.face.size)
            window = out[self.low[1]:, self.low[0]:][:part.shape[0], :part.shape[1]]
            window[...] = np.clip(part, 0, 1) * (part > 0.02)
        return out


def _touching(suspect: np.ndarray, seeds: np.ndarray, least: float) -> np.ndarray:
    """(h, w) bool: connected areas of `suspect` that meet `seeds`, of more than `least` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(suspect, connectivity=8)
    touching = np.unique(labels[seeds & (suspect > 0)])
    touching = touching[(touching > 0) & (stats[touching, cv2.CC_STAT_AREA] > least)]
    return np.isin(labels, touching)


def _unlike_skin(rgb: np.ndarray, face: FaceLandmarks):
    """How unlike the face's skin each pixel near it is, (h, w) in its standard deviations, and the
    window's first pixel (x, y); None where there is too little face.

    The skin's color is learned from cheeks and nose (median and robust spread in Lab).
    """
    size, xy = face.size, face.xy
    low = np.maximum(np.floor(xy.min(0) - 0.05 * size).astype(int), 0)
    high = np.minimum(np.ceil(xy.max(0) + 0.05 * size).astype(int), rgb.shape[1::-1])
    if (high - low).min() < 8:
        return None
    h, w = int(high[1] - low[1]), int(high[0] - low[0])
    # Single pores and hairs are noise here.
    lab = blur(rgb_to_lab(rgb[low[1]:high[1], low[0]:high[0]]), 0.004 * size)
    patches = fill_rings([xy[r] for r in topology.SKIN_PATCHES], h, w, low) > 0.5
    if patches.sum() < 16:
        return None
    skin = lab[patches]
    median = np.median(skin, axis=0)
    # 1.48 MAD = standard deviation of a Gaussian; floors and ceilings in Lab units keep a very
    # even or a half shadowed face from making the test too strict or too lax.
    spread = np.clip(1.48 * np.median(np.abs(skin - median), axis=0), (6, 3, 3), (11, 6, 6))
    difference = lab - median
    # A highlight adds white light: brighter, smooth, and less colored in proportion. There
    # lightness counts half, and up to 0.8 of its gain may be missing in chroma.
    rough = _roughness(lab[..., 0], 0.012 * size)
    shine = (difference[..., 0] > 0) & (rough < max(2.5 * float(np.median(rough[patches])), 2.5))
    hue = median[1:] / max(float(np.linalg.norm(median[1:])), 1e-3)
    loss = np.clip(difference[..., 1:] @ hue, -0.8 * np.maximum(difference[..., 0], 0), 0)
    difference[..., 1:] -= (loss * shine)[..., None] * hue
    difference[..., 0] *= np.where(shine, 0.5, 1.0)
    return np.sqrt(((difference / spread) ** 2).sum(-1)), low


def _roughness(values: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) local standard deviation of `values` within about `sigma` pixels."""
    mean = cv2.GaussianBlur(values, (0, 0), sigma)
    return np.sqrt(cv2.GaussianBlur((values - mean) ** 2, (0, 0), sigma))
