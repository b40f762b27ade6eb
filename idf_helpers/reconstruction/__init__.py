"""Dataset in, scene out: Gaussian splats, radiance fields and avatars, by one function.

    scene = reconstruct(data, "runs/head")                                   # splats, the best here
    scene = reconstruct(data, "runs/head", "splats:cpu", SplatConfig(budget_s=60))
    scene = load("runs/head")

The functions stand in `stage` and are imported on first use: the tables of methods, which are in
this package too, must be readable where OpenCV or numba are missing.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import choose_method, load, mark_of_model, method_of, reconstruct, run_folder_of

__all__ = ["choose_method", "load", "mark_of_model", "method_of", "reconstruct", "run_folder_of"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module(".stage", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
