"""The user's clone of 4D-Facial-Avatars: found, copied into the run, and mended there.

Nothing of it is part of this project and the clone itself is not touched: its scripts are copied
into the run folder, and the copy gets the changes without which they do not start today.
IDF_NERFACE names the clone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ....errors import IdfError, shorten
from ....runtime.files import write_text

ENV = "IDF_NERFACE"
URL = "https://github.com/gafniguy/4D-Facial-Avatars"
LICENSE = ("code: MIT, as its README says (there is no license file); its data set: "
           "CC BY-NC-SA 4.0, not for commercial use")
CODE = Path("nerface_code") / "nerf-pytorch"
TRAIN, EVAL = "train_transformed_rays.py", "eval_transformed_rays.py"
WANTED = (TRAIN, EVAL, "nerf/models.py", "nerf/nerf_helpers.py", "nerf/load_flame.py",
          "nerf/volume_rendering_utils.py", "nerf/train_utils.py", "nerf/__init__.py")
RUNTIME = {"torch": "torch", "tensorboard": "tensorboard",
           "matplotlib": "matplotlib", "imageio": "imageio", "yaml": "pyyaml", "tqdm": "tqdm"}
EXPRESSION = 76  # values that its networks are built for

LOADER = '''"""Streaming loader in place of the one that holds every frame in memory."""
from idf_helpers.reconstruction.upstream.nerface.loader import *
'''


@dataclass(frozen=True)
class Patch:
    """One change of one file: every match of `pattern` (regular expression, lines) is replaced.

    why: for people. required: whether the file must contain it; else it may be mended already.
    """

    file: str
    pattern: str
    replacement: str
    why: str
    required: bool = True


PATCHES = (
    Patch("nerf/nerf_helpers.py", r"^import pytorch3d\.transforms$", "pytorch3d = None",
          "needed by no function that runs here", False),
    Patch("nerf/nerf_helpers.py", r"^import torchsearchsorted$", "torchsearchsorted = None",
          "torch.searchsorted took its place", False),
    Patch("nerf/volume_rendering_utils.py", r"^(\s*)sigma_a\[:, ?-1\] \+= 1e-6.*$",
          r"\1sigma_a = torch.cat((sigma_a[:, :-1], sigma_a[:, -1:] + 1e-6), dim=1)",
          "a change in place that autograd refuses"),
    Patch(TRAIN, r"^import torchvision$", "from nerf.load_flame import torchvision",
          "one function of it is used", False),
    Patch(EVAL, r"^import torchvision$", "from nerf.load_flame import torchvision",
          "one function of it is used", False),
    Patch(TRAIN, r"^(\s*)signal\.signal\(signal\.SIGUSR1, (\w+)\)$",
          r'\1if hasattr(signal, "SIGUSR1"): signal.signal(signal.SIGUSR1, \2)',
          "a signal that Windows does not have", False),
    Patch(TRAIN, r"^(\s*)ray_importance_sampling_maps = \[\]$",
          r"\1from nerf.load_flame import SamplingMaps"
          r"\n\1ray_importance_sampling_maps = SamplingMaps(bboxs, H, W)",
          "a map of probabilities a frame would fill the memory"),
    Patch(TRAIN, r"^(\s*)for i in i_train:$", r"\1for i in ():",
          "made when a frame is drawn, see above"),
    Patch(TRAIN, r"torch\.load\(configargs\.load_checkpoint\)",
          "torch.load(configargs.load_checkpoint, map_location=device)",
          "checkpoints of a GPU on a CPU", False),
    Patch(EVAL, r"torch\.load\(configargs\.checkpoint\)",
          "torch.load(configargs.checkpoint, map_location=device)",
          "checkpoints of a GPU on a CPU", False),
    Patch(EVAL, r"^(\s*)ablate = 'view_dir'$", r"\1ablate = 'none'; ray_directions_ablation = None",
          "an experiment left switched on: pose and expression of frame 100 for all"),
    Patch(EVAL, r"idx_map\[10, ?1\]", "max(0, idx_map[min(10, len(idx_map) - 1), 1])",
          "a frame number written into the code"),
)


@dataclass(frozen=True)
class Upstream:
    """source: the clone, None where none is named. python: what runs its scripts."""

    source: Path | None
    python: str = sys.executable

    @classmethod
    def here(cls) -> Upstream:
        """The clone that IDF_NERFACE names."""
        named = os.environ.get(ENV, "").strip()
        return cls(Path(named).expanduser().resolve() if named else None)

    @property
    def code(self) -> Path:
        """The folder with its scripts."""
        return self.source if (self.source / TRAIN).is_file() else self.source / CODE

    def missing(self) -> str | None:
        """None where it can run, else one line; quick, imports nothing heavy."""
        if self.source is None:
            return f"no clone is named: git clone {URL}, and set {ENV} to its folder ({LICENSE})"
        lacking = [name for name in WANTED if not (self.code / name).is_file()]
        if lacking:
            return (f"{ENV} names {self.source}, where {shorten(lacking)} is missing: give a clone "
                    f"of {URL}")
        absent = [package for module, package in RUNTIME.items()
                  if importlib.util.find_spec(module) is None]
        return f"packages that it imports are missing: pip install {' '.join(absent)}" \
            if absent else None

    def copy_to(self, folder: Path, expression_length: int) -> list[str]:
        """Its Python files in `folder`, mended; returns what was changed, a line each.

        IdfError: no clone, or one in which a needed change finds no place.
        """
        lack = self.missing()
        if lack:
            raise IdfError("NeRFace cannot run here", lack)
        shutil.rmtree(folder, ignore_errors=True)
        for path in sorted(self.code.rglob("*.py")):
            write_text(folder / path.relative_to(self.code),
                       path.read_text(encoding="utf-8", errors="replace"))
        write_text(folder / "nerf" / "load_flame.py", LOADER)
        done = ["nerf/load_flame.py: frames are streamed from disk"]
        patches = list(PATCHES)
        if expression_length != EXPRESSION:
            patches.append(Patch("nerf/models.py", rf"\b{EXPRESSION} if include_expression",
                                 f"{expression_length} if include_expression",
                                 "the length of this data set's expressions"))
        for patch in patches:
            path = folder / patch.file
            text, count = re.subn(patch.pattern, patch.replacement,
                                  path.read_text(encoding="utf-8"), flags=re.M)
            if count == 0 and patch.required:
                raise IdfError(f"This clone of NeRFace is another version: {patch.file} has no "
                               f"place for a change that it needs", patch.why,
                               f"give a clone of {URL}, unchanged")
            if count:
                write_text(path, text)
                done.append(f"{patch.file}: {patch.why}")
        return done

    def start(self, folder: Path, script: str, *arguments: str) -> subprocess.Popen:
        """Starts a script of the copy in `folder`; stdout and stderr are one text to read."""
        package = Path(__file__).resolve().parents[4]
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        return subprocess.Popen(
            [self.python, script, *arguments], cwd=folder, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1"})


def missing() -> str | None:
    """For the registry: what lacks to train with NeRFace's own code."""
    return Upstream.here().missing()
