"""Scenes of model files: splats of any format, or a folder of graphdeco's trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...data.cameras import Camera, scene_frame
from ...data.cameras_file import find_cameras
from ...provenance import Mark, verify
from ...scene import WHITE
from .formats.axes import Axes
from .formats.registry import read
from .formats.turn import turned
from .framing import default_cameras, guess_frame
from .gaussians import Gaussians
from .graphdeco_folder import GraphdecoFolder
from .model_path import find_model, is_model
from .scene import GaussianScene

__all__ = ["find_model", "is_model", "load_scene", "read_model"]


def read_model(path, cameras: Sequence[Camera] = ()) -> Gaussians:
    """Return the Gaussians of a run folder, graphdeco's folder or a model file, as they lie among
    the cameras of the dataset that they were trained on.

    A format that lays down what is up turns a model; where the file was written here, it is turned
    back. cameras: of the dataset; none: as the file has it. IdfError: no model.
    """
    model = read(find_model(path))
    if not cameras or not model.of_cameras or model.axes is None:
        return model.gaussians
    return turned(model.gaussians, model.axes.turn_to(Axes.of(scene_frame(cameras))))


def load_scene(path, background: tuple[float, float, float] | None = None, rasterizer=None,
               up: str = "auto") -> GaussianScene:
    """Return the scene of a model file or folder, with cameras for its orbit.

    background: None = what graphdeco's folder says, else white. rasterizer: None = the CPU's. up:
    the axis of a file that points up (`formats.axes.NAMES`); "auto": as the cameras beside it say,
    else the file or its format, else where faces are found in renders, else +y down.
    The scene's `notes` say what was left out of the file, and what was taken for up. IdfError where
    it cannot be read, or `up` is no axis.
    """
    path = Path(path)
    if background is None:
        tree = GraphdecoFolder.find(path) if path.is_dir() else None
        background = tree.background if tree else WHITE
    file = find_model(path)
    model = read(file)
    scene = GaussianScene(model.gaussians, rasterizer, [], tuple(background), notes=model.notes)
    scene.cameras = find_cameras(file) if up == "auto" else []
    if not scene.cameras:
        from .upright import find_axes  # finds faces: not for a run with cameras

        axes, words = find_axes(scene, model, up)
        scene.notes = [*model.notes, *words]
        scene.frame = guess_frame(model.gaussians, axes.up, axes.front)
        scene.cameras = default_cameras(scene.frame)
        scene.of_cameras, scene.orbit = model.of_cameras and axes == model.axes, model.orbit
    return scene


def mark_of_file(path) -> Mark:
    """Return the mark for what is exported from a model file: it carries on what the file's own
    comment says about its origin."""
    path = Path(path)
    fields = verify(find_model(path)).fields
    if fields:
        return Mark(fields["run_id"], fields["made"], fields["source_type"], fields["consent"],
                    int(fields["watermark"] or "0", 16))
    return Mark("unknown", f"Gaussian splats of {path.name}")
