"""Glasses taken off a source photo: their rims are filled with the skin around them.

Leaving out of a photo all that glasses touch would leave out the eyes, which say most about who it
is. Lenses are clear: only rims are darker or lighter than what lies around them, and the skin of
the face says what is under them.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..face import topology
from ..face.color import blur, disc, feather, fill_rings, lab_to_rgb, rgb_to_lab
from ..face.landmarks import FaceLandmarks

# Shares of the face's size: how thick a rim can be, and a dark one (a lid's shade is as thick, but
# not as dark); how far around what was found it goes on.
THIN, THICK, AROUND = 0.03, 0.09, 0.02
DARK = 0.55  # of the cheeks' lightness
BEHIND = 0.6  # share of the brows that rims must cover for both to be lost
# Dark rims are nearer to one another's lightness than to the skin's, by this share of the way,
# once hairs (share of the size) are blurred; what lies along one in a brow is lost with it.
LIKE_RIMS, HAIRS, ALONG = 0.2, 0.006, 0.012
GLARE = (0.85, 0.55)  # of the skin's lightness at least, of its chroma at most
# Around eyes (share of the size), where there is shade, a dark rim ends in a step of so many shares
# of the skin's lightness within EDGE, half of its width FRAME away.
SHADE, STEP, EDGE, FRAME = 0.06, 0.3, 0.01, 0.04
CONTRAST = 0.3  # of dark rims' difference from the skin: what differs by less is a lid, a wrinkle
# Levels of lightness, of 100, by which a rim differs from what is around it, and its soft border.
UNLIKE, BORDER = 9.0, 6.0
TRACE, BESIDE = 3.0, 0.03  # of a line that filling leaves, and how far beside what was filled
# Skin from these distances fills a rim, shares of the size; the near counts most.
FROM = (0.012, 0.03, 0.08)
# Unlike the cheeks by more than this in lightness, or a or b, a pixel is not skin.
OTHER_SKIN, NOT_SKIN = (30, 12), (35, 25)
# Around both lenses: brows, temples, upper cheeks, the nose above its wings.
_ABOUT = np.concatenate([topology.LEFT_BROW, topology.RIGHT_BROW,
                         np.array([127, 356, 234, 454, 123, 352, 50, 280, 195])])


def without_glasses(image: np.ndarray, face: FaceLandmarks, found: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo without the rims of glasses, and what of `found` is still hidden.

    image: (H, W, 3) uint8; face: landmarks in its pixels; found: (H, W) float32 in [0, 1], glasses
    (`in_front`). Eyes and lids are never filled. Glare stays hidden, and so do brows that rims
    cover. Returns (H, W, 3) uint8 and (H, W) float32.
    """
    size, shape = face.size, found.shape
    lab = rgb_to_lab(image)
    cheeks = fill_rings([face.xy[r] for r in topology.SKIN_PATCHES], *shape) > 0.5
    near = _grown(found > 0.3, AROUND * size)
    if not cheeks.any():
        return image, found
    like = lab[cheeks & ~near] if (cheeks & ~near).any() else lab[cheeks]
    oval = fill_rings([face.xy[topology.FACE_OVAL]], *shape) > 0.5
    own = _ring(face, shape, topology.LEFT_EYE, 0.022) | _ring(face, shape, topology.RIGHT_EYE,
                                                               0.022)
    L, skin_L = lab[..., 0], float(np.median(like[:, 0]))
    rim = _rims(L, face, near, own, skin_L) & oval
    # Brows are as thick as a rim, and stay but for where one runs through them; both are lost where
    # rims leave little of them.
    brows = _ring(face, shape, topology.LEFT_BROW, 0.004) | _ring(face, shape, topology.RIGHT_BROW,
                                                                  0.004)
    frame = _frame(L, near, own | brows, skin_L, size)[1]
    through = brows & _through(L, frame, skin_L, size)
    lost = brows & (through.sum() > BEHIND * brows.sum())
    # Neither is glare beside it a brow: light, without the skin's color.
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    through |= brows & _grown(through, 3 * ALONG * size) & _grown(
        (L > GLARE[0] * skin_L) & (chroma < GLARE[1] * np.median(chroma[cheeks])), 0.008 * size)
    own |= brows & ~lost & ~through
    lost = _grown(lost, 0.02 * size)
    rim &= ~own
    away = np.abs(lab - np.median(like, axis=0))
    skin = oval & ~_grown(rim, 0.006 * size) & ~own & ~lost & _within(away, OTHER_SKIN)
    rim = _grown(rim, 0.008 * size)
    filled = _filled(lab, rim, skin, size)
    out = lab + feather(rim & ~own, 0.016 * size)[..., None] * (filled - lab)
    nose = _ring(face, shape, topology.NOSTRILS, 0.05)
    traces = _traces(out[..., 0], size) & _grown(rim, BESIDE * size) & oval
    traces &= ~nose
    traces = _grown(traces, 0.006 * size) & ~own
    again = _filled(out, traces, (skin | rim & ~own & ~lost) & ~traces, size)
    soft = feather(traces, 0.01 * size)[..., None]
    share = np.maximum(feather(rim & ~own, 0.016 * size)[..., None], soft) > 0
    out = np.where(share, 255 * lab_to_rgb(out + soft * (again - out)), image)
    # What is neither filled nor like the skin by now (glare) is hidden still.
    away = np.abs(again - np.median(like, axis=0))
    other = ~_within(away, NOT_SKIN) & ~own & (found > 0.3)
    left = np.maximum(found * _grown(other, 0.008 * size), lost)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8), left.astype(np.float32)


def _frame(L, near, own, skin: float, size: float) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool, twice: what may be a dark rim, and what of it lies at a sharp outline."""
    frame = near & (L < DARK * skin)
    soft = blur(L, HAIRS * size)
    step = cv2.dilate(soft, disc(EDGE * size)) - cv2.erode(soft, disc(EDGE * size))
    return frame, frame & ~own & _grown((step > STEP * skin) & ~own, 0.5 * FRAME * size)


def _rims(L: np.ndarray, face: FaceLandmarks, near: np.ndarray, own: np.ndarray, skin: float
          ) -> np.ndarray:
    """(H, W) bool: what differs from its surroundings on both sides, with its soft border."""
    size = face.size

    def unlike(thick: float) -> tuple[np.ndarray, np.ndarray]:
        kernel = disc(0.5 * thick * size)
        return (cv2.morphologyEx(L, cv2.MORPH_BLACKHAT, kernel),
                cv2.morphologyEx(L, cv2.MORPH_TOPHAT, kernel))

    (thin, shine), (thick, _) = unlike(THIN), unlike(THICK)
    frame, sharp = _frame(L, near, own, skin, size)
    # Around an eye there is shade too.
    if sharp.any():
        frame &= sharp & (L < _like(L[sharp], skin)) | ~_grown(own, SHADE * size)
    frame &= thick > UNLIKE
    about = np.zeros(L.shape, np.uint8)
    cv2.fillConvexPoly(about, cv2.convexHull(np.round(face.xy[_ABOUT]).astype(np.int32)), 1)
    least = max(UNLIKE, CONTRAST * (skin - float(np.median(L[frame])))) if frame.any() else UNLIKE
    # Where there are glasses, more of their rims may be about than was found.
    rim = near & (np.maximum(thin, shine) > least) | (about > 0) & (thin > max(1.5 * UNLIKE, least))
    rim |= frame | _grown(frame, 0.018 * size) & (thick > BORDER)
    rim = cv2.morphologyEx(rim.astype(np.uint8), cv2.MORPH_CLOSE, disc(0.01 * size))
    return _grown(rim > 0, 0.008 * size)


def _traces(L: np.ndarray, size: float) -> np.ndarray:
    """(H, W) bool: thin lines, darker or lighter than both of their sides."""
    soft, kernel = blur(L, 0.5 * HAIRS * size), disc(0.5 * THIN * size)
    return np.maximum(cv2.morphologyEx(soft, cv2.MORPH_BLACKHAT, kernel),
                      cv2.morphologyEx(soft, cv2.MORPH_TOPHAT, kernel)) > TRACE


def _through(L: np.ndarray, frame: np.ndarray, skin: float, size: float) -> np.ndarray:
    """(H, W) bool: what is as dark as `frame` (H, W) bool and hangs together with it."""
    if not frame.any():
        return frame
    # Fine parts of a rim are blurred away like hairs, but darker.
    alike = (blur(L, HAIRS * size) < _like(L[frame], skin)) | (L < np.percentile(L[frame], 35))
    count, labels = cv2.connectedComponents((alike | frame).astype(np.uint8))
    touching = np.bincount(labels[frame], minlength=count) > 0
    touching[0] = False
    return _grown(alike & touching[labels], ALONG * size)


def _like(rims: np.ndarray, skin: float) -> float:
    """Return up to which lightness a pixel is like `rims` (N,)."""
    rim = float(np.median(rims))
    return rim + LIKE_RIMS * (skin - rim)


def _filled(lab: np.ndarray, rim: np.ndarray, skin: np.ndarray, size: float) -> np.ndarray:
    """Return Lab with `rim` (H, W) bool replaced by what `skin` shows around it."""
    known = skin.astype(np.float32)
    total, weight = np.zeros_like(lab), np.full(known.shape, 1e-6, np.float32)
    for share in FROM:
        # Kernels of one height each at their center: together they fall off like 1 / distance².
        scale = np.float32((FROM[0] / share) ** 2)
        total += scale * blur(lab * known[..., None], share * size)
        weight += scale * blur(known, share * size)
    return np.where(rim[..., None] & (weight > 1e-4)[..., None], total / weight[..., None], lab)


def _ring(face: FaceLandmarks, shape, ring, grow: float) -> np.ndarray:
    return _grown(fill_rings([face.xy[ring]], *shape) > 0.05, grow * face.size)


def _within(away: np.ndarray, most: tuple[float, float]) -> np.ndarray:
    return (away[..., 0] < most[0]) & (away[..., 1:].max(-1) < most[1])


def _grown(area: np.ndarray, radius: float) -> np.ndarray:
    return cv2.dilate(area.astype(np.uint8), disc(radius)) > 0
