"""The user's clone of gaussian-splatting, graphdeco's trainer as published.

Its license allows research and evaluation only, so nothing of it is in this package.
IDF_GRAPHDECO names the clone; its modules have to be importable in this Python.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from ....runtime import cuda
from ..clone import Check, Clone

MODULES = ("diff_gaussian_rasterization", "simple_knn")  # of its submodules; compiled
READER = "scene/dataset_readers.py"  # it mixes pictures with alpha with their background
RUNTIME = ("torchvision", "plyfile", "tqdm")  # what its scripts import besides torch and OpenCV


class GraphdecoClone(Clone):
    """A clone of gaussian-splatting with its submodules installed."""

    name = "graphdeco"
    env = "IDF_GRAPHDECO"
    url = "https://github.com/graphdeco-inria/gaussian-splatting"
    license = "Inria and MPII's Gaussian-Splatting license: research and evaluation only"
    initial: ClassVar[int] = 100_000  # Gaussians, as many as its own random start has
    parts: ClassVar[int] = 4  # checkpoints in a run, some 0.3 GB each: a stop loses one at most

    def checks(self) -> Iterator[Check]:
        yield Check("GPU", "CUDA-ready GPU with Compute Capability 7.0+; 24 GB VRAM (to train to "
                    "paper evaluation quality)", cuda.lacks_gpu())
        yield Check("clone", "The repository contains submodules, thus please check it out with "
                    f"git clone {self.url} --recursive", self._lacks_clone())
        yield Check("compiled submodules", "Our default, provided install method is based on Conda "
                    "package and environment management: conda env create --file environment.yml. "
                    "C++ Compiler and CUDA SDK must be compatible", _lacks_modules())
        absent = [m for m in RUNTIME if cuda.find_package(m) is None]
        yield Check("packages", "Make sure to create an environment where PyTorch and its CUDA "
                    "runtime version match", "packages that it imports are missing: pip install "
                    f"{' '.join(absent)}" if absent else None)
        yield Check("Pillow", "(not in its README: newer than it)", self._lacks_pillow())

    def lacks_metrics(self) -> str | None:
        """Return what its metrics.py would have to fetch, None where nothing."""
        import torch

        weights = Path(torch.hub.get_dir()) / "checkpoints"
        files = ("vgg16-397923af.pth", "vgg.pth")
        return None if all((weights / n).is_file() for n in files) else \
            f"no {' and '.join(files)} in {weights}"

    def _lacks_clone(self) -> str | None:
        if self.source is None:
            return (f"no clone is named: get {self.url} ({self.license}), install its submodules "
                    f"as its README says, and set {self.env} to its folder")
        if not (self.source / "train.py").is_file():
            return (f"{self.env} names {self.source}, where there is no train.py: give a clone of "
                    f"{self.url}")
        return None

    def _lacks_pillow(self) -> str | None:
        reader = None if self.source is None else self.source / READER
        if reader is not None and reader.is_file() \
                and "np.byte" in reader.read_text(errors="replace") and not _takes_signed_bytes():
            return (f"its {READER} hands signed bytes to Pillow, which this version of Pillow "
                    "refuses: write np.uint8 in place of np.byte there, or pip install "
                    '"pillow<12"')
        return None


def _lacks_modules() -> str | None:
    absent = [m for m in MODULES if cuda.find_package(m) is None]
    return None if not absent else (
        f"{' and '.join(absent)} cannot be imported: install the clone's submodules "
        "into this Python as its README says (another package on PyPI is called "
        "simple-knn: that is not it)")


def _takes_signed_bytes() -> bool:
    """Whether the installed Pillow makes a picture of an int8 array, as versions below 12 do."""
    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the argument `mode`, which some versions deprecate
            Image.fromarray(np.zeros((1, 1, 3), np.int8), "RGB")
    except (TypeError, ValueError):
        return False
    return True


def missing() -> str | None:
    """Return what graphdeco's trainer lacks here, None where nothing does."""
    return GraphdecoClone.here().missing()
