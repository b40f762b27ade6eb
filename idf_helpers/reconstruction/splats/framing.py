"""Where the head is in a model that came without cameras, and cameras for it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...data.cameras import Camera, SceneFrame
from .formats.axes import BLENDER
from .gaussians import Gaussians

DEFAULT_FOV = math.radians(29)
ENOUGH = 300_000  # Gaussians that tell where a model is, and what it looks like from afar
AROUND = 4  # cameras: their axes meet in the middle of the model


def default_cameras(frame: SceneFrame, size: int = 512) -> list[Camera]:
    """Return cameras around a model that came without any, the first one in front."""
    side, fov = np.cross(frame.up, frame.front), 2 * math.atan(frame.radius / frame.distance)
    angles = 2 * math.pi * np.arange(AROUND) / AROUND
    return [replace(Camera.look_at(
        frame.center + frame.distance * (math.cos(a) * frame.front + math.sin(a) * side),
        frame.center, frame.up, fov, size, size), front=frame.front) for a in angles]


def thinned(gaussians: Gaussians) -> Gaussians:
    """Return every k-th Gaussian, so that at most `ENOUGH` are left."""
    return gaussians[::-(-len(gaussians) // ENOUGH)] if len(gaussians) > ENOUGH else gaussians


def guess_frame(gaussians: Gaussians, up=BLENDER.up, front=BLENDER.front,
                fov: float = DEFAULT_FOV) -> SceneFrame:
    """Return a frame around the bulk of the Gaussians, for files that came without cameras.

    The center is the opacity-weighted median; the radius holds 98 % of them, plus a margin. Of a
    large model every k-th counts.
    """
    gaussians = thinned(gaussians)
    means, weights = gaussians.means.astype(np.float64), gaussians.opacities
    keep = weights > 0.1 if (weights > 0.1).any() else np.ones(len(means), bool)
    lo, hi = np.percentile(means[keep], [2, 98], axis=0)
    center = 0.5 * (lo + hi)
    off = np.linalg.norm(means[keep] - center, axis=1)
    radius = max(1.1 * float(np.percentile(off, 98)), 1e-6)
    return SceneFrame(center, np.asarray(up, np.float64), np.asarray(front, np.float64),
                      radius / math.tan(0.5 * fov), radius)
