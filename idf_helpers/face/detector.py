"""Faces in a picture, at any roll and size, 468 points and both irises on each.

The steps follow MediaPipe's face landmarker: detector on the letterboxed picture, a rotated square
around the face, the mesh in it, and a second pass with the square taken from the mesh.

The detector knows upright faces. It finds others too, but those that stand on their head with
their eyes where the mouth is, and the mesh then draws an upright face there and is sure of it. What
tells is the detector's probability, which is highest where the face is upright: so unless it is
high, the picture is looked at from all four sides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.media import over_gray
from ..errors import IdfError
from . import topology
from .landmark_nets import LandmarkNets, iou, rotation, sigmoid
from .landmarks import FaceLandmarks

# The detector's probability from which a face is taken for upright without looking further. Upright
# faces of 56 portraits have 0.84 to 0.99, what was seen where they were upside down at most 0.86.
UPRIGHT = 0.87
# Least probability in a turned picture, and how much more it must be than in the upright one. In
# each of 252 portraits, turned by 0 to 90 degrees, the right side won even without it.
TURNED, TURNED_MORE = 0.75, 0.03
MAX_ROLL = 75.0  # degrees that a mesh may be rolled in the picture in which its face was seen
# The mesh model doubts faces that are turned by more than 50 degrees (0.3 to 0.9 where most have
# 0.99), the detector does not: it gives them 0.84 and more, and what is seen from behind at most
# 0.74. So where it is sure, that is added to the log odds of a face, in full from the second.
DETECTOR_SURE, DETECTOR_SAYS = (0.80, 0.85), 3.0
# What the detector is less sure of is looked at more closely, and must then be this probable. A
# face may be doubted for being small; then it has 0.81 and more, an ear or a curl at most 0.69, and
# the mesh model cannot tell those.
DOUBTED, CONFIRMED = 0.82, 0.78
# A painted or drawn face is doubted at any size. Where it fills the picture upright, less will do,
# if the mesh model is sure and puts eyes, nose and mouth where the detector has them: shares of the
# face's size. Of 488 pictures and views of heads only a painting comes so far.
FILLS, PAINTED, SURE, BESIDE = 0.4, 0.72, 0.99, 0.15
# Mesh points whose middles the detector's first four keypoints are.
KEYPOINTS = ((33, 133), (263, 362), (4,), (13, 14))
# Log odds of a face in the first square below which there is no second look: of 242 faces the least
# had -6.5, of what is none three quarters have less.
HOPELESS = -8.0
ROI_SCALE = 1.5  # side of the square cut out for the mesh, over the longer side of the face box


class LandmarkDetector:
    """Finds faces and their points. Picklable; one instance may be shared by threads.

    folder: where the model files lie; None = `download.path(FACE_LANDMARKS)`, which never
    downloads and raises IdfError naming the command. The models are opened at the first picture.
    """

    def __init__(self, folder: Path | str | None = None):
        self._nets = LandmarkNets(folder)

    def detect(self, image: np.ndarray, threshold: float = 0.5, presence: float = 0.9,
               max_faces: int = 1, zoom: bool = False) -> list[FaceLandmarks]:
        """Return faces in `image`, best detector score first.

        image: (H, W, 3) RGB or (H, W, 4) RGBA uint8; RGBA is laid over mid-gray.
        threshold: least detector score, in (0, 1). presence: a face counts only above this, in
        (0, 1). max_faces: at least 1; the rest is left out.
        zoom: where no face is found, or all are small (the detector misses those below about 1/8 of
        the longer side of the picture), look again through windows of 1/2, then 1/4 of it, and
        until there is one from all four sides; for photos, not frames (up to 240 times the work
        where there is no face at all).
        Faces at any roll are found. Returns [] where there is no face. Raises IdfError for another
        kind of array.
        """
        rgb = over_gray(_checked(image))
        faces: list[FaceLandmarks] = []
        with self._nets.lock:
            for level in (1, 2, 4) if zoom else (1,):
                tried: list[tuple[int, np.ndarray, bool]] = []  # (turns, box, whether it is a face)
                for turns, score, keypoints, box in self._found(rgb, level, threshold, max_faces,
                                                                zoom and not faces):
                    if len(faces) == max_faces:
                        break
                    if any(_inside(box, face) for face in faces) \
                            or any(turns != t and (ok or turns) and _overlap(box, b) > 0.4
                                   for t, b, ok in tried):  # seen from another side already
                        continue
                    if score < DOUBTED:
                        score, keypoints, box = self._closer(rgb, turns, score, keypoints, box)
                    doubtful = score < CONFIRMED
                    if doubtful and (turns or score < PAINTED):
                        tried.append((turns, box, False))
                        continue
                    face = self._mesh(rgb, keypoints, box, score)
                    good = face.presence > presence and not (
                        doubtful and not _painted(face, keypoints, max(rgb.shape[:2])))
                    if good and abs((face.roll - 90 * turns + 180) % 360 - 180) > MAX_ROLL:
                        continue  # another side is the right one
                    tried.append((turns, box, good))
                    if good and not any(_same_face(face, f) or _crossed(face, f) for f in faces):
                        faces.append(face)
                # What is large enough to be found at this level has been found.
                if max((f.size for f in faces), default=0) >= max(rgb.shape[:2]) / (4 * level):
                    break
        return faces

    def _found(self, rgb, level: int, threshold: float, max_faces: int, thorough: bool):
        """Return candidates [(turns, score, keypoints, box)] in all windows of a level, the most
        probable first; turns: of the picture by 90 degrees in which it was seen."""
        windows = _windows(rgb, level)

        def look(turns: int):
            least = max(threshold, TURNED) if turns else threshold
            return [(turns, *c) for w in windows
                    for c in self._nets.candidates(rgb, w, turns, least)]

        found = sorted(look(0), key=lambda c: -c[1])
        if thorough or not found or not all(c[1] >= UPRIGHT and _stands(c[2])
                                            for c in found[:max_faces]):
            found += look(1) + look(2) + look(3)
        return sorted(found, key=lambda c: -c[1] + TURNED_MORE * (c[0] > 0))

    def _closer(self, rgb, turns: int, score: float, keypoints, box):
        """Return a candidate as the detector sees it in a window twice its size; with score 0 where
        it sees nothing there."""
        side = 2 * float(max(box[2:]))
        window = (box[0] - side / 2, box[1] - side / 2, side)
        same = [c for c in self._nets.candidates(rgb, window, turns, 0.1) if iou(c[2], box) > 0.3]
        return same[0] if same else (0.0, keypoints, box)

    def _mesh(self, rgb, keypoints, box, score) -> FaceLandmarks:
        # First square: along the line from the right to the left eye.
        d = keypoints[1] - keypoints[0]
        points, logit = self._nets.mesh_points(rgb, box[:2], ROI_SCALE * max(box[2:]),
                                               np.arctan2(d[1], d[0]))
        if logit > HOPELESS:
            # Second: along the outer eye corners, around the points of the first.
            d = points[topology.LEFT_EYE_OUTER, :2] - points[topology.RIGHT_EYE_OUTER, :2]
            angle = np.arctan2(d[1], d[0])
            R = rotation(angle)
            # R^T applied to rows: the points turned back by `angle`
            upright = points[:topology.POINTS, :2] @ R
            low, high = upright.min(0), upright.max(0)
            points, logit = self._nets.mesh_points(rgb, R @ ((low + high) / 2),
                                                   ROI_SCALE * float(max(high - low)), angle)
        points = points.astype(np.float32)
        presence = float(sigmoid(logit + np.interp(score, DETECTOR_SURE, (0, DETECTOR_SAYS))))
        return FaceLandmarks(points[:topology.POINTS], presence, score, points[topology.POINTS:])


def _windows(rgb: np.ndarray, level: int) -> list[tuple[float, float, float]]:
    """Squares (x, y, side) to search: the letterboxed picture at level 1; at 2 and 4 windows of
    that fraction of the longer side, overlapping by half, those that hold a part of the picture."""
    h, w = rgb.shape[:2]
    side = max(h, w)
    if level == 1:
        return [((w - side) / 2, (h - side) / 2, float(side))]
    part = side / level
    return [(x, y, part) for y in _starts(h, part) for x in _starts(w, part)]


def _starts(length: float, part: float) -> list[float]:
    """Where windows of size `part` begin along `length`, half a window apart, centered."""
    if length <= part:
        return [(length - part) / 2]
    n = int(np.ceil((length - part) / (part / 2))) + 1
    return list(np.linspace(0, length - part, n))


def _checked(image) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) \
            or min(image.shape[:2]) < 1:
        raise IdfError("A face is looked for in an RGB or RGBA picture",
                       f"{image.dtype} array of shape {image.shape}",
                       "give uint8 (H, W, 3) or (H, W, 4)")
    return image


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection of two boxes (cx, cy, w, h) over the smaller one."""
    low = np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2)
    high = np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    return float(np.prod(np.maximum(high - low, 0)) / (min(a[2] * a[3], b[2] * b[3]) + 1e-12))


def _crossed(a: FaceLandmarks, b: FaceLandmarks) -> bool:
    """Whether two faces lie over each other the one upright, the other on its side or head."""
    boxes = [np.concatenate([(f.box[:2] + f.box[2:]) / 2, f.box[2:] - f.box[:2]]) for f in (a, b)]
    return abs((a.roll - b.roll + 180) % 360 - 180) > MAX_ROLL and _overlap(*boxes) > 0.2


def _stands(keypoints: np.ndarray) -> bool:
    """Whether the line from the right to the left eye of a candidate is less than 45 degrees from
    level."""
    d = keypoints[1] - keypoints[0]
    return bool(d[0] > abs(d[1]))


def _painted(face: FaceLandmarks, keypoints: np.ndarray, side: int) -> bool:
    """Whether a face that the detector doubts fills a picture of `side` pixels and is seen alike by
    both models."""
    found = np.stack([face.xy[list(k)].mean(0) for k in KEYPOINTS])
    away = np.linalg.norm(found - keypoints[:4], axis=1)
    return face.size > FILLS * side and face.presence > SURE and away.max() < BESIDE * face.size


def _inside(box: np.ndarray, face: FaceLandmarks) -> bool:
    """Whether a candidate's box (cx, cy, w, h) lies on a face that was accepted already."""
    b = face.box
    return bool(np.all(np.abs(box[:2] - (b[:2] + b[2:]) / 2) < 0.25 * face.size)
                and max(box[2:]) < 2 * face.size)


def _same_face(a: FaceLandmarks, b: FaceLandmarks) -> bool:
    """Whether two detections ended on the same face after the second pass."""
    return float(np.median(np.linalg.norm(a.xy - b.xy, axis=1))) < 0.25 * min(a.size, b.size)
