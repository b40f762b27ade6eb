"""Training with graphdeco's own train.py on one of our datasets; its model read back as ours."""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from ....data.training_views import TrainingViews
from ....errors import IdfError
from ....runtime.cuda import out_of_memory
from ....runtime.progress import Reporter
from ...splats.densify import prune_invisible
from ...splats.gaussians import Gaussians
from ...splats.graphdeco_folder import GraphdecoFolder
from ...splats.initialize import initial_gaussians
from ...splats.ply import read_ply
from ...splats.rasterizers import RASTERIZERS
from ...splats.scene import GaussianScene
from ...splats.splat_method import foreign_start
from ...splats.train import COLORS, background_mode
from ...trainer import Progress
from ..program import UpstreamProgram
from .clone import GraphdecoClone
from .config import GraphdecoConfig
from .dataset import check_cameras, write_blender

LOOK_S = 0.5  # between two reports
# The first loss: a `Depth Loss` follows it in newer versions.
BAR = re.compile(r"Training progress.*?(\d+)/(\d+)(?:.*?Loss=([^\s,\]]+))?")


class GraphdecoProgram(UpstreamProgram):
    """graphdeco's train.py, render.py and metrics.py.

    In its folder: data/ as it reads it, model/ as it leaves it, output.log.
    """

    stage, method = "splats", "graphdeco"
    clone_type, config_type = GraphdecoClone, GraphdecoConfig

    @cached_property
    def views(self) -> TrainingViews:
        """The pictures that it is trained on."""
        return TrainingViews.load(self.data.train, self.config.resolution)

    @cached_property
    def color(self) -> tuple[float, float, float]:
        """What lies behind; it has no random background for pictures with alpha."""
        black = background_mode(self.views, self.config) == "black"
        return COLORS["black" if black else "white"]

    @cached_property
    def start(self) -> tuple[Gaussians, list[str]]:
        """The Gaussians that it starts from, and notes on them."""
        count = self.clone.initial
        points, notes = foreign_start(self.data, self.config, count)
        rng = np.random.default_rng(self.config.seed)
        return initial_gaussians(self.views, count, 0, rng, points), notes

    def scene(self) -> GaussianScene:
        """Return the newest model as a scene."""
        gaussians = prune_invisible(read_ply(self.model()))
        return self._scene_of(gaussians, self.training | {
            "num_gaussians": len(gaussians), "rollbacks": 0})

    def model(self) -> Path:
        found = GraphdecoFolder.find(self.folder / "model")
        if found is None:
            raise IdfError("graphdeco's trainer left no model",
                           f"no point_cloud/ in {self.folder / 'model'}", "call train()")
        return found.model

    # --- the steps --------------------------------------------------------------------------------

    def _check_data(self) -> None:
        check_cameras(self.data)

    def _prepare(self) -> list[str]:
        names = write_blender(self.folder / "data", self.data, self.config.resolution, self.color,
                              self.start[0])
        return [f"data/{name}" for name in names]

    def _train(self, iterations: int, reporter: Reporter, seconds: float) -> dict:
        take = self._progress(reporter, seconds)
        halved = self.training.get("halved", False)
        for scale in (2,) if halved else (1, 2):  # 2: half the pictures, for a small memory
            words = self._run("train.py", train_arguments(
                self.folder / "data", self.folder / "model", self.config, self.color, iterations,
                self.clone.parts, scale), take)
            if words is None:
                break
            if "OutOfMemoryError" not in words and "out of memory" not in words:
                raise self._stopped(words)
            shutil.rmtree(self.folder / "model", ignore_errors=True)
        else:
            camera = self.views.cameras[0]
            raise out_of_memory("graphdeco's trainer", 0, camera.width // 2, camera.height // 2)
        wanted = self.folder / f"model/point_cloud/iteration_{iterations}/point_cloud.ply"
        if not wanted.is_file():
            raise IdfError("graphdeco's trainer left no model", f"{wanted} is not there",
                           f"look at {self.folder / 'output.log'}")
        return {"halved": scale == 2}

    def _render(self) -> list[Path]:
        model = self.folder / "model"
        words = self._run("render.py", ["-m", str(model), "--skip_train", "--quiet"])
        if words is not None:
            raise self.failed("render.py", words)
        return sorted(model.glob(f"test/ours_{self.training['iterations']}/renders/*.png"))

    def _metrics(self) -> list[Path]:
        model = self.folder / "model"
        if lack := self.clone.lacks_metrics():
            raise IdfError("graphdeco's metrics.py would fetch the weights of LPIPS", lack,
                           f"python metrics.py -m {model}, in {self.clone.source}")
        words = self._run("metrics.py", ["-m", str(model)])
        if words is not None:
            raise self.failed("metrics.py", words)
        return [model / "results.json", model / "per_view.json"]

    @staticmethod
    def _point(line: str) -> tuple[int, float] | None:
        step = BAR.search(line)
        return (int(step[1]), float(step[3])) if step and step[3] else None

    # --- its scripts ------------------------------------------------------------------------------

    def _stopped(self, words: str) -> IdfError:
        """Return the error; the run folder is kept where there is something to go on from."""
        plain = re.sub(r"Training progress[^\]\n]*\]?", "", words)  # the bar, which ends no line
        if not any((self.folder / "model").glob("chkpnt*.pth")):
            return self.failed("train.py", plain)
        self.run.event(kind="graphdeco train.py failed", words=words[-2000:])
        return self.failed("train.py", plain, "the same command goes on from its last checkpoint")

    def _scene_of(self, gaussians: Gaussians, training: dict) -> GaussianScene:
        rasterizer = RASTERIZERS.load("cpu" if self.clone.stand_in else "graphdeco")()
        return GaussianScene(gaussians, rasterizer, list(self.views.cameras), self.color, training)

    def _progress(self, reporter: Reporter, seconds: float) -> Callable[[str], None]:
        """Return what reads the script's lines and reports as our trainers do; pictures are of the
        newest model that train.py has written, before that of the start."""
        began, reported = time.perf_counter() - seconds, -math.inf

        def preview(camera, background=None):
            found = GraphdecoFolder.find(self.folder / "model")
            g = read_ply(found.model) if found else self.start[0]
            return self._scene_of(g, {}).render(camera, background=background)

        def take(line: str) -> None:
            nonlocal reported
            step = BAR.search(line)
            if step is None:
                return
            done, of = int(step[1]), int(step[2])
            if time.monotonic() - reported < LOOK_S and done < of:
                return
            reported = time.monotonic()
            # train.py does not say how many Gaussians there are
            reporter.training(Progress(done, min(done / self.config.steps, 1.0),
                                       time.perf_counter() - began, math.nan, 0, "Gaussians",
                                       preview, loss=float(step[3] or math.nan)))

        return take

    def _outputs(self) -> list[Path]:
        return [self.folder]


def train_arguments(data: Path, model: Path, config: GraphdecoConfig, color, iterations: int,
                    parts: int, scale: int = 1) -> list[str]:
    """Return the command line of train.py up to `iterations`. Steps that its defaults count for
    30 000 go in proportion; -r 1 keeps it from shrinking pictures wider than 1600. parts: models
    and checkpoints in a whole run."""
    total = config.steps
    places = [math.ceil(total * k / parts) for k in range(1, parts + 1)]
    saves = [str(n) for n in sorted({n for n in places if n < iterations} | {iterations})]
    arguments = ["-s", str(data), "-m", str(model), "--eval", "-r", str(scale),
                 "--iterations", str(iterations), "--sh_degree", str(config.sh_degree),
                 "--lambda_dssim", str(config.lambda_dssim), "--disable_viewer",
                 "--position_lr_max_steps", str(total),
                 "--densify_until_iter", str(total // 2),
                 "--test_iterations", str(iterations),
                 "--save_iterations", *saves, "--checkpoint_iterations", *saves]
    if color == COLORS["white"]:
        arguments.append("--white_background")
    kept = sorted(model.glob("chkpnt*.pth"), key=lambda p: int(re.sub(r"\D", "", p.stem) or 0))
    if kept:
        arguments += ["--start_checkpoint", str(kept[-1].resolve())]
    return arguments
