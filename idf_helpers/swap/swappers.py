"""The swap backends behind one protocol.

A swapper is prepared once, in the main process, from the frames and the source face, and then
called for every frame; it is picklable, so that worker processes get the prepared one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
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
from .tracked import TrackConfig, Tracks, follow, load_tracks
from .triangulate import FitConfig, fit_face
from .uv import RenderConfig, render_swap

# Views looked at for fitting the mesh; more bring no accuracy (0.7 % of the face width was measured
# from 39 views), and a video's thousands would cost minutes.
MAX_FIT_VIEWS = 160

# What `UvSwapper` keeps in the run folder, for a resumed run and for `idf eval`.
# The tracks are there for sequences of a moving face only.
MESH_FILE, TEXTURE_FILE = "face_mesh.npz", "face_texture.npz"
TRACKS_FILE = "face_tracks.npz"
PREPARED = (MESH_FILE, TEXTURE_FILE, TRACKS_FILE)

Progress = Callable[[str, float], None]


class Swapper(Protocol):
    """name: as in the registry. source_type: IPTC digital source type of what it makes.

    note (optional): what the user should know of how it works here; goes into the report.
    A swapper that knows more of a frame than its picture also has `of_frame(name)`, which gives
    the one to call for that frame.
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


def find_faces(frames: Sequence[Frame], progress: Progress) -> list[FaceLandmarks | None]:
    """The face in each frame, None where there is none."""
    detector = LandmarkDetector()
    faces: list[FaceLandmarks | None] = []
    for i, frame in enumerate(frames):
        found = detector.detect(frame.image())
        faces.append(found[0] if found else None)
        progress("finding faces", (i + 1) / len(frames))
    return faces


def fit_views(frames: Sequence[Frame], progress: Progress) -> tuple[FaceMesh, list[Frame]]:
    """Finds the face in (at most MAX_FIT_VIEWS of) the frames and fits one mesh; also returns the
    frames that were looked at. IdfError as `fit_face`."""
    looked_at = list(frames)[::-(-len(frames) // MAX_FIT_VIEWS)]
    return fit_face(looked_at, find_faces(looked_at, progress)), looked_at


def fit_sequence(frames: Sequence[Frame], progress: Progress
                 ) -> tuple[FaceMesh, list[Frame], Tracks]:
    """As `fit_views` for a face that moves: finds it in every frame, fits the mesh to some and
    follows it through all."""
    frames = list(frames)
    faces = find_faces(frames, progress)
    some = slice(None, None, -(-len(frames) // MAX_FIT_VIEWS))
    mesh = fit_face(frames[some], faces[some])
    vertices = follow(mesh, frames, [f and f.points for f in faces])
    return mesh, frames[some], Tracks(np.array([f.name for f in frames]), vertices)


@dataclass(frozen=True, eq=False)
class UvSwapper:
    """One face mesh and one texture for all views of a head.

    tracks: the file that says how the mesh bends in each frame; None = the face keeps still.
    """

    mesh: FaceMesh
    texture: FaceTexture
    tracks: Path | Tracks | None = None

    name = "uv"
    source_type = "compositeSynthetic"

    @classmethod
    def settings(cls) -> dict:
        return {"fit": asdict(FitConfig()), "bake": asdict(BakeConfig()),
                "render": asdict(RenderConfig()), "track": asdict(TrackConfig()),
                "max_fit_views": MAX_FIT_VIEWS}

    @classmethod
    def prepare(cls, frames, sources, folder, progress, config) -> UvSwapper:
        one_source("uv", sources)
        moving = any(f.expression is not None for f in frames)
        wanted = PREPARED if moving else PREPARED[:2]
        if folder is not None and all((folder / name).is_file() for name in wanted):
            with contextlib.suppress(IdfError):  # damaged: made again below, equal to what it was
                return cls(FaceMesh.load(folder / MESH_FILE),
                           FaceTexture.load(folder / TEXTURE_FILE),
                           _checked(folder / TRACKS_FILE) if moving else None)
        tracks = shapes = None
        if moving:
            mesh, looked_at, tracks = fit_sequence(frames, progress)
            shapes = [tracks.vertices[tracks.row(f.name)] for f in looked_at]
        else:
            mesh, looked_at = fit_views(frames, progress)
        progress("baking the texture", 0.0)
        texture = bake(mesh, looked_at, sources[0], shapes=shapes)
        progress("baking the texture", 1.0)
        if folder is not None:
            mesh.save(folder / MESH_FILE)
            texture.save(folder / TEXTURE_FILE)
            if tracks is not None:
                tracks.save(folder / TRACKS_FILE)
                tracks = folder / TRACKS_FILE  # workers are sent the path, and read it once
        return cls(mesh, texture, tracks)

    def of_frame(self, name: str) -> Swapper:
        """The swapper with the mesh as it is in the frame of that name."""
        if self.tracks is None:
            return self
        tracks = self.tracks if isinstance(self.tracks, Tracks) else load_tracks(self.tracks)
        mesh = tracks.mesh(self.mesh, name)
        return _NoFace() if mesh is None else replace(self, mesh=mesh, tracks=None)

    def __call__(self, image, camera) -> SwapResult:
        if camera is None:
            raise IdfError("The swap backend `uv` needs cameras", "a picture without one",
                           "use --backend mesh")
        return render_swap(image, camera, self.mesh, self.texture)


def _checked(path: Path) -> Path:
    Tracks.load(path)
    return path


class _NoFace:
    """Of a frame that shows no face."""

    name, source_type = UvSwapper.name, UvSwapper.source_type

    def __call__(self, image, camera) -> SwapResult:
        return SwapResult.unchanged(image, "no_face", "no face was found")


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
