"""What stands before a face in a picture: found whole, placed in the picture, and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from ..face import topology
from ..face.color import fill_rings, smoothstep
from ..face.flat import SIZE, flat_face, unflatten
from ..face.landmarks import FaceLandmarks
from ..face.occlusion import CLASSES, hidden_classes
from .result import SwapResult

# How likely a pixel of the flat face must be hidden to count, and how likely the surest of a thing
# must be for the thing to count: glasses, a mask, hair, an object. Portraits without anything in
# front of the face set these (`benchmarks/occluders.py --bare`).
LIKELY, SUREST = 0.5, (0.9, 0.9, 0.9, 0.97)
MAYBE = 0.3  # the same where other frames of a video are sure
CORE = (30, 6, 6, 12)  # pixels of a thing that must be that sure
PALE = 0.25  # the same for what is thin: glasses on the bridge of the nose
# Pixels of the flat face (of some 11,500) that a thing has at least: of any kind, hair, an object,
# glasses on the bridge of the nose, and beyond lids, brows and bridge (so wide that a bridge too
# thin to be seen is not missed).
SMALLEST, HAIR_LEAST, THING_LEAST, ON_BRIDGE, BEYOND, WIDE = 12, 30, 60, 14, 40, 350
MOUTH_HIDDEN = 0.5  # share of the lips that a face mask hides
GAP = 25  # flat pixels that are closed in a face mask
RIM = 1  # flat pixels by which a thing is widened, so that its own rim stays with it
SOFT = 0.7  # flat pixels, softness of its border
TOLD = 0.004  # share of the face that must be hidden by a kind for it to be told
EYE_HIDDEN = 0.6  # share of an eye's opening that glasses must hide to be sunglasses
# Or the share of a lens that does not look like skin, of one of at least so many flat pixels.
TINTED, LENS = 0.62, 300
WORDS = {"sunglasses": "sunglasses, which hide the eyes", "glasses": "glasses",
         "face mask": "a face mask", "hair": "hair", "object": "a hand or a thing"}
KINDS = tuple(WORDS)
NEAR = 0.12  # of the face's height: how far around it the face keeps the target's shape


@dataclass(frozen=True, eq=False)
class Hidden:
    """What of the flat face (`idf_helpers.face.flat`) is hidden.

    flat: (SIZE, SIZE) bool. kinds: by what, of `KINDS`, largest first; () where nothing is. maybe:
    (SIZE, SIZE) bool, with what is not sure enough to count in a single picture; None = `flat`.
    """

    flat: np.ndarray
    kinds: tuple[str, ...]
    maybe: np.ndarray | None = None


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


def look(image: np.ndarray, face: FaceLandmarks) -> Hidden:
    """Find the same on the flat face."""
    likely = hidden_classes(np.ascontiguousarray(image[..., :3]), face)
    sure, maybe = _whole(*likely), _whole(*likely, MAYBE, (MAYBE,) * 4)
    return replace(sure, maybe=maybe.flat | sure.flat)


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


def _whole(likely: np.ndarray, seen: np.ndarray, least: float = LIKELY,
           surest: Sequence[float] = SUREST) -> Hidden:
    """Return whole things, without what cannot be one. least, surest: see LIKELY."""
    visible = seen > 0.1
    hidden = (1 - likely[0]) * visible
    found = hidden > least
    kind = np.where(found, likely[1:].argmax(0) + 1, 0)
    sure = [(kind == k + 1) & (hidden > core) for k, core in enumerate(surest)]
    glasses, mask, hair, thing = (kind == k for k in range(1, len(CLASSES)))
    # They rest on the nose and reach beyond lids and brows; else it is a dark eye.
    beyond = (glasses & ~_eye_areas()).sum()
    if (_bridge() & (hidden > PALE)).sum() < ON_BRIDGE and beyond < WIDE or beyond < BEYOND:
        glasses = np.zeros_like(glasses)
    glasses = _parts(glasses, SMALLEST) if sure[0].sum() > CORE[0] else np.zeros_like(glasses)
    lenses = _lenses(found, glasses)
    glasses |= lenses
    if (mask[_mouth()].mean() if visible[_mouth()].any() else 0) < MOUTH_HIDDEN:
        mask = np.zeros_like(mask)
    mask = _cloth(_parts(mask, SMALLEST)) & visible if sure[1].sum() > CORE[1] \
        else np.zeros_like(mask)
    # Hair comes from outside the face.
    hair = _parts(hair, HAIR_LEAST, hair & _border()) & _parts(hair, HAIR_LEAST, sure[2], CORE[2])
    thing = _parts(thing, THING_LEAST, sure[3], CORE[3])
    area = max(int(visible.sum()), 1)
    shares = {"sunglasses" if lenses.any() else "glasses": glasses.sum() / area,
              "face mask": mask.sum() / area, "hair": hair.sum() / area,
              "object": thing.sum() / area}
    kinds = tuple(sorted((k for k, share in shares.items() if share > TOLD),
                         key=lambda k: -shares[k]))
    if not kinds:
        return Hidden(np.zeros((SIZE, SIZE), bool), ())
    # Pixels of one kind in the midst of another belong to it.
    whole = _parts(found, SMALLEST, glasses | mask | hair | thing) | lenses | mask
    return Hidden(whole, kinds)


def _parts(area: np.ndarray, least: int, core: np.ndarray | None = None, most: int = 0
           ) -> np.ndarray:
    """(SIZE, SIZE) bool: connected parts of at least so many pixels, of which more than `most` lie
    in `core`."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    if core is not None:
        keep &= np.bincount(labels[core & area], minlength=len(keep)) > most
    keep[0] = False
    return keep[labels]


def _cloth(mask: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) bool: a face mask without gaps, whatever is printed on it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    wide = cv2.copyMakeBorder(mask.astype(np.uint8), GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT)
    return cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[GAP:-GAP, GAP:-GAP] > 0


def _lenses(found: np.ndarray, glasses: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) bool: dark and tinted lenses, each filled to its convex outline so that what
    they reflect, or let through, stays too; nothing behind clear ones."""
    out = np.zeros(found.shape, np.uint8)
    for eye, around in zip(_eyes(), _eye_surroundings(), strict=True):
        points = np.argwhere(glasses & around)[:, ::-1]
        if len(points) < 3:
            continue
        lens = np.zeros(found.shape, np.uint8)
        cv2.fillConvexPoly(lens, cv2.convexHull(points.astype(np.int32)), 1)
        dark = found[eye].mean() > EYE_HIDDEN and glasses[eye].mean() > 0.5 * EYE_HIDDEN
        tinted = len(points) > TINTED * lens.sum() and lens.sum() > LENS
        if dark or tinted:
            out |= lens
    return out > 0


@cache
def _eyes():
    xy = flat_face().xy
    return tuple(fill_rings([xy[ring]], SIZE, SIZE) > 0.5
                 for ring in (topology.RIGHT_EYE, topology.LEFT_EYE))


@cache
def _eye_surroundings():
    """Return where a lens may lie: within 0.22 of the face's height of an eye, on its side."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    out = []
    for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
        middle = flat_face().xy[ring].mean(0)
        side = (x - SIZE / 2) * np.sign(middle[0] - SIZE / 2) > 2
        out.append(side & (np.hypot(x - middle[0], y - middle[1]) < 0.22 * SIZE))
    return tuple(out)


@cache
def _bridge():
    """Return where glasses rest on the nose, between the eyes."""
    xy = flat_face().xy
    ring = xy[[193, 168, 417, 465, 412, 399, 196, 3, 174, 188, 245]] * (1, 1)
    return cv2.dilate(fill_rings([ring], SIZE, SIZE), np.ones((5, 3), np.uint8)) > 0.5


@cache
def _eye_areas():
    """Return eyes, brows, what lies between them, and the bridge of the nose."""
    xy, out = flat_face().xy, _bridge().astype(np.uint8)
    for rings in ((topology.RIGHT_EYE, topology.RIGHT_BROW), (topology.LEFT_EYE,
                                                              topology.LEFT_BROW)):
        hull = cv2.convexHull(np.rint(xy[np.concatenate(rings)]).astype(np.int32))
        cv2.fillConvexPoly(out, hull, 1)
    return cv2.dilate(out, np.ones((5, 5), np.uint8)) > 0


@cache
def _mouth():
    return fill_rings([flat_face().xy[topology.OUTER_LIPS]], SIZE, SIZE) > 0.5


@cache
def _border():
    """Return the outermost 4 % of the face."""
    inside = flat_face().inside.astype(np.uint8)
    return (cv2.erode(inside, np.ones((11, 11), np.uint8), borderValue=0) == 0) & (inside > 0)
