"""Faces in a picture, 468 points and both irises on each, by two small models that OpenCV runs.

The models are MediaPipe's short-range face detector (BlazeFace) and the second version of its face
mesh (Apache-2.0). The steps follow MediaPipe's face landmarker: detector on the letterboxed
picture, a rotated square around the face, the mesh in it, and a second pass with the square taken
from the mesh.

The detector knows upright faces. It finds others too, but those that stand on their head with
their eyes where the mouth is, and the mesh then draws an upright face there and is sure of it. What
tells is the detector's probability, which is highest where the face is upright: so unless it is
high, the picture is looked at from all four sides.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..errors import IdfError
from ..runtime import download
from . import topology
from .downloads import FACE_LANDMARKS
from .mesh import vertex_normals

DETECTOR, MESH = 0, 1  # rows of FACE_LANDMARKS.pins
OUTPUTS = (["classificators", "regressors"], ["Identity", "Identity_1"])
ON_GRAY = (125.1, 160.8, -14.2)  # what the mesh gives for 0.5 everywhere: a point, and log odds
DETECTOR_SIZE = 128  # px, the detector's input
MESH_SIZE = 256  # px, the mesh's input
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
# Log odds of a face in the first square below which there is no second look: of 242 faces the least
# had -6.5, of what is none three quarters have less.
HOPELESS = -8.0
ROI_SCALE = 1.5  # side of the square cut out for the mesh, over the longer side of the face box
# Anchor grids of the detector: (cells a side, anchors a cell), in the order of its outputs.
ANCHOR_GRIDS = ((16, 2), (8, 6))


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """One face.

    points: (468, 3) float32; x to the right and y down in pixels of the picture, the center of the
        first pixel at (0.5, 0.5); z in the same pixels, smaller = nearer to the camera, 0 at about
        the middle of the head.
    presence: probability that there is a face, in (0, 1), from the mesh model and, where the
        detector is sure, from both.
    score: the detector's probability, in (0, 1).
    iris: (10, 3) float32 like `points`: center of the iris of the head's right eye and four points
        of its rim, then the same of the left eye (`topology.RIGHT_IRIS`, `LEFT_IRIS`); None where
        it is not known.
    """

    points: np.ndarray
    presence: float
    score: float
    iris: np.ndarray | None = None

    @property
    def xy(self) -> np.ndarray:
        """(468, 2) float32 pixels."""
        return self.points[:, :2]

    @property
    def box(self) -> np.ndarray:
        """(4,) float32: x0, y0, x1, y1 of the points, pixels; may reach outside the picture."""
        return np.concatenate([self.xy.min(0), self.xy.max(0)])

    @property
    def size(self) -> float:
        """Longer side of `box`, pixels."""
        b = self.box
        return float(max(b[2] - b[0], b[3] - b[1]))

    @property
    def width(self) -> float:
        """Distance of the oval's ends in front of the ears, pixels, seen in three dimensions."""
        p = self.points
        return float(np.linalg.norm(p[topology.FACE_LEFT] - p[topology.FACE_RIGHT]))

    @property
    def eye_distance(self) -> float:
        """Distance of the outer eye corners, pixels, seen in three dimensions."""
        p = self.points
        return float(np.linalg.norm(p[topology.LEFT_EYE_OUTER] - p[topology.RIGHT_EYE_OUTER]))

    @property
    def yaw(self) -> float:
        """Degrees that the head is turned, from the points; 0 = looks at the camera, positive =
        toward its own left, in an upright picture the picture's right. Good to about 10 degrees up
        to 60, too small beyond."""
        p = self.points
        across = p[topology.FACE_LEFT] - p[topology.FACE_RIGHT]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @property
    def roll(self) -> float:
        """Degrees that the face is turned in the picture, in (-180, 180]; 0 = upright, positive =
        clockwise."""
        p = self.xy
        down = p[topology.CHIN] - p[topology.FOREHEAD]
        return float(np.degrees(np.arctan2(-down[0], down[1])))

    @property
    def quarter_turns(self) -> int:
        """How often the picture has to be turned counterclockwise by 90 degrees (`np.rot90`) for
        the face to be as upright as that makes it: 0 to 3."""
        return int(np.round(self.roll / 90)) % 4

    def turned(self, times: int, width: int, height: int) -> FaceLandmarks:
        """Return the face as it lies in `np.rot90(picture, times)`; width, height: of the picture,
        pixels."""
        def one(points):
            if points is None or times % 4 == 0:
                return points
            x, y, z = points.T
            return np.column_stack([(y, width - x), (width - x, height - y),
                                    (height - y, x)][times % 4 - 1] + (z,)).astype(np.float32)
        return replace(self, points=one(self.points), iris=one(self.iris))

    def in_part(self, corner, ratio=(1.0, 1.0)) -> FaceLandmarks:
        """Return the face as it lies in a part of the picture that was cut out and resized.

        corner: (x, y) of the part, pixels. ratio: pixels of the result over those before, along x
        and y; depths are multiplied by their geometric mean.
        """
        shift = np.array([*corner, 0], np.float64)
        scale = np.array([*ratio, np.sqrt(ratio[0] * ratio[1])], np.float64)
        return replace(self, points=((self.points - shift) * scale).astype(np.float32),
                       iris=None if self.iris is None
                       else ((self.iris - shift) * scale).astype(np.float32))


class LandmarkDetector:
    """Finds faces and their points. Picklable; one instance may be shared by threads.

    folder: where the two model files lie; None = `download.path(FACE_LANDMARKS)`, which never
    downloads and raises IdfError naming the command. The models are opened at the first picture.
    """

    def __init__(self, folder: Path | str | None = None):
        self._folder = None if folder is None else Path(folder)
        self._nets: dict[int, cv2.dnn.Net] = {}
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"_folder": self._folder}  # nets and locks stay in their process

    def __setstate__(self, state):
        self.__init__(state["_folder"])

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
        with self._lock:
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
                    if score < CONFIRMED:
                        tried.append((turns, box, False))
                        continue
                    face = self._mesh(rgb, keypoints, box, score)
                    good = face.presence > presence
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
            return [(turns, *c) for w in windows for c in self._candidates(rgb, w, turns, least)]

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
        same = [c for c in self._candidates(rgb, window, turns, 0.1) if _iou(c[2], box) > 0.3]
        return same[0] if same else (0.0, keypoints, box)

    # ------------------------------------------------------------------------------ models

    def _net(self, index: int):
        if index not in self._nets:
            folder = Path(self._folder or download.path(FACE_LANDMARKS))
            file = download.located(folder, FACE_LANDMARKS.pins[index])
            # OpenCV 5's new engine gives a wrong probability of a face; the classic one is right.
            engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
            try:
                self._nets[index] = cv2.dnn.readNetFromTFLite(
                    str(file), *(() if engine is None else (engine,)))
                self._check(index)
            except cv2.error as e:
                self._nets.pop(index, None)
                raise IdfError(f"OpenCV {cv2.__version__} cannot run the face models in {folder}",
                               str(e)[:300],
                               "needs OpenCV 4.11 or newer and: idf download face_landmarks") from e
        return self._nets[index]

    def _check(self, index: int) -> None:
        """Run a model on plain gray, and compare the mesh with what it is known to give: an OpenCV
        that reads the model in another way must not go on with wrong faces."""
        n = (DETECTOR_SIZE, MESH_SIZE)[index]
        gray = np.full((1, 3, n, n), 0.5, np.float32)
        first, second = self._forward(index, gray, OUTPUTS[index])
        found = np.array([*first.reshape(-1)[:2], second.reshape(-1)[0]])
        if index == MESH and np.abs(found - ON_GRAY).max() > 0.5:
            del self._nets[MESH]
            raise IdfError(f"OpenCV {cv2.__version__} does not run the face models correctly",
                           f"on plain gray they give {found.round(1)}, not {ON_GRAY}",
                           "install another: pip install 'opencv-python-headless<5.1'")

    def _forward(self, index: int, pixels: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """pixels: (1, 3, n, n) float32 -> the named outputs."""
        net = self._net(index)
        net.setInput(pixels)
        return list(net.forward(names))

    def _candidates(self, rgb: np.ndarray, window, turns: int, threshold: float):
        """Faces in a square window (x, y of its corner, side; pixels), black outside the picture:
        [(score, keypoints (6, 2) px, box (center x, y, width, height) px)], best first.

        turns: of the window, clockwise by 90 degrees; faces are upright in it. The box is as large
        as there and stands upright in the picture.
        """
        x, y, side = window
        # picture = R (detector pixel - 64) side / 128 + middle
        A = _rotation(turns * np.pi / 2).round() * side
        corner = np.array([x, y]) + side / 2 - A @ (0.5, 0.5)
        small = _warp_square(rgb, np.column_stack([A / DETECTOR_SIZE, corner]), DETECTOR_SIZE)
        blob = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        logits, regressors = self._forward(DETECTOR, blob, OUTPUTS[DETECTOR])
        return [(score, points @ A.T + corner,
                 np.concatenate([A @ box[:2] + corner, (box[2:] * side)[::-1 if turns % 2 else 1]]))
                for score, points, box in decode_detections(logits, regressors, threshold)]

    def _mesh(self, rgb, keypoints, box, score) -> FaceLandmarks:
        # First square: along the line from the right to the left eye.
        d = keypoints[1] - keypoints[0]
        points, logit = self._mesh_in(rgb, box[:2], ROI_SCALE * max(box[2:]),
                                      np.arctan2(d[1], d[0]))
        if logit > HOPELESS:
            # Second: along the outer eye corners, around the points of the first.
            d = points[topology.LEFT_EYE_OUTER, :2] - points[topology.RIGHT_EYE_OUTER, :2]
            angle = np.arctan2(d[1], d[0])
            R = _rotation(angle)
            # R^T applied to rows: the points turned back by `angle`
            upright = points[:topology.POINTS, :2] @ R
            low, high = upright.min(0), upright.max(0)
            points, logit = self._mesh_in(rgb, R @ ((low + high) / 2),
                                          ROI_SCALE * float(max(high - low)), angle)
        points = points.astype(np.float32)
        presence = float(_sigmoid(logit + np.interp(score, DETECTOR_SURE, (0, DETECTOR_SAYS))))
        return FaceLandmarks(points[:topology.POINTS], presence, score, points[topology.POINTS:])

    def _mesh_in(self, rgb, center, side: float, angle: float):
        """Return (478, 3) points in the square at `center`, turned clockwise by `angle` radians,
        and the log odds of a face."""
        # picture = R (crop - 128) side / 256 + center
        scale = max(side, 1.0) / MESH_SIZE
        A = _rotation(angle) * scale
        M = np.column_stack([A, center - A @ np.full(2, MESH_SIZE / 2)])
        crop = _warp_square(rgb, M, MESH_SIZE)
        blob = (crop.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        raw, logit = self._forward(MESH, blob, OUTPUTS[MESH])
        raw = raw.reshape(topology.POINTS + topology.IRIS_POINTS, 3).astype(np.float64)
        points = np.column_stack([raw[:, :2] @ A.T + M[:, 2], raw[:, 2] * scale])
        return points, float(logit.reshape(-1)[0])


def vertex_facing(points: np.ndarray) -> np.ndarray:
    """Return (468,) float32 cosine between each point's normal and the direction to the camera,
    seen orthographically: 1 = faces the camera, < 0 = turned away.

    points: (468, 3), x right, y down, z away from the camera, one unit. The normal is the sum of
    the adjacent triangles' normals (weighted by area).
    """
    # The triangles turn counterclockwise on screen: with y down and z away from the camera their
    # cross product points toward it, along -z.
    return -vertex_normals(np.asarray(points, np.float64))[:, 2].astype(np.float32)


def decode_detections(logits: np.ndarray, regressors: np.ndarray, threshold: float):
    """Return the detector's outputs as [(score, keypoints (6, 2), box (cx, cy, w, h))], best first.

    logits: (1, 896, 1); regressors: (1, 896, 16) in detector pixels relative to the anchor. The
    results are fractions of the square input. Overlapping boxes (IoU > 0.3) keep the best one.
    Keypoints: right eye, left eye, nose, mouth, right ear, left ear.
    """
    scores = _sigmoid(logits.reshape(-1).astype(np.float64))
    keep = np.flatnonzero(scores >= threshold)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    values = regressors.reshape(-1, 8, 2)[keep].astype(np.float64) / DETECTOR_SIZE
    anchors = detector_anchors()[keep]
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    for score, value, anchor in zip(scores[keep], values, anchors, strict=True):
        box = np.concatenate([value[0] + anchor, value[1]])
        if box[2:].min() > 0 and all(_iou(box, other) <= 0.3 for _, _, other in found):
            found.append((float(score), value[2:] + anchor, box))
    return found


def detector_anchors() -> np.ndarray:
    """Return (896, 2) anchor centers as fractions of the detector's input, in the order of its
    outputs."""
    rows = []
    for n, per_cell in ANCHOR_GRIDS:
        y, x = np.mgrid[:n, :n]
        rows.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2) + 0.5, per_cell, axis=0) / n)
    return np.concatenate(rows)


# ---------------------------------------------------------------------------------- helpers

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


def over_gray(image: np.ndarray) -> np.ndarray:
    """Return RGBA over mid-gray (a face is found as well on it as on a photo), RGB as it is."""
    if image.shape[2] == 3:
        return image
    a = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * a + 128 * (255 - a) + 127) // 255).astype(np.uint8)


def _warp_square(rgb: np.ndarray, M: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) uint8: pixel center q of the result shows the picture at M @ (q, 1); black
    outside. A square much larger than the result is averaged down first against aliasing."""
    scale = float(np.hypot(M[0, 0], M[1, 0]))
    factor = int(scale)
    if factor >= 2:
        corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ M[:, :2].T + M[:, 2]
        limit = np.array([rgb.shape[1], rgb.shape[0]])
        low = np.clip(np.floor(corners.min(0)).astype(int), 0, limit)
        high = np.clip(np.ceil(corners.max(0)).astype(int), 0, limit)
        cells = -(-(high - low) // factor)
        if cells.min() >= 1:
            part = rgb[low[1]:high[1], low[0]:high[0]]
            grown = cells * factor - (high - low)  # whole cells: repeat the last row and column
            part = cv2.copyMakeBorder(part, 0, int(grown[1]), 0, int(grown[0]),
                                      cv2.BORDER_REPLICATE)
            rgb = cv2.resize(part, (int(cells[0]), int(cells[1])), interpolation=cv2.INTER_AREA)
            M = np.column_stack([M[:, :2], M[:, 2] - low]) / factor
    # OpenCV counts pixels from their centers: index = continuous - 0.5 on both sides.
    shift = M[:, 2] + M[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(rgb, np.column_stack([M[:, :2], shift]), (size, size),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0))


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -100, 100)))


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (cx, cy, w, h)."""
    low = np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2)
    high = np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    inter = float(np.prod(np.maximum(high - low, 0)))
    return inter / (float(a[2] * a[3] + b[2] * b[3]) - inter + 1e-12)


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


def _inside(box: np.ndarray, face: FaceLandmarks) -> bool:
    """Whether a candidate's box (cx, cy, w, h) lies on a face that was accepted already."""
    b = face.box
    return bool(np.all(np.abs(box[:2] - (b[:2] + b[2:]) / 2) < 0.25 * face.size)
                and max(box[2:]) < 2 * face.size)


def _same_face(a: FaceLandmarks, b: FaceLandmarks) -> bool:
    """Whether two detections ended on the same face after the second pass."""
    return float(np.median(np.linalg.norm(a.xy - b.xy, axis=1))) < 0.25 * min(a.size, b.size)
