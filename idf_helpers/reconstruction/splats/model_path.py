"""Where the model of a run folder, of graphdeco's output folder or of a path lies."""

from __future__ import annotations

from pathlib import Path

from ...errors import IdfError
from .formats.registry import NAMES, SUFFIXES, identify
from .graphdeco_folder import GraphdecoFolder

MODEL = "point_cloud.ply"  # in a run folder
ORIGINAL = "original.ply"  # beside it where it was restyled: the splats before, in the same order


def is_model(path) -> bool:
    """Return whether a path is a splat file by its content or suffix, an unpacked SOG, or a folder
    of graphdeco's trainer."""
    path = Path(path)
    if path.is_dir():
        return not (path / "run.json").is_file() and (
            GraphdecoFolder.find(path) is not None or identify(path) is not None)
    return path.suffix.lower() in SUFFIXES or identify(path) is not None


def find_model(path) -> Path:
    """Return the splat file itself (of an unpacked SOG its meta.json), or that of a run folder or
    of a folder that graphdeco's trainer left (its newest iteration). IdfError where there is none.
    """
    path = Path(path)
    if path.is_dir():
        if (path / MODEL).is_file():
            return path / MODEL
        tree = GraphdecoFolder.find(path)
        if tree is not None:
            return tree.model
        if identify(path) is not None:
            return path / "meta.json"
        raise IdfError(f"{path} holds no splats", f"no {MODEL}, no point_cloud/iteration_N/",
                       "give the folder named with --out when `idf splat` ran, one of "
                       f"graphdeco's train.py, or a {NAMES} file")
    if not is_model(path):
        raise IdfError(f"{path} is neither a run folder nor a splat file",
                       path.suffix or "no suffix", f"give a run folder, or a {NAMES} file")
    return path
