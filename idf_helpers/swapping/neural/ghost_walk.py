"""GHOST on one picture, to be looked at step by step; also where its weights are not here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ...errors import IdfError
from ...face.detector import LandmarkDetector
from ..mesh.per_picture import swap_picture
from ..source import SourceFace, load_source
from .ghost_nets import SIDE, GhostFiles, GhostNets, load_nets
from .ghost_steps import AlignedFace, GhostSteps, align, embed
from .model_files import lacks_ghost


@dataclass(frozen=True, eq=False)
class MeshInPlace:
    """The embedded method `mesh` in place of GHOST's generator: it needs no weights, and no
    embedding, because it takes the face from the photo itself."""

    photo: SourceFace
    detector: LandmarkDetector

    def swap(self, crop: np.ndarray, embedding: np.ndarray | None) -> np.ndarray:
        result = swap_picture(crop, self.photo, self.detector)
        if result.status != "swapped":
            raise IdfError("No face could be put in here", result.reason,
                           "choose a view in which the face looks at the camera")
        return cv2.resize(np.ascontiguousarray(result.image[..., :3]), (SIDE, SIDE))


class GhostWalk(GhostSteps):
    """A photo's face put into a picture, by GHOST's steps.

    photo: path, bytes or `SourceFace`. image: (H, W, 3|4) uint8. name: `ghost`, `ghost_1block` or
    `ghost_3blocks`. IdfError as `load_source`, and where the picture shows no face.

    lack: None, or what this machine lacks for GHOST. Then `mesh` makes the face in place of its
    generator, and there is no embedding (None); alignment, mask and blending are GHOST's own.
    """

    def __init__(self, photo, image: np.ndarray, name: str = "ghost"):
        detector = LandmarkDetector()
        self.photo = photo if isinstance(photo, SourceFace) else load_source(photo, detector)
        self.name, self.lack = name, lacks_ghost(name)
        found = detector.detect(image)
        if not found:
            raise IdfError("No face was found in this picture",
                           f"a picture of {image.shape[1]} x {image.shape[0]}",
                           "choose a view in which the face looks at the camera")
        self.nets: GhostNets | None = None if self.lack else load_nets(GhostFiles.of(name))
        super().__init__(image, found[0], self._embed(self.photo.image, self.photo.landmarks),
                         self.nets or MeshInPlace(self.photo, detector), detector)

    @property
    def maker(self) -> str:
        """What made the new face, in words."""
        return "made by mesh, not GHOST" if self.lack else f"made by GHOST ({self.name})"

    @cached_property
    def aligned_photo(self) -> AlignedFace:
        """The photo's face in the square that the recognizer looks at."""
        return align(self.photo.image, self.photo.landmarks)

    @cached_property
    def target_embedding(self) -> np.ndarray | None:
        """(512,) of the face that was there."""
        return self._embed(self.image, self.face)

    @cached_property
    def result_embedding(self) -> np.ndarray | None:
        """(512,) of the face after the swap."""
        found = self.detector.detect(self.blend)
        return self._embed(self.blend, found[0]) if found else None

    def _embed(self, image, face) -> np.ndarray | None:
        return None if self.nets is None else embed(image, face, self.nets)

