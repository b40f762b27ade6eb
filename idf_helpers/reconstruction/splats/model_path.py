"""Where the model of a run folder, of graphdeco's output folder or of a path lies."""

from __future__ import annotations

from pathlib import Path

from ...errors import IdfError
from .graphdeco_folder import GraphdecoFolder

MODEL = "point_cloud.ply"  # in a run folder
SUFFIXES = (".ply", ".splat")


def is_model(path) -> bool:
    """Return whether a path is a model file by its suffix, or a folder of graphdeco's trainer."""
    path = Path(path)
    if path.is_dir():
        return not (path / "run.json").is_file() and GraphdecoFolder.find(path) is not None
    return path.suffix.lower() in SUFFIXES


def find_model(path) -> Path:
    """Return the `.ply` or `.splat` file itself, or that of a run folder or of a folder that
    graphdeco's trainer left (its newest iteration). IdfError where there is none."""
    path = Path(path)
    if path.is_dir():
        if (path / MODEL).is_file():
            return path / MODEL
        tree = GraphdecoFolder.find(path)
        if tree is None:
            raise IdfError(f"{path} holds no splats", f"no {MODEL}, no point_cloud/iteration_N/",
                           "give the folder named with --out when `idf splat` ran, one of "
                           "graphdeco's train.py, or a .ply or .splat file")
        return tree.model
    if path.suffix.lower() not in SUFFIXES:
        raise IdfError(f"{path} is neither a run folder nor a .ply or .splat file",
                       path.suffix or "no suffix", "give a run folder, a .ply or a .splat file")
    return path
