"""Scenes as splat files: turned upright as the format has it, with limits for viewers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ....data.cameras import scene_frame, yaw_pitch
from ....provenance.watermark import moved_along
from ....scene import HasGaussians
from .axes import Axes
from .registry import FORMATS, SplatFormat, function
from .splat_model import Orbit
from .turn import turned

BESIDE = 10.0  # degrees of elevation beyond what the cameras saw
NEAREST = 0.5  # of the distance of the cameras, that a viewer may come near
MOST_PITCH = 85.0  # degrees: a viewer turns over at 90


def orbit_of(cameras) -> Orbit | None:
    """Return the limits that follow from the training cameras; None where there are too few."""
    if len(cameras) < 2:
        return None
    frame = scene_frame(cameras)
    pitch = np.percentile([yaw_pitch(c, frame)[1] for c in cameras], [2, 98])
    low, high = np.clip([pitch[0] - BESIDE, pitch[1] + BESIDE], -MOST_PITCH, MOST_PITCH)
    return Orbit(math.radians(low), math.radians(high), NEAREST * float(frame.distance))


def write_scene(scene: HasGaussians, path: Path, chosen: SplatFormat) -> None:
    """Write the Gaussians of a scene; the format's own axes hold where the head is up and front."""
    g, write = scene.gaussians, function(chosen.writer)
    axes = Axes.of(scene_frame(scene.cameras)) if scene.cameras else None
    if chosen.axes is not None and axes is not None:
        g = moved_along(g, turned(g, axes.turn_to(chosen.axes)))
    made_up = getattr(scene, "frame", None) is not None
    known = {"axes": lambda: axes,
             "of_cameras": lambda: not made_up or getattr(scene, "of_cameras", False),
             "orbit": lambda: getattr(scene, "orbit", None) if made_up
             else orbit_of(scene.cameras)}
    write(g, path, **{name: value() for name, value in known.items()
                      if name in inspect.signature(write).parameters})


def exporters() -> dict[str, Callable]:
    """Return functions (scene, path) for scenes that consist of Gaussians, by name of format."""
    return {suffix[1:]: partial(_export, suffix) for suffix, f in FORMATS.items() if f.writer}


def _export(suffix: str, scene: HasGaussians, path: Path) -> None:
    write_scene(scene, path, FORMATS[suffix])
