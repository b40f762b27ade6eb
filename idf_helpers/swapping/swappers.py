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

from ..data.cameras import Camera
from ..data.dataset import Frame
from ..errors import IdfError
from ..face.landmarks import FaceLandmarks, LandmarkDetector
from ..face.mesh import FaceMesh
from ..face.smooth import SmoothConfig
from .config import SwapConfig
from .face_selection import FacePicker, make_picker, swap_picked
from .mesh.bake import BakeConfig, FaceTexture, bake
from .mesh.mesh_tracking import TrackConfig, Tracks, follow, load_tracks
from .mesh.per_picture import MeshConfig, swap_mesh
from .mesh.shape_transfer import toward_source
from .mesh.triangulate import FitConfig, fit_face
from .mesh.uv import RenderConfig, render_swap
from .result import SwapResult
from .source import SourceFace
from .video_faces import Clip, VideoFrame, fit_to_video, load_faces, video_camera

# Views looked at for fitting the mesh; more bring no accuracy (0.7 % of the face width was measured
# from 39 views), and a video's thousands would cost minutes.
MAX_FIT_VIEWS = 160

# What `UvSwapper` keeps in the run folder, for a resumed run and for `idf eval`.
# The tracks are there for sequences of a moving face only.
MESH_FILE, TEXTURE_FILE = "face_mesh.npz", "face_texture.npz"
TRACKS_FILE = "face_tracks.npz"
PREPARED = (MESH_FILE, TEXTURE_FILE, TRACKS_FILE)

# Share of a video's own light and shade that the swap follows from frame to frame. A head that
# turns in a room's light needs it; in a dataset for a 3D model it would be inconsistency.
VIDEO_LIGHT = 0.8

Progress = Callable[[str, float], None]


class Swapper(Protocol):
    """name: as in the registry. source_type: IPTC digital source type of what it makes.

    note (optional): what the user should know of how it works here; goes into the report.
    merges (optional): True where several source photos are taken as of one person.
    A swapper that knows more of a frame than its picture also has `of_frame(name)`, which gives
    the one to call for that frame; names of a video's frames are their numbers. One that follows
    a face through a video has `for_video(clip, sources, folder, progress, config)` besides
    `prepare`; others take each frame as a picture.
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


# (mesh, frames that it was fitted to, the face's vertices in each where it moves, else None) -> the
# mesh to draw, and the texture on it.
Painter = Callable[[FaceMesh, Sequence, Sequence | None], tuple[FaceMesh, FaceTexture]]


def _baker(sources: Sequence[SourceFace]) -> Painter:
    return lambda mesh, frames, shapes: (mesh, bake(mesh, frames, sources, shapes=shapes))


def fitted_to_views(frames: Sequence[Frame], folder: Path | None, progress: Progress,
                    paint: Painter) -> dict:
    """The fields of a `UvSwapper` for the frames of a dataset, read back from `folder` where an
    earlier try left them."""
    moving = any(f.expression is not None for f in frames)
    wanted = PREPARED if moving else PREPARED[:2]
    if folder is not None and all((folder / name).is_file() for name in wanted):
        with contextlib.suppress(IdfError):  # damaged: made again below, equal to what it was
            return {"mesh": FaceMesh.load(folder / MESH_FILE),
                    "texture": FaceTexture.load(folder / TEXTURE_FILE),
                    "tracks": _checked(folder / TRACKS_FILE) if moving else None}
    tracks = shapes = None
    if moving:
        mesh, looked_at, tracks = fit_sequence(frames, progress)
        shapes = [tracks.vertices[tracks.row(f.name)] for f in looked_at]
    else:
        mesh, looked_at = fit_views(frames, progress)
    progress("baking the texture", 0.0)
    mesh, texture = paint(mesh, looked_at, shapes)
    progress("baking the texture", 1.0)
    if folder is not None:
        mesh.save(folder / MESH_FILE)
        texture.save(folder / TEXTURE_FILE)
        if tracks is not None:
            tracks.save(folder / TRACKS_FILE)
            tracks = folder / TRACKS_FILE  # workers are sent the path, and read it once
    return {"mesh": mesh, "texture": texture, "tracks": tracks}


def fitted_to_video(clip: Clip, folder: Path, progress: Progress, paint: Painter) -> dict:
    """As `fitted_to_views` for a video whose face is known."""
    render = replace(RenderConfig(), light=VIDEO_LIGHT)
    if all((folder / name).is_file() for name in PREPARED):
        with contextlib.suppress(IdfError):
            return {"mesh": FaceMesh.load(folder / MESH_FILE),
                    "texture": FaceTexture.load(folder / TEXTURE_FILE),
                    "tracks": _checked(folder / TRACKS_FILE), "render": render}
    progress("fitting the face", 0.0)
    mesh, c2w, used = fit_to_video(clip.faces, clip.index)
    frames = [VideoFrame(video_camera(clip.index, c), str(i), clip) for i, c in enumerate(c2w)]
    known = np.isfinite(c2w).all((1, 2))
    shapes = np.full((len(frames), len(mesh.vertices), 3), np.nan, np.float32)
    there = np.flatnonzero(known)
    shapes[there] = follow(mesh, [frames[i] for i in there], clip.faces.points[there],
                           replace(TrackConfig(), smooth=SmoothConfig(0), bridge=0))
    progress("baking the texture", 0.0)
    mesh, texture = paint(mesh, [frames[i] for i in used], shapes[used])
    progress("baking the texture", 1.0)
    tracks = Tracks(np.array([f.name for f in frames]), shapes, c2w)
    mesh.save(folder / MESH_FILE)
    texture.save(folder / TEXTURE_FILE)
    tracks.save(folder / TRACKS_FILE)
    return {"mesh": mesh, "texture": texture, "tracks": folder / TRACKS_FILE, "render": render}


@dataclass(frozen=True, eq=False)
class UvSwapper:
    """One face mesh and one texture for all views of a head.

    Several source photos are taken as of one person, and merged into the texture.
    tracks: the file that says how the mesh bends in each frame; None = the face keeps still.
    camera: (4, 4) camera-to-world of the frame, where the caller does not know it (video).
    render: how the texture is painted. shape: (468, 3) motion of the vertices toward the source's
    proportions, None = the target's own.
    """

    mesh: FaceMesh
    texture: FaceTexture
    tracks: Path | Tracks | None = None
    camera: np.ndarray | None = None
    render: RenderConfig = RenderConfig()
    shape: np.ndarray | None = None

    name = "uv"
    source_type = "compositeSynthetic"
    merges = True

    @classmethod
    def settings(cls) -> dict:
        return {"fit": asdict(FitConfig()), "bake": asdict(BakeConfig()),
                "render": asdict(RenderConfig()), "track": asdict(TrackConfig()),
                "max_fit_views": MAX_FIT_VIEWS}

    @classmethod
    def prepare(cls, frames, sources, folder, progress, config) -> UvSwapper:
        fields = fitted_to_views(frames, folder, progress, _baker(sources))
        return cls(**fields).shaped(sources, config)

    @classmethod
    def for_video(cls, clip: Clip, sources, folder, progress, config) -> UvSwapper:
        fields = fitted_to_video(clip, folder, progress, _baker(sources))
        return cls(**fields).shaped(sources, config)

    def shaped(self, sources, config: SwapConfig) -> UvSwapper:
        """With as much of the source's proportions as `config.shape` asks for."""
        if config.shape <= 0:
            return self
        return replace(self, shape=toward_source(self.mesh, sources, config.shape))

    def of_frame(self, name: str) -> Swapper:
        """The swapper with the mesh as it is in the frame of that name."""
        if self.tracks is None:
            return self
        tracks = self.tracks if isinstance(self.tracks, Tracks) else load_tracks(self.tracks)
        mesh = tracks.mesh(self.mesh, name)
        if mesh is None:
            return _NoFace()
        return replace(self, mesh=mesh, tracks=None, camera=tracks.camera(name))

    def __call__(self, image, camera) -> SwapResult:
        if camera is None:
            raise IdfError("The swap backend `uv` needs cameras", "a picture without one",
                           "use --backend mesh")
        if self.camera is not None:  # only where it stands; the picture's size is the caller's
            camera = replace(camera, c2w=self.camera)
        return render_swap(image, camera, self.mesh, self.texture, self.render, self.shape)


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

    @classmethod
    def for_video(cls, clip: Clip, sources, folder, progress, config) -> _FollowingMesh:
        one_source("mesh", sources)
        return _FollowingMesh(sources[0], clip.saved)

    @property
    def note(self) -> str:
        return self.picker.words

    def __call__(self, image, camera) -> SwapResult:
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: swap_mesh(picture, face, self.sources[k]))


@dataclass(frozen=True, eq=False)
class _FollowingMesh:
    """The 2D swap onto landmarks that are known already, and smooth in time."""

    source: SourceFace
    faces: Path
    face: FaceLandmarks | None = None

    name, source_type = MeshSwapper.name, MeshSwapper.source_type

    def of_frame(self, name: str) -> _FollowingMesh:
        return replace(self, face=load_faces(self.faces).face(int(name)))

    def __call__(self, image, camera) -> SwapResult:
        if self.face is None:
            return SwapResult.unchanged(image, "no_face", "no face was found")
        return swap_mesh(image, self.face, self.source)


def one_source(backend: str, sources: Sequence[SourceFace]) -> None:
    """IdfError where a backend that knows one face is given several."""
    if len(sources) > 1:
        raise IdfError(f"The swap backend `{backend}` takes one source photo",
                       f"{len(sources)} photos", "give one")
