"""The method `avatar nerface`: NeRFace as published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....data.contact_sheet import HELD_OUT_ROWS, before_after
from ....data.dataset import Dataset, Frame
from ....metrics import SceneMetrics
from ....provenance import Mark
from ....runtime.progress import Reporter
from ....runtime.runs import RunFolder
from ...avatar.sequence import split_for
from ...method import SHEET_VIEWS, Method
from .config import NerfaceConfig
from .program import MADE, SOURCE_TYPE, NerfaceProgram
from .scene import NerfaceScene, newest_checkpoint


class Nerface(Method):
    """The steps of `NerfaceProgram` one after another. Its checkpoints are the model on disk."""

    stage, made, source_type = "avatar", MADE, SOURCE_TYPE
    config_type = NerfaceConfig
    draws_fast = False

    def __init__(self, name: str):
        self.name = name

    def fit(self, data: Dataset, config: NerfaceConfig, run: RunFolder, reporter: Reporter
            ) -> NerfaceScene:
        program = NerfaceProgram.within(data, config, run)
        reporter.note(program.check())
        program.prepare()
        for line in program.changes:
            reporter.note(f"changed in the copy: {line}")
        program.train(reporter=reporter)
        program.render()
        program.metrics()
        self._program = program
        run.manifest |= {"license": program.clone.license, "changes": program.changes}
        return program.scene()

    def save(self, scene: NerfaceScene, run: RunFolder, mark: Mark) -> None:
        """Leave the checkpoint where its script wrote it."""

    def measure(self, scene: NerfaceScene, data: Dataset, config: NerfaceConfig) -> SceneMetrics:
        return self._program.measured()

    def test_frames(self, data: Dataset, config: NerfaceConfig) -> Sequence[Frame]:
        return split_for(data, config.holdout_last).test

    def counts(self, scene: NerfaceScene) -> dict[str, int]:
        return {"num_gaussians": 0}

    def sheets(self, scene: NerfaceScene, data: Dataset, config: NerfaceConfig,
               metrics: SceneMetrics) -> dict[str, np.ndarray]:
        pairs = self._program.pairs()
        some = pairs[::max(1, len(pairs) // SHEET_VIEWS)][:SHEET_VIEWS]
        return {"held_out.jpg": before_after([t.rgb for t, _ in some], [p for _, p in some], 160,
                                             rows=HELD_OUT_ROWS)}

    def load(self, folder: Path, manifest: dict) -> NerfaceScene:
        return NerfaceScene(folder)

    def is_complete(self, folder: Path, config: NerfaceConfig) -> bool:
        return newest_checkpoint(folder) is not None

    def evaluate(self, folder: Path, data: Dataset, resolution: int | None, manifest: dict,
                 lpips=None) -> list[dict]:
        data = split_for(data, manifest["config"].get("holdout_last"))
        return super().evaluate(folder, data, resolution, manifest, lpips)
