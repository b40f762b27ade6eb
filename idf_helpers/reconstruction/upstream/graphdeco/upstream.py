"""graphdeco's trainer as published, run as it is from a clone that the user prepared.

Nothing of it is fetched, changed or built here: its license allows research and evaluation only.
IDF_GRAPHDECO names the clone; its modules have to be importable in this Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from ....runtime import cuda

ENV = "IDF_GRAPHDECO"
URL = "https://github.com/graphdeco-inria/gaussian-splatting"
LICENSE = "Inria and MPII's Gaussian-Splatting license: research and evaluation only"
MODULES = ("diff_gaussian_rasterization", "simple_knn")  # of its submodules; compiled
READER = "scene/dataset_readers.py"  # it mixes pictures with alpha with their background
RUNTIME = ("torchvision", "plyfile", "tqdm")  # what its scripts import besides torch and OpenCV


@dataclass(frozen=True)
class Upstream:
    """source: the clone, None where none is named. python: what runs its scripts."""

    source: Path | None
    python: str = sys.executable

    @classmethod
    def here(cls) -> Upstream:
        """The clone that IDF_GRAPHDECO names."""
        named = os.environ.get(ENV, "").strip()
        return cls(Path(named).expanduser().resolve() if named else None)

    def missing(self) -> str | None:
        """None where it can train, else one line; quick, imports nothing heavy."""
        lack = cuda.lacks_gpu()
        if lack:
            return lack
        if self.source is None:
            return (f"no clone is named: get {URL} ({LICENSE}), install its submodules as its "
                    f"README says, and set {ENV} to its folder")
        if not (self.source / "train.py").is_file():
            return f"{ENV} names {self.source}, where there is no train.py: give a clone of {URL}"
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

    def start(self, script: str, *arguments: str) -> subprocess.Popen:
        """Starts one of its scripts in the clone; stderr is text to read."""
        return subprocess.Popen([self.python, script, *arguments], cwd=self.source, text=True,
                                errors="replace", stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


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
    """For the registry: what lacks to train with `idf_helpers.reconstruction.upstream.graphdeco.train`."""
    return Upstream.here().missing()
