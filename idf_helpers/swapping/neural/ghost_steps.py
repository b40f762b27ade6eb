"""GHOST step by step: align, generate, mask, blend. A swap of one face is their sequence:

    nets = load_nets(GhostFiles.of("ghost"))
    source = embed(photo, photo_face, nets)            # once for all pictures
    aligned = align(image, face)
    new = generate(aligned.crop, source, nets)
    weights, params = mask(new, aligned, detector)
    picture, share = blend(image, new, weights, aligned.matrix)

The steps and numbers are those of the published program's image path (ai-forever/ghost ea23cce,
inference.py with `--image_to_image`), without mxnet and insightface: faces and landmarks are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...face.detector import LandmarkDetector
from ...face.landmarks import FaceLandmarks
from .align import five_points, paste
from .ghost_align import CROP, ghost_crop, pose_matrix
from .ghost_mask import Params, face_mask, points_106
from .ghost_nets import SIDE, GhostNets


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face, upright in a square.

    crop: (224, 224, 3) uint8 RGB. matrix: (2, 3) float64, picture -> crop, in OpenCV's coordinates.
    points: (106, 2) float64, the face's landmarks in pixels of the crop.
    """

    crop: np.ndarray
    matrix: np.ndarray
    points: np.ndarray


def embed(image: np.ndarray, face: FaceLandmarks, nets: GhostNets, bgr: bool = False) -> np.ndarray:
    """Return the identity of a face, (512,) float32, not normalized, as the generator wants it.

    image: (H, W, 3|4) uint8. bgr: look at it with red and blue exchanged, as the published program
    does at targets (not at sources).
    """
    crop = align(image, face).crop[None]
    return nets.embed(crop[..., ::-1] if bgr else crop)[0]


def align(image: np.ndarray, face: FaceLandmarks, five: np.ndarray | None = None) -> AlignedFace:
    """Return the face upright, as the nearest of five poses, black beyond the picture.

    image: (H, W, 3|4) uint8. five: (5, 2) eyes, nose tip and mouth corners in place of the
    landmarks' own, such as points smoothed in time.
    """
    matrix, _ = pose_matrix(five_points(face.points) if five is None else five)
    crop = ghost_crop(np.ascontiguousarray(image[..., :3]), matrix)
    points = points_106((face.xy - 0.5) @ matrix[:, :2].T + matrix[:, 2])
    return AlignedFace(crop, matrix, points)


def generate(crop: np.ndarray, source: np.ndarray, nets: GhostNets) -> np.ndarray:
    """Return the crop with the source's face, (224, 224, 3) uint8 RGB.

    crop: of that shape too; the network sees it enlarged to 256. source: (512,) from `embed`.
    """
    new = nets.swap(cv2.resize(crop, (SIDE, SIDE)), source)
    return cv2.resize(new, (CROP, CROP))


def mask(new: np.ndarray, aligned: AlignedFace, detector: LandmarkDetector,
         params: Params | None = None) -> tuple[np.ndarray, Params]:
    """Return where the new face goes, (224, 224) float64 in [0, 1], and the mask's parameters.

    new: from `generate`; where no face is found in it, the target's own landmarks stand in.
    params: (erosion, sigma x, sigma y) in pixels; None chooses them by how wide the new face is
    beside the old one. A video keeps those of a track's first frame.
    """
    found = detector.detect(new)
    points = points_106(found[0].xy - 0.5) if found else aligned.points
    return face_mask(points, aligned.points, params)


def blend(image: np.ndarray, new: np.ndarray, weights: np.ndarray, matrix: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture with the new face, and its share (H, W) float32 of each pixel:
    share new + (1 - share) image. Alpha is kept.

    image: (H, W, 3|4) uint8. weights: from `mask`. matrix: of `AlignedFace`.
    """
    return paste(image, new, weights, matrix)
