"""The method `nerf voxel`: our sparse voxel field."""

from __future__ import annotations

from pathlib import Path

from ...data.cameras_file import read_cameras
from ...data.dataset import Dataset
from ...provenance import Mark, marked
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from ..method import background_of
from .config import VoxelConfig
from .field_file import read_field, write_field
from .radiance_method import RadianceFieldMethod
from .scene import VoxelScene
from .train import fit

FIELD = "field.npz"


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
        return VoxelScene(read_field(folder / FIELD), read_cameras(folder / "cameras.json"),
                          background_of(folder, manifest))
