"""A textured room with furniture and a person's shoulders, cast ray by ray for `capture_clips.py`.

Unit of length: that of the bundled heads (about 13 cm); z up, the person sits at the origin and
looks to -y. Every row of a picture has its own camera, so that the shutter may roll.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np

SIDE = 1536  # pixels of a texture
WALLS = 6
ROOM = np.array([[-15.0, -17.0, -9.5], [16.0, 14.0, 10.0]])
# Low and high corner, texture: shelf, cabinet, table, lamp, box, armchair, and a wardrobe.
BOXES = np.array([[-9, 11, -9.5, -3, 14, 4], [6, 8, -9.5, 12, 12, -2], [-14, -3, -9.5, -9, 4, -4],
                  [9, -6, -9.5, 10, -5, 5], [4, -13, -9.5, 7, -10, -5],
                  [-10, -14, -9.5, -5, -9, -3], [13, -12, -9.5, 16, -6, 3]], float)
# The person below the neck: an ellipsoid, its center and half axes.
TORSO = np.array([[0.0, 0.12, -1.93], [1.55, 0.78, 1.1]])
SHIRT = WALLS + len(BOXES)


def _grain(rng, octaves=(8, 32, 128, 512), fall=0.6) -> np.ndarray:
    """Returns (SIDE, SIDE) float32 noise of several sizes, standard deviation about 1."""
    out, weight = np.zeros((SIDE, SIDE), np.float32), 1.0
    for n in octaves:
        out += weight * cv2.resize(rng.standard_normal((n, n)).astype(np.float32), (SIDE, SIDE),
                                   interpolation=cv2.INTER_CUBIC)
        weight *= fall
    return out


def _decorated(rng, color, strength: float, pictures: int) -> np.ndarray:
    """Returns a (SIDE, SIDE, 3) float32 texture, 0 to 255: paint with stains, and posters."""
    out = np.array(color, np.float32) + strength * _grain(rng)[..., None]
    for _ in range(pictures):
        w, h = rng.integers(90, 340, 2)
        x, y = rng.integers(0, SIDE - 340, 2)
        sheet = np.empty((h, w, 3), np.uint8)
        sheet[:] = rng.uniform(30, 240, 3)
        for _ in range(int(rng.integers(10, 60))):
            ink, kind = tuple(rng.uniform(0, 255, 3)), rng.integers(3)
            a = rng.integers(0, (w, h))
            if kind == 0:
                cv2.circle(sheet, tuple(map(int, a)), int(rng.integers(2, 40)), ink, -1, 16)
            elif kind == 1:
                cv2.line(sheet, tuple(map(int, a)), tuple(map(int, rng.integers(0, (w, h)))), ink,
                         int(rng.integers(1, 8)), 16)
            else:
                word = "".join(rng.choice(list("ABCDEFGHKMNPRSTXYZ23456789"), 5))
                cv2.putText(sheet, word, tuple(map(int, a)), 0, float(rng.uniform(0.4, 1.5)), ink,
                            int(rng.integers(1, 4)), 16)
        sheet = np.clip(0.5 * sheet + 0.5 * sheet.mean(2, keepdims=True), 0, 255).astype(np.uint8)
        cv2.rectangle(sheet, (0, 0), (int(w) - 1, int(h) - 1), tuple(rng.uniform(0, 90, 3)), 6)
        out[y:y + h, x:x + w] = sheet
    return out


def textures(seed: int = 0, plain: bool = False) -> np.ndarray:
    """Returns (6 + boxes + 1, SIDE, SIDE, 3) uint8: walls x low, x high, y low, y high, floor,
    ceiling, the boxes, the shirt. plain: a room of one gray without anything on it."""
    rng = np.random.default_rng(seed)
    out = np.empty((SHIRT + 1, SIDE, SIDE, 3), np.uint8)
    for k in range(SHIRT):
        wall = k < WALLS
        color = rng.uniform((150, 145, 130), (215, 205, 195)) if wall else (
            rng.uniform(60, 160) + rng.uniform(-30, 30, 3))
        if plain:
            out[k] = np.clip(np.array([168, 170, 172]) + 0.6 * _grain(rng)[..., None], 0, 255)
            continue
        out[k] = np.clip(_decorated(rng, color, 4.0, 14 if wall and k < 4 else 5), 0, 255)
        if k == 4:  # floorboards
            out[k, ::96] //= 2
            out[k, :, ::384] //= 2
    knit = np.sin(np.arange(SIDE) * 0.55)[None] * 5 + np.sin(np.arange(SIDE) * 0.4)[:, None] * 5
    out[SHIRT] = np.clip(np.array([27, 44, 82]) + (knit + 3.0 * _grain(rng))[..., None], 0, 255)
    return out


@numba.njit(cache=True, fastmath=True, nogil=True)
def _sample(texture, u, v, out):
    """Adds the texture's color at u, v in [0, 1) to out (3,), bilinear."""
    n = texture.shape[0]
    x, y = min(max(u, 0.0), 0.9999) * (n - 1), min(max(v, 0.0), 0.9999) * (n - 1)
    i, j = int(x), int(y)
    a, b = x - i, y - j
    for c in range(3):
        out[c] += ((texture[j, i, c] * (1 - a) + texture[j, i + 1, c] * a) * (1 - b)
                   + (texture[j + 1, i, c] * (1 - a) + texture[j + 1, i + 1, c] * a) * b)


@numba.njit(cache=True, fastmath=True, nogil=True)
def cast(origins, turns, actors, rays, jitter, room, boxes, torso, images, out, person):
    """Draws the room and the torso.

    origins (S, H, 3), turns (S, H, 3, 3) camera-to-world, OpenGL axes, and actors (S, H, 3, 3) the
    person's turn to the world, for each sample and row. rays: (H, W, 2) x, y of the direction at
    z = -1. jitter: (S, 2) offsets in the same. images: of `textures`. out: (H, W, 3) float32,
    person: (H, W) float32 share of samples that hit the torso; both are overwritten.
    """
    S, H = origins.shape[:2]
    W = rays.shape[1]
    color = np.zeros(3)
    p, h = np.zeros(3), np.zeros(3)
    shirt = images.shape[0] - 1
    for r in range(H):
        for k in range(W):
            color[:] = 0.0
            hits = 0
            for s in range(S):
                o, R, A = origins[s, r], turns[s, r], actors[s, r]
                x, y = rays[r, k, 0] + jitter[s, 0], rays[r, k, 1] + jitter[s, 1]
                d0 = R[0, 0] * x + R[0, 1] * y - R[0, 2]
                d1 = R[1, 0] * x + R[1, 1] * y - R[1, 2]
                d2 = R[2, 0] * x + R[2, 1] * y - R[2, 2]
                d = (d0, d1, d2)
                # the torso, in the person's frame, scaled to a ball
                a = b = c = 0.0
                for i in range(3):
                    e = (A[0, i] * d0 + A[1, i] * d1 + A[2, i] * d2) / torso[1, i]
                    q = (A[0, i] * o[0] + A[1, i] * o[1] + A[2, i] * o[2] - torso[0, i]
                         ) / torso[1, i]
                    p[i], h[i] = q, e
                    a, b, c = a + e * e, b + q * e, c + q * q
                disc = b * b - a * (c - 1.0)
                if disc > 0:
                    t = (-b - np.sqrt(disc)) / a
                    for i in range(3):
                        p[i] += t * h[i]
                    u = 0.5 + np.arctan2(p[0], -p[1]) / (2 * np.pi)
                    shade = 0.75 + 0.25 * p[2]
                    before = (color[0], color[1], color[2])
                    _sample(images[shirt], u, 0.5 - 0.5 * p[2], color)
                    for i in range(3):
                        color[i] = before[i] + shade * (color[i] - before[i])
                    hits += 1
                    continue
                best, face, which = 1e9, 0, -1
                for i in range(3):  # leaving the room
                    t = ((room[1, i] if d[i] > 0 else room[0, i]) - o[i]) / (
                        d[i] if abs(d[i]) > 1e-9 else 1e-9)
                    if 0 < t < best:
                        best, face, which = t, i, 2 * i + (1 if d[i] > 0 else 0)
                for q in range(boxes.shape[0]):
                    near, far, axis = -1e9, 1e9, 0
                    for i in range(3):
                        e = d[i] if abs(d[i]) > 1e-9 else 1e-9
                        t0, t1 = (boxes[q, i] - o[i]) / e, (boxes[q, 3 + i] - o[i]) / e
                        if t0 > t1:
                            t0, t1 = t1, t0
                        if t0 > near:
                            near, axis = t0, i
                        far = min(far, t1)
                    if 0 < near < far and near < best:
                        best, face, which = near, axis, 6 + q
                i, j = (1, 2) if face == 0 else ((0, 2) if face == 1 else (0, 1))
                u = (o[i] + best * d[i] - room[0, i]) / (room[1, i] - room[0, i])
                v = 1 - (o[j] + best * d[j] - room[0, j]) / (room[1, j] - room[0, j])
                if which >= 6:  # smaller things show a part of their texture at the same scale
                    u, v = (1.7 * u) % 1.0, (1.7 * v) % 1.0
                _sample(images[which], u, v, color)
            for i in range(3):
                out[r, k, i] = color[i] / S
            person[r, k] = hits / S
