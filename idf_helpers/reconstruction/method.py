"""The interface of reconstruction methods: small objects that `reconstruct` runs.

To add one: subclass `Method` in a file of its own, with its config beside it, and name it in
`methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.cameras_file import write_cameras
from ..data.contact_sheet import BACKGROUND, HELD_OUT_ROWS, before_after
from ..data.dataset import Dataset, Frame
from ..errors import IdfError, nearest
from ..metrics import PictureDistance, SceneMetrics, Target, evaluate_scene
from ..provenance import Mark
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from ..scene import Scene
from .config import TrainingConfig

SHEET_VIEWS = 6  # held-out views in the comparison picture
Exporter = Callable[[Scene, Path], None]


class Method(ABC):
    """One way from a dataset to a scene.

    stage, name: of its run folders; `idf doctor` lists it as "stage name".
    made:        what it makes, in words, for marks.
    source_type: its digital source type where it decides that; "" = as the dataset's.
    config_type: its settings; they hold only what it reads.
    exporters:   model formats that its scenes can be written in, by suffix; what every scene can
                 do (pictures, video) and what a page can show belong to `export`.
    draws_fast:  whether a view takes a second at most, so that panels may render it unasked.
    """

    stage: str
    name: str
    made: str
    source_type: str = ""
    config_type: type[TrainingConfig]
    exporters: dict[str, Exporter] = {}
    draws_fast: bool = True

    # --- making -----------------------------------------------------------------------------------

    @abstractmethod
    def fit(self, data: Dataset, config: Any, run: RunFolder, reporter: Reporter) -> Scene:
        """Train and return the scene. `run` takes checkpoints, and what the method leaves beside.

        The scene's `training` holds iterations, seconds (of optimization), and where there is
        something to say `notes`. IdfError: bad input, diverged training.
        """

    def watermarked(self, scene: Any, payload: int) -> Any:
        """Return the trained scene with the watermark in it, where its kind has one."""
        return scene

    @abstractmethod
    def save(self, scene: Any, run: RunFolder, mark: Mark) -> None:
        """Write the model into the run folder, marked."""

    def measure(self, scene: Any, data: Dataset, config: Any) -> Any:
        """Return the measures of the test views: an object with `summary()` and `rows()`."""
        return evaluate_scene(scene, self.test_frames(data, config), config.resolution)

    def test_frames(self, data: Dataset, config: Any) -> Sequence[Frame]:
        """Return the frames that are held out."""
        return data.test

    def counts(self, scene: Any) -> dict[str, int]:
        """Return what the model consists of, for metrics.json, e.g. {"num_gaussians": 40000}."""
        return {}

    def sheets(self, scene: Any, data: Dataset, config: Any, metrics: Any) -> dict[str, np.ndarray]:
        """Return pictures to look at, by file name: held-out views over renders."""
        return {"held_out.jpg": held_out_sheet(scene, self.test_frames(data, config),
                                               metrics, config.resolution)}

    def finish(self, scene: Any, data: Dataset, run: RunFolder) -> None:
        """Write what else belongs into the folder of a finished run; by default its cameras."""
        write_cameras(run.path / "cameras.json", list(data.train))

    # --- reading back -----------------------------------------------------------------------------

    @abstractmethod
    def load(self, folder: Path, manifest: dict) -> Scene:
        """Return the scene of a run folder. IdfError where it is damaged."""

    @abstractmethod
    def is_complete(self, folder: Path, config: Any) -> bool:
        """Return whether a finished run still holds what it must."""

    def evaluate(self, folder: Path, data: Dataset, resolution: int | None, manifest: dict,
                 lpips: PictureDistance | None = None) -> list[dict]:
        """Return table rows: one for each test view, and their mean. lpips: as of
        `evaluate_scene`."""
        metrics = evaluate_scene(self.load(folder, manifest), data.test, resolution, lpips=lpips)
        return [*metrics.rows(), {"view": "mean"} | metrics.means()]

    # --- settings ---------------------------------------------------------------------------------

    def checked(self, config: TrainingConfig | None) -> Any:
        """Return the settings, the defaults for None; IdfError where they are another method's."""
        config = self.config_type() if config is None else config
        if not isinstance(config, self.config_type):
            raise IdfError(f"The method `{self.stage} {self.name}` takes other settings",
                           type(config).__name__, f"give a {self.config_type.__name__}")
        return config.checked()

    def config_from(self, settings: dict) -> TrainingConfig:
        """Return the config of these fields; IdfError naming one that the method does not read."""
        known = self.config_type.__dataclass_fields__
        for name in settings:
            if name not in known:
                raise IdfError(f"The method `{self.stage} {self.name}` does not read `{name}`",
                               f"{name}={settings[name]!r}",
                               f"leave it out{nearest(name, known)}")
        return self.config_type(**settings).checked()


def held_out_sheet(scene: Scene, frames: Sequence[Frame], metrics: SceneMetrics,
                   resolution: int | None) -> np.ndarray:
    """Return some held-out pictures above their renders, with their PSNR: (H, W, 3) uint8."""
    views = list(zip(frames, metrics.views, strict=True))
    views = views[::max(1, len(views) // SHEET_VIEWS)][:SHEET_VIEWS]
    targets = [Target.of(f, resolution, BACKGROUND) for f, _ in views]
    renders = [scene.render(t.camera, None, t.background) for t in targets]
    captions = [f"{Path(v.name).name}, {v.psnr:.1f}\u00a0dB" if v.psnr < 1e3 else Path(v.name).name
                for _, v in views]
    return before_after([t.rgb for t in targets], renders, 160, captions, HELD_OUT_ROWS)


def background_of(folder: Path, manifest: dict) -> tuple[float, float, float]:
    """Return the background color that a run was trained over; white where it names none."""
    value = manifest.get("background", [1.0, 1.0, 1.0])
    if not (isinstance(value, (list, tuple)) and len(value) == 3
            and all(isinstance(b, (int, float)) and 0 <= b <= 1 for b in value)):
        raise IdfError(f"The run manifest {folder / 'run.json'} is damaged",
                       f"background {value!r:.60}", "delete that folder and run the stage again")
    return tuple(value)
