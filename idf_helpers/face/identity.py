"""Who a face is: embeddings of a recognizer whose weights are in the public domain.

The network is dlib's face recognition ResNet (D. King, `dnn_face_recognition_ex.cpp` and
`dlib_face_recognition_resnet_model_v1`, CC0), in the quantised file of face-api. Euclidean distance
of two embeddings below `SAME_PERSON` means the same person; two pictures of one person lie at
0.2 to 0.45, different people at 0.57 to 1.1. It was trained on faces seen from the front: from
about 45 degrees on, distances say less.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from ..data.media import over_gray
from ..errors import IdfError
from ..runtime import download
from ..runtime.safe_json import parse
from .downloads import IDENTITY

SAME_PERSON = 0.6  # dlib's rule
CHIP = 150  # px, the network's input
# Outer and inner corner of the left eye, outer and inner of the right, base of the nose.
POINTS = (263, 362, 33, 133, 2)
# dlib's mean face for these points (`get_face_chip_details`, image_transforms/interpolation.h),
# as shares of its frame, which a padding of a quarter surrounds in the chip.
MEAN_FACE = np.array([[0.8595674595992, 0.2134981538014], [0.6460604764104, 0.2289674387677],
                      [0.1205750620789, 0.2137274526848], [0.3340850613712, 0.2290642403242],
                      [0.4901123135679, 0.6277975316475]])
PADDING = 0.25
MEAN_COLOR = (122.782, 117.001, 104.298)
BLOCKS = ("conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3",
          "conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2",
          "conv256_down_out")


class IdentityNet:
    """Makes embeddings of faces. Picklable; one instance may be shared by threads.

    folder: where the two files lie; None = `download.path(IDENTITY)`, which never downloads and
    raises IdfError naming the command. They are read at the first picture.
    """

    def __init__(self, folder: Path | str | None = None):
        self._folder = None if folder is None else Path(folder)
        self._weights: dict | None = None
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"_folder": self._folder}  # weights and locks stay in their process

    def __setstate__(self, state):
        self.__init__(state["_folder"])

    def open(self) -> IdentityNet:
        """Read the weights, so that what is wrong with them is said now; returns itself.

        IdfError where they are missing, or are not the pinned ones.
        """
        with self._lock:
            if self._weights is None:
                self._weights = _torch_weights(self._folder or download.path(IDENTITY))
        return self

    def embed(self, image: np.ndarray, landmarks) -> np.ndarray:
        """Return the (128,) float32 embedding of one face.

        image: (H, W, 3) RGB or (H, W, 4) RGBA uint8, RGBA over mid-gray. landmarks: FaceLandmarks,
        or points (>= 468, >= 2) in pixels, the center of the first pixel at (0.5, 0.5). IdfError as
        `open` and `align_chip`.
        """
        return self.embed_chips(align_chip(image, landmarks)[None])[0]

    def embed_chips(self, chips: np.ndarray) -> np.ndarray:
        """Return (N, 128) float32 embeddings of aligned faces, (N, 150, 150, 3) uint8 RGB."""
        import torch
        import torch.nn.functional as F

        self.open()
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(chips)).float().permute(0, 3, 1, 2)
            x = (x - torch.tensor(MEAN_COLOR).view(1, 3, 1, 1)) / 255
            # no padding where the picture is halved: dlib cuts the rim off
            x = F.max_pool2d(F.relu(self._conv(x, "conv32_down", stride=2, padding=0)), 3, 2)
            for name in BLOCKS:
                x = self._block(x, name)
            return (x.mean((2, 3)) @ self._weights["fc"]).numpy()

    def _conv(self, x, name: str, stride: int = 1, padding: int = 1):
        """Convolution, then a scale and an offset for each channel."""
        import torch.nn.functional as F

        part = {k: self._weights[f"{name}/{k}"]
                for k in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")}
        x = F.conv2d(x, part["conv/filters"], part["conv/bias"], stride, padding)
        return x * part["scale/weights"].view(1, -1, 1, 1) + part["scale/biases"].view(1, -1, 1, 1)

    def _block(self, x, name: str):
        """Residual block; one with `down` in its name halves the picture, and doubles the channels
        by zeros where its convolutions do."""
        import torch.nn.functional as F

        down = "down" in name
        out = F.relu(self._conv(x, f"{name}/conv1", *((2, 0) if down else (1, 1))))
        out = self._conv(out, f"{name}/conv2")
        if down:
            x = F.avg_pool2d(x, 2, 2)
            more = [x.shape[k] - out.shape[k] for k in (3, 2)]
            out = F.pad(out, (0, more[0], 0, more[1]))
            x = F.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return F.relu(x + out)


def identity_distance(a, b) -> float:
    """Return the Euclidean distance of two embeddings (128,); below SAME_PERSON = one person."""
    return float(np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64)))


def align_chip(image: np.ndarray, landmarks) -> np.ndarray:
    """Return (150, 150, 3) uint8: the face as dlib aligns it, black outside the picture.

    Arguments as of `IdentityNet.embed`. IdfError: another kind of array, points that do not span a
    face.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise IdfError("A face is recognized in an RGB or RGBA picture",
                       f"{image.dtype} array of shape {image.shape}",
                       "give uint8 (H, W, 3) or (H, W, 4)")
    points = np.asarray(getattr(landmarks, "points", landmarks), np.float64)
    if points.ndim != 2 or len(points) <= max(POINTS) or points.shape[1] < 2 \
            or not np.isfinite(points[list(POINTS), :2]).all():
        raise IdfError("A face is aligned by its 468 points", f"an array of shape {points.shape}",
                       "give FaceLandmarks, or finite points (468, 2)")
    to = (PADDING + MEAN_FACE) / (1 + 2 * PADDING) * CHIP
    # OpenCV and dlib count pixels from their centers
    M, _ = cv2.estimateAffinePartial2D((points[list(POINTS), :2] - 0.5).astype(np.float32),
                                       to.astype(np.float32), method=cv2.LMEDS)
    if M is None or not np.isfinite(M).all():
        raise IdfError("These points do not span a face", "eye corners and nose fall together",
                       "give the landmarks of one face, in pixels")
    rgb, scale = np.ascontiguousarray(over_gray(image)), float(np.hypot(M[0, 0], M[1, 0]))
    if scale < 0.6:  # the warp reads four pixels: what lies between them would flicker
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.5 / scale)
    return cv2.warpAffine(rgb, M, (CHIP, CHIP), flags=cv2.INTER_LINEAR)


def read_weights(folder: Path | str) -> dict[str, np.ndarray]:
    """Return the network's arrays by name, float32, filters (height, width, in, out).

    folder: with face-api's two files. A file of TensorFlow.js: the manifest lists name, shape and,
    where quantised, scale and least value of each array; the other file holds them one after
    another. IdfError for files that do not fit each other or this network.
    """
    manifest, data = (Path(folder) / pin.file for pin in (IDENTITY.pins[1], IDENTITY.pins[0]))
    out, at = {}, 0
    try:
        buffer = data.read_bytes()
        for group in parse(manifest.read_bytes(), f"The manifest {manifest}"):
            for entry in group["weights"]:
                quantized = entry.get("quantization")
                kind = np.dtype({"uint8": "u1", "uint16": "<u2"}[quantized["dtype"]]
                                if quantized else {"float32": "<f4"}[entry["dtype"]])
                count = int(np.prod(entry["shape"], dtype=np.int64))
                values = np.frombuffer(buffer, kind, count, at).astype(np.float32)
                at += count * kind.itemsize
                if quantized:
                    values = values * np.float32(quantized["scale"]) + np.float32(quantized["min"])
                out[entry["name"]] = values.reshape(entry["shape"])
        if at != len(buffer):
            raise ValueError(f"the manifest tells of {at} bytes, the file has {len(buffer)}")
        lacking = [name for name in _names() if name not in out]
        if lacking:
            raise ValueError(f"{len(lacking)} arrays are missing, {lacking[0]} the first")
    except (IdfError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{error.what}: {error.found}" if isinstance(error, IdfError) else \
            f"{type(error).__name__}: {str(error)[:200]}"
        raise IdfError(f"{data} and its manifest are not this recognizer", found,
                       f"get them again: idf download {IDENTITY.name}") from None
    return out


def _names() -> list[str]:
    parts = ["conv32_down"] + [f"{block}/conv{k}" for block in BLOCKS for k in (1, 2)]
    return ["fc"] + [f"{part}/{kind}" for part in parts
                     for kind in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")]


def _torch_weights(folder: Path) -> dict:
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(
                a.transpose(3, 2, 0, 1) if a.ndim == 4 else a))
            for name, a in read_weights(folder).items()}
