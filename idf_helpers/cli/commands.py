"""The commands of `idf`, in the order of its help. Each imports what it needs when it is called."""

from __future__ import annotations

from ..reconstruction.methods import AVATARS, RADIANCE_FIELDS, SPLATS
from . import show
from .command import Command, TrainingCommand

_TRAIN = "idf_helpers.reconstruction:reconstruct"

COMMANDS = {command.name: command for command in (
    Command("demo", "swap a face, train splats, write video, page and model: on the bundled head",
            "idf_helpers.cli.demo:demo", show=show.demo, hidden=("view",)),
    TrainingCommand("splat", "train Gaussian splats on a dataset", _TRAIN, ("data",), show.splats,
                    stage="splats", methods=lambda: SPLATS),
    TrainingCommand("nerf", "train a radiance field on a dataset", _TRAIN, ("data",),
                    show.radiance_field, stage="nerf", methods=lambda: RADIANCE_FIELDS),
    TrainingCommand("avatar", "train an avatar with movable expressions on a talking head", _TRAIN,
                    ("data",), show.avatar, stage="avatar", methods=lambda: AVATARS),
)}
