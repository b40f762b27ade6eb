"""The two networks that see faces, run by OpenCV: one finds them, one draws their points.

They are MediaPipe's short-range face detector (BlazeFace) and the second version of its face mesh
(Apache-2.0). Both look at a square cut out of the picture.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from ..errors import IdfError
from ..runtime import download
from . import topology
from .downloads import FACE_LANDMARKS

DETECTOR, MESH = 0, 1  # rows of FACE_LANDMARKS.pins
OUTPUTS = (["classificators", "regressors"], ["Identity", "Identity_1"])
ON_GRAY = (125.1, 160.8, -14.2)  # what the mesh gives for 0.5 everywhere: a point, and log odds
DETECTOR_SIZE = 128  # px, the detector's input
MESH_SIZE = 256  # px, the mesh's input
# Anchor grids of the detector: (cells a side, anchors a cell), in the order of its outputs.
ANCHOR_GRIDS = ((16, 2), (8, 6))


class LandmarkNets:
    """Opens the two networks at the first picture. Picklable; to be used by one thread at a time,
    which holds `lock`.

    folder: where the model files lie; None = `download.path(FACE_LANDMARKS)`, which never downloads
    and raises IdfError naming the command.
    """

    def __init__(self, folder: Path | str | None = None):
        self._folder = None if folder is None else Path(folder)
        self._nets: dict[int, cv2.dnn.Net] = {}
        self.lock = threading.Lock()

    def __getstate__(self):
        return {"_folder": self._folder}  # nets and locks stay in their process

    def __setstate__(self, state):
        self.__init__(state["_folder"])

    def candidates(self, rgb: np.ndarray, window, turns: int, threshold: float):
        """Return the faces in a square window (x, y of its corner, side; pixels), black outside the
        picture: [(score, keypoints (6, 2) px, box (center x, y, width, height) px)], best first.

        turns: of the window, clockwise by 90 degrees; faces are upright in it. The box is as large
        as there and stands upright in the picture.
        """
        x, y, side = window
        # picture = R (detector pixel - 64) side / 128 + middle
        A = rotation(turns * np.pi / 2).round() * side
        corner = np.array([x, y]) + side / 2 - A @ (0.5, 0.5)
        small = warp_square(rgb, np.column_stack([A / DETECTOR_SIZE, corner]), DETECTOR_SIZE)
        blob = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        logits, regressors = self._forward(DETECTOR, blob, OUTPUTS[DETECTOR])
        return [(score, points @ A.T + corner,
                 np.concatenate([A @ box[:2] + corner, (box[2:] * side)[::-1 if turns % 2 else 1]]))
                for score, points, box in decode_detections(logits, regressors, threshold)]

    def mesh_points(self, rgb, center, side: float, angle: float):
        """Return (478, 3) points in the square at `center`, turned clockwise by `angle` radians,
        and the log odds of a face."""
        # picture = R (crop - 128) side / 256 + center
        scale = max(side, 1.0) / MESH_SIZE
        A = rotation(angle) * scale
        M = np.column_stack([A, center - A @ np.full(2, MESH_SIZE / 2)])
        crop = warp_square(rgb, M, MESH_SIZE)
        blob = (crop.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        raw, logit = self._forward(MESH, blob, OUTPUTS[MESH])
        raw = raw.reshape(topology.POINTS + topology.IRIS_POINTS, 3).astype(np.float64)
        points = np.column_stack([raw[:, :2] @ A.T + M[:, 2], raw[:, 2] * scale])
        return points, float(logit.reshape(-1)[0])

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
                               "needs OpenCV 4.12 or newer and: idf download face_landmarks") from e
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


def decode_detections(logits: np.ndarray, regressors: np.ndarray, threshold: float):
    """Return the detector's outputs as [(score, keypoints (6, 2), box (cx, cy, w, h))], best first.

    logits: (1, 896, 1); regressors: (1, 896, 16) in detector pixels relative to the anchor. The
    results are fractions of the square input. Overlapping boxes (IoU > 0.3) keep the best one.
    Keypoints: right eye, left eye, nose, mouth, right ear, left ear.
    """
    scores = sigmoid(logits.reshape(-1).astype(np.float64))
    keep = np.flatnonzero(scores >= threshold)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    values = regressors.reshape(-1, 8, 2)[keep].astype(np.float64) / DETECTOR_SIZE
    anchors = detector_anchors()[keep]
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    for score, value, anchor in zip(scores[keep], values, anchors, strict=True):
        box = np.concatenate([value[0] + anchor, value[1]])
        if box[2:].min() > 0 and all(iou(box, other) <= 0.3 for _, _, other in found):
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


def warp_square(rgb: np.ndarray, M: np.ndarray, size: int) -> np.ndarray:
    """Return (size, size, 3) uint8, whose pixel center q shows the picture at M @ (q, 1); black
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


def rotation(angle: float) -> np.ndarray:
    """Return (2, 2): turns by `angle` radians, clockwise on screen."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def sigmoid(x):
    """Return the probability of log odds."""
    return 1 / (1 + np.exp(-np.clip(x, -100, 100)))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return intersection over union of two boxes (cx, cy, w, h)."""
    low = np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2)
    high = np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    inter = float(np.prod(np.maximum(high - low, 0)))
    return inter / (float(a[2] * a[3] + b[2] * b[3]) - inter + 1e-12)
