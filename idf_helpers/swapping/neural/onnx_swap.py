"""Face swap by an ONNX network from the table of `onnx_models.py`, each picture by itself.

Steps as in facefusion 3.8.1 (33cc6b40, face_swapper/core.py): an upright crop by five points, the
network, the crop back. The mask is its box mask and, so that hair and background stay, the oval of
our own landmarks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import IdfError
from ...face import topology
from ...face.color import blur, fill_rings
from ...face.detector import LandmarkDetector
from ...face.landmarks import FaceLandmarks
from ...provenance.lineage import TRAINED_COMPOSITE
from ...runtime import download
from ...runtime.files import sha256_file
from ..face_selection import FacePicker, Recognized, make_picker, swap_picked
from ..result import SwapResult
from ..source import SourceFace
from ..swapper import SwapMethod, Swapper
from .align import (
    MAX_YAW,
    box_mask,
    crop,
    deinterleave,
    five_points,
    interleave,
    paste,
    template_matrix,
    too_far_turned,
)
from .model_files import RECOGNIZER, SWAP_FILES
from .onnx_file import OnnxNet, Slot, last_initializer
from .onnx_models import OnnxModel

EMBEDDING = 512


MASK_BLUR = 0.3  # width of the fade at the crop's border, as facefusion's default
# How far the mask reaches beyond the face's oval, and how wide its fade is, shares of the face.
GROW, SOFT = 0.03, 0.04


def embed(net: OnnxNet, image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return (512,) float32 embedding of a face, not normalized. image: (H, W, 3|4) uint8."""
    M = template_matrix(five_points(face.points), "arcface_112_v2", 112)
    square = crop(np.ascontiguousarray(image[..., :3]), M, 112).astype(np.float32)
    out = net({"": planes(square / np.float32(127.5) - 1)}).ravel()
    if out.size != EMBEDDING:
        raise IdfError(f"The network {net.path} is not a recognizer of this kind",
                       f"{out.size} output values", f"wanted {EMBEDDING} values for a face of 112")
    return out


def recognizer_net(path=None) -> OnnxNet:
    """Return the network that makes embeddings; path: a user's own, None = the download `arcface`.
    """
    if path is None or not str(path):
        path = download.path(RECOGNIZER) / RECOGNIZER.pins[0].file
    return OnnxNet(path, (Slot("", (None, 3, 112, 112)),))


@dataclass(frozen=True, eq=False)
class Embedder:
    """`embed` by one network; picklable."""

    net: OnnxNet

    def __call__(self, image, face) -> np.ndarray:
        return embed(self.net, image, face)


def planes(rgb: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) -> (1, 3, H, W) float32."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32)


def face_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Return (size, size) float32: the face's oval, grown and softened. points: (468, 2), crop
    pixels with centers at +0.5."""
    oval = points[topology.FACE_OVAL]
    extent = float(np.ptp(oval, axis=0).max())
    mask = fill_rings([oval], size, size)
    if (k := round(GROW * extent)) > 0:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1,) * 2))
    return np.clip(blur(mask, SOFT * extent), 0, 1)


@dataclass(frozen=True, eq=False)
class OnnxSwapper(Swapper):
    """A prepared network: its input for each source is computed once.

    sources: one array each, as the input `source` takes it. boost: crop over the network's size.
    """

    model: OnnxModel
    net: OnnxNet
    sources: tuple[np.ndarray, ...]
    picker: FacePicker
    detector: LandmarkDetector
    boost: int = 1
    note: str = ""

    source_type = TRAINED_COMPOSITE

    @property
    def name(self) -> str:
        return self.model.backend

    def __call__(self, image, camera) -> SwapResult:
        return swap_picked(image, self.picker, self.detector, self.swap_face)

    def swap_face(self, image: np.ndarray, face: FaceLandmarks, k: int = 0) -> SwapResult:
        """Swap one face of a (H, W, 3|4) uint8 picture; k: number of its source."""
        if abs(face.yaw) > MAX_YAW:
            return too_far_turned(image, face)
        size = self.model.size * self.boost
        M = template_matrix(five_points(face.points), self.model.template, size)
        square = crop(np.ascontiguousarray(image[..., :3]), M, size)
        new = np.stack([self._run(part, k) for part in deinterleave(square, self.boost)])
        points = (face.xy - 0.5) @ M[:, :2].T + M[:, 2] + 0.5
        mask = np.minimum(box_mask(size, MASK_BLUR), face_mask(points, size))
        out, share = paste(image, interleave(new, self.boost), mask, M)
        if not share.any():
            return SwapResult.unchanged(image, "no_face", "no part of the face is visible")
        return SwapResult(out, share, "swapped")

    def _run(self, square: np.ndarray, k: int) -> np.ndarray:
        """(size, size, 3) uint8 -> the same, 0 to 255 float32."""
        mean, std = (np.array(v, np.float32) for v in (self.model.mean, self.model.std))
        target = (square.astype(np.float32) / 255 - mean) / std
        out = self.net({"source": self.sources[k], "target": planes(target)})
        if out.shape[-3:] != (3, self.model.size, self.model.size):
            raise IdfError(f"The network {self.net.path} gives no picture of the size in its row",
                           f"{out.shape}", f"wanted (1, 3, {self.model.size}, {self.model.size})")
        rgb = out.reshape(3, self.model.size, self.model.size).transpose(1, 2, 0)
        if self.model.restore:
            rgb = rgb * std + mean
        return np.clip(rgb, 0, 1) * 255


class OnnxMethod(SwapMethod):
    """`onnx:NAME`: prepares an `OnnxSwapper` for a row of the table."""

    def __init__(self, model: OnnxModel):
        super().__init__(model.backend)
        self.model = model

    def identity(self) -> dict:
        return {"onnx": asdict(self.model),
                "sha256": {p.name: sha256_file(p) for p in self.files()}}

    def files(self) -> list[Path]:
        """Return the network, and the converter where there is one; IdfError where one is missing.
        """
        paths = [self._path(self.model.file, self.model.tag, self.model.backend)]
        if self.model.converter:
            stem = self.model.converter.removesuffix(".onnx")
            paths.append(self._path(self.model.converter, self.model.converter_tag, stem))
        for path in paths:
            if not path.is_file():
                raise IdfError(f"The ONNX file {path} does not exist", "no such file",
                               "see the row of that model")
        return paths

    @staticmethod
    def _path(file: str, tag: str, name: str) -> Path:
        return download.path(SWAP_FILES[name]) / file if tag else Path(file)

    def prepare(self, frames, sources, folder, reporter, config) -> OnnxSwapper:
        m, files = self.model, self.files()
        slot = Slot("source", (None, 3, m.source_size, m.source_size)) if m.source == "image" \
            else Slot("source", (None, EMBEDDING))
        net = OnnxNet(files[0], (slot, Slot("target", (None, 3, m.size, m.size))))
        net.open()
        recognize = recognizer_net(m.recognizer) if m.needs_embedding else _recognizer_if_there()
        reporter.step("looking at the source", 0.0)
        inputs = tuple(self._source_input(s, files, recognize) for s in sources)
        reporter.step("looking at the source", 1.0)
        known = Recognized(Embedder(recognize), "ArcFace") if recognize else None
        detector = LandmarkDetector()
        picker = make_picker(config, len(sources), detector, known)
        note = "; ".join(filter(None, (f"{m.backend} runs on {net.provider}, license: {m.license}",
                                       picker.words)))
        return OnnxSwapper(m, net, inputs, picker, detector, config.pixel_boost, note)

    def _source_input(self, source: SourceFace, files: list[Path], recognize: OnnxNet | None
                      ) -> np.ndarray:
        """Return the network's input `source` for one photo."""
        m = self.model
        if m.source == "image":
            M = template_matrix(five_points(source.landmarks.points), m.source_template,
                                m.source_size)
            return planes(crop(source.image, M, m.source_size) / np.float32(255))
        e = embed(recognize, source.image, source.landmarks)[None]
        if m.source.startswith("converted"):
            e = OnnxNet(files[1], (Slot("", (None, EMBEDDING)),))({"": e}).reshape(1, -1)
            return e if m.source == "converted" else e / np.linalg.norm(e)
        if m.source == "emap":
            matrix = last_initializer(files[0])
            if matrix.shape != (EMBEDDING, EMBEDDING):
                raise IdfError(f"The last constant of {files[0]} is not the matrix for embeddings",
                               f"shape {matrix.shape}", f"wanted {EMBEDDING} x {EMBEDDING}")
            return e @ matrix / np.linalg.norm(e)
        return e / np.linalg.norm(e) if m.source == "normed" else e


def _recognizer_if_there() -> OnnxNet | None:
    return recognizer_net() if download.is_present(RECOGNIZER) else None
