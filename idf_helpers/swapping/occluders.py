"""Which things stand before a face: what the network suspects, judged by what each thing must be.

The network (`idf_helpers.face.occlusion`) looks at pixels, and takes dark eyes in a gray or dark
picture for sunglasses, a mustache for a thing. Glasses rest on the nose and reach past the eyes, a
dark lens ends at a sharp outline, hair and most things come from outside of the face. What is none
of that belongs to the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from ..face import topology
from ..face.color import blur, fill_rings, rgb_to_lab
from ..face.flat import SIZE, flat_face
from ..face.landmarks import FaceLandmarks
from ..face.occlusion import CLASSES, hidden_classes

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
# And of glasses: sure ones past the outer corners of the eyes, or sure ones beyond lids and brows,
# or so many past the corners that no shadow is it. In gray and dark copies of 152 bare portraits
# 36 of 456 pass without these, 6 with them.
PAST_CORNERS, SURE_BEYOND, FAR_PAST = 4, 45, 190
RIDGE = 0.8  # how likely hair must be on the bridge of the nose
FLOATING = 0.25  # sure share of a thing that does not touch the border of the face
MOUTH_HIDDEN = 0.5  # share of the lips that a face mask hides
GAP = 25  # flat pixels that are closed in a face mask
BETWEEN = 9  # and where things of several kinds meet
TOLD = 0.004  # share of the face that must be hidden by a kind for it to be told
EYE_HIDDEN = 0.6  # share of an eye's opening that glasses must hide to be sunglasses
# Or the share of a lens that does not look like skin, of one of at least so many flat pixels.
TINTED, LENS = 0.62, 300
# The relative step of color per flat pixel along half of a lens' outline. Lenses have 0.128
# to 0.7; what is taken for one around a dark eye, in shade or in a gray picture, mostly less.
OUTLINE = 0.125
WORDS = {"sunglasses": "sunglasses, which hide the eyes", "glasses": "glasses",
         "face mask": "a face mask", "hair": "hair", "object": "a hand or a thing"}
KINDS = tuple(WORDS)


@dataclass(frozen=True, eq=False)
class Hidden:
    """What of the flat face (`idf_helpers.face.flat`) is hidden.

    flat: (SIZE, SIZE) bool. kinds: by what, of `KINDS`, largest first; () where nothing is. maybe:
    (SIZE, SIZE) bool, with what is not sure enough to count in a single picture; None = `flat`.
    """

    flat: np.ndarray
    kinds: tuple[str, ...]
    maybe: np.ndarray | None = None


def look(image: np.ndarray, face: FaceLandmarks) -> Hidden:
    """Return what hides a face. image: (H, W, 3|4) uint8; face: landmarks in its pixels."""
    answer = hidden_classes(np.ascontiguousarray(image[..., :3]), face)
    sure, maybe = judged(*answer), judged(*answer, MAYBE, (MAYBE,) * 4)
    return replace(sure, maybe=maybe.flat | sure.flat)


def judged(likely: np.ndarray, seen: np.ndarray, picture: np.ndarray, least: float = LIKELY,
           surest: Sequence[float] = SUREST) -> Hidden:
    """Return whole things, without what cannot be one.

    likely, seen, picture: of `hidden_classes`. least, surest: see `LIKELY`.
    """
    visible = seen > 0.1
    hidden = (1 - likely[0]) * visible
    found = hidden > least
    kind = np.where(found, likely[1:].argmax(0) + 1, 0)
    glasses, mask, hair, thing = (kind == k for k in range(1, len(CLASSES)))
    sure = [part & (hidden > core) for part, core in zip((glasses, mask, hair, thing), surest,
                                                         strict=True)]
    glasses, lenses = _glasses(glasses, hidden, found, sure[0], _steps(picture, visible))
    mask = _mask(mask, visible, sure[1])
    # Hair comes from outside the face; the ridge of a lit nose is taken for it next to a fringe.
    hair &= ~_bridge() | (hidden > RIDGE)
    hair = _parts(hair, HAIR_LEAST, hair & _border()) & _parts(hair, HAIR_LEAST, sure[2], CORE[2])
    thing = _things(thing, sure[3])
    area = max(int(visible.sum()), 1)
    shares = {"sunglasses" if lenses.any() else "glasses": glasses.sum() / area,
              "face mask": mask.sum() / area, "hair": hair.sum() / area,
              "object": thing.sum() / area}
    kinds = tuple(sorted((k for k, share in shares.items() if share > TOLD),
                         key=lambda k: -shares[k]))
    if not kinds:
        return Hidden(np.zeros((SIZE, SIZE), bool), ())
    # Pixels of one kind in the midst of another, and where two meet, belong to them; of a hand or a
    # thing, which look like this and like that, all that hangs together.
    whole = glasses | mask | hair | thing
    whole |= _closed(whole, BETWEEN) & found | _parts(found, SMALLEST, thing)
    return Hidden(_parts(whole, SMALLEST) | lenses | mask, kinds)


def _glasses(glasses, hidden, found, sure, steps) -> tuple[np.ndarray, np.ndarray]:
    """Return glasses, and of those the dark lenses, both (SIZE, SIZE) bool."""
    none = np.zeros_like(glasses)
    # They rest on the nose and reach beyond lids and brows; else it is a dark eye.
    beyond = (glasses & ~_eye_areas()).sum()
    on_nose = (_bridge() & (hidden > PALE)).sum() >= ON_BRIDGE
    past = glasses & _past_corners()
    if not on_nose and beyond < WIDE or beyond < BEYOND or sure.sum() <= CORE[0] \
            or ((sure & past).sum() <= PAST_CORNERS and past.sum() <= FAR_PAST
                and (sure & ~_eye_areas()).sum() <= SURE_BEYOND):
        return none, none
    glasses = _parts(glasses, SMALLEST)
    lenses, wrong = _lenses(found, glasses, steps)
    # Eyes seem hidden, yet no lens ends anywhere: it is their own shade.
    return (none, none) if wrong and not lenses.any() else (glasses | lenses, lenses)


def _mask(mask, visible, sure) -> np.ndarray:
    """Return a face mask without gaps, whatever is printed on it; (SIZE, SIZE) bool."""
    lips = mask[_mouth()].mean() if visible[_mouth()].any() else 0
    if lips < MOUTH_HIDDEN or sure.sum() <= CORE[1]:
        return np.zeros_like(mask)
    return _closed(_parts(mask, SMALLEST), GAP) & visible


def _things(thing, sure) -> np.ndarray:
    """Return hands and things, (SIZE, SIZE) bool. They come from outside the face; what floats in
    it, a mustache mostly, must be sure in a good part."""
    count, labels = cv2.connectedComponents(_parts(thing, THING_LEAST, sure, CORE[3])
                                            .astype(np.uint8), connectivity=8)
    parts = [labels == k for k in range(1, count)]
    return np.logical_or.reduce([p for p in parts if p[_border()].any()
                                 or sure[p].mean() > FLOATING] + [np.zeros_like(thing)])


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


def _closed(area: np.ndarray, gap: int) -> np.ndarray:
    """(SIZE, SIZE) bool: an area without gaps narrower than `gap`."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap))
    wide = cv2.copyMakeBorder(area.astype(np.uint8), gap, gap, gap, gap, cv2.BORDER_CONSTANT)
    return cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[gap:-gap, gap:-gap] > 0


def _lenses(found, glasses, steps) -> tuple[np.ndarray, bool]:
    """Return dark and tinted lenses, (SIZE, SIZE) bool, each filled to its convex outline so that
    what they reflect, or let through, stays too; nothing behind clear ones. And whether an eye
    seems hidden where no lens ends."""
    out, wrong = np.zeros(found.shape, np.uint8), False
    for eye, around in zip(_eyes(), _eye_surroundings(), strict=True):
        points = np.argwhere(glasses & around)[:, ::-1]
        if len(points) < 3:
            continue
        lens = np.zeros(found.shape, np.uint8)
        cv2.fillConvexPoly(lens, cv2.convexHull(points.astype(np.int32)), 1)
        dark = found[eye].mean() > EYE_HIDDEN and glasses[eye].mean() > 0.5 * EYE_HIDDEN
        tinted = len(points) > TINTED * lens.sum() and lens.sum() > LENS
        block = np.ones((3, 3), np.uint8)
        outline = (cv2.dilate(lens, block) > cv2.erode(lens, block)) & np.isfinite(steps)
        ends = outline.sum() < 10 or np.median(steps[outline]) > OUTLINE
        if (dark or tinted) and ends:
            out |= lens
        wrong |= bool(dark and not ends)
    return out > 0, wrong


def _steps(picture: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) float32: change of color per pixel over the lightness there, the most within a
    pixel; NaN at eyes and brows, which have edges of their own, and at the border of the face."""
    lab = blur(rgb_to_lab(picture), 0.8)
    change = [cv2.Sobel(lab, cv2.CV_32F, *axis) / 8 for axis in ((1, 0), (0, 1))]
    steps = np.sqrt(np.square(change).sum((0, 3))) / (lab[..., 0] + 3)
    steps = cv2.dilate(steps, np.ones((3, 3), np.uint8))
    inside = cv2.erode(visible.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    return np.where(inside & ~_eyes_and_brows(), steps, np.float32(np.nan))


@cache
def _eyes():
    xy = flat_face().xy
    return tuple(fill_rings([xy[ring]], SIZE, SIZE) > 0.5
                 for ring in (topology.RIGHT_EYE, topology.LEFT_EYE))


@cache
def _eyes_and_brows():
    xy = flat_face().xy
    rings = [xy[r] for r in (topology.RIGHT_EYE, topology.LEFT_EYE, topology.RIGHT_BROW,
                             topology.LEFT_BROW)]
    return cv2.dilate(fill_rings(rings, SIZE, SIZE), np.ones((3, 3), np.uint8)) > 0.4


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
def _past_corners():
    """Return what lies further out than the outer corners of the eyes by 3 % of the face."""
    x = np.mgrid[:SIZE, :SIZE][1] + 0.5
    return np.abs(x - SIZE / 2) > abs(flat_face().xy[topology.RIGHT_EYE_OUTER, 0] - SIZE / 2) + 4


@cache
def _mouth():
    return fill_rings([flat_face().xy[topology.OUTER_LIPS]], SIZE, SIZE) > 0.5


@cache
def _border():
    """Return the outermost 4 % of the face."""
    inside = flat_face().inside.astype(np.uint8)
    return (cv2.erode(inside, np.ones((11, 11), np.uint8), borderValue=0) == 0) & (inside > 0)
