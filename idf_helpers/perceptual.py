"""LPIPS: how different two pictures look, by the features of a network that knows objects.

Zhang et al. 2018, version 0.1 with AlexNet: differences of features that are normalized at each
place, weighted by channel, averaged over the picture and summed over five layers (`lpips/lpips.py`
of richzhang/PerceptualSimilarity). 0 = equal; about 0.1 is hardly seen, 0.5 is another picture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .errors import IdfError
from .lpips_weights import LPIPS
from .runtime import download
from .runtime.array_pickle import read_array_pickle

LEAST = 31  # px: a smaller side leaves nothing of the third layer
# Of values in [-1, 1]: the mean and deviation of ImageNet's colors.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
STRIDE_PADDING = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))


class Lpips:
    """Measures pictures. Picklable; one instance may be shared by threads.

    folder: where the weights lie; None = `download.path(LPIPS)`, which never downloads and raises
    IdfError naming the command. They are read at the first picture.
    """

    def __init__(self, folder: Path | str | None = None):
        self._folder = None if folder is None else Path(folder)
        self._layers: list | None = None
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"_folder": self._folder}  # weights and locks stay in their process

    def __setstate__(self, state):
        self.__init__(state["_folder"])

    def open(self) -> Lpips:
        """Read the weights, so that what is wrong with them is said now; returns itself.

        IdfError where they are missing, or are not the pinned ones.
        """
        with self._lock:
            if self._layers is None:
                self._layers = _torch_layers(self._folder or download.path(LPIPS))
        return self

    def __call__(self, a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
        """Return the LPIPS of two pictures, or of a region of them.

        a, b: (H, W, 3) RGB, uint8 or floats in [0, 1], H and W at least 31. mask: (H, W) weights
        in [0, 1], bool too: then the mean of `map` under it; None = as published, each layer's mean
        at its own size. NaN for an empty mask. IdfError for other arrays.
        """
        if mask is None:
            return float(sum(layer.mean() for layer in self._differences(a, b)))
        seen, weight = self.map(a, b), np.asarray(mask, np.float64)
        if weight.shape != seen.shape or not np.isfinite(weight).all() \
                or weight.min() < 0 or weight.max() > 1:
            raise IdfError("A mask of LPIPS has a weight in [0, 1] for each pixel",
                           f"shape {weight.shape} for pictures of {seen.shape}",
                           f"give a (H, W) array of shape {seen.shape}")
        total = weight.sum()
        return float((seen * weight).sum() / total) if total else float("nan")

    def map(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return (H, W) float32: what each place adds, layers enlarged bilinearly and summed
        (`spatial=True` of the published program). Arguments as of the call."""
        import torch.nn.functional as F

        size = np.shape(a)[:2]
        return sum(F.interpolate(layer, size, mode="bilinear", align_corners=False)
                   for layer in self._differences(a, b))[0, 0].numpy()

    def _differences(self, a, b) -> list:
        """Return five tensors (1, 1, h, w)."""
        import torch

        self.open()
        a, b = _checked(a), _checked(b)
        if a.shape != b.shape:
            raise IdfError("LPIPS compares pictures of one size", f"{a.shape} and {b.shape}",
                           "resize one of them")
        with torch.inference_mode():
            pair = torch.from_numpy(np.stack([a, b]).transpose(0, 3, 1, 2) * 2 - 1)
            shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
            return [((f[:1] - f[1:]) ** 2 * weight).sum(1, keepdim=True)
                    for f, weight in self._features((pair - shift) / scale)]

    def _features(self, x):
        """Yield each layer's features, of length 1 at each place, and the channels' weights."""
        import torch.nn.functional as F

        for k, ((kernel, bias, weight), (stride, padding)) in enumerate(
                zip(self._layers, STRIDE_PADDING, strict=True)):
            x = F.relu(F.conv2d(x, kernel, bias, stride, padding))
            yield x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10), weight
            if k < 2:
                x = F.max_pool2d(x, 3, 2)


def large_enough(lpips: Lpips) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return LPIPS that gives NaN, not measured, for pictures that are too small for it."""
    return lambda a, b: lpips(a, b) if min(a.shape[:2]) >= LEAST else float("nan")


def _checked(image) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < LEAST \
            or not (image.dtype == np.uint8 or image.dtype.kind == "f"
                    and -1e-3 <= image.min() and image.max() <= 1 + 1e-3):
        raise IdfError("LPIPS compares RGB pictures",
                       f"{image.dtype} array of shape {image.shape}"
                       + f" up to {image.max():g}" * bool(image.size),
                       f"give (H, W, 3) of uint8 or floats in [0, 1], {LEAST} pixels or more a "
                       "side")
    return image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)


def _torch_layers(folder: Path) -> list:
    """Return kernel (out, in, h, w), bias and channel weights (1, out, 1, 1) of each layer."""
    import torch

    path = Path(folder) / LPIPS.pins[0].file
    try:
        arrays, out = read_array_pickle(path), []
        for k in range(len(STRIDE_PADDING)):
            part = arrays["AlexNet_0"][f"Conv_{k}"]
            head = arrays[f"NetLinLayer_{k}"]["Conv_0"]["kernel"]
            kernel = part["kernel"].transpose(3, 2, 0, 1)
            wide = out[-1][0].shape[0] if out else 3
            if kernel.shape[1] != wide or part["bias"].shape != kernel.shape[:1] \
                    or head.size != len(kernel):
                raise ValueError(f"layer {k} has arrays of other shapes")
            out.append(tuple(torch.from_numpy(np.array(a, np.float32)) for a in (
                kernel, part["bias"], head.reshape(1, -1, 1, 1))))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise IdfError(f"{path} does not hold the weights of LPIPS",
                       f"{type(error).__name__}: {str(error)[:200]}",
                       f"get them again: idf download {LPIPS.name}") from None
    return out
