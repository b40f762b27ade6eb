"""What bare faces can look like: beards, folds, spots, make-up, light and shade, bad pictures.

Drawn heads are smooth and evenly lit; photographs are not. None of what is painted here lies in
front of the face, so none of it counts as a thing.
"""

from __future__ import annotations

import cv2
import numpy as np
from occluders import Axes, _mix, _polygon, _stroke, smooth_noise

from idf_helpers.face import topology

_BEARD = [93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361,
          323, 411, 427, 436, 410, 287, 375, 321, 405, 314, 17, 84, 181, 91, 146, 57, 186, 216,
          207, 187]
_MUSTACHE = [61, 186, 92, 165, 167, 164, 393, 391, 322, 410, 291, 270, 269, 267, 0, 37, 39, 40]
_FOLDS = ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432),  # from the nose to the mouth
          (33, 226, 31, 228, 229), (263, 446, 261, 448, 449),  # under the eyes
          (108, 151, 337), (69, 108, 151, 337, 299), (66, 107, 9, 336, 296),  # forehead
          (55, 8, 285), (33, 130, 156), (263, 359, 383), (202, 211, 194, 182), (83, 18, 313))
_UPPER_LIDS = ([33, 246, 161, 160, 159, 158, 157, 173, 133, 190, 56, 28, 27, 29, 30, 247],
               [263, 466, 388, 387, 386, 385, 384, 398, 362, 414, 286, 258, 257, 259, 260, 467])


def paint_bare(image, xy, rng):
    """Change a face as people differ: hair of the beard, skin, make-up. In place."""
    face = Axes(xy)
    w, shape = face.width, image.shape
    if rng.random() < 0.45:
        _beard(image, face, rng)
    if rng.random() < 0.5:
        _brows(image, face, rng)
    if rng.random() < 0.6:  # mottled skin
        for _ in range(2):
            image *= (1 + rng.uniform(0.01, 0.06) * smooth_noise(
                shape, rng, rng.uniform(0.005, 0.06) * w))[..., None]
    if rng.random() < 0.6:
        for fold in _FOLDS:
            if rng.random() < 0.5:
                line = face.xy[list(fold)] + rng.normal(0, 0.01, (len(fold), 2)) * w
                cover = cv2.GaussianBlur(_stroke(shape, line, rng.uniform(0.004, 0.02) * w),
                                         (0, 0), rng.uniform(0.003, 0.02) * w)
                image *= (1 - rng.uniform(0.1, 0.6) * cover)[..., None]
    if rng.random() < 0.35:  # freckles, moles, pimples
        for _ in range(int(rng.integers(1, 60))):
            p = face.at(1, rng.uniform(-0.42, 0.42), rng.uniform(-0.6, 0.5))
            dot = np.zeros(shape[:2], np.uint8)
            cv2.circle(dot, tuple(int(v) for v in p * 16), int(rng.uniform(0.003, 0.013) * w * 16),
                       255, -1, cv2.LINE_AA, 4)
            _mix(image, dot / 255.0, np.array([90, 50, 40]) * rng.uniform(0.5, 1.4),
                 rng.uniform(0.1, 0.7))
    if rng.random() < 0.35:  # lipstick
        lips = np.maximum(_polygon(shape, face.xy[topology.OUTER_LIPS])
                          - _polygon(shape, face.xy[topology.INNER_MOUTH]), 0)
        _mix(image, cv2.GaussianBlur(lips, (0, 0), 0.8),
             np.array([150, 30, 50]) * rng.uniform(0.4, 1.5), rng.uniform(0.2, 0.85))
    if rng.random() < 0.4:  # shadow on the lids, kohl, rings under the eyes
        for ring, eye in zip(_UPPER_LIDS, (topology.RIGHT_EYE, topology.LEFT_EYE), strict=True):
            area = _polygon(shape, face.xy[ring])
            area = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.008, 0.035) * w)
            _mix(image, area, np.array([60, 45, 50]) * rng.uniform(0.3, 1.8),
                 rng.uniform(0.1, 0.75))
            line = _stroke(shape, face.xy[eye], rng.uniform(0.005, 0.014) * w, True)
            _mix(image, line, np.array([20, 15, 15]), rng.uniform(0, 0.8))
    if rng.random() < 0.5:  # deep-set eyes, brows and lids in one shade
        dark, size, lift = rng.uniform(0.1, 0.85), rng.uniform(0.07, 0.17), rng.uniform(-0.02, 0.08)
        wide = rng.uniform(0.8, 1.7)
        y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
        for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
            p = face.xy[ring].mean(0) - lift * w * face.down
            u = ((x - p[0]) * face.across[0] + (y - p[1]) * face.across[1]) / (wide * size * w)
            v = ((x - p[0]) * face.down[0] + (y - p[1]) * face.down[1]) / (size * w)
            spot = np.exp(-(u * u + v * v) ** rng.uniform(0.7, 1.6))
            image *= (1 - dark * rng.uniform(0.8, 1) * spot)[..., None]
    if rng.random() < 0.3:  # blush, rosacea, a burn from the sun
        y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
        for k in (50, 280, 4, 205, 425)[:int(rng.integers(2, 6))]:
            p, a = face.at(k, *rng.normal(0, 0.03, 2)), rng.uniform(0.06, 0.16) * w
            spot = np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / a**2)
            _mix(image, spot, np.array([190, 90, 80]) * rng.uniform(0.5, 1.1),
                 rng.uniform(0.05, 0.45))
    if rng.random() < 0.3:  # an open mouth: dark, or teeth
        inner = cv2.GaussianBlur(_polygon(shape, face.xy[topology.INNER_MOUTH]), (0, 0), 0.7)
        _mix(image, inner, np.array([225, 218, 205]) * rng.uniform(0.2, 1.1), 0.9)


def _beard(image, face, rng):
    w, shape = face.width, image.shape
    color = np.array([(25, 20, 18), (45, 32, 24), (80, 55, 35), (120, 85, 55), (150, 150, 150),
                      (205, 203, 200)][rng.integers(6)], np.float64)
    area = np.zeros(shape[:2], np.float32)
    if rng.random() < 0.75:
        ring = face.xy[_BEARD]
        if rng.random() < 0.35:  # on the chin alone
            middle = face.xy[152]
            ring = middle + (ring - middle) * rng.uniform(0.35, 0.7)
        area = np.maximum(area, _polygon(shape, ring))
    if rng.random() < 0.8:
        area = np.maximum(area, _polygon(shape, face.xy[_MUSTACHE]))
    area = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.006, 0.05) * w)
    lips = cv2.GaussianBlur(_polygon(shape, face.xy[topology.OUTER_LIPS]), (0, 0), 0.01 * w)
    area *= 1 - lips
    opacity = rng.uniform(0.15, 0.95)
    grain = np.clip(1 + rng.uniform(0.1, 0.6) * smooth_noise(shape, rng,
                                                             rng.uniform(0.004, 0.012) * w), 0, 2)
    _mix(image, np.clip(area * grain, 0, 1), color.astype(np.float32), opacity)
    where = np.argwhere(area > 0.5)
    if len(where) and rng.random() < 0.8:
        length = rng.uniform(0.008, 0.05) * w
        for y, x in where[rng.integers(len(where), size=int(rng.uniform(50, 350)))]:
            end = np.array([x, y]) + face.down * length + rng.normal(0, 0.5, 2) * length
            line = _stroke(shape, [(x, y), end], 0.006 * w)
            box = _around((x, y), end, shape)
            _mix(image[box], line[box], color * rng.uniform(0.5, 1.6), rng.uniform(0.2, 0.8))


def _around(a, b, shape):
    low = np.maximum(np.minimum(a, b).astype(int) - 3, 0)
    high = np.minimum(np.maximum(a, b).astype(int) + 4, shape[1::-1])
    return slice(low[1], high[1]), slice(low[0], high[0])


def _brows(image, face, rng):
    color = np.array([(20, 16, 14), (45, 32, 24), (90, 65, 45), (150, 120, 90)][rng.integers(4)])
    grow = rng.uniform(0.6, 1.5)
    for brow in (topology.RIGHT_BROW, topology.LEFT_BROW):
        ring = face.xy[brow]
        ring = ring.mean(0) + (ring - ring.mean(0)) * (1, grow)
        area = cv2.GaussianBlur(_polygon(image.shape, ring), (0, 0), 0.008 * face.width)
        _mix(image, area, color * 1.0, rng.uniform(0.2, 0.95))
    if rng.random() < 0.1:  # grown together
        area = cv2.GaussianBlur(_stroke(image.shape, face.xy[[107, 9, 336]], 0.03 * face.width),
                                (0, 0), 0.012 * face.width)
        _mix(image, area, color * 1.0, rng.uniform(0.1, 0.6))


def light(image, xy, rng):
    """Light from a side, shadows with soft and with hard borders, shine. In place."""
    face = Axes(xy)
    w, shape = face.width, image.shape
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
    at = np.stack([x, y], -1) - face.xy[1]
    if rng.random() < 0.55:
        turn = rng.uniform(0, 2 * np.pi)
        along = (at @ face.across * np.cos(turn) + at @ face.down * np.sin(turn)) / w
        steep = rng.uniform(1, 14)
        amount = rng.uniform(0.1, 1.5)
        field = 1 / (1 + np.exp(-steep * (along - rng.uniform(-0.3, 0.3))))
        tint = 1 + rng.uniform(-0.15, 0.15, 3) * (rng.random() < 0.4)
        image *= np.exp(-amount * field[..., None] * tint)
    if rng.random() < 0.3:  # the shadow of a hat, of the nose, of a hand outside the picture
        middle = face.at(int(rng.choice([10, 151, 9, 50, 280, 205, 425, 152, 17, 2])))
        t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radius = rng.uniform(0.05, 0.45) * w * (1 + sum(
            rng.normal(0, 0.3 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in (1, 2, 3)))
        area = _polygon(shape, middle + np.stack([radius * np.cos(t), radius * np.sin(t)], 1))
        area = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.008, 0.06) * w)
        image *= np.exp(-rng.uniform(0.2, 1.0) * area)[..., None]
    if rng.random() < 0.35:  # sun through a window, through leaves
        for _ in range(int(rng.integers(1, 4))):
            middle = face.at(int(rng.choice([10, 151, 50, 280, 205, 425, 152, 117, 346, 4])),
                             *rng.normal(0, 0.1, 2))
            t = np.linspace(0, 2 * np.pi, 30, endpoint=False)
            radius = rng.uniform(0.04, 0.25) * w * (1 + sum(
                rng.normal(0, 0.3 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in (1, 2, 3)))
            area = _polygon(shape, middle + np.stack([radius * np.cos(t), radius * np.sin(t)], 1))
            area = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.006, 0.04) * w)
            image *= np.exp(rng.uniform(0.15, 0.7) * area)[..., None]
    if rng.random() < 0.35:  # shine
        for point in rng.choice([4, 6, 151, 9, 50, 280, 117, 346, 199, 10, 108, 337], 4):
            p = face.at(int(point), *rng.normal(0, 0.03, 2))
            a, b = rng.uniform(0.015, 0.09, 2) * w
            spot = np.exp(-((x - p[0]) / a)**2 - ((y - p[1]) / b)**2)
            image += (255 - image) * (rng.uniform(0, 0.75) * spot)[..., None]
    image *= (1 + rng.uniform(0, 0.15) * smooth_noise(shape, rng, 0.3 * w))[..., None]


def take_picture(image, rng):
    """(H, W, 3) uint8: exposure, white balance, noise, blur, size and JPEG of some camera."""
    image = np.clip(image, 0, 255)
    image = 255 * (image / 255) ** rng.uniform(0.65, 1.5)
    image = (image - 128) * rng.uniform(0.7, 1.35) + 128 + rng.normal(0, 12)
    if rng.random() < 0.5:
        image = image * rng.uniform(0.75, 1.2, 3)
    gray = image.mean(-1, keepdims=True)
    kind = rng.random()
    if kind < 0.12:
        image = np.repeat(gray, 3, -1) * (1 if kind < 0.09 else rng.uniform(0.85, 1.1, 3))
    else:
        image = gray + (image - gray) * rng.uniform(0.4, 1.5)
    if rng.random() < 0.12:
        image = image * rng.uniform(0.25, 0.7)  # a dark room
    h, w = image.shape[:2]
    image = np.clip(image, 0, 255).astype(np.float32)
    if rng.random() < 0.5:
        scale = rng.uniform(0.3, 1.0)
        image = cv2.resize(image, (max(16, int(w * scale)), max(16, int(h * scale))),
                           interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        image = image + rng.normal(0, rng.uniform(1, 14) * (rng.random() < 0.8) + 1,
                                   image.shape[:2] + ((3,) if rng.random() < 0.5 else (1,)))
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        ok, data = cv2.imencode(".jpg", image[..., ::-1],
                                [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 95))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    if image.shape[:2] != (h, w):
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image)
