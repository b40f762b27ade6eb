"""The method `mesh`: a 2D swap of each picture by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks
from ..face.shape_fit import fit_picture
from ..face.topology import POINTS
from .clip_look import ClipLook
from .face_selection import FacePicker, make_picker, swap_picked
from .mesh.clip_shape import FRAMES, without_expression
from .mesh.per_picture import swap_mesh, toward
from .mesh.proportions import in_head, of_head
from .occluders import Hidden
from .result import SwapResult
from .source import SourceFace
from .swapper import NoFace, SwapMethod, Swapper, one_source
from .video_faces import Clip, load_faces

MOTION_FROM = 24  # frames of a video that its change of shape is taken from


@dataclass(frozen=True, eq=False)
class MeshSwapper(Swapper):
    """Swaps the faces that its picker finds in a picture."""

    sources: tuple[SourceFace, ...]
    picker: FacePicker
    detector: LandmarkDetector
    shape: float = 1.0

    name = "mesh"

    @property
    def note(self) -> str:
        return self.picker.words

    def __call__(self, image, camera) -> SwapResult:
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: swap_mesh(picture, face, self.sources[k],
                                                               self.shape))


@dataclass(frozen=True, eq=False)
class FollowingMeshSwapper(Swapper):
    """Swaps onto landmarks that are known, and smooth in time.

    motion: (468, 3) of the face toward the source's shape (`in_head`), one for the whole video, so
    that no fit's error shakes it. faces: file of all; face, hidden: this frame's.
    """

    source: SourceFace
    motion: np.ndarray
    faces: Path
    face: FaceLandmarks | None = None
    hidden: Hidden | None = None

    name = "mesh"

    def of_frame(self, name: str) -> Swapper:
        faces, n = load_faces(self.faces), int(name)
        face = faces.face(n)
        return NoFace() if face is None else replace(self, face=face, hidden=faces.hidden(n))

    def __call__(self, image, camera) -> SwapResult:
        return swap_mesh(image, self.face, self.source, motion=of_head(self.motion,
                                                                       self.face.points),
                         hidden=self.hidden)


class MeshMethod(SwapMethod):
    by_followed_faces = True

    def prepare(self, frames, sources, folder, reporter, config) -> MeshSwapper:
        detector = LandmarkDetector()
        return MeshSwapper(tuple(sources), make_picker(config, len(sources), detector), detector,
                           config.shape)

    def prepare_video(self, clip, sources, folder, reporter, config) -> FollowingMeshSwapper:
        one_source("mesh", sources)
        return FollowingMeshSwapper(sources[0], _motion_of(clip, sources[0], config.shape),
                                    clip.saved)


def _motion_of(clip: Clip, source: SourceFace, amount: float) -> np.ndarray:
    """(468, 3) motion of the face toward the source's shape: the median of those of some frames,
    the most frontal of them, less what reads as an expression in these."""
    motions, used = [], []
    size = clip.index.width, clip.index.height
    for n in clip.faces.telling(MOTION_FROM) if amount > 0 else ():
        face = clip.faces.face(n)
        try:
            fitted = fit_picture(face, *size)
        except IdfError:
            continue  # one frame less to take the median of
        motions.append(in_head(toward(face, fitted, source, amount), face.points))
        used.append(n)
    if not motions:
        return np.zeros((POINTS, 3))
    used = used[::-(-len(used) // FRAMES)]
    faces, look = [clip.faces.face(n) for n in used], ClipLook(clip, used)
    return without_expression(
        np.median(motions, axis=0), faces, *size,
        lambda motion: look(FollowingMeshSwapper(source, motion, clip.saved)))
