"""Hair of a beard: whether a face has one, which of it is hair, and where it ends.

A beard goes on below the jaw and toward the ears, where the face mesh ends. What is drawn of it
thins out before that rim, unless the target has one that goes on there.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, smoothstep

# Lengths are shares of the face's size.
HAIR, HAIR_OF_BEARD = (0.63, 0.28), (0.85, 0.45)  # lightness over the skin's: from, all hair
AROUND_LIPS, BEARD = 0.12, (0.12, 0.2)  # where a beard is looked for; share that is hair there
BLACK = 8.0  # lightness of black hair
GRAYER_HAIR = 0.9  # most chroma of hair over the skin's
# Over the face's width: how far from the rim a beard thins, at the chin, whose rim hides what is
# below, and at its sides; how far to the side that is.
THINS, SIDE = (0.1, 0.45), 0.4
TO_EARS = 0.4  # how far before the ears it thins
NOSE = 0.1  # how far above the nose's tip a beard ends
GOES_ON = (0.15, 0.4)  # share of hair around a place at which the target has a beard itself
NEAR = 0.05  # how far around


def from_rim(points) -> np.ndarray:
    """Return (468,) float64: how far from the rim each point of a face (468, 3) is, over the
    distance to which a beard thins there, at most 1; above the nose's tip, where none grows, ever
    more than 1."""
    points = np.asarray(points, np.float64)
    left = points[topology.FACE_LEFT] - points[topology.FACE_RIGHT]
    width = max(float(np.linalg.norm(left)), 1e-6)
    down = points[topology.CHIN] - points[topology.FOREHEAD]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    from_nose = points - points[topology.NOSE_TIP]
    rim = points[topology.FACE_OVAL]
    away = np.linalg.norm(points[:, None] - rim, axis=2).min(1) / width
    aside = np.abs(from_nose @ left) / width**2
    thins = THINS[0] + (THINS[1] - THINS[0]) * smoothstep(aside / SIDE)
    within = np.minimum(away / thins, (0.5 - aside) / TO_EARS)
    above = np.maximum(-(from_nose @ down) / width, 0)
    return np.clip(within, 0, 1) * (above == 0) + (1 + above / NOSE) * (above > 0)


def grows(rim) -> np.ndarray:
    """(h, w) in [0, 1]: where a beard can grow, by `from_rim`."""
    return 1 - smoothstep(rim - 1)


def hairness(own, skin, beard) -> np.ndarray:
    """(h, w) in [0, 1]: how surely a lightness is that of hair, not of shaded skin; where there is
    a beard (one number, or (h, w) in [0, 1]), more is."""
    least, most = ((1 - beard) * a + beard * b for a, b in zip(HAIR, HAIR_OF_BEARD, strict=True))
    return smoothstep((least - own / np.maximum(skin, 1)) / (least - most))


def hair_on(base, own, skin) -> np.ndarray:
    """Return lightness of hair and the skin between it, once that skin is as light as `base`.

    On a lighter skin than its own, where adding would gray black hair: with the share c of black
    hair in a pixel, own = c hair + (1 - c) skin in linear light. On a darker
    one, where adding would blacken it, and on all: no lighter than in proportion to the skin.
    """
    hair, o, k, b = (((np.maximum(x, 0) + 16) / 116) ** 3
                     for x in (np.minimum(BLACK, own.min(initial=BLACK)), own, skin, base))
    c = np.clip((k - o) / np.maximum(k - hair, 1e-3), 0, 1)
    mixed = 116 * np.cbrt(c * np.minimum(hair, b) + (1 - c) * b) - 16
    in_proportion = base * np.clip(own / np.maximum(skin, 1), 0, 1)
    added = np.maximum(own, base + np.minimum(own - skin, 0))
    return np.where(base > skin, np.minimum(mixed, in_proportion), np.minimum(added, in_proportion))


def bearded(own, skin, known, lips, size: float) -> float:
    """Return in [0, 1] whether much around the lips is hair: too dark for skin, and grayer than it,
    as shade is not. own, skin: (h, w, 3) Lab; known, lips: (h, w) in [0, 1]."""
    k = max(1, round(AROUND_LIPS * size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    around = (cv2.dilate(lips, disc) > 0.5) & (lips < 0.3) & (known > 0.5)
    if around.sum() < 8:
        return 0.0
    chroma, skins = (np.linalg.norm(x[..., 1:], axis=-1) for x in (own, skin))
    hair = (own[..., 0] < HAIR[0] * skin[..., 0]) & (chroma < GRAYER_HAIR * skins)
    return float(smoothstep((hair[around].mean() - BEARD[0]) / (BEARD[1] - BEARD[0])))


def thinned(rim, target, skin, size: float) -> np.ndarray:
    """(h, w) in [0, 1]: share of the source's beard that is left out toward the rim.

    rim: (h, w), `from_rim`. target, skin: (h, w), lightness of the target and of its skin: where it
    has a beard itself, that goes on beyond the rim.
    """
    goes_on = blur(hairness(target, skin, 1.0).astype(np.float32), NEAR * size)
    goes_on = smoothstep((goes_on - GOES_ON[0]) / (GOES_ON[1] - GOES_ON[0]))
    return (1 - smoothstep(rim)) * (1 - goes_on)
