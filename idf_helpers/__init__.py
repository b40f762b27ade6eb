"""ImplicitDeepfake, rebuilt: one photo and views of a head become a 3D or 4D avatar.

The verbs, in the order of the data flow. Each is imported on first use, so that
`import idf_helpers` pulls in neither torch nor ipywidgets:

    capture     a video of a turn round a still head -> a dataset with cameras
    track       a video of a talking head -> a dataset with poses and expressions
    swap        a dataset, picture or video, and a photo -> the same with that face
    reconstruct a dataset -> a scene: Gaussian splats, a radiance field or an avatar
    stylize     a dataset -> the same restyled
    load        a run folder or model file -> its scene
    export      a scene -> a model, page, video or picture
    evaluate    runs -> a table of measures
    inspect     an input of any kind -> what was understood of it
    verify      a file -> what it says about its origin
    view        a scene -> a widget to turn it in
    make        a photo and a target -> all of these that the target needs
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers know the name; `typing` would double the time to import
if TYPE_CHECKING:
    from typing import Any

    from .capturing.capture import capture
    from .capturing.config import CaptureConfig
    from .data.cameras import Camera, orbit
    from .data.dataset import Dataset
    from .data.inputs import open_dataset
    from .errors import IdfError
    from .evaluation import evaluate
    from .exporting import export
    from .exporting.config import ExportConfig
    from .inspecting.look import inspect
    from .making.make import make
    from .notebook import view
    from .provenance import verify
    from .reconstruction import load, reconstruct
    from .reconstruction.avatar.config import AvatarConfig
    from .reconstruction.nerf.config import VoxelConfig
    from .reconstruction.splats.config import SplatConfig
    from .runtime.progress import Reporter
    from .runtime.runs import RunFolder
    from .scene import Rendering, Scene
    from .stylization.config import StylizeConfig
    from .stylization.dataset import stylize
    from .swapping.config import SwapConfig
    from .swapping.swap import swap
    from .tracking.track import track

__version__ = "0.1.0"

_HOMES = {
    "capture": ".capturing.capture", "CaptureConfig": ".capturing.config",
    "track": ".tracking.track", "swap": ".swapping.swap", "reconstruct": ".reconstruction",
    "stylize": ".stylization.dataset", "load": ".reconstruction", "export": ".exporting",
    "evaluate": ".evaluation", "inspect": ".inspecting.look", "verify": ".provenance",
    "view": ".notebook", "make": ".making.make",
    "open_dataset": ".data.inputs", "Dataset": ".data.dataset", "Camera": ".data.cameras",
    "orbit": ".data.cameras", "Scene": ".scene", "Rendering": ".scene",
    "RunFolder": ".runtime.runs", "Reporter": ".runtime.progress", "IdfError": ".errors",
    "SwapConfig": ".swapping.config", "SplatConfig": ".reconstruction.splats.config",
    "VoxelConfig": ".reconstruction.nerf.config", "AvatarConfig": ".reconstruction.avatar.config",
    "StylizeConfig": ".stylization.config", "ExportConfig": ".exporting.config",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
