"""GHOST step by step: align, generate, mask, blend. `GhostSteps` is a swap of one face:

    nets = load_nets(GhostFiles.of("ghost"))
    source = embed(photo, photo_face, nets)            # once for all pictures
    steps = GhostSteps(image, face, source, nets, detector)
    steps.aligned.crop, steps.generated, steps.mask, steps.blend   # each made when it is asked for

The steps and numbers are those of the published program's image path (ai-forever/ghost ea23cce,
inference.py with `--image_to_image`), without mxnet and insightface: faces and landmarks are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np

from ...face.detector import LandmarkDetector
from ...face.landmarks import FaceLandmarks
from .align import five_points, paste
from .ghost_align import CROP, ghost_crop, pose_matrix
from .ghost_mask import Params, face_mask, points_106
from .ghost_nets import SIDE, GhostNets


class Generator(Protocol):
    """What makes the new face, such as `GhostNets`."""

    def swap(self, crop: np.ndarray, embedding: np.ndarray | None) -> np.ndarray:
        """Return (256, 256, 3) uint8 RGB: the crop with another face."""


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face, upright in a square.

    crop: (224, 224, 3) uint8 RGB. matrix: (2, 3) float64, picture -> crop, in OpenCV's coordinates.
    points: (106, 2) float64, the face's landmarks in pixels of the crop.
    """

    crop: np.ndarray
    matrix: np.ndarray
    points: np.ndarray


class GhostSteps:
    """One swap of one face. A step is made when it is first asked for, and kept.

    image: (H, W, 3|4) uint8, the target. face: its landmarks. embedding: (512,) of the source, from
    `embed`. five, params: as of `align` and `mask`, for a frame of a sequence.
    """

    def __init__(self, image: np.ndarray, face: FaceLandmarks, embedding: np.ndarray | None,
                 generator: Generator, detector: LandmarkDetector,
                 five: np.ndarray | None = None, params: Params | None = None):
        self.image, self.face, self.embedding = image, face, embedding
        self.generator, self.detector = generator, detector
        self._five, self._params = five, params

    @cached_property
    def aligned(self) -> AlignedFace:
        """The face, upright in a square, see `align`."""
        return align(self.image, self.face, self._five)

    @cached_property
    def generated(self) -> np.ndarray:
        """The square with the source's face, see `generate`."""
        return generate(self.aligned.crop, self.embedding, self.generator)

    @property
    def mask(self) -> np.ndarray:
        """Where the new face goes, (224, 224) float64 in [0, 1]."""
        return self._masked[0]

    @property
    def params(self) -> Params:
        """The mask's parameters."""
        return self._masked[1]

    @property
    def blend(self) -> np.ndarray:
        """The picture with the new face, (H, W, 3|4) uint8."""
        return self._blended[0]

    @property
    def share(self) -> np.ndarray:
        """How much of each pixel is new, (H, W) float32 in [0, 1]."""
        return self._blended[1]

    @cached_property
    def _masked(self) -> tuple[np.ndarray, Params]:
        return mask(self.generated, self.aligned, self.detector, self._params)

    @cached_property
    def _blended(self) -> tuple[np.ndarray, np.ndarray]:
        return blend(self.image, self.generated, self.mask, self.aligned.matrix)


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


def generate(crop: np.ndarray, source: np.ndarray | None, generator: Generator) -> np.ndarray:
    """Return the crop with the source's face, (224, 224, 3) uint8 RGB.

    crop: of that shape too; the network sees it enlarged to 256. source: (512,) from `embed`.
    """
    new = generator.swap(cv2.resize(crop, (SIDE, SIDE)), source)
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
