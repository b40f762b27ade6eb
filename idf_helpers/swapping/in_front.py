"""What stands before a face, placed in its picture, kept in a swap, and told in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..face import topology
from ..face.color import smoothstep
from ..face.flat import SIZE, flat_face, unflatten
from ..face.landmarks import FaceLandmarks
from .occluders import WORDS, Hidden, look
from .result import SwapResult

RIM = 1  # flat pixels by which a thing is widened, so that its own rim stays with it
SOFT = 0.7  # flat pixels, softness of its border
NEAR = 0.12  # of the face's height: how far around it the face keeps the target's shape


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What stands before one face.

    mask: (H, W) float32 in [0, 1], 1 where something hides the face, 0 off the face. kinds: what
    it is, of `KINDS`, largest first; () where nothing is. flat: (SIZE, SIZE) bool, the same on the
    flat face, before widening.
    """

    mask: np.ndarray
    kinds: tuple[str, ...]
    flat: np.ndarray

    def near(self, face: FaceLandmarks) -> np.ndarray:
        """Return (468,) float32 in [0, 1]: 1 at landmarks on or close to it, fading out over
        `NEAR` of the face's height."""
        if not self.kinds:
            return np.zeros(topology.POINTS, np.float32)
        away = cv2.distanceTransform((~self.flat).astype(np.uint8), cv2.DIST_L2, 5)
        xy = np.clip(flat_face().xy[:topology.POINTS].astype(int), 0, SIZE - 1)
        return 1 - smoothstep((away[xy[:, 1], xy[:, 0]] / SIZE - 0.03) / NEAR)

    def laid_over(self, swapped: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Return a swapped picture with what stands before the face as `image` has it.

        Both (H, W, 3|4) uint8; where the mask is 1 the bytes are those of `image`.
        """
        if not self.kinds:
            return swapped
        share = self.mask[..., None]
        mixed = swapped + share * (image.astype(np.float32) - swapped)
        return np.where(share > 0, np.rint(mixed).astype(np.uint8), swapped)


def kept(result: SwapResult, before: Occlusion, image: np.ndarray) -> SwapResult:
    """Return the result of a swap of `image` with what stands before the face as it was."""
    if result.status != "swapped" or not before.kinds:
        return result
    return replace(result, image=before.laid_over(result.image, image),
                   mask=result.mask * (1 - before.mask), in_front=before.kinds)


def describe(rows: Sequence[Sequence[str]]) -> str:
    """Return a sentence that says what was left before the faces, "" for nothing.

    rows: for each frame what stands before its face, of `KINDS`.
    """
    counts = Counter(kind for row in rows for kind in row)
    if not counts:
        return ""
    of = "" if len(rows) == 1 else f" of {len(rows)} frames"
    told = [WORDS[kind] + (f" in {n}{of}" if of else "") for kind, n in counts.most_common()]
    return "before the target's face, left as it is: " + ", ".join(told)


def in_front(image: np.ndarray, face: FaceLandmarks, origin=(0, 0)) -> Occlusion:
    """Find what lies before a face: glasses, a mask, hair, a microphone, a hand.

    image: (H, W, 3) uint8 RGB; face: its landmarks in pixels; origin: (x, y) of the image's first
    pixel in the landmarks' picture. Brows, lashes, lips, beard, folds, shadows and teeth belong to
    the face. Hands of the face's own color are found by their outline only, and not all are.
    """
    shifted = face.in_part(origin)
    return placed(look(image, shifted), shifted, *image.shape[:2])


def placed(hidden: Hidden, face: FaceLandmarks, height: int, width: int) -> Occlusion:
    """Return what is hidden of the flat face where the face lies in a (height, width) picture."""
    if not hidden.kinds:
        return Occlusion(np.zeros((height, width), np.float32), (), hidden.flat)
    # A flat pixel is several of a large picture's: the rim is that of the flat one.
    wide = cv2.dilate(hidden.flat.astype(np.float32), np.ones((2 * RIM + 1,) * 2, np.uint8))
    wide = cv2.GaussianBlur(wide, (0, 0), SOFT)
    mask = np.zeros((height, width), np.float32)
    low = np.clip(np.floor(face.box[:2]).astype(int) - 1, 0, (width, height))
    high = np.clip(np.ceil(face.box[2:]).astype(int) + 1, 0, (width, height))
    if (high > low).all():
        part = unflatten(wide, face, high[1] - low[1], high[0] - low[0], low)
        # Solid inside, soft only beyond the thing's own border.
        mask[low[1]:high[1], low[0]:high[0]] = smoothstep(part / np.float32(0.6))
    return Occlusion(mask, hidden.kinds, hidden.flat)
