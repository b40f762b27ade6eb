"""Training with graphdeco's own train.py on one of our datasets; its model read back as ours."""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ....data.dataset import Frame
from ....data.media import write_image
from ....data.training_views import TrainingViews
from ....errors import IdfError
from ....runtime.cuda import out_of_memory
from ....runtime.files import atomic_write, write_json
from ....runtime.machine import peak_rss_mb
from ....runtime.runs import RunFolder
from ...splats.config import SplatConfig
from ...splats.densify import prune_invisible
from ...splats.gaussians import SH_C0, Gaussians
from ...splats.initialize import initial_gaussians
from ...splats.ply import read_ply
from ...splats.scene import GaussianScene
from ...splats.train import COLORS, Progress, background_mode
from .upstream import Upstream

ITERATIONS = 30_000
INITIAL = 100_000  # Gaussians at the start, as many as its own random start has
PARTS = 4  # checkpoints and models in a run: a stopped one loses a quarter at most
LOOK_S = 0.5


def fit_upstream(dataset, config: SplatConfig, *, run: RunFolder | None = None,
                 rasterizer=None, progress: Callable[[Progress], None] | None = None,
                 points=None, upstream: Upstream | None = None) -> GaussianScene:
    """`train.fit` by graphdeco's train.py, then its render.py (and metrics.py where the weights of
    its LPIPS are in torch's cache, for it would fetch them).

    Of `config` it takes iterations (default 30 000), resolution, sh_degree, background (white,
    black, or auto: white where there is alpha) and lambda_dssim. Its data and output tree go to
    `graphdeco/` in the run folder; a stopped run goes on from its last quarter.
    IdfError: budget_s, cameras that it does not know, failure of a script with its last words,
    GPU memory too small even at half the resolution.
    """
    if run is None:
        raise IdfError("graphdeco's trainer needs a run folder", "none was given")
    if config.checked().budget_s is not None:
        raise IdfError("graphdeco's trainer counts in iterations", f"budget_s {config.budget_s}",
                       "give --iterations instead, or use another backend")
    upstream = upstream or Upstream.here()
    views = TrainingViews.load(dataset.train, config.resolution)
    background = background_mode(views, config)
    if config.background == "random":
        raise IdfError("graphdeco's trainer has no random background for pictures with alpha",
                       "background random", "use white, black or auto")
    color = COLORS["black" if background == "black" else "white"]
    work = run.path / "graphdeco"
    start = initial_gaussians(views, INITIAL, 0, np.random.default_rng(config.seed), points)
    write_blender(work / "data", dataset, config.resolution, color, start)
    iterations = config.iterations or ITERATIONS
    model, began = work / "model", time.perf_counter()
    tell = _teller(progress, model, start, list(views.cameras), color, rasterizer)
    camera = views.cameras[0]
    for scale in (1, 2):  # the whole pictures; half of them where the memory is too small
        words = _run(upstream, "train.py", train_arguments(work / "data", model, config, color,
                                                           iterations, scale), tell)
        if words is None:
            break
        if "OutOfMemoryError" not in words and "out of memory" not in words:
            raise _failed(words, model, run)
        shutil.rmtree(model, ignore_errors=True)
    else:
        raise out_of_memory("graphdeco's trainer", 0, camera.width // 2, camera.height // 2)
    seconds = time.perf_counter() - began
    _measure(upstream, model, run)
    found = model / f"point_cloud/iteration_{iterations}/point_cloud.ply"
    if not found.is_file():
        raise IdfError("graphdeco's trainer left no model", f"{found} is not there")
    gaussians = prune_invisible(read_ply(found))
    return GaussianScene(gaussians, rasterizer, list(views.cameras), color, {
        "iterations": iterations, "seconds": round(seconds, 3), "num_gaussians": len(gaussians),
        "rollbacks": 0, "halved": scale == 2})


def train_arguments(data: Path, model: Path, config: SplatConfig, color, iterations: int,
                    scale: int = 1) -> list[str]:
    """The command line of train.py. Steps that its defaults count for 30 000 go in proportion;
    -r 1 keeps it from shrinking pictures wider than 1600."""
    saves = [str(math.ceil(iterations * k / PARTS)) for k in range(1, PARTS + 1)]
    arguments = ["-s", str(data.resolve()), "-m", str(model.resolve()), "--eval", "-r", str(scale),
                 "--iterations", str(iterations), "--sh_degree", str(config.sh_degree),
                 "--lambda_dssim", str(config.lambda_dssim), "--disable_viewer",
                 "--position_lr_max_steps", str(iterations),
                 "--densify_until_iter", str(iterations // 2),
                 "--test_iterations", str(iterations),
                 "--save_iterations", *saves, "--checkpoint_iterations", *saves]
    if color == COLORS["white"]:
        arguments.append("--white_background")
    kept = sorted(model.glob("chkpnt*.pth"), key=lambda p: int(re.sub(r"\D", "", p.stem) or 0))
    if kept:
        arguments += ["--start_checkpoint", str(kept[-1].resolve())]
    return arguments


# --- the dataset as it reads it -------------------------------------------------------------------

def write_blender(folder: Path, dataset, resolution: int | None, color, start: Gaussians) -> None:
    """The dataset as graphdeco's Blender reader wants it: RGB pictures over `color` (its main of
    2024 multiplies by alpha, but does not composite), `transforms_{train,test}.json` with one
    field of view, and points3d.ply, in whose stead it would start from a cube of 1.3 units.

    IdfError for cameras with other focal lengths or principal points than that allows.
    """
    cameras = [f.camera for f in (*dataset.train, *dataset.test)]
    first = cameras[0]
    for c in cameras:
        off = max(abs(c.cx / c.width - 0.5), abs(c.cy / c.height - 0.5), abs(c.fy / c.fx - 1),
                  abs(c.fov_x - first.fov_x))
        if off > 5e-3:
            raise IdfError("graphdeco's trainer knows only one centered camera with square pixels",
                           f"fx {c.fx:.1f}, fy {c.fy:.1f}, cx {c.cx:.1f}, cy {c.cy:.1f} of "
                           f"{c.width} x {c.height}", "use the backend gsplat or cpu")
    if (folder / "transforms_test.json").is_file():  # written last
        return
    for split in ("train", "test"):
        frames = list(getattr(dataset, split))
        names = [f"{split}/{i:05d}" for i in range(len(frames))]
        _write_pictures(folder, frames, names, resolution, color)
        rows = [{"file_path": f"./{n}", "transform_matrix": f.camera.c2w.tolist()}
                for n, f in zip(names, frames, strict=True)]
        if split == "test":
            _write_points(folder / "points3d.ply", start)
        write_json(folder / f"transforms_{split}.json",
                   {"camera_angle_x": first.fov_x, "frames": rows})


def _write_pictures(folder: Path, frames: list[Frame], names, resolution, color) -> None:
    for frame, name in zip(frames, names, strict=True):
        views = TrainingViews.load([frame], resolution)
        picture = views.target(0, np.array(color, np.float32)).transpose(1, 2, 0)
        write_image(folder / f"{name}.png", np.rint(255 * picture).astype(np.uint8))


def _write_points(path: Path, g: Gaussians) -> None:
    columns = [(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")]
    table = np.zeros(len(g), [*columns, *((n, "u1") for n in ("red", "green", "blue"))])
    colors = np.clip(255 * (0.5 + SH_C0 * g.sh[:, 0]), 0, 255).astype(np.uint8)
    for i in range(3):
        table["xyz"[i]] = g.means[:, i]
        table[("red", "green", "blue")[i]] = colors[:, i]
    kinds = {"<f4": "float", "|u1": "uchar"}
    lines = [f"property {kinds[table.dtype[n].str]} {n}" for n in table.dtype.names]
    header = "\n".join(["ply", "format binary_little_endian 1.0", f"element vertex {len(g)}",
                        *lines, "end_header", ""])
    with atomic_write(path) as part:
        part.write_bytes(header.encode("ascii") + table.tobytes())


# --- its scripts ----------------------------------------------------------------------------------

def _run(upstream: Upstream, script: str, arguments: list[str],
         tell: Callable[[int, int], None] = lambda done, of: None) -> str | None:
    """Runs to the end; None, or the last words of a script that failed. tell: (steps, of)."""
    process = upstream.start(script, *arguments)
    words = ""
    try:
        while block := process.stderr.readline():  # \r ends a line too, in text mode
            words = (words + block)[-4000:]
            step = re.search(r"Training progress.*?(\d+)/(\d+)", block)
            if step:
                tell(int(step[1]), int(step[2]))
        return None if process.wait() == 0 else words or f"it ended with {process.returncode}"
    finally:  # an interrupt reaches it here
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stderr.close()


def _failed(words: str, model: Path, run: RunFolder) -> IdfError:
    """Keeps the run folder where there is something to go on from."""
    plain = re.sub(r"Training progress[^\]\n]*\]?", "", words)  # the bar, which ends no line
    lines = [x.strip() for x in plain.splitlines() if x.strip()] or ["it said nothing"]
    kept = any(model.glob("chkpnt*.pth"))
    if kept:
        run.event(kind="graphdeco train.py failed", words=words[-2000:])
    return IdfError("graphdeco's train.py failed", lines[-1][:300],
                    "the same command goes on from its last checkpoint" if kept else "")


def _measure(upstream: Upstream, model: Path, run: RunFolder) -> None:
    """render.py for the test views, and metrics.py where it fetches nothing; a failure of either
    is noted in the run, whose own metrics do not need them."""
    words = _run(upstream, "render.py", ["-m", str(model.resolve()), "--skip_train", "--quiet"])
    if words is not None:
        run.event(kind="graphdeco render.py failed", words=words[-500:])
        return
    import torch

    weights = Path(torch.hub.get_dir()) / "checkpoints"
    if not all((weights / n).is_file() for n in ("vgg16-397923af.pth", "vgg.pth")):
        run.event(kind="graphdeco metrics.py not run: it would fetch the weights of LPIPS",
                  by_hand=f"python metrics.py -m {model.resolve()}, in {upstream.source}")
        return
    words = _run(upstream, "metrics.py", ["-m", str(model.resolve())])
    if words is not None:
        run.event(kind="graphdeco metrics.py failed", words=words[-500:])


def _teller(progress, model: Path, start: Gaussians, cameras, color, rasterizer):
    """A function (steps, of) that reports as our trainer does; pictures are of the newest model
    that train.py has written, before that of the start."""
    began, told = time.perf_counter(), [-math.inf]

    def preview(camera, background=None):
        found = sorted(model.glob("point_cloud/iteration_*/point_cloud.ply"),
                       key=lambda p: int(p.parent.name.split("_")[1]))
        g = read_ply(found[-1]) if found else start
        return GaussianScene(g, rasterizer, cameras, color).render(camera, background=background)

    def tell(done: int, of: int) -> None:
        if progress is None or time.monotonic() - told[0] < LOOK_S and done < of:
            return
        told[0], seconds = time.monotonic(), time.perf_counter() - began
        # 0 Gaussians: train.py does not say how many there are
        progress(Progress(done, done / of, seconds, done / max(seconds, 1e-9), math.nan, 0,
                          peak_rss_mb(), preview))

    return tell
