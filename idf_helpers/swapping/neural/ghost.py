"""Face swap by GHOST (Groshev et al. 2022), each picture by itself.

The steps and numbers are upstream's image path (ai-forever/ghost ea23cce: inference.py with
`--image_to_image`), without mxnet and insightface: faces and landmarks are ours. What is computed
anew for every image there is computed once here: the source's embedding. In sequences the points
are smoothed and the mask's parameters kept along a track, as upstream's video path does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from ...data.dataset import Frame
from ...data.sequence import in_time
from ...face.landmarks import FaceLandmarks, LandmarkDetector
from ...runtime.files import sha256_file
from ..face_selection import FacePicker, Recognized, make_picker, swap_picked
from ..result import SwapResult
from ..source import SourceFace
from ..video_faces import VideoFrame, load_faces, video_camera
from .align import five_points, paste
from .ghost_align import CROP, ghost_crop, pose_matrix, smooth_points
from .ghost_mask import Params, face_mask, points_106
from .ghost_nets import SIDE, GhostFiles, GhostNets, load_nets
from .model_files import SWAP_FILES
from .onnx_swap import NeuralConfig, too_far_turned


@dataclass(frozen=True, eq=False)
class Hint:
    """What a frame of a sequence takes from its neighbors: smoothed points (5, 2), and the mask's
    parameters of its track. face: where it is known already (video), else None."""

    five: np.ndarray
    params: Params | None = None
    face: FaceLandmarks | None = None


def swap_crop(crop: np.ndarray, embedding: np.ndarray, nets: GhostNets) -> np.ndarray:
    """The new face: (224, 224, 3) uint8 RGB and (512,) -> the same. Enlarged to 256 and back."""
    y = nets.swap(cv2.resize(crop, (SIDE, SIDE)), embedding)
    return cv2.resize(y, (CROP, CROP))


def blend(image: np.ndarray, face: np.ndarray, M: np.ndarray, landmarks: np.ndarray,
          target: np.ndarray, params: Params | None = None
          ) -> tuple[np.ndarray, np.ndarray, Params]:
    """The picture with the new face, its share (H, W), and the mask's parameters.

    image: (H, W, 3|4) uint8. face: (224, 224, 3). landmarks, target: (106, 2) of the new and of
    the old face, pixels of the crop. out = mask face + (1 - mask) image
    """
    mask, params = face_mask(landmarks, target, params)
    out, share = paste(image, face, mask, M)
    return out, share, params


@dataclass(frozen=True, eq=False)
class GhostEmbedder:
    """A face's embedding. Upstream looks at targets in BGR (not at sources); so does this."""

    files: GhostFiles
    bgr: bool = True

    def __call__(self, image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
        M, _ = pose_matrix(five_points(face.points))
        crop = ghost_crop(np.ascontiguousarray(image[..., :3]), M)
        return load_nets(self.files).embed(crop[None, ..., ::-1] if self.bgr else crop[None])[0]


@dataclass(frozen=True, eq=False)
class GhostSwapper:
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
    config: NeuralConfig = NeuralConfig()
    hints: dict[str, Hint] = field(default_factory=dict)
    hint: Hint | None = None
    faces: Path | None = None

    source_type = "compositeWithTrainedAlgorithmicMedia"

    def of_frame(self, name: str) -> GhostSwapper:
        """The swapper that knows what the frame of that name takes from its neighbors."""
        hint = self.hints.get(name)
        if hint is not None and self.faces is not None:
            hint = replace(hint, face=load_faces(self.faces).face(int(name)))
        return replace(self, hint=hint)

    def __call__(self, image, camera) -> SwapResult:
        if self.faces is not None:
            if self.hint is None:
                return SwapResult.unchanged(image, "no_face", "no face was found")
            return self.swap_face(image, self.hint.face, 0, self.hint)[0]
        return swap_picked(image, self.picker, self.detector,
                           lambda picture, face, k: self.swap_face(picture, face, k, self.hint)[0])

    def swap_face(self, image: np.ndarray, face: FaceLandmarks, k: int = 0,
                  hint: Hint | None = None) -> tuple[SwapResult, Params | None]:
        """One face of a (H, W, 3|4) uint8 picture, and the mask's parameters."""
        if abs(face.yaw) > self.config.max_yaw:
            return too_far_turned(image, face, self.config.max_yaw), None
        M, _ = pose_matrix(five_points(face.points) if hint is None else hint.five)
        crop = ghost_crop(np.ascontiguousarray(image[..., :3]), M)
        new = swap_crop(crop, self.sources[k], load_nets(self.files))
        target = points_106((face.xy - 0.5) @ M[:, :2].T + M[:, 2])
        found = self.detector.detect(new)
        landmarks = points_106(found[0].xy - 0.5) if found else target
        out, share, params = blend(image, new, M, landmarks, target, hint and hint.params)
        if not share.any():
            return SwapResult.unchanged(image, "no_face", "no part of the face is visible"), None
        return SwapResult(out, share, "swapped"), params


class GhostMethod:
    """The backend `ghost` (2 blocks), `ghost_1block` or `ghost_3blocks`."""

    def __init__(self, name: str):
        self.name = name

    def settings(self) -> dict:
        files = GhostFiles.of(self.name)
        return {"neural": asdict(NeuralConfig()), "blocks": files.blocks, "sha256":
                {p.name: sha256_file(p) for p in (files.generator, files.backbone)}}

    def prepare(self, frames: Sequence[Frame], sources: Sequence[SourceFace], folder, progress,
                config) -> GhostSwapper:
        files, detector = GhostFiles.of(self.name), LandmarkDetector()
        progress("loading GHOST", 0.0)
        nets = load_nets(files)
        look = GhostEmbedder(files, bgr=False)
        told = tuple(look(s.image, s.landmarks) for s in sources)
        progress("loading GHOST", 1.0)
        picker = make_picker(config, len(sources), detector,
                             Recognized(GhostEmbedder(files), "GHOST's ArcFace"))
        note = "; ".join(filter(None, (
            f"{self.name} runs on {nets.device}, license: {SWAP_FILES[self.name].license}",
            picker.words)))
        swapper = GhostSwapper(self.name, files, told, picker, detector, note)
        if config.one_head and any(f.expression is not None for f in frames):
            frames, faces = in_time(frames), []
            for i, frame in enumerate(frames):
                pairs, _ = picker.pick(frame.image(), detector)
                faces.append(pairs[0][0] if pairs else None)
                progress("following the face", (i + 1) / len(frames))
            swapper = replace(swapper, hints=sequence_hints(swapper, frames, faces))
        return swapper

    def for_video(self, clip, sources, folder, progress, config) -> GhostSwapper:
        """As `prepare`, with the faces that are known (the video's own smoothing is off with
        --video.smooth.window 0; GHOST's comes after it)."""
        swapper = self.prepare([], sources, folder, progress, config)
        frames = [VideoFrame(video_camera(clip.index), str(i), clip)
                  for i in range(len(clip.index))]
        faces = [clip.faces.face(i) for i in range(len(frames))]
        return replace(swapper, hints=sequence_hints(swapper, frames, faces), faces=clip.saved)


def sequence_hints(swapper: GhostSwapper, frames: Sequence, faces: Sequence[FaceLandmarks | None]
                   ) -> dict[str, Hint]:
    """What each frame of a sequence takes from the others: see `Hint`. faces: in these frames,
    which are in their order in time."""
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
