"""Training with NeRFace's own scripts on one of our datasets."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ....data.dataset import Dataset
from ....data.media import read_image, write_image
from ....data.transforms import write_transforms
from ....errors import IdfError
from ....metrics import SceneMetrics, Target, ViewMetrics, psnr, ssim
from ....provenance import mark
from ....provenance.lineage import mark_of
from ....runtime.files import write_bytes, write_json, write_text
from ....runtime.npz import read_arrays
from ....runtime.progress import Reporter
from ....runtime.runs import RunFolder
from ...avatar.room import read_background
from ...avatar.sequence import check_expressions, split_for
from ...trainer import Progress
from ..program import UpstreamProgram
from .clone import NerfaceClone
from .config import NerfaceConfig
from .patches import TRAIN
from .scene import NerfaceScene, newest_checkpoint, script_failed
from .settings import settings

MADE, SOURCE_TYPE = "4D avatar (NeRFace)", "trainedAlgorithmicMedia"
STEP = re.compile(r"Iter: (\d+) Loss: (\S+) .*PSNR: (\S+)")


class NerfaceProgram(UpstreamProgram):
    """NeRFace's train_transformed_rays.py and eval_transformed_rays.py; the measures are ours, of
    its pictures.

    In the run folder: upstream/ (the mended copy of its scripts), data/, config.yml, logs/ with its
    checkpoints, renders/, output.log.
    """

    stage, method = "avatar", "nerface"
    clone_type, config_type = NerfaceClone, NerfaceConfig

    def __init__(self, data: Dataset, config: NerfaceConfig, run: RunFolder, clone=None):
        super().__init__(split_for(data, config.holdout_last), config, run, clone)

    @property
    def folder(self) -> Path:
        return self.run.path.resolve()

    @property
    def changes(self) -> list[str]:
        """What was changed in the copy of its scripts, a line each."""
        return list(self.record.get("changes", []))

    def scene(self) -> NerfaceScene:
        """Return the newest checkpoint as a scene."""
        return NerfaceScene(self.folder, self.clone, self.training)

    def model(self) -> Path:
        found = newest_checkpoint(self.folder)
        if found is None:
            raise IdfError("NeRFace's trainer left no checkpoint",
                           f"no checkpoint in {self.folder / 'logs'}", "call train()")
        return found

    # --- the steps --------------------------------------------------------------------------------

    def _check_data(self) -> None:
        check_expressions(list(self.data.frames))

    def _prepare(self) -> list[str]:
        self._note("changes", self.clone.copy_to(self.folder / "upstream",
                                                 len(self.data.train[0].expression)))
        return [f"data/{name}" for name in write_data(self.folder, self.data, self.config)]

    def _train(self, iterations: int, reporter: Reporter, seconds: float) -> dict:
        # YAML reads JSON; keys and meaning are those of the upstream configuration files
        write_text(self.folder / "config.yml",
                   json.dumps(settings(self.folder, self.config, iterations), indent=1))
        arguments = ["--config", str(self.folder / "config.yml")]
        if (last := newest_checkpoint(self.folder)) is not None:
            arguments += ["--load-checkpoint", str(last)]
        words = self._run(TRAIN, arguments, self._progress(reporter, seconds),
                          self.folder / "upstream")
        if words is not None:
            if newest_checkpoint(self.folder) is not None:  # there is something to go on from
                self.run.event(kind="NeRFace's training failed", words=words[-2000:])
            raise script_failed("training", words)
        return {}

    def _render(self) -> list[Path]:
        found = self.scene().render_split(self.folder / "renders")
        made_of = mark_of(self.data, self.run.run_id, MADE, SOURCE_TYPE)
        for path in found:
            mark(path, made_of, sign=False)  # as the frames of any dataset
        return found

    def _metrics(self) -> list[Path]:
        write_json(self.folder / "per_view.json", self.measured().rows())
        return [self.folder / "per_view.json"]

    def measured(self) -> SceneMetrics:
        """Return the measures of what was rendered."""
        rows = []
        for frame, (target, picture) in zip(self.data.test, self.pairs(), strict=True):
            rows.append(ViewMetrics(frame.name, psnr(picture, target.rgb),
                                    ssim(picture, target.rgb),
                                    psnr(picture, target.rgb, target.mask)))
        return SceneMetrics(tuple(rows))

    def pairs(self) -> list[tuple[Target, np.ndarray]]:
        """Return each test view with its render, (H, W, 3) float32 in [0, 1]."""
        return [(Target.of(frame, self.config.resolution),
                 read_image(self.folder / name).astype(np.float32)[..., :3] / 255)
                for frame, name in zip(self.data.test, self.record["render"], strict=True)]

    def _progress(self, reporter: Reporter, seconds: float) -> Callable[[str], None]:
        began, total = time.perf_counter() - seconds, self.config.steps

        def take(line: str) -> None:
            if step := STEP.search(line):
                done = int(step[1]) + 1
                reporter.training(Progress(done, min(done / total, 1.0),
                                           time.perf_counter() - began, float(step[3]), 0,
                                           "parameters", no_preview, loss=float(step[2])))

        return take

    @staticmethod
    def _point(line: str) -> tuple[int, float] | None:
        step = STEP.search(line)
        return (int(step[1]) + 1, float(step[2])) if step else None

    def _outputs(self) -> list[Path]:
        names = ("upstream", "data", "cache", "logs", "renders", "config.yml", "output.log")
        return [self.folder / name for name in names]


def no_preview(camera, background=None) -> np.ndarray:
    """Return a white picture: a real one starts the eval script, half a minute and more."""
    return np.ones((camera.height, camera.width, 3), np.float32)


def write_data(folder: Path, data: Dataset, config: NerfaceConfig) -> list[str]:
    """Write data/ for the upstream scripts: source.json, background, index map. Return the names
    of the files in it."""
    root = data.root.resolve()
    target = folder / "data"
    other = not _lies_so(data, root)
    if other:  # the scripts' own process opens a folder
        root = target / "split"
        _link_dataset(data, root)
    camera = data.frames[0].camera.fitted(config.resolution)
    background = read_background(data, camera.width, camera.height, config.background)
    write_image(target / "bg" / "00050.png", background)
    write_json(target / "source.json", {
        "dataset": str(root), "resolution": config.resolution, "cache": str(folder / "cache"),
        "background": "file" if data.background is not None else config.background})
    # frame -> place among the training frames, whose latent code it takes; -1 for none
    index = np.full((len(data.frames), 2), -1, np.int64)
    index[:, 0] = np.arange(len(index))
    index[:len(data.train), 1] = np.arange(len(data.train))
    given = data.root / "index_map.npy"
    if given.is_file() and not other:
        index = _index_map(given)
    buffer = io.BytesIO()
    np.save(buffer, index)
    write_bytes(target / "index_map.npy", buffer.getvalue())
    return ["source.json", "bg/00050.png", "index_map.npy"]


def _lies_so(data: Dataset, root: Path) -> bool:
    """Whether a dataset is what its folder alone gives: no other splits, no part of the frames, no
    named root, no functions of time in place of expressions."""
    if data.address not in ("", str(root)):
        return False
    there = Dataset.open(root)
    return _names(data) == _names(there) and there.train[0].expression is not None


def _names(data: Dataset) -> dict[str, list[str]]:
    return {split: [f.name for f in frames] for split, frames in data.splits.items() if frames}


def _index_map(path: Path) -> np.ndarray:
    """Return a dataset's own map of frames to latent codes. IdfError where it is damaged."""
    return read_arrays(path, {"": "iu N 2"}, "index map", "delete it; it is then made anew")[""]


def _link_dataset(data: Dataset, root: Path) -> None:
    """Write the same frames with their new splits; pictures are copied unchanged, but for those
    with a mask or a bent lens."""
    for f in data.frames:
        if f.is_as_on_disk:
            write_bytes(root / f"{f.name}{f.path.suffix}", f.path.read_bytes())
        else:
            write_image(root / f"{f.name}.png", f.image())
    write_transforms(root, data.frames, expression_names=data.expression_names)
    if data.background is not None:
        # NeRFace reads three channels, also of a background that marks what is guessed
        write_image(root / "bg" / f"{data.background.stem}.png",
                    read_image(data.background, "background")[..., :3])
