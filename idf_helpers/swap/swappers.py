"""The swap backends behind one protocol.

A swapper is prepared once, in the main process, from the frames and the source face, and then
called for every frame; it is picklable, so that worker processes get the prepared one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..cameras import Camera
from ..dataset import Frame
from ..errors import IdfError
from .bake import BakeConfig, FaceTexture, bake
from .config import SwapConfig
from .facemesh import FaceMesh
from .faces import FacePicker, make_picker, swap_picked
from .landmarks import FaceLandmarks, LandmarkDetector
from .mesh import MeshConfig, swap_mesh
from .result import SwapResult
from .source import SourceFace
from .triangulate import FitConfig, fit_face
from .uv import RenderConfig, render_swap

# Views looked at for fitting the mesh; more bring no accuracy (0.7 % of the face width was measured
# from 39 views), and a video's thousands would cost minutes.
MAX_FIT_VIEWS = 160

# What `UvSwapper` keeps in the run folder, for a resumed run and for `idf eval`.
MESH_FILE, TEXTURE_FILE = PREPARED = ("face_mesh.npz", "face_texture.npz")

Progress = Callable[[str, float], None]


class Swapper(Protocol):
    """name: as in the registry. source_type: IPTC digital source type of what it makes.

    note (optional): what the user should know of how it works here; goes into the report.
    """

    name: str
    source_type: str

    @classmethod
    def settings(cls) -> dict:
        """The method's configs as plain values, seeds included, for the run's manifest."""
        ...

    @classmethod
    def prepare(cls, frames: Sequence[Frame], sources: Sequence[SourceFace], folder: Path | None,
                progress: Progress, config: SwapConfig) -> Swapper:
        """Does what all frames share. folder: where it may keep that for a resumed run."""
        ...

    def __call__(self, image: np.ndarray, camera: Camera | None) -> SwapResult:
        """image: uint8 (H, W, 3|4)."""
        ...


def fit_views(frames: Sequence[Frame], progress: Progress) -> tuple[FaceMesh, list[Frame]]:
    """Finds the face in (at most MAX_FIT_VIEWS of) the frames and fits one mesh; also returns the
    frames that were looked at. IdfError as `fit_face`."""
    looked_at = list(frames)[::-(-len(frames) // MAX_FIT_VIEWS)]
    detector = LandmarkDetector()
    faces: list[FaceLandmarks | None] = []
    for i, frame in enumerate(looked_at):
        found = detector.detect(frame.image())
        faces.append(found[0] if found else None)
        progress("finding faces", (i + 1) / len(looked_at))
    return fit_face(looked_at, faces), looked_at


@dataclass(frozen=True, eq=False)
class UvSwapper:
    """One face mesh and one texture for all views of a head that stands still."""

    mesh: FaceMesh
    texture: FaceTexture

    name = "uv"
    source_type = "compositeSynthetic"

    @classmethod
    def settings(cls) -> dict:
        return {"fit": asdict(FitConfig()), "bake": asdict(BakeConfig()),
                "render": asdict(RenderConfig()), "max_fit_views": MAX_FIT_VIEWS}

    @classmethod
    def prepare(cls, frames, sources, folder, progress, config) -> UvSwapper:
        one_source("uv", sources)
        if folder is not None and all((folder / name).is_file() for name in PREPARED):
            with contextlib.suppress(IdfError):  # damaged: made again below, equal to what it was
                return cls(FaceMesh.load(folder / MESH_FILE),
                           FaceTexture.load(folder / TEXTURE_FILE))
        mesh, frames = fit_views(frames, progress)
        progress("baking the texture", 0.0)
        texture = bake(mesh, frames, sources[0])
        progress("baking the texture", 1.0)
        if folder is not None:
            mesh.save(folder / MESH_FILE)
            texture.save(folder / TEXTURE_FILE)
        return cls(mesh, texture)

    def __call__(self, image, camera) -> SwapResult:
        if camera is None:
            raise IdfError("The swap backend `uv` needs cameras", "a picture without one",
                           "use --backend mesh")
        return render_swap(image, camera, self.mesh, self.texture)


@dataclass(frozen=True, eq=False)
class MeshSwapper:
    """A 2D mesh swap of each picture by itself."""

    sources: tuple[SourceFace, ...]
    picker: FacePicker
    detector: LandmarkDetector

    name = "mesh"
    source_type = "compositeSynthetic"

    @classmethod
    def settings(cls) -> dict:
        return {"mesh": asdict(MeshConfig())}

    @classmethod
    def prepare(cls, frames, sources, folder, progress, config) -> MeshSwapper:
        detector = LandmarkDetector()
        return cls(tuple(sources), make_picker(config, len(sources), detector), detector)

    @property
    def note(self) -> str:
        return self.picker.words

    def __call__(self, image, camera) -> SwapResult:
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: swap_mesh(picture, face, self.sources[k]))


def one_source(backend: str, sources: Sequence[SourceFace]) -> None:
    """IdfError where a backend that knows one face is given several."""
    if len(sources) > 1:
        raise IdfError(f"The swap backend `{backend}` takes one source photo",
                       f"{len(sources)} photos", "give one")
