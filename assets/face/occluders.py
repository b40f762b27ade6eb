"""Things drawn in front of faces, with the exact truth of where they are.

Each `draw_*` takes a picture (H, W, 3) float32 0-255, landmarks (468, 2) pixels and a generator,
paints into the picture and returns (H, W) float32 in [0, 1], the share of each pixel that is the
thing. What belongs to the face and yet looks odd (beards, folds, make-up, shadows) is in
`bare_faces.py`.
"""

from __future__ import annotations

import cv2
import numpy as np

from idf_helpers.face import topology

KINDS = ("bare", "glasses", "mask", "hair", "object")  # the classes that are told apart
NOSE_BRIDGE, EAR_RIGHT, EAR_LEFT = 168, 127, 356
_MASK_TOP = [234, 227, 116, 117, 118, 101, 36, 198, 197]  # right half, from the ear to the nose
_JAW = [93, 132, 58, 172, 136, 150, 149, 176, 148, 152]


class Axes:
    """A face's own directions in the picture: `at(x, y)` is x face widths to its left and y down
    from a landmark."""

    def __init__(self, xy):
        self.xy = xy
        across = xy[topology.FACE_LEFT] - xy[topology.FACE_RIGHT]
        down = xy[topology.CHIN] - xy[topology.FOREHEAD]
        self.height = float(np.linalg.norm(down))
        self.down = down / max(self.height, 1e-6)
        # A turned face is narrower; things in front of it are not as narrow.
        self.width = max(float(np.linalg.norm(across)), 0.6 * self.height)
        self.across = across / max(float(np.linalg.norm(across)), 1e-6)
        self.angle = float(np.degrees(np.arctan2(self.across[1], self.across[0])))

    def at(self, point, x=0.0, y=0.0):
        p = self.xy[point] if np.isscalar(point) else np.asarray(point, np.float64)
        return p + x * self.width * self.across + y * self.width * self.down


def draw(kind: str, image, xy, rng):
    """Draw one thing of a kind (see `DRAWERS`) into `image`; return where it is and its class."""
    drawer, name = DRAWERS[kind]
    return drawer(image, Axes(xy), rng), KINDS.index(name)


# ------------------------------------------------------------------------------------- painting

def _polygon(shape, points):
    cover = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(cover, [np.round((np.asarray(points) - 0.5) * 16).astype(np.int32)], 255,
                 cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255


def _stroke(shape, points, width, closed=False):
    """A line of any width, in pixels; below one pixel it is paler."""
    cover = np.zeros(shape[:2], np.uint8)
    cv2.polylines(cover, [np.round((np.asarray(points) - 0.5) * 16).astype(np.int32)], closed, 255,
                  max(1, round(width)), cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255 * min(1.0, max(width, 0.45))


def _mix(image, cover, color, opacity=1.0):
    """Lay a color, or a picture (H, W, 3), over the image where `cover` says. In place."""
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    if not len(rows):
        return
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    color = np.asarray(color, np.float32)
    a = (cover[box] * np.float32(opacity)).astype(np.float32)[..., None]
    image[box] += a * ((color[box] if color.ndim == 3 else color) - image[box])


def smooth_noise(shape, rng, sigma):
    """(H, W) float32 noise of standard deviation 1, smooth over `sigma` pixels."""
    h, w = shape[:2]
    cell = max(1.0, sigma)
    small = rng.normal(0, 1, (int(h / cell) + 3, int(w / cell) + 3)).astype(np.float32)
    out = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
    return out / max(float(out.std()), 1e-3)


def _color(rng, dark=0.5, gray=0.5):
    """A random color, 0-255: dark in so many cases, without hue in so many."""
    value = rng.uniform(4, 60) if rng.random() < dark else rng.uniform(40, 250)
    if rng.random() < gray:
        return np.full(3, value) + rng.normal(0, 4, 3)
    hue = rng.uniform(0, 180)
    hsv = np.uint8([[[hue, rng.uniform(60, 230), value]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def _texture(shape, rng, color, contrast=None):
    """(H, W, 3) a surface of about one color: plain, mottled, striped, shaded or checked."""
    h, w = shape[:2]
    out = np.tile(np.asarray(color, np.float32), (h, w, 1))
    kind = rng.integers(6)
    contrast = rng.uniform(5, 45) if contrast is None else contrast
    y, x = np.mgrid[:h, :w].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    if kind == 1:
        out += contrast * smooth_noise(shape, rng, rng.uniform(2, 20))[..., None]
    elif kind == 2:
        out += contrast * np.sin(along / rng.uniform(1.5, 8))[..., None] * rng.uniform(0.3, 1, 3)
    elif kind == 3:
        out += contrast * ((np.floor(x / 6) + np.floor(y / 6)) % 2)[..., None] \
            * rng.uniform(-1, 1, 3)
    if rng.random() < 0.7:  # its own shading
        out *= (1 + rng.uniform(0.05, 0.35) * smooth_noise(shape, rng, rng.uniform(15, 60)))[
            ..., None]
    out += rng.normal(0, rng.uniform(0, 4), (h, w, 1))
    return np.clip(out, 0, 255).astype(np.float32)


def _shade_around(image, cover, rng, reach):
    """The soft shadow that a thing throws onto what lies behind it: no part of the thing."""
    if rng.random() < 0.6:
        moved = np.float32([[1, 0, rng.normal(0, reach / 2)], [0, 1, rng.uniform(0, reach)]])
        shadow = cv2.GaussianBlur(cv2.warpAffine(cover, moved, cover.shape[::-1]), (0, 0),
                                  max(0.6, rng.uniform(0.3, 1) * reach))
        image *= (1 - rng.uniform(0.1, 0.5) * shadow)[..., None]


# --------------------------------------------------------------------------------------- glasses

def _lens(face, side, rng, spec):
    """(N, 2) outline of a lens around an eye; spec: drawn once for both eyes."""
    corners = (33, 133) if side < 0 else (263, 362)
    middle = face.xy[list(corners)].mean(0)
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    power = spec["power"]
    x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    y = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    x = x * (1 + spec["taper"] * y)  # wider above than below, as aviators are
    x, y = x * spec["rx"], y * spec["ry"] + spec["low"] + spec["tilt"] * x * np.sign(-side)
    return face.at(middle, 0, 0) + (np.outer(x + side * spec["out"], face.across)
                                    + np.outer(y, face.down)) * face.width


def _glasses(image, face, rng, dark):
    shape = image.shape
    spec = {"power": rng.choice([1.0, 1.0, 0.75, 0.55, 0.4]), "taper": rng.uniform(-0.22, 0.05),
            "rx": rng.uniform(0.14, 0.20), "ry": rng.uniform(0.085, 0.165) if dark
            else rng.uniform(0.08, 0.14),
            "low": rng.uniform(-0.005, 0.05), "tilt": rng.uniform(-0.12, 0.06),
            "out": rng.uniform(0.0, 0.03)}
    lenses = [_lens(face, side, rng, spec) for side in (-1, 1)]
    width = face.width * rng.choice([0.006, 0.010, 0.016, 0.026, 0.04])
    color = _color(rng, 0.6, 0.6)
    frame = np.zeros(shape[:2], np.float32)
    rimless = not dark and rng.random() < 0.08
    half = not rimless and rng.random() < 0.15  # frames with an upper rim only
    for lens in lenses:
        if half:
            frame = np.maximum(frame, _stroke(shape, lens[24:], width))
        elif not rimless:
            frame = np.maximum(frame, _stroke(shape, lens, width, True))
    inner = [lenses[0][np.argmax(lenses[0] @ face.across)],
             lenses[1][np.argmin(lenses[1] @ face.across)]]
    bow = (inner[0] + inner[1]) / 2 - rng.uniform(0.0, 0.03) * face.width * face.down
    bridge = np.array([inner[0] * (1 - t) ** 2 + 2 * t * (1 - t) * bow + inner[1] * t**2
                       for t in np.linspace(0, 1, 9)]) - rng.uniform(0, 0.04) * face.width \
        * face.down
    frame = np.maximum(frame, _stroke(shape, bridge, max(width * rng.uniform(0.7, 1.2), 1)))
    for lens, ear, side in ((lenses[0], EAR_RIGHT, -1), (lenses[1], EAR_LEFT, 1)):
        start = lens[np.argmax(side * (lens @ face.across) - 0.5 * lens @ face.down)]
        end = face.at(ear, 0.03 * side, -0.02)
        frame = np.maximum(frame, _stroke(shape, [start, end], max(width * 0.9, 1)))
    fill = np.maximum(_polygon(shape, lenses[0]), _polygon(shape, lenses[1]))
    _shade_around(image, np.maximum(frame, fill * (0.5 if dark else 0)), rng, 0.02 * face.width)
    cover = frame
    if dark:
        tint = _color(rng, 0.85, 0.65)
        y = np.mgrid[:shape[0], :shape[1]][0]
        top = min(p[:, 1].min() for p in lenses)
        bottom = max(p[:, 1].max() for p in lenses)
        fade = np.clip((y - top) / max(bottom - top, 1), 0, 1)[..., None]
        lens = np.tile(tint.astype(np.float32), (*shape[:2], 1))
        lens = lens * (1 + rng.uniform(-0.1, 1.2) * fade)  # many are paler below
        if rng.random() < 0.55:  # what they reflect
            lens += rng.uniform(10, 130) * np.clip(
                smooth_noise(shape, rng, rng.uniform(0.02, 0.12) * face.width), 0, 2)[..., None] \
                * rng.uniform(0.6, 1.1, 3)
        if rng.random() < 0.3:
            lens += rng.uniform(30, 160) * (np.sin(y / (0.05 * face.width) + rng.uniform(0, 6))
                                            > rng.uniform(0.3, 0.9))[..., None]
        _mix(image, fill, np.clip(lens, 0, 255).astype(np.float32), rng.uniform(0.78, 1))
        cover = np.maximum(frame, fill)
    elif rng.random() < 0.35:  # glare on clear lenses
        glare = fill * (smooth_noise(shape, rng, 0.05 * face.width) > rng.uniform(1.2, 1.9))
        glare = cv2.GaussianBlur(glare.astype(np.float32), (0, 0), 0.8)
        _mix(image, glare, _color(rng, 0, 0.6) * 0.3 + 170, rng.uniform(0.5, 0.95))
        cover = np.maximum(frame, (glare > 0.4).astype(np.float32))
    elif rng.random() < 0.3:
        image *= 1 - (rng.uniform(0, 0.25) * fill[..., None])  # a little tinted; not in the way
    metal = np.tile(color.astype(np.float32), (*shape[:2], 1))
    if rng.random() < 0.5:
        metal += 50 * smooth_noise(shape, rng, 0.05 * face.width)[..., None]
    _mix(image, frame, np.clip(metal, 0, 255))
    return cover


def draw_sunglasses(image, face, rng):
    return _glasses(image, face, rng, True)


def draw_glasses(image, face, rng):
    return _glasses(image, face, rng, False)


# ------------------------------------------------------------------------------------ face masks

def draw_mask(image, face, rng):
    left = [int(topology.MIRROR[k]) for k in _MASK_TOP[::-1]]
    lift = rng.uniform(-0.04, 0.10)
    top = [face.at(k, 0, lift * (1 if 2 < n < 15 else 0.4))
           for n, k in enumerate(_MASK_TOP + left)]
    jaw = _JAW[1:] + [int(topology.MIRROR[k]) for k in _JAW[1:-1][::-1]]
    chin = face.at(1)
    out = rng.uniform(1.0, 1.12)
    bottom = [chin + (face.xy[k] - chin) * out for k in jaw][::-1]
    if rng.random() < 0.5:  # narrower: cheeks and jaw show
        pull = rng.uniform(0.7, 1.0)
        middle = np.mean(top + bottom, 0)
        top, bottom = ([middle + (p - middle) @ _squeeze(face, pull) for p in ring]
                       for ring in (top, bottom))
    cover = _polygon(image.shape, top + bottom)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.012 * face.width)
    cover = np.clip((cover - 0.5) * 6 + 0.5, 0, 1)
    color = (235, 240, 245) if rng.random() < 0.3 else _color(rng, 0.3, 0.4)
    cloth = _texture(image.shape, rng, color)
    for _ in range(rng.integers(0, 5)):  # folds
        a, b = rng.uniform(-0.35, 0.1), rng.uniform(0.15, 0.45)
        y = rng.uniform(-0.05, 0.35)
        line = [face.at(1, a, y), face.at(1, (a + b) / 2, y + rng.uniform(-0.03, 0.03)),
                face.at(1, b, y)]
        fold = cv2.GaussianBlur(_stroke(image.shape, line, 0.01 * face.width), (0, 0), 0.8)
        cloth *= (1 - rng.uniform(0.05, 0.4) * fold)[..., None]
    _shade_around(image, cover, rng, 0.02 * face.width)
    _mix(image, cover, cloth)
    if rng.random() < 0.7:  # ear loops
        for k, side in ((_MASK_TOP[1], -1), (int(topology.MIRROR[_MASK_TOP[1]]), 1)):
            loop = _stroke(image.shape, [face.xy[k], face.at(k, 0.12 * side, -0.06)],
                           0.012 * face.width)
            _mix(image, loop, np.asarray(color, np.float32))
            cover = np.maximum(cover, loop)
    return cover


def _squeeze(face, factor):
    a = np.outer(face.across, face.across)
    return np.eye(2) + (factor - 1) * a


# ----------------------------------------------------------------------------------------- hands

def _capsule(shape, a, b, ra, rb):
    """A finger: round ends of two radii and what lies between."""
    t = np.linspace(0, 1, 7)
    cover = np.zeros(shape[:2], np.uint8)
    for s in t:
        p = (np.asarray(a) * (1 - s) + np.asarray(b) * s - 0.5) * 16
        cv2.circle(cover, tuple(int(v) for v in np.round(p)), int((ra * (1 - s) + rb * s) * 16),
                   255, -1, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255


def draw_hand(image, face, rng):
    """Fingers and a palm in about the skin's own color, with shaded rims."""
    shape, w = image.shape, face.width
    cheeks = np.concatenate([face.xy[topology.RIGHT_CHEEK], face.xy[topology.LEFT_CHEEK]])
    inside = np.clip(cheeks.astype(int), 0, np.array(shape[1::-1]) - 1)
    skin = np.median(image[inside[:, 1], inside[:, 0]], axis=0)
    skin = np.clip(skin * rng.uniform(0.75, 1.2) * rng.normal(1, 0.03, 3), 8, 250)
    tip = face.at(int(rng.choice([1, 13, 17, 50, 280, 152, 205, 425, 33, 263, 151, 187, 411])),
                  rng.normal(0, 0.06), rng.normal(0, 0.06))
    away = rng.uniform(0, np.pi) if rng.random() < 0.75 else rng.uniform(0, 2 * np.pi)
    along = np.cos(away) * face.across + np.sin(away) * face.down
    beside = np.array([-along[1], along[0]])
    n = int(rng.integers(1, 5))
    r, length = rng.uniform(0.04, 0.065) * w, rng.uniform(0.25, 0.5) * w
    hand = np.zeros(shape[:2], np.float32)
    lines = np.zeros(shape[:2], np.float32)
    spread = rng.uniform(1.7, 2.6)
    for k in range(n):
        at = tip + beside * (k - (n - 1) / 2) * spread * r \
            + along * rng.uniform(0, 0.08) * w + along * abs(k - (n - 1) / 2) * 0.03 * w
        base = tip + along * length + beside * (k - (n - 1) / 2) * 2.0 * r
        finger = _capsule(shape, at, base, r * rng.uniform(0.75, 0.95), r * 1.1)
        lines = np.maximum(lines * (1 - finger), cv2.morphologyEx(
            finger, cv2.MORPH_GRADIENT, np.ones((3, 3))) * (finger > 0.3))
        hand = np.maximum(hand, finger)
        if rng.random() < 0.5:  # a nail
            nail = _capsule(shape, at + along * 0.3 * r, at + along * 0.9 * r, 0.45 * r, 0.5 * r)
            lines = np.maximum(lines, 0.3 * nail)
    palm = _capsule(shape, tip + along * length, tip + along * (length + 0.7 * w), 1.1 * n * r,
                    max(1.1 * n * r, 0.22 * w))
    hand = np.maximum(hand, palm)
    # Round: darker toward the rims.
    depth = cv2.distanceTransform((hand > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    bulge = 1 - rng.uniform(0.1, 0.45) * np.exp(-depth / (0.45 * r))
    surface = np.tile(skin.astype(np.float32), (*shape[:2], 1)) * bulge[..., None]
    surface *= (1 + rng.uniform(0.02, 0.12) * smooth_noise(shape, rng, 0.1 * w))[..., None]
    surface *= (1 - rng.uniform(0.15, 0.5) * cv2.GaussianBlur(lines, (0, 0), 0.7))[..., None]
    surface += rng.normal(0, rng.uniform(0, 4), (*shape[:2], 1))
    _shade_around(image, hand, rng, 0.05 * w)
    _mix(image, hand, np.clip(surface, 0, 255))
    return hand


# ------------------------------------------------------------------------- microphones and others

def draw_microphone(image, face, rng):
    shape, w = image.shape, face.width
    tip = face.at(int(rng.choice([13, 17, 18, 152, 0, 61, 291])), rng.normal(0, 0.06),
                  rng.normal(0.03, 0.05))
    down = rng.normal(np.pi / 2, 0.45)
    along = np.cos(down) * face.across + np.sin(down) * face.down
    r = rng.uniform(0.07, 0.17) * w
    head = _capsule(shape, tip, tip + along * rng.uniform(0, 1.0) * r, r, r * 0.9)
    grip = rng.uniform(0.35, 0.8) * r
    handle = _capsule(shape, tip + along * r, tip + along * 1.2 * w, grip, grip * 0.9)
    cover = np.maximum(head, handle)
    _shade_around(image, cover, rng, 0.05 * w)
    _mix(image, handle, _texture(shape, rng, _color(rng, 0.8, 0.8), rng.uniform(0, 15)))
    foam = _texture(shape, rng, _color(rng, 0.75, 0.7))
    depth = cv2.distanceTransform((head > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    foam *= (1 - rng.uniform(0, 0.5) * np.exp(-depth / (0.5 * r)))[..., None]
    if rng.random() < 0.5:  # a light on it
        x, y = tip - 0.3 * r * along + rng.normal(0, 0.3, 2) * r
        yy, xx = np.mgrid[:shape[0], :shape[1]]
        foam += (rng.uniform(20, 120) * np.exp(-((xx - x)**2 + (yy - y)**2) / (0.3 * r)**2))[
            ..., None]
    _mix(image, head, np.clip(foam, 0, 255))
    return cover


def draw_thing(image, face, rng):
    """A phone, a cup, a leaf, a card: some outline in front of some part of the face."""
    shape, w = image.shape, face.width
    middle = face.at(int(rng.choice([1, 13, 17, 152, 50, 280, 205, 425, 187, 411, 136, 365, 151,
                                     21, 251, 234, 454, 33, 263])),
                     rng.normal(0, 0.12), rng.normal(0, 0.12))
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    if rng.random() < 0.4:
        a, b = rng.uniform(0.06, 0.4) * w, rng.uniform(0.06, 0.4) * w
        power = rng.choice([1.0, 0.3, 0.15])
        x = a * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
        y = b * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    else:
        radius = rng.uniform(0.07, 0.3) * w * (1 + sum(
            rng.normal(0, 0.25 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in (1, 2, 3, 5)))
        x, y = radius * np.cos(t) * rng.uniform(0.5, 1.3), radius * np.sin(t)
    turn = rng.uniform(0, np.pi)
    outline = middle + np.stack([x * np.cos(turn) - y * np.sin(turn),
                                 x * np.sin(turn) + y * np.cos(turn)], 1)
    cover = _polygon(shape, outline)
    _shade_around(image, cover, rng, 0.04 * w)
    _mix(image, cover, _texture(shape, rng, _color(rng, 0.4, 0.4)))
    return cover


# ------------------------------------------------------------------------------------------ hair

def _hair_color(rng):
    base = np.array([(20, 15, 12), (40, 28, 20), (70, 45, 25), (110, 75, 45), (200, 165, 100),
                     (150, 60, 30), (190, 188, 185), (225, 205, 165), (190, 110, 60)][
                         rng.integers(9)], np.float64)
    return np.clip(base * rng.uniform(0.7, 1.25) + rng.normal(0, 5, 3), 4, 245)


def _bezier(a, b, c, n=12):
    t = np.linspace(0, 1, n)[:, None]
    return a * (1 - t)**2 + 2 * t * (1 - t) * b + c * t**2


def draw_strands(image, face, rng):
    """A few locks from the hairline or the side across the face."""
    shape, w = image.shape, face.width
    color = _hair_color(rng)
    cover = np.zeros(shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        side = rng.choice([-1, 1])
        start = face.at(topology.FOREHEAD, side * rng.uniform(0.0, 0.5), rng.uniform(-0.12, 0.05))
        end = face.at(int(rng.choice([4, 50, 280, 187, 411, 61, 291, 33, 263, 132, 361, 6])),
                      rng.normal(0, 0.08), rng.normal(0, 0.08))
        bend = (start + end) / 2 + rng.normal(0, 0.12, 2) * w
        hairs = int(rng.integers(1, 22))
        wide = rng.uniform(0.002, 0.012) * w * np.sqrt(hairs)
        for _ in range(hairs):
            shift = rng.normal(0, wide, 2)
            line = _bezier(start + 2 * shift, bend + shift + rng.normal(0, 0.01, 2) * w,
                           end + rng.normal(0, 0.03, 2) * w + shift * 0.7)
            hair = _stroke(shape, line, rng.uniform(0.004, 0.012) * w)
            shade = np.clip(color * rng.uniform(0.7, 1.35), 0, 255).astype(np.float32)
            _mix(image, hair, shade)
            cover = np.maximum(cover, hair)
    return cover


def draw_fringe(image, face, rng):
    shape, w = image.shape, face.width
    color = _hair_color(rng)
    cover = np.zeros(shape[:2], np.float32)
    depth = rng.uniform(0.1, 0.42)
    lean, part = rng.normal(0, 0.12), rng.uniform(-0.6, 0.6)
    gap = rng.uniform(0, 0.25) if rng.random() < 0.4 else 0
    full = rng.random() < 0.4  # so thick that no skin shows through
    for _ in range(int(rng.integers(250, 600) if full else rng.integers(60, 320))):
        x = rng.uniform(-0.62, 0.62) if full else rng.uniform(-0.55, 0.55)
        if abs(x - part) < gap:
            continue
        start = face.at(topology.FOREHEAD, x, -0.16)
        reach = depth * rng.uniform(0.6, 1.05) + 0.12 * (1 - np.cos(2 * x)) + 0.14
        end = face.at(topology.FOREHEAD, x + lean + rng.normal(0, 0.02), reach - 0.12)
        line = _bezier(start, (start + end) / 2 + rng.normal(0, 0.015, 2) * w, end, 8)
        hair = _stroke(shape, line, rng.uniform(0.005, 0.016) * w)
        _mix(image, hair, np.clip(color * rng.uniform(0.7, 1.35), 0, 255).astype(np.float32))
        cover = np.maximum(cover, hair)
    return cover


def draw_curtain(image, face, rng):
    """Long hair hanging before one or both sides of the face."""
    shape, w = image.shape, face.width
    color = _hair_color(rng)
    cover = np.zeros(shape[:2], np.float32)
    for side in ((-1, 1) if rng.random() < 0.5 else (int(rng.choice([-1, 1])),)):
        inner = rng.uniform(0.18, 0.5)
        for _ in range(int(rng.integers(40, 140))):
            x = rng.uniform(inner, 0.62)
            start = face.at(topology.FOREHEAD, side * rng.uniform(0.02, 0.3), -0.16)
            middle = face.at(1, side * (x + 0.05), -0.2)
            end = face.at(1, side * x, rng.uniform(0.3, 0.8))
            hair = _stroke(shape, _bezier(start, middle, end, 14), rng.uniform(0.006, 0.018) * w)
            _mix(image, hair, np.clip(color * rng.uniform(0.7, 1.35), 0, 255).astype(np.float32))
            cover = np.maximum(cover, hair)
    return cover


DRAWERS = {
    "sunglasses": (draw_sunglasses, "glasses"),
    "glasses": (draw_glasses, "glasses"),
    "mask": (draw_mask, "mask"),
    "microphone": (draw_microphone, "object"),
    "hand": (draw_hand, "object"),
    "thing": (draw_thing, "object"),
    "strands": (draw_strands, "hair"),
    "fringe": (draw_fringe, "hair"),
    "curtain": (draw_curtain, "hair"),
}
