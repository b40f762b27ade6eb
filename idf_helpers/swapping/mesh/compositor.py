"""A source's face in a target's light, colors and grain: one recipe for pictures and for textures.

Both faces are given aligned, pixel by pixel: in the window of a picture, or in the chart of a head
of which many views are known. What the photographs of people differ in is handled band by band:

    wide (light, tan)       the target's
    middle (features)       the source's, but the target's where folds of another expression or a
                            wild warp would be drawn
    finer than the source   the target's own grain; and no sharper than the target
    chroma                  the target's skin in proportion to lightness, plus as much of the
                            source's own as the target's range allows: nothing is ever amplified, so
                            neither a JPEG's blotches nor a hair's tint can glow
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face.color import blur, masked_blur, skin_field, skin_stats, smoothstep
from . import fine_detail
from .aligned import Aligned
from .beard import bearded, grows, hair_on, hairness, thinned

# Widths of blurs are shares of the face's size.
WIDE = 0.25  # light and tan: of both
CHROMA, CHROMA_SOURCE = 0.12, 0.10  # the target's color of skin; what the source's is compared to
CHROMA_GRAIN = 0.012  # color of the source finer than this is noise
SIDE, SIDE_WEAK = 0.05, 5.0  # light from the side; Lab lightness up to which it is left out
LIGHT = 0.85  # share of the target's light that is taken over
CONTRAST = (0.7, 1.15)  # bounds of the ratio of contrast target/source
GLARE = 2.0  # room for what is brighter than skin, in the target's own 95th percentiles of it
# Variation of skin: its width; the most of it, in 90th percentiles of the target's; the share of
# that from which it is held down.
STAIN, STAIN_MOST, STAIN_FROM = 0.04, 1.0, 0.75
LIPS, LIPS_DARKER = (0.5, 1.0, 1.0), 10.0  # share of the target's lips, Lab; most in lightness
GRAYER = 0.3  # share of the source's paleness that its skin keeps
REFITS = 2  # of the field of the source's skin, without what is found to be hair
BAND, EDGE = 0.10, 0.05  # the band whose detail may be the target's; reach of the border's colors
RING, RING_BLUR = 0.10, 0.05  # where and how smoothly the border's colors are compared
GRAY = 3.0  # chroma up to which a picture is a gray one


def compose(pair: Aligned) -> np.ndarray:
    """Return the source's face as it would look in the target, (h, w, 3) float32 Lab.

    The source itself where neither shows any skin.
    """
    skin = pair.skin
    source_stats, target_stats = skin_stats(pair.source, skin), skin_stats(pair.target, skin)
    if source_stats is None or target_stats is None:
        return pair.source
    bare = skin * source_stats.skinness(pair.source)  # no beard
    face, beard = _relit(pair, skin, bare, source_stats, target_stats)
    beardless = 1 - beard * (1 - source_stats.skinness(pair.source))
    skin = skin * beardless
    face += _border(pair, face, skin, target_stats)
    face = _middle(pair, face)
    face[..., 0] += fine_detail.fine(pair, skin)
    face = fine_detail.as_soft(pair, fine_detail.eyes(pair, face))
    face[..., 0] += fine_detail.grain(pair, face[..., 0], skin)
    face[..., 1:] += fine_detail.chroma_noise(pair, skin)
    return _within_range(pair, fine_detail.of_equal_contrast(pair, face, beardless))


def _relit(pair: Aligned, skin, bare, source_stats, target_stats) -> tuple[np.ndarray, np.ndarray]:
    """Light and color, and where a beard may be, (h, w) in [0, 1]. With fields S, T of both skins,
    d = source - S, g a bounded contrast:

        base = LIGHT T + (1 - LIGHT)(S - mean_s + mean_t)
        L = base + g d (skin), base source / S (hair)
        ab = T_ab L / T_L + c (source_ab - S_ab source_L / S_L),  c <= 1
    """
    size, w, t = pair.size, pair.source, pair.target
    both = skin * source_stats.skinness(w) * target_stats.skinness(t)
    both = (both + 1e-6 * (pair.weight > 0)).astype(np.float32)
    S, T, S_ab, T_ab, beard = _fields(pair, both)
    base = LIGHT * T[..., 0] \
        + (1 - LIGHT) * (S[..., 0] + float(target_stats.mean[0] - source_stats.mean[0]))
    side = _side_light(pair, skin)
    base = base + side[..., 0]
    d = w[..., 0] - S[..., 0]
    sure = both > 0.5
    if sure.sum() < 16:
        sure = both > 0
    own = (t - T)[..., 0][sure]
    d = d - _stains(pair, d, (t - T)[..., 0], bare)
    # Hair, lips and eyes keep their contrast where the target's skin has little.
    gain = float(np.clip(own.std() / max(float(d[sure].std()), 1e-3), *CONTRAST))
    d = d * (gain if gain > 1 else 1 + (gain - 1) * bare)
    room = max(float(np.percentile(own, 95)), 1.0)
    d = np.where(d > 0, _limited(np.maximum(d, 0), room, GLARE * room), d)
    L = base + d
    grown = beard if pair.rim is None else beard * grows(pair.rim)
    hair = hairness(w[..., 0], S[..., 0], grown)
    at = hair > 0
    L[at] += hair[at] * (hair_on(base[at], w[..., 0][at], S[..., 0][at]) - L[at])
    thin = np.zeros_like(L)
    if beard > 0 and pair.rim is not None:
        thin = beard * thinned(pair.rim, t[..., 0], T[..., 0], size)
        L += thin * (base - L)
    L = np.clip(L, 0, 100)
    some = pair.weight > 0.5
    own_ab, d_ab = _chroma_detail(t, T), _chroma_detail(w, S_ab)
    d_ab = masked_blur(d_ab, (pair.weight > 0) + np.float32(1e-3), max(CHROMA_GRAIN * size, 0.6))
    if some.any():
        a, b = (float(np.percentile(np.hypot(*x[some].T), 95)) for x in (own_ab, d_ab))
        share = min(1.0, a / max(b, 0.1))
        d_ab = d_ab * (share + (1 - share) * pair.eyes)[..., None]  # an iris may be of any color
    d_ab = _not_grayer(d_ab, T_ab[..., 1:], bare) * (1 - thin[..., None])
    lips = _lips(pair, np.dstack([L - base, d_ab]), np.dstack([t[..., 0] - T[..., 0], own_ab]))
    L, d_ab = np.clip(L + lips[..., 0], 0, 100), d_ab + lips[..., 1:]
    shade = np.clip(L / np.maximum(T_ab[..., 0], 1), 0, 1.15)[..., None]
    face = np.dstack([L, T_ab[..., 1:] * shade + d_ab + side[..., 1:]]).astype(np.float32)
    return face, grown * (1 - thin)


def _lips(pair: Aligned, mine, own) -> np.ndarray:
    """(h, w, 3) that brings the lips' mean lightness and tint, against the skin, to the target's.

    Lips that are gray on a dark skin or in a gray photo would look dead on another, and paler ones
    than what shows between them when they part would seem to stay closed. mine, own: (h, w, 3),
    both faces against their skin.
    """
    sure = (pair.lips > 0.5) & (pair.weight > 0.5)
    if sure.sum() < 8:
        return np.zeros_like(mine)
    shift = np.float32(LIPS) * (own[sure].mean(0) - mine[sure].mean(0))
    shift[0] = np.clip(shift[0], -LIPS_DARKER, LIPS_DARKER)
    return blur(pair.lips, 0.008 * pair.size)[..., None] * shift


def _not_grayer(d_ab, color, skin) -> np.ndarray:
    """Return chroma details of which skin loses little: shade and glare are gray in a dark or pale
    photo, and would be stains on a skin of more color. Brows, eyes and lips may."""
    hue = color / np.maximum(np.hypot(color[..., :1], color[..., 1:]), 1e-6)
    along = (d_ab * hue).sum(-1, keepdims=True)
    return d_ab - (1 - GRAYER) * skin[..., None] * np.minimum(along, 0) * hue


def _stains(pair: Aligned, d, own, skin) -> np.ndarray:
    """(h, w) what the source's skin varies more, from place to place, than the target's ever does.

    On a skin of another tone that would be blotches: what shades a dark skin is stronger.
    """
    mine, theirs = (masked_blur(x, skin, STAIN * pair.size) for x in (d, own))
    sure = skin > 0.5
    if sure.sum() < 64:
        return np.zeros_like(d)
    most = STAIN_MOST * max(float(np.percentile(np.abs(theirs[sure]), 90)), 1.0)
    known = np.clip(2 * blur(skin, STAIN * pair.size), 0, 1)
    return known * (mine - np.sign(mine) * _limited(np.abs(mine), STAIN_FROM * most, most))


def _limited(x, knee: float, most: float) -> np.ndarray:
    """Return x >= 0 as it is up to a knee, and beyond ever less, below `most`."""
    room = most - knee
    return np.minimum(x, knee) + room * (1 - np.exp(-np.maximum(x - knee, 0) / room))


def _fields(pair: Aligned, both):
    """Smooth colors of both skins, (h, w, 3) each: the source's and the target's for lightness, and
    the same for chroma; and whether the source has a beard, in [0, 1]. Computed on a smaller copy:
    they are wider than its pixels by far."""
    h, w = both.shape
    k = max(1.0, pair.size / 80)
    small = (max(8, round(w / k)), max(8, round(h / k)))
    known = cv2.resize(both, small, interpolation=cv2.INTER_AREA)
    size = pair.size * small[0] / w
    # Averaged over what is known, so that no hair is mixed in.
    source, target = (cv2.resize(x * both[..., None], small, interpolation=cv2.INTER_AREA)
                      / np.maximum(known, 1e-6)[..., None] for x in (pair.source, pair.target))
    # A beard would darken what is taken for the skin beneath it.
    seen, lips = (cv2.resize(x, small, interpolation=cv2.INTER_AREA)
                  for x in (pair.weight * (1 - pair.eyes), pair.lips))
    own = cv2.resize(pair.source, small, interpolation=cv2.INTER_AREA)
    field = skin_field(source, known, WIDE * size)
    beard, bald = bearded(own, field, seen, lips, size), known
    grown = beard
    if pair.rim is not None and beard > 0:
        grown = beard * grows(cv2.resize(pair.rim, small, interpolation=cv2.INTER_AREA))
    for _ in range(REFITS if beard > 0 else 0):
        bald = known * (1 - beard * hairness(own[..., 0], field[..., 0], grown)) + np.float32(1e-6)
        field = skin_field(source, bald, WIDE * size)
    return [cv2.resize(skin_field(x, k, sigma * size), (w, h), interpolation=cv2.INTER_CUBIC)
            for x, k, sigma in ((source, bald, WIDE), (target, known, WIDE),
                                (source, bald, CHROMA_SOURCE), (target, known, CHROMA))] + [beard]


def _side_light(pair: Aligned, skin) -> np.ndarray:
    """(h, w, 3) light from the side that is finer than WIDE, such as the shadow of a nose: what of
    the target is not the same on both sides of the face."""
    if pair.side is None:
        return np.zeros_like(pair.target)
    known = skin * pair.paired  # shade that is too dark for skin is what is wanted
    fine, wide = (masked_blur(pair.side, known, s * pair.size) for s in (SIDE, WIDE))
    light = (fine - wide) * np.clip(3 * blur(known, SIDE * pair.size), 0, 1)[..., None]
    # No face is quite symmetric: weak differences are shape, strong ones are light.
    strong = np.percentile(np.abs(light[..., 0][known > 0.5]), 97) if (known > 0.5).any() else 0.0
    return light * float(smoothstep((strong - SIDE_WEAK) / SIDE_WEAK))


def _chroma_detail(lab, field) -> np.ndarray:
    """(h, w, 2): a, b against those of the skin at the same lightness."""
    shade = np.clip(lab[..., :1] / np.maximum(field[..., :1], 1), 0, 1.1)
    return lab[..., 1:] - field[..., 1:] * shade


def _border(pair: Aligned, face, skin, target_stats) -> np.ndarray:
    """(h, w, 3) what is left over between both along the rim of the face, fading inward."""
    size, mean = pair.size, float(target_stats.mean[0])
    inside = pair.weight > 0
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    lit = smoothstep((pair.target[..., 0] - 0.5 * mean) / (0.3 * max(mean, 1.0)))
    ring = ((distance < RING * size) & inside) * (skin + 1e-6) * lit
    ring = ring.astype(np.float32)
    rest = masked_blur(pair.target - face, ring, RING_BLUR * size)
    share = np.exp(-distance / (EDGE * size)) * np.clip(8 * blur(ring, RING_BLUR * size), 0, 1)
    return rest * share[..., None]


def _middle(pair: Aligned, face) -> np.ndarray:
    """Return the face with the target's middle band where the source's is not trusted."""
    low, target_low = (masked_blur(x, pair.weight, BAND * pair.size) for x in (face, pair.target))
    k = pair.trust[..., None]
    return (low + (face - low) * k + (pair.target - target_low) * (1 - k)).astype(np.float32)


def _within_range(pair: Aligned, face) -> np.ndarray:
    """Return the face, nowhere brighter or more colored than the target's own can be."""
    some = pair.weight > 0.1
    if not some.any():
        return face
    chroma = np.hypot(*pair.target[..., 1:][some].T)
    if chroma.max() < GRAY:
        face[..., 1:] = pair.target[..., 1:]
        return face
    most = 1.1 * float(np.percentile(chroma, 99.5)) + 1.0
    own = np.hypot(face[..., 1], face[..., 2])
    face[..., 1:] *= np.minimum(1, most / np.maximum(own, 1e-6))[..., None]
    face[..., 1:] = _of_the_hues(pair, face[..., 1:], some)
    bright = pair.target[..., 0][some]
    top = float(np.percentile(bright, 98))
    room = max(float(bright.max()) - top, 2.0)
    over = face[..., 0] > top
    face[..., 0][over] = top + room * (1 - np.exp((top - face[..., 0][over]) / room))
    return face


def _of_the_hues(pair: Aligned, ab, some) -> np.ndarray:
    """Return a, b within the target's own hues: along the hue of its skin and across it no further
    than it goes itself. An iris may be of any color."""
    own = pair.target[..., 1:][some]
    hue = np.median(own, axis=0)
    hue = hue / max(float(np.linalg.norm(hue)), 1e-6)
    axes = np.array([hue, [-hue[1], hue[0]]], np.float32)
    low, high = np.percentile(axes @ own.T, (0.5, 99.5), axis=1).astype(np.float32)
    margin = 0.1 * (high - low)
    within = np.clip(ab @ axes.T, low - margin, high + margin) @ axes
    return (within + pair.eyes[..., None] * (ab - within)).astype(np.float32)
