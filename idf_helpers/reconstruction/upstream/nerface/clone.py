"""The user's clone of 4D-Facial-Avatars: copied into the run, and patched there.

Nothing of it is part of this project and the clone itself is not touched: its scripts are copied
into the run folder, and the copy gets the changes without which they do not start today.
IDF_NERFACE names the clone.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ....errors import IdfError, shorten
from ....runtime.files import write_text
from ..clone import Check, Clone
from .patches import EVAL, EXPRESSION, PATCHES, TRAIN, Patch

CODE = Path("nerface_code") / "nerf-pytorch"
WANTED = (TRAIN, EVAL, "nerf/models.py", "nerf/nerf_helpers.py", "nerf/load_flame.py",
          "nerf/volume_rendering_utils.py", "nerf/train_utils.py", "nerf/__init__.py")
RUNTIME = {"torch": "torch", "tensorboard": "tensorboard",
           "matplotlib": "matplotlib", "imageio": "imageio", "yaml": "pyyaml", "tqdm": "tqdm"}

LOADER = '''"""Streaming loader in place of the one that holds every frame in memory."""
from idf_helpers.reconstruction.upstream.nerface.loader import *
'''


class NerfaceClone(Clone):
    """A clone of 4D-Facial-Avatars."""

    name = "NeRFace"
    env = "IDF_NERFACE"
    url = "https://github.com/gafniguy/4D-Facial-Avatars"
    license = ("code: MIT, as its README says (there is no license file); its data set: "
               "CC BY-NC-SA 4.0, not for commercial use")

    @property
    def code(self) -> Path:
        """The folder with its scripts."""
        return self.source if (self.source / TRAIN).is_file() else self.source / CODE

    def checks(self) -> Iterator[Check]:
        yield Check("clone", "The main training and testing scripts are "
                    "train_transformed_rays.py and eval_transformed_rays.py … in "
                    "nerface_code/nerf-pytorch/", self._lacks_clone())
        absent = [package for module, package in RUNTIME.items()
                  if importlib.util.find_spec(module) is None]
        yield Check("packages", "Originally the project used torch 1.7.1, but this should also run "
                    "with torch 1.9.0 (cuda 11). If you get any errors related to "
                    "torchsearchsorted, ignore this module", "packages that it imports are "
                    f"missing: pip install {' '.join(absent)}" if absent else None)

    def _lacks_clone(self) -> str | None:
        if self.source is None:
            return (f"no clone is named: git clone {self.url}, and set {self.env} to its folder "
                    f"({self.license})")
        lacking = [name for name in WANTED if not (self.code / name).is_file()]
        return None if not lacking else (
            f"{self.env} names {self.source}, where {shorten(lacking)} is missing: give a "
            f"clone of {self.url}")

    def copy_to(self, folder: Path, expression_length: int) -> list[str]:
        """Copy its Python files to `folder` and patch them there; return what was changed, a line
        each. IdfError where a needed change finds no place.
        """
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
                               f"give a clone of {self.url}, unchanged")
            if count:
                write_text(path, text)
                done.append(f"{patch.file}: {patch.why}")
        return done


def missing() -> str | None:
    """Return what NeRFace's own code lacks here, None where nothing does."""
    return NerfaceClone.here().missing()
