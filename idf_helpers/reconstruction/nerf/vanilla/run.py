"""The `vanilla` backend of the nerf stage: nerf-pytorch's outputs in a run folder, and back."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from .... import provenance
from ....data.cameras import Camera, orbit
from ....data.cameras_file import find_cameras
from ....data.dataset import Dataset
from ....data.media import video_writer, write_image
from ....data.training_views import TrainingViews
from ....errors import IdfError
from ....metrics import evaluate_scene
from ....provenance.lineage import mark_of
from ....reconstruction.nerf.run import MADE, background_of, finish
from ....runtime.files import read_record, sha256_file, write_json, write_text
from ....runtime.runs import RunFolder
from ..train import run_trainer
from . import checkpoint
from .config import VanillaConfig
from .network import Field
from .options import NerfOptions
from .scene import VanillaScene
from .train import Amount, VanillaTrainer, options_of

SETTINGS = "nerf.json"  # all options, depths and box: what the checkpoint's networks need
FPS = 30.0
VIDEO_FRAMES = 40  # nerf-pytorch's spiral
ELEVATION = 30.0  # its camera looks down by this


def train_vanilla(dataset: Dataset, out, config: VanillaConfig | None = None, *,
                  amount: Amount | None = None, options: NerfOptions | None = None,
                  resume: bool = True, progress=None) -> VanillaScene:
    """Trains the paper's network on `dataset` and leaves in the run folder `out`, beside what every
    stage leaves: NNNNNN.tar (nerf-pytorch reads it), args.txt, config.txt, testset_NNNNNN/, and
    where asked for EXP_spiral_NNNNNN_rgb.mp4 and _disp.mp4.

    options: in place of those of `config.config`. A finished run of the same inputs and settings
    is read back. IdfError: unknown options, near >= far, a checkpoint of another network, and those
    of `nerf.train.fit`.
    """
    config, amount = (config or VanillaConfig()).checked(), amount or Amount()
    o = options or options_of(config, amount.resolution)
    resolution = amount.resolution
    if o.half_res:
        resolution = max(16, max(dataset.size) // 2)
    asked = {"amount": asdict(amount), "resolution": resolution, "options": asdict(o),
             "vanilla": asdict(config),
             "checkpoint_sha256": sha256_file(o.ft_path) if o.ft_path and Path(o.ft_path).is_file()
             else None}
    with RunFolder(out, stage="nerf", backend="vanilla", config=asked,
                   inputs=dataset.fingerprint(), resume=resume) as run:
        if run.finished and (run.path / SETTINGS).is_file():
            return load_vanilla(run.path, run.manifest)
        views = TrainingViews.load(dataset.train, resolution)
        trainer = VanillaTrainer(views, o, config, amount)
        run_trainer(trainer, run, progress)
        scene = trainer.scene()
        step = trainer.global_step
        what = mark_of(dataset.root, run.run_id, MADE)
        with provenance.marked(run.path / f"{step:06d}.tar", what) as temporary:
            checkpoint.save(temporary, trainer.field, trainer.optimizer, step, {
                "rays": "center" if trainer.offset else "corner", "near": trainer.near,
                "far": trainer.far})
        write_text(run.path / "args.txt", o.text())
        if config.config:
            write_text(run.path / "config.txt", Path(config.config).read_text("utf-8-sig"))
        write_json(run.path / SETTINGS, {
            "options": asdict(replace(o, ft_path="")), "near": trainer.near, "far": trainer.far,
            "offset": trainer.offset, "nerfacc": nerfacc_box(trainer),
            "checkpoint": f"{step:06d}.tar"})
        skip = max(1, o.testskip)
        tested = dataset.test[::skip]
        write_test_set(scene, [f.camera.fitted(resolution) for f in tested],
                       run.path / f"testset_{step:06d}", o.render_factor, what)
        frames = config.video_frames
        if frames is None:
            frames = VIDEO_FRAMES if trainer.device.type == "cuda" else 0
        if frames:
            write_spiral(scene, run.path / f"{o.expname or 'nerf'}_spiral_{step:06d}_", frames,
                         resolution, o.render_factor, what)
        metrics = evaluate_scene(scene, tested, resolution, scene.background)
        sheet = replace(dataset, splits=dataset.splits | {"test": tuple(tested)})
        finish(run, scene, sheet, resolution, metrics, what, "vanilla: asked for", {
            "parameters": sum(p.numel() for p in scene.field.parameters()),
            "global_step": step})
    return scene


def _scaled(camera: Camera, factor: int) -> Camera:
    return camera.resized(camera.width // factor, camera.height // factor) if factor > 1 else camera


def write_test_set(scene, cameras, folder: Path, factor: int, what) -> None:
    """000.png, 001.png …, as nerf-pytorch's render_path names them, each with its mark."""
    for i, camera in enumerate(cameras):
        picture = scene.render(_scaled(camera, factor))
        with provenance.marked(folder / f"{i:03d}.png", what) as temporary:
            write_image(temporary, picture)


def write_spiral(scene, stem: Path, frames: int, resolution, factor: int, what) -> None:
    """STEMrgb.mp4 and STEMdisp.mp4: one turn about the head, and its disparity (1/depth over the
    largest; 0 where nothing is)."""
    path = orbit(scene.cameras, frames, ELEVATION, resolution=resolution)
    views = [scene.render_full(_scaled(c, factor)) for c in path]
    disparity = [np.nan_to_num(1 / v.depth) for v in views]
    top = max(float(d.max()) for d in disparity) or 1.0
    for name, pictures in (("rgb", [provenance.label(v.rgb) for v in views]),
                           ("disp", [np.repeat((d / top)[..., None], 3, 2) for d in disparity])):
        target = stem.with_name(f"{stem.name}{name}.mp4")
        with provenance.marked(target, what) as temporary, \
                video_writer(temporary, FPS, comment=what.text()) as video:
            for picture in pictures:
                video.append(picture)


def load_vanilla(folder: Path, manifest: dict) -> VanillaScene:
    """The scene of a run folder of this backend. IdfError where it is damaged."""
    settings = read_record(folder / SETTINGS, ("options", "near", "far", "offset", "checkpoint",
                                               "nerfacc"), "NeRF settings")
    try:
        options = NerfOptions(**settings["options"]).checked()
        numbers = [np.asarray(settings[k], float) for k in ("near", "far", "offset")]
        name = Path(settings["checkpoint"]).name
    except (TypeError, ValueError) as error:
        raise IdfError(f"The settings {folder / SETTINGS} are damaged", str(error)[:120],
                       "delete that folder and run the stage again") from None
    near, far, offset = numbers
    field = Field(options)
    checkpoint.load_into(field, checkpoint.read(folder / name), folder / name)
    import torch

    field.to("cuda" if torch.cuda.is_available() else "cpu")
    return VanillaScene(field, float(near), float(far), find_cameras(folder / "cameras.json"),
                        background_of(folder, manifest), {}, float(offset),
                        _sampler(field, settings["nerfacc"], folder))


def nerfacc_box(trainer) -> dict | None:
    """What a scene that was trained with nerfacc is drawn with: its box and occupied cells."""
    if trainer.sampler is None:
        return None
    cells = trainer.sampler.estimator.binaries.cpu().numpy()
    return {"low": trainer.bounds.low, "high": trainer.bounds.high, "shape": list(cells.shape),
            "cells": np.packbits(cells).tobytes().hex()}


def _sampler(field, box: dict | None, folder: Path):
    if box is None:
        return None
    import torch

    from .nerfacc_sampler import OccupancySampler

    device = next(field.parameters()).device
    try:
        low, high = np.asarray(box["low"], float), np.asarray(box["high"], float)
        cells = np.unpackbits(np.frombuffer(bytes.fromhex(box["cells"]), np.uint8))
        cells = cells[:int(np.prod(box["shape"]))].reshape(box["shape"]).astype(bool)
    except (KeyError, TypeError, ValueError) as error:
        raise IdfError(f"The settings {folder / SETTINGS} are damaged", str(error)[:120],
                       "delete that folder and run the stage again") from None
    sampler = OccupancySampler(field, low, high, device)
    sampler.estimator.binaries = torch.from_numpy(cells).to(device)
    return sampler
