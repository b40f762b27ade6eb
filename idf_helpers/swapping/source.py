"""The source photo of a swap: one face, its landmarks, and where its skin shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..data import media
from ..errors import IdfError
from ..face import topology
from ..face.color import blur, feather, fill_rings, masked_blur, rgb_to_lab, smoothstep
from ..face.landmarks import FaceLandmarks, LandmarkDetector, vertex_facing
from ..face.raster import rasterize
from .mesh.even_light import even_light

MIN_FACE = 64  # px, longer side of the landmarks' box; below this there is no face to take over
MAX_FACE = 1024  # px; larger photos are reduced, no view needs more

# The forehead, the temples and the strips before the ears: along the oval from the right ear lobe
# over the top to the left one, back along the strips' inner edge and the brows' upper edges.
_FOREHEAD = np.array([93, 234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389,
                      356, 454, 323, 366, 447, 264, 300, 293, 334, 296, 336, 107, 66, 105, 63, 70,
                      34, 227, 137])
_FOREHEAD_TOP = 19  # so many of them lie on the oval


@dataclass(frozen=True, eq=False)
class SourceFace:
    """A face to put onto others; made by `load_source` or `from_image`.

    image: (H, W, 3) uint8 RGB, the surroundings of the face, reduced to MAX_FACE.
    landmarks: its points, in pixels of `image`.
    skin: (H, W) float32 in [0, 1], 0 where hair hides the forehead or something the middle of the
        face (glasses, a hand, a strand), 1 elsewhere.
    weight: (H, W) float32 in [0, 1], how far each pixel can stand for the face: 0 outside the
        face oval and on hair, fading in over 8 % of the face size, and fading out where the
        photo sees the face at a grazing angle.
    name: for messages.
    even: `image` without light from the side (`even_light`), None = it is.
    """

    image: np.ndarray
    landmarks: FaceLandmarks
    skin: np.ndarray
    weight: np.ndarray
    name: str = "(picture)"
    even: np.ndarray | None = None
    _levels: dict = field(default_factory=dict, repr=False)

    def at_size(self, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the face reduced for drawing it `size` pixels large, so that it does not alias.

        Reduced (by averaging) in steps of sqrt(2) while it stays at least `size`: image (h, w, 3)
        uint8, points (468, 2) float32 in its pixels, weight (h, w) float32.
        """
        ratio = max(self.landmarks.size / max(size, 1.0), 1.0)
        level = int(2 * np.log2(ratio))
        if level not in self._levels:
            h, w = (max(1, round(s * 2 ** (-level / 2))) for s in self.image.shape[:2])
            scale = np.array([w / self.image.shape[1], h / self.image.shape[0]])
            image = self.image if self.even is None else self.even
            self._levels[level] = (
                cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA),
                (self.landmarks.xy * scale).astype(np.float32),
                cv2.resize(self.weight, (w, h), interpolation=cv2.INTER_AREA))
        return self._levels[level]


def load_source(path, detector: LandmarkDetector | None = None,
                face: int | None = None) -> SourceFace:
    """Return the face in a photo.

    path: a file, or its bytes (an upload). face: which one where there are several, counted from
    the left, 0 = leftmost; None = there must be only one.
    Raises IdfError: no such file, not a picture, no face, several faces, a face that is too small.
    """
    image = media.read_image(path, "source photo")
    name = str(Path(path).name) if isinstance(path, (str, Path)) else "the uploaded photo"
    return from_image(image, detector, face, name)


def from_image(image: np.ndarray, detector: LandmarkDetector | None = None,
               face: int | None = None, name: str = "(picture)") -> SourceFace:
    """Return the same for a picture in memory, (H, W, 3|4) uint8."""
    detector = detector or LandmarkDetector()
    found = detector.detect(image, max_faces=16, zoom=True)
    size = f"{image.shape[1]}x{image.shape[0]}"
    if not found:
        raise IdfError(f"There is no face in the source photo {name}", f"a picture of {size}",
                       "use a sharp photo of one person who looks at the camera")
    largest = max(f.size for f in found)
    # People far in the background do not make a portrait ambiguous.
    faces = sorted((f for f in found if f.size >= largest / 3), key=lambda f: f.box[0])
    if face is None and len(faces) > 1:
        where = ", ".join(f"{i}: {f.size:.0f} px at x={f.box[[0, 2]].mean():.0f}"
                          for i, f in enumerate(faces))
        raise IdfError(f"There are {len(faces)} faces in the source photo {name}", where,
                       "choose one with --face N, counted from the left (0 = leftmost), or cut the "
                       "photo")
    if face is not None and not 0 <= face < len(faces):
        raise IdfError(f"There is no face number {face} in the source photo {name}",
                       f"{len(faces)} faces, counted from 0",
                       f"use a number from 0 to {len(faces) - 1}")
    chosen = faces[face or 0]
    if chosen.size < MIN_FACE:
        raise IdfError(f"The face in the source photo {name} is too small",
                       f"{chosen.size:.0f} px high in a picture of {size}",
                       f"use a photo where the face is at least {MIN_FACE} px, better 300 px")
    return _cut_out(media.over(image, (0.5, 0.5, 0.5)) if image.shape[2] == 4 else image,
                    chosen, name)


def _cut_out(image: np.ndarray, face: FaceLandmarks, name: str) -> SourceFace:
    """The face with half its size round it, reduced to MAX_FACE."""
    image = media.to_uint8(image)
    box, margin = face.box, 0.5 * face.size
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(box[:2] - margin).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(box[2:] + margin).astype(int), low + 1, limit)
    part = image[low[1]:high[1], low[0]:high[0]]
    points = face.points - np.array([low[0], low[1], 0], np.float32)
    scale = MAX_FACE / face.size
    if scale < 1:
        w, h = np.maximum(np.round((high - low) * scale).astype(int), 1)
        ratio = np.array([w / part.shape[1], h / part.shape[0]])
        part = cv2.resize(part, (int(w), int(h)), interpolation=cv2.INTER_AREA)
        points = points * np.append(ratio, scale).astype(np.float32)
    part = np.ascontiguousarray(part)
    landmarks = FaceLandmarks(points, face.presence, face.score)
    even = even_light(part, landmarks)  # the dark half of a face is not hair
    skin = (1 - hair_on_forehead(even, landmarks)) * (1 - occluders(even, landmarks))
    return SourceFace(part, landmarks, skin, _weight(landmarks, skin), name, even)


def _weight(face: FaceLandmarks, skin: np.ndarray) -> np.ndarray:
    h, w = skin.shape
    facing = vertex_facing(face.points)
    drawn, ids, _ = rasterize(topology.TRIANGLES, face.xy, face.points[:, 2], facing[:, None], h, w)
    # Blurred, so that the small steep sides of the nose do not punch holes.
    seen = masked_blur(drawn[..., 0], (ids >= 0).astype(np.float32), 0.03 * face.size)
    inside = fill_rings([face.xy[topology.FACE_OVAL]], h, w) > 0.5
    grazing = np.where(ids >= 0, smoothstep((seen - 0.1) / 0.3), 1)  # eyes and mouth: not drawn
    return (feather(inside & (skin > 0.5), 0.08 * face.size) * grazing).astype(np.float32)


def hair_on_forehead(rgb: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: 1 where the forehead is hidden by something that is not
    skin.

    Forehead and temple pixels that look unlike the skin (`_unlike_skin`) count as hair where they
    hang together with the forehead's upper border, as a fringe does (a birthmark or a wrinkle does
    not).

    rgb: (H, W, 3) uint8; face: landmarks in its pixels.
    """
    out = np.zeros(rgb.shape[:2], np.float32)
    found = _unlike_skin(rgb, face)
    if found is None:
        return out
    distance, low = found
    size, xy, (h, w) = face.size, face.xy, distance.shape
    k = max(1, round(0.012 * size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    brows = fill_rings([xy[topology.LEFT_BROW], xy[topology.RIGHT_BROW]], h, w, low) > 0.1
    brows = cv2.dilate(brows.astype(np.uint8), disc, iterations=2) > 0
    forehead = (fill_rings([xy[_FOREHEAD]], h, w, low) > 0.5) & ~brows
    suspect = ((distance > 3.0) & forehead).astype(np.uint8)
    suspect = cv2.morphologyEx(suspect, cv2.MORPH_CLOSE, disc)  # strands belong together
    # The upper border: the part of the forehead within a band below the oval's top.
    down = xy[topology.CHIN] - xy[topology.FOREHEAD]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    line = xy[_FOREHEAD[:_FOREHEAD_TOP]] + 0.5 * k * down - low - 0.5
    edge = np.zeros((h, w), np.uint8)
    cv2.polylines(edge, [np.round(line).astype(np.int32)], False, 1, thickness=2 * k + 1)
    hair = _touching(suspect, edge > 0, 2 * k * k)
    if not hair.any():
        return out
    part = blur(cv2.dilate(hair.astype(np.float32), disc), 0.006 * size)
    out[low[1]:low[1] + h, low[0]:low[0] + w] = np.clip(part, 0, 1) * (part > 0.02)
    return out


# Where bare skin is sure to be on an uncovered face: across the bridge of the nose, and the upper
# cheeks from the nose outwards. Lower down there may be a beard, which belongs to the face.
_BRIDGE = np.array([193, 168, 417, 465, 412, 399, 456, 248, 195, 3, 236, 174, 188, 245])
_RIGHT_UPPER_CHEEK = np.array([101, 50, 123, 116, 111, 117, 118, 119, 100, 36])
_LEFT_UPPER_CHEEK = topology.MIRROR[_RIGHT_UPPER_CHEEK]


def occluders(rgb: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: 1 where something lies before the middle of the face: the
    frame of glasses, a strand of hair, a hand or an object of another color.

    From the brows down to the tip of the nose: what looks unlike the skin, reaches the bridge of
    the nose or an upper cheek, and is larger than a mole. Eyes, brows and nostrils do not count,
    nor does a shadow of the skin's own color. Clear lenses and hands of the same skin are not
    seen.

    rgb: (H, W, 3) uint8; face: landmarks in its pixels.
    """
    out = np.zeros(rgb.shape[:2], np.float32)
    found = _unlike_skin(rgb, face)
    if found is None:
        return out
    distance, low = found
    size, xy, (h, w) = face.size, face.xy, distance.shape
    k = max(1, round(0.012 * size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))

    def filled(*rings, grow=0):
        area = (fill_rings([xy[r] for r in rings], h, w, low) > 0.2).astype(np.uint8)
        return cv2.dilate(area, disc, iterations=grow) > 0 if grow else area > 0

    down = xy[topology.CHIN] - xy[topology.FOREHEAD]
    y, x = np.mgrid[:h, :w] + 0.5
    below = (x + low[0] - xy[topology.NOSE_TIP, 0]) * down[0] \
        + (y + low[1] - xy[topology.NOSE_TIP, 1]) * down[1] > 0
    sure = filled(_BRIDGE) | filled(_RIGHT_UPPER_CHEEK, _LEFT_UPPER_CHEEK)
    own = filled(topology.LEFT_EYE, topology.RIGHT_EYE, grow=2) \
        | filled(topology.LEFT_BROW, topology.RIGHT_BROW, grow=2)
    middle = filled(topology.FACE_OVAL) & ~below
    suspect = ((distance > 4.5) & middle & ~(own & ~sure)).astype(np.uint8)
    suspect = cv2.morphologyEx(suspect, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    seeds = cv2.erode(sure.astype(np.uint8), disc) > 0
    things = _touching(suspect, seeds, max(0.0008 * size**2, 24))
    if not things.any():
        return out
    # What goes on beneath brows and lids (a frame's upper rim) belongs to it.
    dark = (distance > 4.5) & middle
    grown = cv2.dilate(things.astype(np.uint8), disc, iterations=3) > 0
    part = blur(cv2.dilate((things | (dark & grown)).astype(np.float32), disc), 0.006 * size)
    out[low[1]:low[1] + h, low[0]:low[0] + w] = np.clip(part, 0, 1) * (part > 0.02)
    return out


def _touching(suspect: np.ndarray, seeds: np.ndarray, least: float) -> np.ndarray:
    """(h, w) bool: connected areas of `suspect` that meet `seeds`, of more than `least` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(suspect, connectivity=8)
    touching = np.unique(labels[seeds & (suspect > 0)])
    touching = touching[(touching > 0) & (stats[touching, cv2.CC_STAT_AREA] > least)]
    return np.isin(labels, touching)


def _unlike_skin(rgb: np.ndarray, face: FaceLandmarks):
    """How unlike the face's skin each pixel round it is, (h, w) in its standard deviations, and the
    window's first pixel (x, y); None where there is too little face.

    The skin's color is learned from cheeks and nose (median and robust spread in Lab).
    """
    size, xy = face.size, face.xy
    low = np.maximum(np.floor(xy.min(0) - 0.05 * size).astype(int), 0)
    high = np.minimum(np.ceil(xy.max(0) + 0.05 * size).astype(int), rgb.shape[1::-1])
    if (high - low).min() < 8:
        return None
    h, w = int(high[1] - low[1]), int(high[0] - low[0])
    # Single pores and hairs are noise here.
    lab = blur(rgb_to_lab(rgb[low[1]:high[1], low[0]:high[0]]), 0.004 * size)
    patches = fill_rings([xy[r] for r in topology.SKIN_PATCHES], h, w, low) > 0.5
    if patches.sum() < 16:
        return None
    skin = lab[patches]
    median = np.median(skin, axis=0)
    # 1.48 MAD = standard deviation of a Gaussian; floors and ceilings in Lab units keep a very
    # even or a half shadowed face from making the test too strict or too lax.
    spread = np.clip(1.48 * np.median(np.abs(skin - median), axis=0), (6, 3, 3), (11, 6, 6))
    difference = lab - median
    # A highlight adds white light: brighter, smooth, and less colored in proportion. There
    # lightness counts half, and up to 0.8 of its gain may be missing in chroma.
    rough = _roughness(lab[..., 0], 0.012 * size)
    shine = (difference[..., 0] > 0) & (rough < max(2.5 * float(np.median(rough[patches])), 2.5))
    hue = median[1:] / max(float(np.linalg.norm(median[1:])), 1e-3)
    loss = np.clip(difference[..., 1:] @ hue, -0.8 * np.maximum(difference[..., 0], 0), 0)
    difference[..., 1:] -= (loss * shine)[..., None] * hue
    difference[..., 0] *= np.where(shine, 0.5, 1.0)
    return np.sqrt(((difference / spread) ** 2).sum(-1)), low


def _roughness(values: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) local standard deviation of `values` within about `sigma` pixels."""
    mean = cv2.GaussianBlur(values, (0, 0), sigma)
    return np.sqrt(cv2.GaussianBlur((values - mean) ** 2, (0, 0), sigma))
