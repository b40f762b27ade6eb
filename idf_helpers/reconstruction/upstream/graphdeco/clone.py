"""The user's clone of gaussian-splatting, graphdeco's trainer as published.

Its license allows research and evaluation only, so nothing of it is in this package.
IDF_GRAPHDECO names the clone; its modules have to be importable in this Python.
"""

from __future__ import annotations

import warnings

from ....runtime import cuda
from ..clone import Clone

MODULES = ("diff_gaussian_rasterization", "simple_knn")  # of its submodules; compiled
READER = "scene/dataset_readers.py"  # it mixes pictures with alpha with their background
RUNTIME = ("torchvision", "plyfile", "tqdm")  # what its scripts import besides torch and OpenCV


class GraphdecoClone(Clone):
    """A clone of gaussian-splatting with its submodules installed."""

    name = "graphdeco"
    env = "IDF_GRAPHDECO"
    url = "https://github.com/graphdeco-inria/gaussian-splatting"
    license = "Inria and MPII's Gaussian-Splatting license: research and evaluation only"

    def missing(self) -> str | None:
        lack = cuda.lacks_gpu()
        if lack:
            return lack
        if self.source is None:
            return (f"no clone is named: get {self.url} ({self.license}), install its submodules "
                    f"as its README says, and set {self.env} to its folder")
        if not (self.source / "train.py").is_file():
            return (f"{self.env} names {self.source}, where there is no train.py: give a clone of "
                    f"{self.url}")
        absent = [m for m in MODULES if cuda.find_package(m) is None]
        if absent:
            return (f"{' and '.join(absent)} cannot be imported: install the clone's submodules "
                    "into this Python as its README says (another package on PyPI is called "
                    "simple-knn: that is not it)")
        absent = [m for m in RUNTIME if cuda.find_package(m) is None]
        if absent:
            return f"packages that it imports are missing: pip install {' '.join(absent)}"
        reader = self.source / READER
        if reader.is_file() and "np.byte" in reader.read_text(errors="replace") \
                and not _takes_signed_bytes():
            return (f"its {READER} hands signed bytes to Pillow, which this version of Pillow "
                    "refuses: write np.uint8 in place of np.byte there, or pip install "
                    '"pillow<12"')
        return None


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
