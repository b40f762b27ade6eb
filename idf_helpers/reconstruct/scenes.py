"""Which module answers for a scene on disk, so that viewers, exports and metrics serve every stage.

A stage that leaves scenes names its module in `MODULES`. The module offers

    load_scene(path) -> Scene            with `cameras` (for the orbit) and `background`
    mark_of_model(path) -> Mark          what exports of it say of their making
    writers() -> {format: write}         its own export formats as write(model, path, config,
                                         progress), model a `view.export.Model`; png and mp4
                                         are made for every Scene by its `render`
    evaluate(path, dataset, resolution)  optional: table rows, in place of PSNR and SSIM of every
                                         test view
"""

from __future__ import annotations

import importlib
from pathlib import Path

from ..errors import IdfError
from ..runtime.runs import read_manifest

MODULES = {"splats": "idf_helpers.reconstruct.splats.run", "avatar": "idf_helpers.reconstruct.avatar.run",
           "nerf": "idf_helpers.reconstruct.nerf.run"}
FILES_STAGE = "splats"  # model files, and folders of other programs, hold splats


def stage_of(path) -> str:
    """Stage of a run folder; "splats" for a model file or a folder of graphdeco's trainer."""
    path = Path(path)
    return str(read_manifest(path).get("stage")) if (path / "run.json").is_file() else FILES_STAGE


def module_for(path):
    """The module that answers for the scene at `path`; IdfError where its stage leaves none."""
    stage = stage_of(path)
    if stage not in MODULES:
        raise IdfError(f"{path} holds no scene", f"a run folder of the stage `{stage}`",
                       f"give one of the stages {', '.join(MODULES)}, a .ply or a .splat file")
    return importlib.import_module(MODULES[stage])


def load_scene(path):
    """The `Scene` of a run folder or model file. IdfError where there is none."""
    return module_for(path).load_scene(path)
