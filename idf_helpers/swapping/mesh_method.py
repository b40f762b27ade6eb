"""The method `mesh`: a 2D swap of each picture by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..face.landmarks import FaceLandmarks, LandmarkDetector
from .face_selection import FacePicker, make_picker, swap_picked
from .mesh.per_picture import swap_mesh
from .result import SwapResult
from .source import SourceFace
from .swapper import NoFace, SwapMethod, Swapper, one_source
from .video_faces import load_faces


@dataclass(frozen=True, eq=False)
class MeshSwapper(Swapper):
    """Swaps the faces that its picker finds in a picture."""

    sources: tuple[SourceFace, ...]
    picker: FacePicker
    detector: LandmarkDetector

    name = "mesh"

    @property
    def note(self) -> str:
        return self.picker.words

    def __call__(self, image, camera) -> SwapResult:
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: swap_mesh(picture, face, self.sources[k]))


@dataclass(frozen=True, eq=False)
class FollowingMeshSwapper(Swapper):
    """Swaps onto landmarks that are known, and smooth in time. faces: file of all; face: this
    frame's."""

    source: SourceFace
    faces: Path
    face: FaceLandmarks | None = None

    name = "mesh"

    def of_frame(self, name: str) -> Swapper:
        face = load_faces(self.faces).face(int(name))
        return NoFace() if face is None else replace(self, face=face)

    def __call__(self, image, camera) -> SwapResult:
        return swap_mesh(image, self.face, self.source)


class MeshMethod(SwapMethod):
    by_followed_faces = True

    def prepare(self, frames, sources, folder, reporter, config) -> MeshSwapper:
        detector = LandmarkDetector()
        return MeshSwapper(tuple(sources), make_picker(config, len(sources), detector), detector)

    def prepare_video(self, clip, sources, folder, reporter, config) -> FollowingMeshSwapper:
        one_source("mesh", sources)
        return FollowingMeshSwapper(sources[0], clip.saved)
