"""The method `nerf vanilla`: the NeRF paper's network with nerf-pytorch's configs and checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from ....data.cameras_file import read_cameras
from ....data.dataset import Dataset, Frame
from ....data.training_views import TrainingViews
from ....errors import IdfError
from ....metrics import SceneMetrics, evaluate_scene
from ....provenance import Mark, marked
from ....provenance.lineage import mark_of
from ....runtime.files import read_record, write_json, write_text
from ....runtime.progress import Reporter
from ....runtime.runs import RunFolder
from ...method import background_of, held_out_sheet
from ...trainer import train_loop
from ..radiance_method import RadianceFieldMethod
from . import checkpoint
from .config import VanillaConfig
from .nerfacc_sampler import sampler_box, sampler_of
from .network import Field
from .options import IGNORED, NerfOptions
from .outputs import write_spiral, write_test_set
from .scene import VanillaScene
from .train import VanillaTrainer

SETTINGS = "nerf.json"  # all options, depths and box: what the checkpoint's networks need
VIDEO_FRAMES = 40  # nerf-pytorch's spiral


class VanillaNerf(RadianceFieldMethod):
    """nerf-pytorch's training. Beside what every method leaves: NNNNNN.tar (nerf-pytorch reads it),
    args.txt, config.txt, testset_NNNNNN/, and where asked for EXP_spiral_NNNNNN_rgb.mp4 and
    _disp.mp4."""

    config_type = VanillaConfig
    draws_fast = False

    def fit(self, data: Dataset, config: VanillaConfig, run: RunFolder, reporter: Reporter
            ) -> VanillaScene:
        options, notes = config.options()
        for note in notes:
            reporter.note(note)
        views = TrainingViews.load(data.train, resolution_of(data, config))
        self._trainer = trainer = VanillaTrainer(views, options, config)
        train_loop(trainer, run, reporter.training)
        scene = trainer.scene()
        scene.training["notes"] = notes
        return scene

    def save(self, scene: VanillaScene, run: RunFolder, mark: Mark) -> None:
        trainer, o = self._trainer, self._trainer.options
        config, step = trainer.config, trainer.global_step
        with marked(run.path / f"{step:06d}.tar", mark) as temporary:
            checkpoint.save(temporary, trainer.field, trainer.optimizer, step, {
                "rays": "center" if trainer.offset else "corner", "near": trainer.near,
                "far": trainer.far})
        write_text(run.path / "args.txt", o.text())
        if config.config:
            write_text(run.path / "config.txt", Path(config.config).read_text("utf-8-sig"))
        write_json(run.path / SETTINGS, {
            "options": asdict(replace(o, ft_path="")), "near": trainer.near, "far": trainer.far,
            "offset": trainer.offset, "nerfacc": sampler_box(trainer),
            "checkpoint": f"{step:06d}.tar"})

    def finish(self, scene: VanillaScene, data: Dataset, run: RunFolder) -> None:
        super().finish(scene, data, run)
        trainer, o = self._trainer, self._trainer.options
        step, resolution = trainer.global_step, resolution_of(data, trainer.config)
        mark = mark_of(data, run.run_id, self.made)
        cameras = [f.camera.fitted(resolution) for f in self.test_frames(data, trainer.config)]
        write_test_set(scene, cameras, run.path / f"testset_{step:06d}", o.render_factor, mark)
        frames = trainer.config.video_frames
        if frames is None:
            frames = VIDEO_FRAMES if trainer.device.type == "cuda" else 0
        if frames:
            write_spiral(scene, run.path / f"{o.expname or 'nerf'}_spiral_{step:06d}_", frames,
                         resolution, o.render_factor, mark)

    def test_frames(self, data: Dataset, config: VanillaConfig) -> Sequence[Frame]:
        return data.test[::max(1, config.options()[0].testskip)]

    def measure(self, scene: VanillaScene, data: Dataset, config: VanillaConfig) -> SceneMetrics:
        return evaluate_scene(scene, self.test_frames(data, config), resolution_of(data, config),
                              scene.background)

    def sheets(self, scene: VanillaScene, data: Dataset, config: VanillaConfig,
               metrics: SceneMetrics) -> dict[str, np.ndarray]:
        return {"held_out.jpg": held_out_sheet(scene, self.test_frames(data, config), metrics,
                                               resolution_of(data, config))}

    def counts(self, scene: VanillaScene) -> dict[str, int]:
        return {"parameters": self._trainer.count, "global_step": scene.training["global_step"]}

    def is_complete(self, folder: Path, config: VanillaConfig) -> bool:
        return (folder / SETTINGS).is_file()

    def load(self, folder: Path, manifest: dict) -> VanillaScene:
        settings = read_record(folder / SETTINGS, ("options", "near", "far", "offset", "checkpoint",
                                                   "nerfacc"), "NeRF settings")
        try:
            options = NerfOptions(**{k: v for k, v in settings["options"].items()
                                     if k not in IGNORED}).checked()
            near, far, offset = (float(np.asarray(settings[k], float))
                                 for k in ("near", "far", "offset"))
            name = Path(settings["checkpoint"]).name
        except (TypeError, ValueError, AttributeError) as error:
            raise IdfError(f"The settings {folder / SETTINGS} are damaged", str(error)[:120],
                           "delete that folder and run the stage again") from None
        field = Field(options)
        checkpoint.load_into(field, checkpoint.read(folder / name), folder / name)
        field.to("cuda" if torch.cuda.is_available() else "cpu")
        return VanillaScene(field, near, far, read_cameras(folder / "cameras.json"),
                            background_of(folder, manifest), {}, offset,
                            sampler_of(field, settings["nerfacc"], folder / SETTINGS))


def resolution_of(data: Dataset, config: VanillaConfig) -> int | None:
    """Return the longer side of the training pictures in pixels; None: as they are."""
    if config.options()[0].half_res:
        return max(16, max(data.size) // 2)
    return config.resolution
