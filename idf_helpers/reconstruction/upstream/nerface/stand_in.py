"""A stand-in for a clone of 4D-Facial-Avatars that trains in seconds on any CPU."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ....data.dataset import Dataset
from ....data.media import to_uint8, write_image
from ....runtime.files import read_json, write_text
from ...avatar.basis import BlendAvatar
from ...avatar.config import AvatarConfig
from ...avatar.frame_source import FrameSource
from ...avatar.scene import AvatarScene
from ...avatar.train import Trainer, build_mattes
from ..clone import Check
from ..stand_in import TRAINER, load_state, save_state, say, write_scripts
from .clone import NerfaceClone
from .patches import EVAL, TRAIN
from .settings import VALIDATE

SCRIPTS = {TRAIN: "train", EVAL: "evaluate"}
GAUSSIANS = 3_000


class NerfaceStandIn(NerfaceClone):
    """Scripts of the same names, which use this project's own avatar, made of Gaussians."""

    name = "the stand-in for NeRFace"
    license = f"MIT: it is {TRAINER}, nothing of NeRFace's"
    stand_in = True

    @classmethod
    def write(cls, folder: Path) -> NerfaceStandIn:
        """Write its scripts to a folder and return it."""
        return cls(write_scripts(Path(folder).resolve(), __name__, SCRIPTS))

    def checks(self) -> Iterator[Check]:
        absent = [n for n in SCRIPTS if self.source is None or not (self.code / n).is_file()]
        yield Check("stand-in", "", f"{', '.join(absent)}: not there" if absent else None)

    def copy_to(self, folder: Path, expression_length: int) -> list[str]:
        for name in SCRIPTS:
            write_text(folder / name, (self.code / name).read_text(encoding="utf-8"))
        return []


def train() -> None:
    """Do what train_transformed_rays.py does, with its arguments and files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--load-checkpoint", default="")
    a = parser.parse_args()
    settings = read_json(a.config)
    e = settings["experiment"]
    base = Path(settings["dataset"]["basedir"])
    asked = read_json(base / "source.json")
    data = Dataset.open(asked["dataset"])
    say("Loading data …")
    source = FrameSource(data, data.train, Path(asked["cache"]) / "stand_in", asked["resolution"],
                         background=asked["background"])
    mattes = build_mattes(source, Path(asked["cache"]) / "stand_in_mattes").array()[..., 0]
    # the configuration names the step to stop at; how long all of it takes stands in this one
    total = (e["validate_every"] - 1) // VALIDATE
    trainer = Trainer(source, mattes, AvatarConfig(
        iterations=total, resolution=asked["resolution"], seed=e["randomseed"],
        initial=GAUSSIANS // 2, max_gaussians=GAUSSIANS, densify_every=50, densify_from=100))
    if a.load_checkpoint:
        load_state(Path(a.load_checkpoint), trainer)
    folder = Path(e["logdir"]) / e["id"]
    say(f"Starting loop, {len(source)} frames, from step {trainer.iteration}")
    last = -1
    while trainer.iteration < e["train_iters"]:
        loss = trainer.step()
        i = trainer.iteration - 1
        if i == last:  # it went back to an earlier state
            continue
        last, over = i, i == e["train_iters"] - 1
        if i % e["print_every"] == 0 or over:
            say(f"[TRAIN] Iter: {i} Loss: {loss:.6f} BG Loss: 0.0 PSNR: {trainer.psnr_train:.4f} "
                "LatentReg: 0.0")
        if i % e["save_every"] == 0 or over:
            trainer.scene().avatar.save(folder / f"avatar{i:05d}.npz")
            save_state(folder / f"checkpoint{i:05d}.ckpt", trainer)
            say("================== Saved Checkpoint =================")
    say("Done!")


def evaluate() -> None:
    """Do what eval_transformed_rays.py does: a picture of each test frame."""
    parser = argparse.ArgumentParser()
    for flag in ("--config", "--checkpoint", "--savedir"):
        parser.add_argument(flag, required=True)
    a = parser.parse_args()
    asked = read_json(Path(read_json(a.config)["dataset"]["basedir"]) / "source.json")
    model = Path(a.checkpoint)
    scene = AvatarScene(BlendAvatar.load(
        model.with_name(model.stem.replace("checkpoint", "avatar") + ".npz")))
    for i, frame in enumerate(Dataset.open(asked["dataset"]).test):
        picture = scene.render(frame.camera.fitted(asked["resolution"]), frame.expression)
        write_image(Path(a.savedir) / f"{i:04d}.png", to_uint8(picture))
