"""What all methods that train radiance fields have in common: their surface as a mesh."""

from __future__ import annotations

from pathlib import Path

from ...data.cameras import scene_frame
from ...scene import Scene
from ..mesh import extract_mesh
from ..mesh_files import write_glb, write_mesh_ply
from ..method import Method


def export_mesh_ply(scene: Scene, path: Path) -> None:
    """Write the mesh of a scene's surface as a `.ply` with colors."""
    write_mesh_ply(extract_mesh(scene), path)


def export_glb(scene: Scene, path: Path) -> None:
    """Write the mesh of a scene's surface as binary glTF, upright where the cameras say what is up.
    """
    frame = scene_frame(scene.cameras) if len(scene.cameras) > 1 else None
    write_glb(extract_mesh(scene), path, frame)


class RadianceFieldMethod(Method):
    """What the radiance fields have in common."""

    stage, made = "nerf", "radiance field"
    exporters = {"ply": export_mesh_ply, "glb": export_glb}

    def __init__(self, name: str):
        self.name = name
