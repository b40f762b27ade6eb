"""A trained scene with what its exports pass on: mark, consent, origin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..data.address import Address
from ..data.cameras import scene_frame
from ..data.dataset import Dataset
from ..errors import IdfError
from ..metrics import evaluate_scene
from ..provenance import Consent, Mark
from ..reconstruction import load, mark_of_model, method_of, run_folder_of
from ..reconstruction.method import Exporter
from ..reconstruction.methods import SPLATS
from ..reconstruction.splats.cleanup import clean_scene, crop
from ..reconstruction.splats.graphdeco_folder import GraphdecoFolder
from ..reconstruction.splats.model_path import is_model
from ..reconstruction.splats.scene import GaussianScene
from ..runtime.runs import read_manifest
from ..scene import Expressive, Scene
from .avatar_payload import Track
from .config import ExportConfig


@dataclass(frozen=True)
class Model:
    """A scene and its provenance.

    mark: for its exports. folder: where its consent record lies. name: for messages.
    exporters: model formats of its method, by suffix.
    trained_at: longer side of the training pictures in pixels; None where it is not known.
    source: folder of the dataset it was trained on; None where it is not known; it may be gone.
    iterations: of its training; 0 where they are not known. settings: those of its run, if any.
    report: lines about what was left out of a foreign file, and what `trimmed` removed.
    """

    scene: Scene
    mark: Mark
    folder: Path
    name: str
    exporters: dict[str, Exporter]
    trained_at: int | None = None
    source: Path | None = None
    iterations: int = 0
    settings: dict = field(default_factory=dict)
    report: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, up: str = "auto") -> Model:
        """Return the model of a run folder with a scene, of a folder of graphdeco's train.py, or
        of a splat file of any format. up: as of `reconstruction.load`. IdfError where it is none
        of them."""
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        name = path.name if path.is_dir() else path.stem
        scene, mark = load(path, up), mark_of_model(path)
        Consent.read(folder)  # a damaged record stops it before anything is written
        run = None if is_model(path) else run_folder_of(path)
        if run is None:
            exporters = SPLATS.find("cpu").load_unchecked().exporters
            graphdeco = GraphdecoFolder.find(path) if path.is_dir() else None
            if graphdeco is None:
                return cls(scene, mark, folder, name, exporters,
                           report=tuple(getattr(scene, "notes", ())))
            camera = scene.cameras[0]
            return cls(scene, mark, folder, name, exporters,
                       graphdeco.resolution(camera.width, camera.height), graphdeco.source,
                       graphdeco.iteration)
        manifest = read_manifest(run)
        source = (manifest.get("inputs") or {}).get("folder")
        settings = manifest.get("config") or {}
        return cls(scene, mark, folder, name, method_of(manifest, run).exporters,
                   _whole(settings.get("resolution")), Path(source) if source else None,
                   _whole((manifest.get("metrics") or {}).get("iterations")) or 0, settings)

    @property
    def corner_label(self) -> str:
        """The visible word of a page."""
        return "SYNTHETIC · AI-assisted face swap" if self.mark.consent else \
            "SYNTHETIC · rendered by AI"

    @property
    def has_dataset(self) -> bool:
        """Whether the dataset that it was trained on is still there."""
        return self.source is not None and Path(Address.parse(self.source).place).is_dir()

    def dataset(self, why: str) -> Dataset:
        """Return the dataset it was trained on. why: what needs it. IdfError where it is gone."""
        if self.source is None or not self.has_dataset:
            raise IdfError(f"{why} needs the pictures that the model was trained on",
                           f"{self.name} names {self.source or 'no dataset'}",
                           "give the run folder, with its dataset where it was, or leave that out")
        return Dataset.open(self.source)

    def trimmed(self, config: ExportConfig) -> Model:
        """Return it cropped and cleaned as `config` asks, with a report of what went and of how
        PSNR on the held-out views changed, where their pictures are known."""
        if not config.clean and not config.crop:
            return self
        if not isinstance(self.scene, GaussianScene):
            raise IdfError("Only splats can be cropped and cleaned", f"{self.name} is none",
                           "leave --clean and --crop out")
        data = self.dataset("A clean-up") if config.clean or self.has_dataset else None
        scene, lines = self.scene, list(self.report)
        if config.clean and data is not None:
            scene, removed = clean_scene(scene, data.train)
            lines.append(f"clean-up: {removed}")
        if config.crop:
            _, removed = crop(scene.gaussians, scene_frame(scene.cameras), config.crop)
            scene = scene.only(removed.kept)
            lines.append(f"crop: {removed}")
        if data is not None:
            before, after = (evaluate_scene(s, data.test, self.trained_at, self.scene.background)
                             .psnr for s in (self.scene, scene))
            lines.append(f"held-out views: {before:.2f} dB before, {after:.2f} dB after")
        return replace(self, scene=scene, report=tuple(lines))

    def at_intensity(self, intensity: float) -> Model:
        """Return a restyled model at a share of its style, see `GaussianScene.at_intensity`."""
        if not isinstance(self.scene, GaussianScene):
            raise IdfError("Only restyled splats have an intensity", f"{self.name} is none",
                           "leave --intensity out")
        return replace(self, scene=self.scene.at_intensity(intensity))

    def track(self) -> Track | None:
        """Return the expressions that an avatar was trained on, in their order, to be played; None
        where it has none, or where the dataset is gone or has other ones by now."""
        if not isinstance(self.scene, Expressive) or self.source is None or not self.has_dataset:
            return None
        basis = self.scene.basis
        try:
            data = Dataset.open(self.source)
        except IdfError:  # the page does not need it
            return None
        values = [f.expression for f in data.train if f.expression is not None]
        if not values or {len(v) for v in values} != {len(basis.names)}:
            return None
        return Track(np.clip(values, basis.low, basis.high), data.fps or 25.0)


def _whole(value: object) -> int | None:
    """Return a count as a manifest tells it; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
