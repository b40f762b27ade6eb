"""Measures of a finished swap, beside the pictures it was made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cameras import scene_frame, yaw_pitch
from ..dataset import Dataset, Frame
from .facemesh import FaceMesh, vertex_normals
from .metrics import border_edges, colour_spread, visible_points
from .swappers import MESH_FILE, fit_views


def evaluate_swap(original: list[Frame], swapped: list[Frame], vertices: np.ndarray,
                  triangles: np.ndarray, max_yaw: float = 60.0) -> dict:
    """How consistent a swap is between views, beside the unswapped pictures.

    original, swapped: the same frames in the same order. vertices (V, 3), triangles (T, 3): the
    fitted face mesh, whose inner vertices are the surface points. Returns the colour spread
    (levels of 0-255, see `swap.metrics.colour_spread`) of both, and the share of changed pixels.
    """
    inner = np.setdiff1d(np.arange(len(vertices)), border_edges(triangles).ravel())
    points, normals = vertices[inner], vertex_normals(vertices, triangles)[inner]
    scene = scene_frame([f.camera for f in original])
    front = points.mean(0) - scene.center  # the face, not the mean camera, is the front
    spread: dict[str, list] = {"original": [], "swapped": []}
    changed = []
    for a, b in zip(original, swapped, strict=True):
        yaw, _ = yaw_pitch(a.camera, _facing(scene, front))
        if abs(yaw) > max_yaw:
            continue
        uv, visible = visible_points(a.camera, points, normals, vertices, triangles)
        before, after = a.image(), b.image()
        spread["original"].append((before[..., :3], uv, visible))
        spread["swapped"].append((after[..., :3], uv, visible))
        changed.append(float((before != after).any(axis=2).mean()))
    return {"colour_spread_original": round(colour_spread(spread["original"]), 3),
            "colour_spread_swapped": round(colour_spread(spread["swapped"]), 3),
            "changed_pixels": round(float(np.mean(changed)), 4) if changed else 0.0,
            "views": len(changed), "max_yaw": max_yaw}


def _facing(scene, front: np.ndarray):
    front = front - scene.up * (front @ scene.up)
    n = np.linalg.norm(front)
    return replace(scene, front=front / n) if n > 1e-9 else scene


def evaluate(run: Path, data: Dataset) -> list[dict]:
    """Table rows for a run folder of the swap stage beside `data`, the dataset it was made from."""
    kept = run / MESH_FILE  # of the uv backend; other swaps are measured the same way
    mesh = FaceMesh.load(kept) if kept.is_file() else \
        fit_views(data.frames, lambda step, fraction: None)[0]
    swapped = {f.name: f for f in Dataset.open(run).frames}
    return [evaluate_swap(list(data.frames), [swapped[f.name] for f in data.frames],
                          mesh.vertices, mesh.triangles)]
