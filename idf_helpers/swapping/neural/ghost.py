"""Face swap by GHOST (Groshev et al. 2022), each picture by itself.

What the published program computes anew for every image is computed once here: the source's
embedding. In sequences the points are smoothed and the mask's parameters kept along a track, as
its video path does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...data.sequence import in_time
from ...face.detector import LandmarkDetector
from ...face.landmarks import FaceLandmarks
from ...provenance.lineage import TRAINED_COMPOSITE
from ...runtime.files import sha256_file
from ..face_selection import FacePicker, Recognized, make_picker, swap_picked
from ..result import SwapResult
from ..swapper import NoFace, SwapMethod, Swapper
from ..video_faces import VideoFrame, load_faces, video_camera
from . import ghost_steps as steps
from .align import MAX_YAW, five_points, too_far_turned
from .ghost_align import smooth_points
from .ghost_mask import Params
from .ghost_nets import GhostFiles, load_nets
from .model_files import SWAP_FILES


@dataclass(frozen=True, eq=False)
class Hint:
    """What a frame of a sequence takes from its neighbors: smoothed points (5, 2), and the mask's
    parameters of its track. face: where it is known already (video), else None."""

    five: np.ndarray
    params: Params | None = None
    face: FaceLandmarks | None = None


@dataclass(frozen=True, eq=False)
class GhostDescriber:
    """`ghost_steps.embed` of targets; picklable."""

    files: GhostFiles

    def __call__(self, image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
        return steps.embed(image, face, load_nets(self.files), bgr=True)


@dataclass(frozen=True, eq=False)
class GhostSwapper(Swapper):
    """GHOST, prepared. Picklable: the networks are loaded once in every process.

    sources: (512,) embeddings. hints: by the names of the frames of a sequence. hint: of the frame
    that comes next. faces: of a video, the file that has the face of every frame.
    """

    name: str
    files: GhostFiles
    sources: tuple[np.ndarray, ...]
    picker: FacePicker
    detector: LandmarkDetector
    note: str = ""
    hints: dict[str, Hint] = field(default_factory=dict)
    hint: Hint | None = None
    faces: Path | None = None

    source_type = TRAINED_COMPOSITE

    def of_frame(self, name: str) -> Swapper:
        hint = self.hints.get(name)
        if self.faces is not None:
            if hint is None:
                return NoFace()
            hint = replace(hint, face=load_faces(self.faces).face(int(name)))
        return replace(self, hint=hint)

    def __call__(self, image, camera) -> SwapResult:
        if self.faces is not None:
            return self.swap_face(image, self.hint.face, 0, self.hint)[0]
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: self.swap_face(picture, face, k, self.hint)[0])

    def swap_face(self, image: np.ndarray, face: FaceLandmarks, k: int = 0,
                  hint: Hint | None = None) -> tuple[SwapResult, Params | None]:
        """Swap one face of a (H, W, 3|4) uint8 picture; also return the mask's parameters."""
        if abs(face.yaw) > MAX_YAW:
            return too_far_turned(image, face), None
        made = steps.GhostSteps(image, face, self.sources[k], load_nets(self.files), self.detector,
                                hint and hint.five, hint and hint.params)
        if not made.share.any():
            return SwapResult.unchanged(image, "no_face", "no part of the face is visible"), None
        return SwapResult(made.blend, made.share, "swapped"), made.params


class GhostMethod(SwapMethod):
    """`ghost` (2 blocks), `ghost_1block` or `ghost_3blocks`."""

    by_followed_faces = True

    def identity(self) -> dict:
        files = GhostFiles.of(self.name)
        return {"sha256": {p.name: sha256_file(p) for p in (files.generator, files.backbone)}}

    def prepare(self, frames, sources, folder, reporter, config) -> GhostSwapper:
        files, detector = GhostFiles.of(self.name), LandmarkDetector()
        reporter.step("loading GHOST", 0.0)
        nets = load_nets(files)
        embedded = tuple(steps.embed(s.image, s.landmarks, nets) for s in sources)
        reporter.step("loading GHOST", 1.0)
        picker = make_picker(config, len(sources), detector,
                             Recognized(GhostDescriber(files), "GHOST's ArcFace"))
        note = "; ".join(filter(None, (
            f"{self.name} runs on {nets.device}, license: {SWAP_FILES[self.name].license}",
            picker.words)))
        swapper = GhostSwapper(self.name, files, embedded, picker, detector, note)
        if config.one_head and any(f.expression is not None for f in frames):
            frames, faces = in_time(frames), []
            for i, frame in enumerate(frames):
                pairs, _ = picker.pick(frame.image(), detector)
                faces.append(pairs[0][0] if pairs else None)
                reporter.step("following the face", (i + 1) / len(frames))
            swapper = replace(swapper, hints=sequence_hints(swapper, frames, faces))
        return swapper

    def prepare_video(self, clip, sources, folder, reporter, config) -> GhostSwapper:
        """Prepare for faces that are known. With --video.smooth 0, GHOST's own smoothing is the
        only one."""
        swapper = self.prepare([], sources, folder, reporter, config)
        frames = [VideoFrame(video_camera(clip.index), str(i), clip)
                  for i in range(len(clip.index))]
        faces = [clip.faces.face(i) for i in range(len(frames))]
        return replace(swapper, hints=sequence_hints(swapper, frames, faces), faces=clip.saved)


def sequence_hints(swapper: GhostSwapper, frames: Sequence, faces: Sequence[FaceLandmarks | None]
                   ) -> dict[str, Hint]:
    """Return what each frame of a sequence takes from the others, see `Hint`. faces: in these
    frames, which are in their order in time."""
    smooth = smooth_points([None if f is None else five_points(f.points) for f in faces])
    hints, params = {}, None
    for frame, face, five in zip(frames, faces, smooth, strict=True):
        if five is None:  # upstream forgets the parameters where the face is lost
            params = None
            continue
        if params is None:
            _, params = swapper.swap_face(frame.image(), face, 0, Hint(five))
        hints[frame.name] = Hint(five, params)
    return hints
