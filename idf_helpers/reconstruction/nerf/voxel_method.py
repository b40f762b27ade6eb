"""The method `nerf voxel`: our sparse voxel field."""

from __future__ import annotations

from pathlib import Path

from ...data.cameras import scene_frame
from ...data.cameras_file import find_cameras
from ...data.dataset import Dataset
from ...provenance import Mark, marked
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from ...scene import Scene
from ..mesh import extract_mesh
from ..mesh_files import write_glb, write_mesh_ply
from ..method import Method, background_of
from .config import VoxelConfig
from .field_file import read_field, write_field
from .scene import VoxelScene
from .train import fit

FIELD = "field.npz"


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


class VoxelField(RadianceFieldMethod):
    """The voxel field."""

    config_type = VoxelConfig

    def fit(self, data: Dataset, config: VoxelConfig, run: RunFolder, reporter: Reporter
            ) -> VoxelScene:
        return fit(data, config, run=run, progress=reporter.training)

    def save(self, scene: VoxelScene, run: RunFolder, mark: Mark) -> None:
        with marked(run.path / FIELD, mark) as temporary:
            write_field(scene.grid, temporary)

    def counts(self, scene: VoxelScene) -> dict[str, int]:
        return {"num_voxels": len(scene.grid)}

    def is_complete(self, folder: Path, config: VoxelConfig) -> bool:
        return (folder / FIELD).is_file() and (folder / "cameras.json").is_file()

    def load(self, folder: Path, manifest: dict) -> VoxelScene:
        return VoxelScene(read_field(folder / FIELD), find_cameras(folder / FIELD),
                          background_of(folder, manifest))
