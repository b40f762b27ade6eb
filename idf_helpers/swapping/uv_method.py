"""The method `uv`: one face mesh and one texture for all views of a head, or for a whole video."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.dataset import Frame
from ..data.moments import moves
from ..errors import IdfError
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks
from ..face.mesh import FaceMesh
from ..provenance import marked
from ..provenance.lineage import mark_within
from ..runtime.machine import cpu_count
from ..runtime.parallel import pmap
from ..runtime.progress import Reporter
from .clip_look import ClipLook
from .config import SwapConfig
from .mesh.bake import FaceTexture, bake
from .mesh.chart_eyes import openness_beside
from .mesh.clip_shape import FRAMES, without_expression
from .mesh.head_bend import HeadBend, toward_sources
from .mesh.mesh_tracking import Tracks, follow, follow_gaze, load_tracks
from .mesh.proportions import in_head, of_head
from .mesh.render import render_swap
from .mesh.triangulate import fit_face
from .occluders import Hidden
from .result import SwapResult
from .source import SourceFace
from .swapper import NoFace, SwapMethod, Swapper
from .video_faces import Clip, VideoFrame, fit_to_video, load_faces, video_camera

# Views looked at for fitting the mesh; more bring no accuracy (0.7 % of the face width was measured
# from 39 views), and a video's thousands would cost minutes.
MAX_FIT_VIEWS = 160

# What is kept in the run folder, for a resumed run and for `idf eval`. The tracks are there for
# sequences of a moving face only.
MESH_FILE, TEXTURE_FILE = "face_mesh.npz", "face_texture.npz"
TRACKS_FILE = "face_tracks.npz"
PREPARED = (MESH_FILE, TEXTURE_FILE, TRACKS_FILE)

# Share of a video's own light and shade that the swap follows from frame to frame. A head that
# turns in a room's light needs it; in a dataset for a 3D model it would be inconsistency.
VIDEO_LIGHT = 0.8

# (mesh, frames that it was fitted to, the face's vertices in each where it moves, else None, the
# irises in each or None) -> the mesh to draw, and the texture on it.
Painter = Callable[[FaceMesh, Sequence, Sequence | None, Sequence], tuple[FaceMesh, FaceTexture]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A face, fitted and painted.

    tracks: the file that says how the mesh bends in each frame, or what is in it; None = the face
    keeps still. light: share of the frames' own light that is followed.
    """

    mesh: FaceMesh
    texture: FaceTexture
    tracks: Path | Tracks | None = None
    light: float = 0.0

    @classmethod
    def read(cls, folder: Path | None, moving: bool, light: float = 0.0) -> Fitted | None:
        """Return what an earlier try left in `folder`; None where it is not whole."""
        if folder is None:
            return None
        tracks = folder / TRACKS_FILE if moving else None
        mesh = FaceMesh.load_if_whole(folder / MESH_FILE)
        texture = FaceTexture.load_if_whole(folder / TEXTURE_FILE)
        if mesh is None or texture is None or tracks and Tracks.load_if_whole(tracks) is None:
            return None
        return cls(mesh, texture, tracks, light)

    def kept(self, folder: Path | None) -> Fitted:
        """Return itself, written to `folder`; workers are then sent the tracks' path, not them."""
        if folder is None:
            return self
        for part, name in ((self.mesh, MESH_FILE), (self.texture, TEXTURE_FILE)):
            of = mark_within(folder, f"{Path(name).stem.replace('_', ' ')} of a face swap")
            with marked(folder / name, of) as temporary:
                part.save(temporary)
        if self.tracks is None:
            return self
        self.tracks.save(folder / TRACKS_FILE)
        return replace(self, tracks=folder / TRACKS_FILE)


def find_faces(frames: Sequence[Frame], reporter: Reporter) -> list[FaceLandmarks | None]:
    """Return the face in each frame, None where there is none."""
    of_thread = threading.local()  # a detector works on one picture at a time

    def face(frame: Frame) -> FaceLandmarks | None:
        if not hasattr(of_thread, "detector"):
            of_thread.detector = LandmarkDetector()
        found = of_thread.detector.detect(frame.image())
        return found[0] if found else None

    faces: list[FaceLandmarks | None] = []
    for found in pmap(face, frames, "threads", cpu_count()):
        faces.append(found)
        reporter.step("finding faces", len(faces) / len(frames))
    return faces


def fit_views(frames: Sequence[Frame], reporter: Reporter) -> tuple[FaceMesh, list[Frame], list]:
    """Return one mesh fitted to (at most MAX_FIT_VIEWS of) the frames, the frames that were looked
    at, and the irises in each, (10, 3) pixels or None. IdfError as `fit_face`."""
    looked_at = list(frames)[::-(-len(frames) // MAX_FIT_VIEWS)]
    faces = find_faces(looked_at, reporter)
    return fit_face(looked_at, faces), looked_at, [f and f.iris for f in faces]


def fit_sequence(frames: Sequence[Frame], reporter: Reporter
                 ) -> tuple[FaceMesh, list[Frame], list, Tracks]:
    """Return the same for a face that moves, which is looked for in every frame, and its tracks."""
    frames = list(frames)
    faces = find_faces(frames, reporter)
    some = slice(None, None, -(-len(frames) // MAX_FIT_VIEWS))
    mesh = fit_face(frames[some], faces[some])
    irises = [f and f.iris for f in faces]
    vertices = follow(mesh, frames, [f and f.points for f in faces])
    tracks = Tracks(np.array([f.name for f in frames]), vertices,
                    gaze=follow_gaze(mesh, vertices, frames, irises))
    return mesh, frames[some], irises[some], tracks


def _painted(paint: Painter, mesh, frames, shapes, irises, reporter: Reporter
             ) -> tuple[FaceMesh, FaceTexture]:
    reporter.step("baking the texture", 0.0)
    painted = paint(mesh, frames, shapes, irises)
    reporter.step("baking the texture", 1.0)
    return painted


def fitted_to_views(frames: Sequence[Frame], folder: Path | None, reporter: Reporter,
                    paint: Painter) -> Fitted:
    """Return the face of a dataset, read back from `folder` where an earlier try left it."""
    moving = moves(frames)
    if found := Fitted.read(folder, moving):
        return found
    tracks = shapes = None
    if moving:
        mesh, looked_at, irises, tracks = fit_sequence(frames, reporter)
        shapes = [tracks.vertices[tracks.row(f.name)] for f in looked_at]
    else:
        mesh, looked_at, irises = fit_views(frames, reporter)
    return Fitted(*_painted(paint, mesh, looked_at, shapes, irises, reporter), tracks).kept(folder)


def fitted_to_video(clip: Clip, folder: Path, reporter: Reporter, paint: Painter) -> Fitted:
    """Return the face of a video in which it was followed; `folder` as for `fitted_to_views`."""
    if found := Fitted.read(folder, True, VIDEO_LIGHT):
        return found
    reporter.step("fitting the face", 0.0)
    mesh, c2w, used = fit_to_video(clip.faces, clip.index)
    frames = [VideoFrame(video_camera(clip.index, c), str(i), clip) for i, c in enumerate(c2w)]
    shapes = np.full((len(frames), len(mesh.vertices), 3), np.nan, np.float32)
    there = np.flatnonzero(np.isfinite(c2w).all((1, 2)))
    # The landmarks are smooth in time, and their gaps filled in.
    shapes[there] = follow(mesh, [frames[i] for i in there], clip.faces.points[there], window=0,
                           gap=0)
    faces = [clip.faces.face(i) for i in range(len(c2w))]
    irises = [f and f.iris for f in faces]
    gaze = follow_gaze(mesh, shapes, frames, irises, window=0)
    mesh, texture = _painted(paint, mesh, [frames[i] for i in used], shapes[used],
                             [irises[i] for i in used], reporter)
    tracks = Tracks(np.array([f.name for f in frames]), shapes, c2w, gaze)
    return Fitted(mesh, texture, tracks, VIDEO_LIGHT).kept(folder)


@dataclass(frozen=True, eq=False)
class UvSwapper(Swapper):
    """Paints one texture into every view.

    camera: (4, 4) camera-to-world of the frame, where the caller does not know it (video). shape:
    toward the source's proportions, the same for all frames; None = the target's own. faces: the
    file of a video's faces; hidden: what stands before this frame's.
    """

    fitted: Fitted
    camera: np.ndarray | None = None
    shape: HeadBend | None = None
    faces: Path | None = None
    hidden: Hidden | None = None

    name = "uv"
    merges = shared = True

    def of_frame(self, name: str) -> Swapper:
        tracks = self.fitted.tracks
        if tracks is None:
            return self
        tracks = tracks if isinstance(tracks, Tracks) else load_tracks(tracks)
        rest = self.fitted.mesh
        mesh = tracks.mesh(rest, name)
        if mesh is None:
            return NoFace()
        hidden = None if self.faces is None else load_faces(self.faces).hidden(int(name))
        texture = self.fitted.texture.in_frame(openness_beside(mesh.vertices, rest.vertices),
                                               tracks.looks(name))
        return replace(self, fitted=replace(self.fitted, mesh=mesh, texture=texture, tracks=None),
                       camera=tracks.camera(name), hidden=hidden)

    def __call__(self, image, camera) -> SwapResult:
        if camera is None:
            raise IdfError("The swap method `uv` needs cameras", "a picture without one",
                           "use --backend mesh")
        if self.camera is not None:  # only where it stands; the picture's size is the caller's
            camera = replace(camera, c2w=self.camera)
        return render_swap(image, camera, self.fitted.mesh, self.fitted.texture, self.shape,
                           self.fitted.light, before=self.hidden)


class UvMethod(SwapMethod):
    """Several source photos are taken as of one person, and merged into the texture."""

    def prepare(self, frames, sources, folder, reporter, config) -> UvSwapper:
        fitted = fitted_to_views(frames, folder, reporter, _baker(sources))
        return _swapper(fitted, sources, config, frames if fitted.tracks is None else ())

    def prepare_video(self, clip, sources, folder, reporter, config) -> UvSwapper:
        fitted = fitted_to_video(clip, folder, reporter, _baker(sources, hides=False))
        swapper = replace(_swapper(fitted, sources, config), faces=clip.saved)
        return swapper if swapper.shape is None else _for_clip(swapper, clip)


def _baker(sources: Sequence[SourceFace], hides: bool = True) -> Painter:
    return lambda mesh, frames, shapes, irises: (
        mesh, bake(mesh, frames, sources, shapes, irises=irises, hides=hides))


def _swapper(fitted: Fitted, sources, config: SwapConfig, frames=()) -> UvSwapper:
    """With as much of the source's proportions as `config.shape` asks for. frames: of a head that
    keeps still."""
    shape = toward_sources(fitted.mesh, sources, config.shape, frames) if config.shape > 0 else None
    return UvSwapper(fitted, shape=shape)


def _for_clip(swapper: UvSwapper, clip: Clip) -> UvSwapper:
    """Return the swapper of a clip without what its frames would show as an expression."""
    mesh = swapper.fitted.mesh
    numbers = clip.faces.telling(FRAMES)
    faces, look = [clip.faces.face(n) for n in numbers], ClipLook(clip, numbers)

    def bent(motion: np.ndarray) -> UvSwapper:
        return replace(swapper, shape=HeadBend.of(mesh, of_head(motion, mesh.vertices)))

    return bent(without_expression(in_head(swapper.shape.motion, mesh.vertices), faces,
                                   clip.index.width, clip.index.height,
                                   lambda motion: look(bent(motion))))
