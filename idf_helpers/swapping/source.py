"""The source photo of a swap: one face, its landmarks, and where its skin shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from ..data import media
from ..errors import IdfError
from ..face import topology
from ..face.color import blur, disc, feather, fill_rings, masked_blur, rgb_to_lab, smoothstep
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks, vertex_facing
from ..face.raster import rasterize
from ..face.shape_fit import FittedFace, fit_picture
from .glasses import without_glasses
from .hidden_skin import hair_on_forehead
from .in_front import in_front
from .mesh.even_light import even_light
from .mesh.proportions import at_rest

MIN_FACE = 48  # px, longer side of the landmarks' box; below this there is no face to take over
MAX_FACE = 1024  # px; larger photos are reduced, no view needs more
RIM = 0.03  # share of the face's size over which a photo fades in at the face's border
# Lightness over that of the face right within below which, and distance of the hue over its chroma
# above which, a pixel at the rim is not of the face.
DARKER, OTHER_HUE = 0.5, 0.7
ISLAND = 0.1  # of the largest part of the face that shows: smaller ones do not count


@dataclass(frozen=True, eq=False)
class Level:
    """A source photo at one size.

    image: (h, w, 3) uint8. points: (468, 2) float32 and iris: (10, 2) float32 or None, in its
    pixels. weight: (h, w) float32 in [0, 1].
    """

    image: np.ndarray
    points: np.ndarray
    iris: np.ndarray | None
    weight: np.ndarray

    @cached_property
    def cleaned(self) -> np.ndarray:
        """`image` for being enlarged: without the chroma blotches of JPEG and sensor."""
        return without_chroma_noise(self.image)


@dataclass(frozen=True, eq=False)
class SourceFace:
    """A face to put onto others; made by `load_source` or `from_image`.

    image: (H, W, 3) uint8 RGB, the surroundings of the face, reduced to MAX_FACE.
    landmarks: its points, in pixels of `image`.
    skin: (H, W) float32 in [0, 1], 0 where something stands before the face (glasses, hair, a
        hand, a microphone; `in_front`), 1 elsewhere.
    weight: (H, W) float32 in [0, 1], how far each pixel can stand for the face: 0 outside the
        face oval, on hair and on what lies beside the face, fading in over the border, and fading
        out where the photo sees the face at a grazing angle.
    name: for messages.
    even: `image` without light from the side (`even_light`), None = it is.
    given: `image` with the glasses that were taken off, None = there were none.
    """

    image: np.ndarray
    landmarks: FaceLandmarks
    skin: np.ndarray
    weight: np.ndarray
    name: str = "(picture)"
    even: np.ndarray | None = None
    given: np.ndarray | None = None
    _levels: dict = field(default_factory=dict, repr=False, init=False)

    @cached_property
    def fitted(self) -> FittedFace:
        """Shape, pose and expression of the face in the photo."""
        return fit_picture(self.landmarks, self.image.shape[1], self.image.shape[0])

    @cached_property
    def rest(self) -> np.ndarray:
        """(468, 3) float64, the landmarks without the expression of mouth, jaw, cheeks and nose."""
        return at_rest(self.landmarks.points, self.fitted)

    def at_size(self, size: float) -> Level:
        """Return the face reduced for drawing it `size` pixels large, so that it does not alias:
        by averaging, in steps of sqrt(2), while it stays at least `size`."""
        ratio = max(self.landmarks.size / max(size, 1.0), 1.0)
        level = int(2 * np.log2(ratio))
        if level not in self._levels:
            h, w = (max(1, round(s * 2 ** (-level / 2))) for s in self.image.shape[:2])
            scale = np.array([w / self.image.shape[1], h / self.image.shape[0]])
            image = self.image if self.even is None else self.even
            iris = self.landmarks.iris
            self._levels[level] = Level(
                cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA),
                (self.landmarks.xy * scale).astype(np.float32),
                None if iris is None else (iris[:, :2] * scale).astype(np.float32),
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
    name = str(Path(path).name) if isinstance(path, (str, Path)) else "(uploaded)"
    return from_image(image, detector, face, name)


def from_image(image: np.ndarray, detector: LandmarkDetector | None = None,
               face: int | None = None, name: str = "(picture)") -> SourceFace:
    """Return the same for a picture in memory, (H, W, 3|4) uint8; its face may lie at any roll, and
    is upright to within 45 degrees in what is returned."""
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
    turns = chosen.quarter_turns  # a photo that lies on its side, or on its head
    chosen = chosen.turned(turns, image.shape[1], image.shape[0])
    image = np.rot90(media.over(image, (0.5, 0.5, 0.5)) if image.shape[2] == 4 else image, turns)
    return _cut_out(image, chosen, name)


def _cut_out(image: np.ndarray, face: FaceLandmarks, name: str) -> SourceFace:
    """Return the face with a margin of half its size, reduced to MAX_FACE."""
    image = media.to_uint8(image)
    box, margin = face.box, 0.5 * face.size
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(box[:2] - margin).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(box[2:] + margin).astype(int), low + 1, limit)
    part = image[low[1]:high[1], low[0]:high[0]]
    ratio = np.ones(2)
    scale = MAX_FACE / face.size
    if scale < 1:
        w, h = np.maximum(np.round((high - low) * scale).astype(int), 1)
        ratio = np.array([w / part.shape[1], h / part.shape[0]])
        part = cv2.resize(part, (int(w), int(h)), interpolation=cv2.INTER_AREA)
    part = np.ascontiguousarray(part)
    landmarks = face.in_part(low, ratio)
    before = in_front(part, landmarks)
    hidden, given = before.mask, None
    if "glasses" in before.kinds:
        given = part
        part, hidden = without_glasses(part, landmarks, hidden)
    even = even_light(part, landmarks)  # the dark half of a face is not hair
    skin = (1 - hair_on_forehead(even, landmarks)) * (1 - hidden)
    return SourceFace(part, landmarks, skin, _weight(even, landmarks, skin), name, even,
                      given)


def _weight(image: np.ndarray, face: FaceLandmarks, skin: np.ndarray) -> np.ndarray:
    h, w = skin.shape
    facing = vertex_facing(face.points)
    drawn, ids, _ = rasterize(topology.TRIANGLES, face.xy, face.points[:, 2], facing[:, None], h, w)
    # Blurred, so that the small steep sides of the nose do not punch holes.
    seen = masked_blur(drawn[..., 0], (ids >= 0).astype(np.float32), 0.03 * face.size)
    inside = fill_rings([face.xy[topology.FACE_OVAL]], h, w) > 0.5
    inside &= (skin > 0.5) & ~_beside(image, face, inside)
    inside &= _largest(inside)
    grazing = np.where(ids >= 0, smoothstep((seen - 0.1) / 0.3), 1)  # eyes and mouth: not drawn
    return (feather(inside, RIM * face.size) * grazing).astype(np.float32)


def _largest(inside: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest connected part and what is not much smaller. Skin that shows here
    and there between strands of hair would be blotches on another face."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA] * (np.arange(count) > 0)
    return (areas >= ISLAND * areas.max())[labels]


def _beside(image: np.ndarray, face: FaceLandmarks, inside: np.ndarray) -> np.ndarray:
    """(H, W) bool: hair, background or collar along the rim of the oval, which the landmarks put a
    little outside of the face.

    What counts is the color of the face right within, carried outward. Shade at the rim is that
    color, darker; hair is much darker, a background of another hue.
    """
    size, xy = face.size, face.xy
    lab = blur(rgb_to_lab(image), 0.006 * size)
    own = fill_rings([xy[r] for r in (topology.LEFT_BROW, topology.RIGHT_BROW, topology.LEFT_EYE,
                                      topology.RIGHT_EYE)], *inside.shape) > 0.2
    within = (feather(inside, 0.14 * size) > 0.9) & ~own
    colors = masked_blur(lab, within, 0.06 * size)
    known = blur(within.astype(np.float32), 0.06 * size) > 0.01
    ratio = lab[..., 0] / np.maximum(colors[..., 0], 1)
    hue = np.linalg.norm(lab[..., 1:] - colors[..., 1:] * np.clip(ratio, 0, 1.2)[..., None],
                         axis=-1) / (np.linalg.norm(colors[..., 1:], axis=-1) + 5)
    # Below the nose what is dark may be a beard that the face has along its rim only.
    down = xy[topology.CHIN] - xy[topology.FOREHEAD]
    y, x = np.mgrid[:inside.shape[0], :inside.shape[1]]
    above = (x - xy[topology.NOSE_TIP, 0]) * down[0] + (y - xy[topology.NOSE_TIP, 1]) * down[1] < 0
    unlike = ((ratio < DARKER) & above) | ((hue > OTHER_HUE) & (ratio > DARKER))
    other = (inside & ~within & known & unlike).astype(np.uint8)
    kernel = disc(0.01 * size)
    other = cv2.morphologyEx(other, cv2.MORPH_OPEN, kernel)
    rim = inside & ~(cv2.erode(inside.astype(np.uint8), kernel) > 0)
    count, labels = cv2.connectedComponents(other)
    touching = np.zeros(count, bool)
    touching[np.unique(labels[rim])] = True
    touching[0] = False
    return cv2.dilate(touching[labels].astype(np.uint8), kernel) > 0


def without_chroma_noise(image: np.ndarray, radius: int = 2, floor: float = 3.0) -> np.ndarray:
    """Return the picture with its chroma smoothed along its lightness (guided filter, He 2010).

    image: (H, W, 3) uint8. radius: pixels, one sample of a JPEG's
    chroma; a wider one takes the color out of an iris. floor: levels of lightness
    below which a step counts as noise.
    """
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    guide, chroma = ycc[..., 0], ycc[..., 1:]
    box = (2 * radius + 1,) * 2
    mean, mean_c = cv2.blur(guide, box), cv2.blur(chroma, box)
    variance = cv2.blur(guide * guide, box) - mean * mean
    a = (cv2.blur(chroma * guide[..., None], box) - mean_c * mean[..., None]) \
        / (variance + floor**2)[..., None]
    b = mean_c - a * mean[..., None]
    ycc[..., 1:] = cv2.blur(a, box) * guide[..., None] + cv2.blur(b, box)
    return cv2.cvtColor(np.clip(np.rint(ycc), 0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)
