"""ImplicitDeepfake, rebuilt: one photo and views of a head become a 3D avatar.

Public names are imported on first use, so that `import idf_helpers` pulls in neither torch nor
ipywidgets.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "IdfError": ".errors",
    "Camera": ".data.cameras",
    "orbit": ".data.cameras",
    "Dataset": ".data.dataset",
    "RunFolder": ".runtime.runs",
    "Rendering": ".scene",
    "Scene": ".scene",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
