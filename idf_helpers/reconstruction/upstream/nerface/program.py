"""Training with NeRFace's own scripts on one of our datasets, and its checkpoints rendered."""

from __future__ import annotations

import io
import json
import math
import re
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from .... import provenance
from ....data import media
from ....data.cameras import Camera
from ....data.contact_sheet import before_after
from ....data.dataset import Dataset
from ....data.media import read_image, write_image
from ....data.transforms import write_transforms
from ....errors import IdfError
from ....metrics import Target, psnr, ssim
from ....provenance.lineage import copy_consent, mark_of
from ....runtime.files import read_json, write_bytes, write_json, write_text
from ....runtime.machine import peak_rss_mb
from ....runtime.runs import RunFolder, read_manifest
from ....scene import Rendering
from ...avatar.config import AvatarConfig, NerfaceConfig
from ...avatar.source import check_expressions, hold_out_last, read_background
from ...trainer import Progress
from .upstream import EVAL, LICENSE, TRAIN, Upstream

ITERATIONS = 400_000  # the paper's
PARTS = 20  # checkpoints in a run; a stopped one goes on from the last
SHEET = 8


def train_upstream(dataset: Dataset, out, config: AvatarConfig, *, resume: bool = True,
                   progress=None, say=lambda line: None, options: NerfaceConfig | None = None,
                   upstream: Upstream | None = None) -> UpstreamScene:
    """Runs train_transformed_rays.py on `dataset`, then eval_transformed_rays.py on its test split.

    Of `config` it takes iterations (default 400 000), resolution, holdout_last, background and
    seed. `out` gets upstream/ (the mended copy of its scripts), data/, logs/ with its checkpoints,
    renders/, metrics.json, held_out.jpg. IdfError: no clone, budget_s, failure of a script with its
    last words.
    """
    config, options = config.checked(), (options or NerfaceConfig()).checked()
    if config.budget_s is not None:
        raise IdfError("NeRFace's trainer counts in iterations", f"budget_s {config.budget_s}",
                       "give --iterations instead, or use another backend")
    upstream = upstream or Upstream.here()
    lack = upstream.missing()
    if lack:
        raise IdfError("The avatar backend `nerface` cannot run here", lack)
    say(f"NeRFace runs from {upstream.source}; {LICENSE}")
    data = dataset if config.holdout_last is None else hold_out_last(dataset, config.holdout_last)
    check_expressions(list(data.frames))
    settings = asdict(config) | {"nerface": asdict(options)}
    with RunFolder(out, stage="avatar", backend="nerface", config=settings,
                   inputs=dataset.fingerprint(), resume=resume) as run:
        if run.finished and (run.path / "metrics.json").is_file():
            return load_upstream(run.path, upstream)
        folder = run.path.resolve()
        changes = upstream.copy_to(folder / "upstream", len(data.train[0].expression))
        for line in changes:
            say(f"changed in the copy: {line}")
        prepare(folder, data, config, options)
        last = _newest(folder)
        arguments = ["--config", str(folder / "config.yml")]
        if last is not None and resume:
            arguments += ["--load-checkpoint", str(last)]
        iterations = config.iterations or ITERATIONS
        began = time.perf_counter()
        _follow(upstream.start(folder / "upstream", TRAIN, *arguments), "training", iterations,
                began, progress, run)
        seconds = time.perf_counter() - began
        scene = UpstreamScene(folder, upstream)
        renders = scene.render_split(folder / "renders")
        rows, pairs = [], []
        for frame, path in zip(data.test, renders, strict=True):
            t = Target.of(frame, config.resolution)
            picture = read_image(path).astype(np.float32)[..., :3] / 255
            rows.append({"view": frame.name, "psnr": psnr(picture, t.rgb),
                         "ssim": ssim(picture, t.rgb)})
            pairs.append((t.rgb, picture))
        what = mark_of(dataset.root, run.run_id, "4D avatar (NeRFace)")
        what = replace(what, source_type="trainedAlgorithmicMedia")
        for path in renders:
            provenance.mark(path, what)
        copy_consent(dataset.root, run.path)
        some = pairs[::max(1, len(pairs) // SHEET)][:SHEET]
        with provenance.marked(run.path / "held_out.jpg", what) as temporary:
            write_image(temporary, before_after([a for a, _ in some], [b for _, b in some], 192))
        write_json(run.path / "per_view.json", rows)
        run.finish({"psnr": round(float(np.mean([r["psnr"] for r in rows])), 3),
                    "ssim": round(float(np.mean([r["ssim"] for r in rows])), 4),
                    "views": len(rows), "num_gaussians": 0, "iterations": iterations,
                    "seconds": round(seconds, 1), "peak_rss_mb": round(peak_rss_mb(), 1)},
                   consent=what.consent, made=what.made, source_type=what.source_type,
                   license=LICENSE, changes=changes)
    return scene


def prepare(folder: Path, data: Dataset, config: AvatarConfig, options: NerfaceConfig) -> None:
    """data/ (source.json, background, index map) and config.yml for the upstream scripts."""
    root = data.root.resolve()
    target = folder / "data"
    if config.holdout_last is not None:  # the scripts' own process opens a folder
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
    if given.is_file() and config.holdout_last is None:
        index = np.load(given, allow_pickle=False)
    buffer = io.BytesIO()
    np.save(buffer, index)
    write_bytes(target / "index_map.npy", buffer.getvalue())
    # YAML reads JSON; keys and meaning are those of the upstream configuration files
    write_text(folder / "config.yml", json.dumps(settings(folder, config, options), indent=1))


def settings(folder: Path, config: AvatarConfig, options: NerfaceConfig) -> dict:
    """The upstream configuration: the paper's model and schedule at the asked sizes."""
    iterations = config.iterations or ITERATIONS
    every = max(1, iterations // PARTS)
    network = {"type": "ConditionalBlendshapePaperNeRFModel", "num_layers": 4, "hidden_size": 256,
               "skip_connect_every": 3, "include_input_xyz": True, "log_sampling_xyz": True,
               "num_encoding_fn_xyz": 10, "use_viewdirs": True, "include_input_dir": False,
               "num_encoding_fn_dir": 4, "log_sampling_dir": True}
    drawn = {"chunksize": options.rays, "perturb": True, "num_coarse": options.coarse,
             "num_fine": options.fine, "white_background": False, "lindisp": False}
    return {
        "experiment": {"id": "avatar", "logdir": str(folder / "logs"), "randomseed": config.seed,
                       "train_iters": iterations, "validate_every": 10 * iterations + 1,
                       "save_every": every, "print_every": max(1, min(100, every)), "device": 0},
        "dataset": {"type": "blender", "basedir": str(folder / "data"), "half_res": False,
                    "testskip": 1, "no_ndc": True, "near": options.near, "far": options.far},
        "models": {"coarse": network, "fine": network},
        "optimizer": {"type": "Adam", "lr": 5e-4},
        "scheduler": {"lr_decay": 250, "lr_decay_factor": 0.1},
        "nerf": {"use_viewdirs": True, "encode_position_fn": "positional_encoding",
                 "encode_direction_fn": "positional_encoding",
                 "train": drawn | {"num_random_rays": options.rays,
                                   "radiance_field_noise_std": 0.1},
                 "validation": drawn | {"radiance_field_noise_std": 0.0}}}


def _link_dataset(data: Dataset, root: Path) -> None:
    """The same frames with their new splits: pictures copied as they are."""
    for f in data.frames:
        write_bytes(root / f"{f.name}{f.path.suffix}", f.path.read_bytes())
    write_transforms(root, data.frames, expression_names=data.expression_names)
    if data.background is not None:
        write_bytes(root / "bg" / data.background.name, data.background.read_bytes())


def _newest(folder: Path) -> Path | None:
    found = sorted((folder / "logs" / "avatar").glob("checkpoint*.ckpt"),
                   key=lambda p: int(re.findall(r"\d+", p.stem)[-1]))
    return found[-1] if found else None


def _follow(process, what: str, iterations: int, began: float, progress, run=None) -> None:
    """Reads a script's words until it ends; IdfError with the last of them where it fails."""
    tail: list[str] = []
    try:
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            found = re.search(r"Iter: (\d+) Loss.*PSNR: ([-\d.]+)", line)
            if found and progress is not None:
                done, seconds = int(found[1]) + 1, time.perf_counter() - began
                progress(Progress(done, min(done / iterations, 1.0), seconds,
                                  done / max(seconds, 1e-9), float(found[2]), 0, peak_rss_mb(),
                                  _no_preview))
            if run is not None and found:
                run.event(kind="iteration", iteration=int(found[1]), psnr=float(found[2]))
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        words = [line for line in tail if line.strip()]
        raise IdfError(f"NeRFace's {what} failed", " | ".join(words[-3:])[-400:],
                       "its scripts are in upstream/ of the run folder")


def _no_preview(camera, background=None):
    return np.ones((camera.height, camera.width, 3), np.float32)


# --- rendering ------------------------------------------------------------------------------------

class UpstreamScene:
    """A NeRFace checkpoint. Every picture starts its eval script: half a minute and more each.

    folder: of the run. basis: None, it has no linear basis; expressions are E numbers.
    """

    basis = None

    def __init__(self, folder, upstream: Upstream | None = None, checkpoint: Path | None = None):
        self.folder, self.upstream = Path(folder).resolve(), upstream or Upstream.here()
        self.checkpoint = checkpoint or _newest(self.folder)
        if self.checkpoint is None:
            raise IdfError(f"{folder} holds no NeRFace checkpoint", "no logs/avatar/*.ckpt",
                           "train it: idf avatar DATASET --backend nerface --iterations N")
        source = read_json(self.folder / "data" / "source.json")
        self.resolution = source["resolution"]
        dataset = Dataset.open(source["dataset"])
        self.cameras = [f.camera for f in dataset.train[::max(1, len(dataset.train) // 24)]]
        self.neutral = min((f.expression for f in dataset.train), key=lambda e: float(e @ e))
        self.background = tuple(read_image(self.folder / "data" / "bg" / "00050.png").reshape(
            -1, 3).mean(axis=0) / 255)

    def render_split(self, out: Path, config: Path | None = None) -> list[Path]:
        """Pictures of the test split in order, as PNG files in `out`."""
        config = config or self.folder / "config.yml"
        process = self.upstream.start(
            self.folder / "upstream", EVAL, "--config", str(config), "--checkpoint",
            str(self.checkpoint), "--savedir", str(out))
        _follow(process, "rendering", 1, time.perf_counter(), None)
        return sorted(p for p in out.glob("*.png") if p.stem.isdigit())

    def render(self, camera: Camera, expression=None, background=None) -> np.ndarray:
        """(H, W, 3) float32; expression E numbers, None = the training frame of the smallest."""
        e = self.neutral if expression is None else np.asarray(expression, np.float32).reshape(-1)
        if len(e) != len(self.neutral):
            raise IdfError("This expression has another length than the avatar's",
                           f"{len(e)} values, the avatar has {len(self.neutral)}")
        asked = read_json(self.folder / "config.yml")
        with tempfile.TemporaryDirectory(prefix="idf-nerface-") as name:
            work = Path(name)
            # one frame of that size; what the picture holds is not looked at
            empty = np.zeros((camera.height, camera.width, 3), np.uint8)
            for split in ("train", "test"):
                write_image(work / "set" / split / "f_0000.png", empty)
                write_json(work / "set" / f"transforms_{split}.json", _one_frame(camera, e, split))
            behind = read_image(self.folder / "data" / "bg" / "00050.png")
            if background is not None:
                behind = np.broadcast_to(media.to_uint8(np.asarray(background, np.float32)),
                                         empty.shape)
            behind = media.resize_area(np.ascontiguousarray(behind), camera.width, camera.height)
            write_image(work / "data" / "bg" / "00050.png", behind)
            write_image(work / "set" / "bg" / "00050.png", behind)
            write_json(work / "data" / "source.json", {
                "dataset": str(work / "set"), "resolution": None, "cache": str(work / "cache"),
                "background": "file"})
            write_bytes(work / "data" / "index_map.npy",
                        (self.folder / "data" / "index_map.npy").read_bytes())
            asked["dataset"]["basedir"] = str(work / "data")
            write_text(work / "config.yml", json.dumps(asked))
            found = self.render_split(work / "renders", work / "config.yml")
            return read_image(found[0]).astype(np.float32)[..., :3] / 255

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """The picture; alpha is 1 everywhere and depth unknown, its script gives neither."""
        rgb = self.render(camera, expression, background)
        return Rendering(rgb, np.ones(rgb.shape[:2], np.float32),
                         np.full(rgb.shape[:2], math.nan, np.float32))


def _one_frame(camera: Camera, expression: np.ndarray, split: str) -> dict:
    return {"camera_angle_x": camera.fov_x,
            "intrinsics": [camera.fx, camera.fy, (camera.cx - 0.5) / camera.width,
                           (camera.cy - 0.5) / camera.height],
            "frames": [{"file_path": f"./{split}/f_0000", "transform_matrix": camera.c2w.tolist(),
                        "expression": [float(v) for v in expression]}]}


def load_upstream(path, upstream: Upstream | None = None) -> UpstreamScene:
    """The scene of a finished or stopped run of this backend."""
    if read_manifest(path).get("backend") != "nerface":
        raise IdfError(f"{path} is no run of NeRFace", str(read_manifest(path).get("backend")))
    return UpstreamScene(path, upstream)
