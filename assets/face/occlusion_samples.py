"""Samples for the occlusion network: flat faces with things drawn in front of them.

A base is (picture (H, W, 3) uint8, landmarks (468, 3)) of a bare face; a sample is the flat picture
(SIZE, SIZE, 3) uint8, how it is seen (SIZE, SIZE) uint8 0-255, and its classes (SIZE, SIZE) uint8,
numbers into `occluders.KINDS`.
"""

from __future__ import annotations

import bare_faces
import cv2
import numpy as np
import occluders
from heads import DrawnHeads, camera_at, draw_look

from idf_helpers.data import media
from idf_helpers.data import samples as samples_of_head
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.flat import SIZE, flatten
from idf_helpers.face.landmarks import FaceLandmarks

FACE = 150  # px, height of a face that things are drawn onto
VIEWS = 2  # of each head
# How often each thing is drawn; the rest of the faces stay bare.
SHARES = {"sunglasses": 0.11, "glasses": 0.17, "mask": 0.07, "microphone": 0.08, "hand": 0.10,
          "thing": 0.06, "strands": 0.08, "fringe": 0.08, "curtain": 0.03}


def drawn_bases(heads: DrawnHeads, count: int, seed: int = 0, report=print):
    """Bare drawn heads: identities, expressions, views and lights from the seed."""
    detector, out = LandmarkDetector(), []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        neutral = heads.identity(10_000 + k)
        weights: dict[str, float] = {}
        for names, chance in ((("mouthSmile_L", "mouthSmile_R", "cheekSquint_L", "cheekSquint_R"),
                               0.5), (("jawOpen",), 0.4), (("eyeBlink_L", "eyeBlink_R"), 0.3),
                              (("browInnerUp",), 0.3), (("browDown_L", "browDown_R"), 0.3)):
            if rng.random() < chance:
                amount = float(rng.uniform(0, 0.9))
                weights |= {n: amount for n in names if n in heads.pack.expression_names}
        vertices = heads.expressed(neutral, weights)
        for _ in range(VIEWS):
            camera = camera_at(rng.normal(0, 20), rng.normal(0, 8), 272)
            picture = heads.draw(vertices, camera, draw_look(10_000 + k))
            found = detector.detect(picture)
            if found:
                out.append((picture, found[0].points))
        if k % 50 == 49:
            report(f"{k + 1} of {count} heads drawn")
    return out


def sample_bases(every: int = 2):
    """Bare heads of the bundled samples, over backgrounds of one color."""
    detector, rng, out = LandmarkDetector(), np.random.default_rng(0), []
    for path in sorted(samples_of_head.root().rglob("*.png"))[::every]:
        image = media.read_image(path)
        if image.shape[2] == 4:
            image = media.to_uint8(media.over(image, tuple(rng.uniform(0.2, 0.9, 3))))
        found = detector.detect(image)
        if found and found[0].size > 90:
            out.append((image, found[0].points))
    return out


def sample(base, seed, painted: bool = True):
    """Return one sample of a base. painted: change the bare face too (`paint_bare`)."""
    rng = np.random.default_rng(seed)
    picture, points = base
    s = FACE / np.ptp(points[:, 1])
    image = cv2.resize(picture, None, fx=s, fy=s,
                       interpolation=cv2.INTER_AREA if s < 1 else cv2.INTER_CUBIC)
    points = points[:468] * np.float32(s)
    image = image.astype(np.float32)
    if painted:
        bare_faces.paint_bare(image, points[:, :2], rng)
    before = rng.random() < 0.35
    if before:
        bare_faces.light(image, points[:, :2], rng)
    classes = np.zeros(image.shape[:2], np.uint8)
    names = list(SHARES)
    chances = np.array([*SHARES.values(), 1 - sum(SHARES.values())])
    for _ in range(1 if rng.random() < 0.85 else 2):
        k = rng.choice(len(chances), p=chances)
        if k < len(names):
            cover, number = occluders.draw(names[k], image, points[:, :2], rng)
            classes[cover > 0.35] = number
    if not before:
        bare_faces.light(image, points[:, :2], rng)
    image = bare_faces.take_picture(image, rng)
    # Landmarks are never quite right, less so where something hides the face.
    center = points.mean(0)
    turn, size = rng.normal(0, 0.02), 1 + rng.normal(0, 0.012)
    c, q = np.cos(turn) * size, np.sin(turn) * size
    points = (points - center) @ np.array([[c, q, 0], [-q, c, 0], [0, 0, size]]) + center \
        + [*rng.normal(0, 0.006 * FACE, 2), 0]
    face = FaceLandmarks(points.astype(np.float32), 1.0, 1.0)
    flat, seen = flatten(image, face)
    # Classes have no averages: one weight each, the greatest wins.
    things = (classes[..., None] == np.arange(1, len(occluders.KINDS))).astype(np.float32)
    things = flatten(things, face)[0]
    parts = [1 - things.sum(-1), *things.transpose(2, 0, 1)]
    return (flat, np.rint(255 * np.clip(seen, 0, 1)).astype(np.uint8),
            np.argmax(parts, axis=0).astype(np.uint8))


def samples(bases, count: int, seed: int = 0, painted: bool = True, report=print):
    """Return `count` samples stacked: (N, SIZE, SIZE, 3), (N, SIZE, SIZE), (N, SIZE, SIZE)."""
    out = (np.empty((count, SIZE, SIZE, 3), np.uint8), np.empty((count, SIZE, SIZE), np.uint8),
           np.empty((count, SIZE, SIZE), np.uint8))
    for n in range(count):
        rng = np.random.default_rng([seed, n, 1])
        for array, value in zip(out, sample(bases[rng.integers(len(bases))], [seed, n, 2],
                                            painted), strict=True):
            array[n] = value
        if n % 500 == 499:
            report(f"{n + 1} of {count} samples")
    return out
